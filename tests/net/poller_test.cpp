#include "net/poller.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace orrery::net {
namespace {

/// One end of a socket pair under watch, and what it heard.
class watched_end final : public poller::watched {
 public:
  explicit watched_end(poller& p) : poller_{p} {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    mine_ = ends[0];
    other = ends[1];
    handle = poller_.add(mine_, *this);
    EXPECT_NE(handle, 0u);
  }
  ~watched_end() {
    poller_.remove(handle);
    ::close(mine_);
    if (other >= 0)
      ::close(other);
  }
  void on_shutdown() override {}
  void on_ready(bool r, bool w, bool o) override {
    ++calls;
    readable = readable || r;
    writable = writable || w;
    over = over || o;
    if (then)
      then();
  }
  void forget() { readable = writable = over = false, calls = 0; }

  int other = -1, calls = 0;
  std::uint64_t handle = 0;
  bool readable = false, writable = false, over = false;
  std::function<void()> then;

 private:
  poller& poller_;
  int mine_ = -1;
};

class Poller : public testing::Test {
 protected:
  void turn() {
    io.restart();
    io.poll();
  }
  boost::asio::io_context io{1};
  poller& p = poller::of(io);
};

TEST_F(Poller, TellsWhatASocketIsReadyForOncePerEdge) {
  auto end = watched_end{p};
  turn();
  EXPECT_TRUE(end.writable);
  EXPECT_FALSE(end.readable || end.over);
  end.forget();
  turn();
  EXPECT_EQ(end.calls, 0);
  ASSERT_EQ(::send(end.other, "x", 1, 0), 1);
  turn();
  EXPECT_TRUE(end.readable);
  end.forget();
  turn();
  EXPECT_EQ(end.calls, 0);  // not read, and told already
  ASSERT_EQ(::send(end.other, "y", 1, 0), 1);
  turn();
  EXPECT_TRUE(end.readable);
}

TEST_F(Poller, TheEndIsReadableAndOver) {
  auto end = watched_end{p};
  turn();
  end.forget();
  ::close(std::exchange(end.other, -1));
  turn();
  EXPECT_TRUE(end.readable && end.over);
}

TEST_F(Poller, WhatWasRemovedHearsNothing) {
  auto end = watched_end{p};
  p.remove(end.handle);
  p.remove(end.handle);
  p.remove(0);
  ASSERT_EQ(::send(end.other, "x", 1, 0), 1);
  turn();
  EXPECT_EQ(end.calls, 0);
}

TEST_F(Poller, OneMayRemoveAnotherOfTheSameBatch) {
  auto first = watched_end{p};
  auto second = std::make_unique<watched_end>(p), third = std::make_unique<watched_end>(p);
  turn();
  // Whichever is told first takes the two others away; a new one gets one of their places.
  auto fresh = std::unique_ptr<watched_end>{};
  auto told = 0;
  for (auto* one : {&first, second.get(), third.get()}) {
    one->forget();
    one->then = [&] { ++told; };
  }
  first.then = [&] {
    ++told;
    second.reset();
    third.reset();
    fresh = std::make_unique<watched_end>(p);
  };
  for (auto* one : {&first, second.get(), third.get()})
    ASSERT_EQ(::send(one->other, "x", 1, 0), 1);
  turn();
  EXPECT_EQ(told, 1);
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(fresh->readable);
}

TEST_F(Poller, ManyAreReadyAtATime) {
  auto all = std::vector<std::unique_ptr<watched_end>>{};
  for (auto i = 0; i < 1'500; ++i)
    all.push_back(std::make_unique<watched_end>(p));
  turn();
  for (const auto& one : all) {
    EXPECT_EQ(one->calls, 1);
    one->forget();
    ASSERT_EQ(::send(one->other, "x", 1, 0), 1);
  }
  turn();
  for (const auto& one : all)
    EXPECT_TRUE(one->readable);
}

TEST_F(Poller, WhatCannotBeWatchedGetsNoHandle) {
  auto end = watched_end{p};
  EXPECT_EQ(p.add(-1, end), 0u);
}

}  // namespace
}  // namespace orrery::net
