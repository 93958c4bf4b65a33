#include "net/wake_list.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "net/io_threads.hpp"

namespace orrery::net {
namespace {

struct sleeper final : wakeable {
  void woken() override {
    ++times;
    if (then)
      then();
  }
  int times = 0;
  std::function<void()> then;
};

class WakeList : public testing::Test {
 protected:
  std::size_t turn() {
    io.restart();
    return io.poll();
  }
  boost::asio::io_context io{1};
  wake_list& list = wake_list::of(io);
};

TEST_F(WakeList, ManyAreWokenByOneTurn) {
  const auto a = std::make_shared<sleeper>(), b = std::make_shared<sleeper>();
  for (auto i = 0; i < 100; ++i)
    list.add(i % 2 ? a : b);
  EXPECT_EQ(a->times, 0);
  EXPECT_EQ(turn(), 1u);
  EXPECT_EQ(a->times, 50);
  EXPECT_EQ(b->times, 50);
  EXPECT_EQ(turn(), 0u);
}

TEST_F(WakeList, WhoWakesOthersMeanwhileGetsAnotherTurn) {
  const auto a = std::make_shared<sleeper>(), b = std::make_shared<sleeper>();
  a->then = [&] { list.add(b); };
  list.add(a);
  turn();
  EXPECT_EQ(b->times, 1);
}

TEST_F(WakeList, HoldsWhomItWillWakeAndNobodyAfterwards) {
  auto a = std::make_shared<sleeper>();
  const auto weak = std::weak_ptr<sleeper>{a};
  list.add(std::move(a));
  EXPECT_FALSE(weak.expired());
  turn();
  EXPECT_TRUE(weak.expired());
}

TEST(WakeListOfThreads, LosesNothing) {
  constexpr auto rounds = 20'000;
  struct counter final : wakeable {
    void woken() override { times.fetch_add(1); }
    std::atomic<int> times{0};
  };
  auto io = io_threads{1};
  auto& list = wake_list::of(io.context(0));
  const auto who = std::make_shared<counter>();
  auto callers = std::vector<std::thread>{};
  for (auto t = 0; t < 3; ++t)
    callers.emplace_back([&] {
      for (auto i = 0; i < rounds; ++i)
        list.add(who);
    });
  for (auto& t : callers)
    t.join();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (who->times < 3 * rounds && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_EQ(who->times, 3 * rounds);
  io.stop();
}

}  // namespace
}  // namespace orrery::net
