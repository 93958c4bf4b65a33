#include "cluster/recovery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "cluster/membership.hpp"
#include "cluster/placement.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr model::shard_id shard = 3;
const auto keys = cluster_keys{"plant"};

/// Nodes 1, 2, 3; the shard was level on node 3 at last.
class Recovery : public testing::Test {
 protected:
  Recovery() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [] { return std::chrono::milliseconds{1}; });
    EXPECT_TRUE(made);
    at = std::move(*made);
    for (const auto* name : {"a", "b", "c"})
      EXPECT_TRUE(join(*at, "plant", name, 4, "ab", {}));
    come(1);
    come(2);
    put(keys.shard(shard), encode(record));
  }
  void put(const std::string& key, std::optional<std::string> value) {
    const auto one = change{key, std::move(value)};
    EXPECT_TRUE(at->swap({}, {&one, 1}));
  }
  void come(node_id id) {
    auto info = node_info{};
    info.name = std::string(1, static_cast<char>('a' + id - 1));
    put(keys.node(id), encode(info));
  }
  cluster_view view() {
    const auto all = at->list(keys.root());
    EXPECT_TRUE(all);
    return view_of(keys, *all, {});
  }
  void offer(node_id id, log_position end) {
    put(keys.copy(shard, id), encode(offered_copy{view().shards.at(shard).version, end}));
  }
  std::string refusal(node_id id, model::shard_id of = shard) {
    const auto got = recover_shard(*at, "plant", of, id);
    return got ? "" : std::string{got.error().reason};
  }

  shard_record record{
      .version = 0, .epoch = 7, .primary = 3, .in_sync = {3}, .replicas = {1, 2, 3}};
  std::shared_ptr<coordinator> at;
};

TEST_F(Recovery, TheBestCopyComesFirst) {
  offer(1, {.epoch = 5, .index = 90});
  offer(2, {.epoch = 6, .index = 20});
  auto stuck = stuck_shards(view());
  ASSERT_THAT(stuck, SizeIs(1));
  EXPECT_EQ(stuck[0].shard, shard);
  EXPECT_THAT(stuck[0].copies, ElementsAre(stuck_shard::copy{2, {.epoch = 6, .index = 20}},
                                           stuck_shard::copy{1, {.epoch = 5, .index = 90}}))
      << "a later primary's log has everything that an earlier one committed";
  offer(1, {.epoch = 6, .index = 21});
  EXPECT_EQ(stuck_shards(view())[0].copies[0].node, 1u) << "of two of one epoch the longer";
}

TEST_F(Recovery, WhatWasOfferedForAnotherRecordCountsForNothing) {
  offer(1, {.epoch = 5, .index = 90});
  record.epoch = 8;
  put(keys.shard(shard), encode(record));
  EXPECT_THAT(stuck_shards(view())[0].copies, IsEmpty());
  EXPECT_EQ(refusal(1), "copy_not_offered");
}

TEST_F(Recovery, WhoHasAllOfItIsWaitedForWhileHeIsThere) {
  offer(1, {.epoch = 5, .index = 90});
  come(3);
  EXPECT_THAT(stuck_shards(view()), IsEmpty());
  EXPECT_EQ(refusal(1), "shard_not_stuck");
  EXPECT_EQ(refusal(1, 2), "shard_unknown");
}

TEST_F(Recovery, TheChosenCopyIsTheShardFromThenOn) {
  offer(1, {.epoch = 5, .index = 90});
  const auto done = recover_shard(*at, "plant", shard, 1);
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->epoch, 8u);
  EXPECT_EQ(done->recovered, 8u);
  EXPECT_EQ(done->primary, std::nullopt) << "it elects itself";
  EXPECT_THAT(done->in_sync, ElementsAre(1));
  EXPECT_EQ(view().shards.at(shard), *done);
  EXPECT_EQ(refusal(1), "shard_not_stuck") << "once is enough";
}

TEST_F(Recovery, ACopyElsewhereBecomesAReplica) {
  record.replicas = {3};
  put(keys.shard(shard), encode(record));
  offer(2, {.epoch = 5, .index = 90});
  const auto done = recover_shard(*at, "plant", shard, 2);
  ASSERT_TRUE(done);
  EXPECT_THAT(done->replicas, ElementsAre(2, 3));
}

TEST_F(Recovery, InAClusterFoundAgainEpochsBeginBehindAllThatMayHaveBeen) {
  put(keys.about(), encode(cluster_about{cluster_format, 4, {}, "ab", true}));
  record = {.version = 0, .epoch = 1, .primary = {}, .in_sync = {}, .replicas = {1, 2}};
  put(keys.shard(shard), encode(record));
  offer(1, {.epoch = 40, .index = 9});
  const auto done = recover_shard(*at, "plant", shard, 1);
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_GT(done->epoch, 1'000'000u);
}

TEST_F(Recovery, RecordsOfAClusterFoundAgainNameNobody) {
  auto now = view();
  now.shards.clear();
  now.about->found_again = true;
  const auto p = plan(now, {.shard_count = 4}, {}, {});
  ASSERT_THAT(p.changes, SizeIs(5));
  for (const auto& c : p.changes) {
    EXPECT_EQ(c.wanted.primary, std::nullopt);
    EXPECT_THAT(c.wanted.in_sync, IsEmpty());
    EXPECT_FALSE(c.wanted.replicas.empty());
    now.shards[c.shard] = c.wanted;
  }
  EXPECT_THAT(plan(now, {.shard_count = 4}, {}, {}).stuck, SizeIs(5))
      << "until an operator says who";
}

}  // namespace
}  // namespace orrery::cluster
