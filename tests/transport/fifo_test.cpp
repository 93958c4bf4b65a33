#include "transport/fifo.hpp"

#include <deque>
#include <random>

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

TEST(Fifo, IsWhatADequeIs) {
  auto random = std::mt19937{7};
  auto ours = fifo<int>{};
  auto theirs = std::deque<int>{};
  for (auto i = 0; i < 20'000; ++i) {
    const auto what = random() % 100;
    if (what < 48 || theirs.empty()) {
      ours.push_back(i);
      theirs.push_back(i);
    } else if (what < 95) {
      ours.pop_front();
      theirs.pop_front();
    } else {
      const auto at = static_cast<std::ptrdiff_t>(random() % theirs.size());
      ours.erase(ours.begin() + at);
      theirs.erase(theirs.begin() + at);
    }
    ASSERT_EQ(ours.size(), theirs.size());
    if (!theirs.empty()) {
      ASSERT_EQ(ours.front(), theirs.front());
      ASSERT_EQ(ours[ours.size() / 2], theirs[theirs.size() / 2]);
    }
  }
  EXPECT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()));
}

}  // namespace
}  // namespace orrery::transport
