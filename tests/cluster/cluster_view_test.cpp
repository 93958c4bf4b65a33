#include "cluster/cluster_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const auto keys = cluster_keys{"plant"};

shard_record led_by(node_id id, std::uint64_t version = 0) {
  return {.version = version, .epoch = 1, .primary = id, .in_sync = {id}, .replicas = {id}};
}
node_info named(const std::string& name) {
  auto info = node_info{};
  info.name = name;
  return info;
}
listing everything() {
  return {9,
          {{keys.about(), encode(cluster_about{1, 64, {}, "ab"}), 1},
           {keys.controller(), "1", 5},
           {keys.last_number(), "2", 3},
           {keys.node(1), encode(named("a")), 4},
           {keys.number("a"), "1", 2},
           {keys.number("b"), "2", 3},
           {keys.order(2), encode(node_order::drain), 8},
           {keys.shard(7), encode(led_by(1)), 6},
           {keys.root() + "later", "?", 7}}};
}
change put(const std::string& key, const std::string& value, std::uint64_t revision) {
  return {key, value, 0, revision};
}
change gone(const std::string& key, std::uint64_t revision) {
  return {key, std::nullopt, 0, revision};
}

TEST(ClusterView, IsWhatTheListingSays) {
  const auto view = view_of(keys, everything(), {});
  EXPECT_EQ(view.revision, 9u);
  EXPECT_EQ(view.about->shards, 64);
  EXPECT_EQ(view.controller, 1u);
  EXPECT_EQ(view.nodes.at(1), (node_entry{named("a"), 4}));
  EXPECT_EQ(view.numbers, (std::map<std::string, node_id>{{"a", 1}, {"b", 2}}));
  EXPECT_EQ(view.orders.at(2), node_order::drain);
  EXPECT_EQ(view.shards.at(7), led_by(1, 6));
  EXPECT_THAT(view.malformed, IsEmpty());
}

TEST(ClusterView, TakesChangesInOnce) {
  auto view = view_of(keys, everything(), {});
  const auto before = view;
  EXPECT_TRUE(take(view, keys, gone(keys.node(1), 9)));  // it is in already
  EXPECT_EQ(view, before);
  for (const auto& key : {keys.about(), keys.controller(), keys.node(1), keys.number("a"),
                          keys.order(2), keys.shard(7), keys.last_number(), keys.root() + "later"})
    EXPECT_TRUE(take(view, keys, gone(key, 10)));
  EXPECT_FALSE(view.about || view.controller);
  EXPECT_TRUE(view.nodes.empty() && view.orders.empty() && view.shards.empty());
  EXPECT_EQ(view.numbers.size(), 1u);
  EXPECT_TRUE(take(view, keys, put(keys.node(1), encode(named("a")), 11)));
  EXPECT_EQ(view.nodes.at(1).incarnation, 11u);
}

TEST(ClusterView, WhatCannotBeReadIsMissingAndNamed) {
  auto view = view_of(keys, everything(), {});
  EXPECT_EQ(take(view, keys, put(keys.shard(7), "?", 10)).error().code, model::errc::corrupted);
  EXPECT_TRUE(view.shards.empty());  // not what it was: that is over
  EXPECT_THAT(view.malformed, ElementsAre(keys.shard(7)));
  EXPECT_TRUE(take(view, keys, put(keys.shard(7), encode(led_by(2)), 11)));
  EXPECT_THAT(view.malformed, IsEmpty());
  EXPECT_FALSE(take(view, keys, put(keys.node(1), "{}", 12)));
  EXPECT_TRUE(take(view, keys, gone(keys.node(1), 13)));
  EXPECT_THAT(view.malformed, IsEmpty());
  auto all = everything();
  all.items[0].value = "";
  EXPECT_THAT(view_of(keys, all, {}).malformed, ElementsAre(keys.about()));
}

TEST(ClusterView, HasBackupsWithTheirParts) {
  auto view = view_of(keys, everything(), {});
  const auto id = std::string{"20261125-025746"};
  const auto order = backup_order{{}, "user:eve", {{1, 7}}, {}};
  EXPECT_TRUE(take(view, keys, put(keys.backup(id), encode(order), 10)));
  EXPECT_TRUE(take(view, keys, put(keys.backup_part(id, 1), encode(backup_part{}), 11)));
  EXPECT_EQ(view.backups.at(id), (backup_entry{order, 10, {{1, backup_part{}}}}));
  EXPECT_TRUE(take(view, keys, gone(keys.backup(id), 12)));
  EXPECT_EQ(view.backups.at(id).order, std::nullopt);
  EXPECT_TRUE(take(view, keys, gone(keys.backup_part(id, 1), 13)));
  EXPECT_THAT(view.backups, IsEmpty());
  EXPECT_TRUE(take(view, keys, gone(keys.backup_part(id, 1), 14)));
  EXPECT_FALSE(take(view, keys, put(keys.backup(id), "?", 15)));
  EXPECT_THAT(view.malformed, ElementsAre(keys.backup(id)));
}

TEST(ClusterView, AnOwnSwapIsThereBeforeItsNews) {
  auto view = view_of(keys, everything(), {});
  EXPECT_TRUE(take(view, 7, led_by(2, 12)));
  EXPECT_FALSE(take(view, 7, led_by(2, 12)));
  EXPECT_FALSE(take(view, 7, led_by(3, 11)));
  // News of what came before it.
  EXPECT_TRUE(take(view, keys, put(keys.shard(7), encode(led_by(3)), 11)));
  EXPECT_TRUE(take(view, keys, gone(keys.shard(7), 11)));
  EXPECT_EQ(view.shards.at(7), led_by(2, 12));
  // A listing that was made before it, and one that was made after.
  auto all = everything();
  all.revision = 11;
  EXPECT_EQ(view_of(keys, all, view).shards.at(7), led_by(2, 12));
  all.revision = 13;
  all.items[7] = {keys.shard(7), encode(led_by(4)), 13};
  EXPECT_EQ(view_of(keys, all, view).shards.at(7), led_by(4, 13));
  EXPECT_TRUE(take(view, keys, gone(keys.shard(7), 14)));
  EXPECT_TRUE(view.shards.empty());
}

TEST(ClusterView, ARecordThatWentSinceDoesNotComeBack) {
  auto view = view_of(keys, everything(), {});
  EXPECT_FALSE(take(view, 8, led_by(1, 9)));
  EXPECT_TRUE(take(view, 8, led_by(1, 10)));
}

}  // namespace
}  // namespace orrery::cluster
