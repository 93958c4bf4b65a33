// The gate between who asks an entity past its host and the host that lets it rest.
#include "actors/doorway.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace orrery::actors {
namespace {

TEST(Gate, IsOpenUntilItIsClosed) {
  auto g = gate{};
  EXPECT_FALSE(g.is_done());
  ASSERT_TRUE(g.enter());
  EXPECT_FALSE(g.close_if_empty());  // one is on its way
  ASSERT_TRUE(g.enter());
  g.leave();
  EXPECT_FALSE(g.close_if_empty());
  g.leave();
  EXPECT_TRUE(g.close_if_empty());
  EXPECT_TRUE(g.is_done());
  EXPECT_FALSE(g.enter());
  EXPECT_FALSE(g.close_if_empty());  // it was closed before
}

TEST(Gate, ClosedWithSomebodyInsideItIsDoneWhenTheLastOneLeft) {
  auto g = gate{};
  ASSERT_TRUE(g.enter());
  ASSERT_TRUE(g.enter());
  EXPECT_TRUE(g.close());
  EXPECT_FALSE(g.enter());
  EXPECT_FALSE(g.is_done());
  g.leave();
  EXPECT_FALSE(g.is_done());
  g.leave();
  EXPECT_TRUE(g.is_done());
  EXPECT_FALSE(g.close());  // nothing is on its way
}

/// Whoever got in is served before the gate closes, on whichever thread, again and again.
TEST(Gate, NobodyIsInsideWhenItClosesEmpty) {
  for (auto round = 0; round < 200; ++round) {
    auto g = gate{};
    auto sent = std::atomic<int>{0}, taken = std::atomic<int>{0};
    auto last = -1;  // what the closing thread saw; read by others after it is done
    auto threads = std::vector<std::jthread>{};
    for (auto t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        while (g.enter()) {
          sent.fetch_add(1, std::memory_order_relaxed);
          taken.fetch_add(1, std::memory_order_relaxed);
          g.leave();
        }
        if (g.is_done()) {
          EXPECT_GE(last, 0);
        }
      });
    auto tries = 0;
    do {
      last = sent.load(std::memory_order_relaxed);
      if (++tries % 100 == 0)
        std::this_thread::yield();
    } while (!g.close_if_empty());
    threads.clear();
    EXPECT_EQ(sent, taken);
    EXPECT_TRUE(g.is_done());
  }
}

TEST(Gate, TheLastOneToLeaveALostEntitySeesThatItIsDone) {
  for (auto round = 0; round < 200; ++round) {
    auto g = gate{};
    auto seen = std::atomic<int>{0};
    auto inside = 0;
    while (inside < 3 && g.enter())
      ++inside;
    auto threads = std::vector<std::jthread>{};
    for (auto t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        g.leave();
        if (g.is_done())
          seen.fetch_add(1);
      });
    g.close();
    const auto at_close = g.is_done();
    threads.clear();
    EXPECT_TRUE(at_close || seen > 0);  // or the entity would never end
  }
}

}  // namespace
}  // namespace orrery::actors
