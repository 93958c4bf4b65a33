#include "cluster/shard_map.hpp"

#include <set>

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

TEST(ShardMap, NeverChanges) {
  // Devices are found by these numbers in databases that exist: another hash would lose them.
  EXPECT_EQ(shard_of({"pk", "dk"}, 64), 7);
  EXPECT_EQ(shard_of({"demo-inverter", "inv-01"}, 64), 2);
  EXPECT_EQ(shard_of({"pk", "dk"}, 32'767), 11559);
}

TEST(ShardMap, TellsTheTwoPartsOfANameApart) {
  auto different = 0;
  for (char c = 'a'; c <= 'z'; ++c) {
    const auto tail = std::string{c};
    different += shard_of({"a" + tail, "b"}, 32'767) != shard_of({"a", tail + "b"}, 32'767) ? 1 : 0;
  }
  EXPECT_GT(different, 20);
}

TEST(ShardMap, StaysInItsRangeAndUsesAllOfIt) {
  auto used = std::set<model::shard_id>{};
  for (int i = 0; i < 2000; ++i) {
    const auto shard = shard_of({"pk", "d" + std::to_string(i)}, 64);
    ASSERT_LT(shard, 64);
    used.insert(shard);
    EXPECT_EQ(shard_of({"pk", "d" + std::to_string(i)}, 1), 0);
  }
  EXPECT_EQ(used.size(), 64u);
}

}  // namespace
}  // namespace orrery::cluster
