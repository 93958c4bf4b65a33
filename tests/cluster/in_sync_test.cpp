#include "cluster/in_sync.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

constexpr model::shard_id shard = 4;

/// Which of nodes 1 to 5 are to be in sync.
node_set wanted(model::shard_id of, const node_set& in_sync, const node_set& replicas,
                const node_set& leaving = {}, std::size_t factor = 3) {
  const auto record = shard_record{.version = 9,
                                   .epoch = 2,
                                   .primary = 1,
                                   .in_sync = in_sync,
                                   .replicas = replicas,
                                   .preferred = 1};
  auto all = node_set{};
  for (auto who = node_id{1}; who <= 5; ++who)
    if (is_to_be_in_sync(of, record, factor, leaving, who))
      all.insert(who);
  return all;
}

TEST(InSync, AllReplicasOfAShardAreToBe) {
  EXPECT_EQ(wanted(shard, {1}, {1, 2, 3}), (node_set{1, 2, 3}));
  EXPECT_EQ(wanted(shard, {1, 2, 3}, {1, 2, 3}), (node_set{1, 2, 3}));
}

TEST(InSync, WhoIsNoReplicaAnyMoreStaysUntilThereAreEnough) {
  EXPECT_EQ(wanted(shard, {1, 4}, {1, 2}), (node_set{1, 2, 4}));
  EXPECT_EQ(wanted(shard, {1, 2, 4}, {1, 2}), (node_set{1, 2}));
}

TEST(InSync, WhoLeavesStaysUntilThereAreEnoughAndIsNotTakenIn) {
  EXPECT_EQ(wanted(shard, {1, 2}, {1, 2, 3}, {2}), (node_set{1, 2, 3}));
  EXPECT_EQ(wanted(shard, {1, 2, 3}, {1, 2, 3}, {2}), (node_set{1, 3}));
  EXPECT_EQ(wanted(shard, {1, 3}, {1, 2, 3}, {2}), (node_set{1, 3}));
}

TEST(InSync, AllMayLeaveAndNobodyIsGivenUpForIt) {
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2}, {1, 2}, {1, 2}), node_set{});
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2}, {1, 2}, {2}), (node_set{1}));
}

TEST(InSync, OfTheCatalogueTheFirstToBeLevel) {
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2}, {1, 2, 3, 4}), (node_set{1, 2, 3, 4}));
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2, 4}, {1, 2, 3, 4}), (node_set{1, 2, 4}));
}

TEST(InSync, OfTheCatalogueAnotherOneForWhoLeaves) {
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2, 3}, {1, 2, 3, 4}, {2}), (node_set{1, 2, 3, 4}));
  EXPECT_EQ(wanted(model::catalogue_shard, {1, 2, 3, 4}, {1, 2, 3, 4}, {2}), (node_set{1, 3, 4}));
}

}  // namespace
}  // namespace orrery::cluster
