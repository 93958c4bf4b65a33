#include "cluster/replicas.hpp"

#include <gmock/gmock.h>

#include "tests/support/replicas_stage.hpp"

namespace orrery::cluster {
namespace {

using namespace tests::replicas_stage;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;

class Replicas : public testing::Test, protected stage {};

TEST_F(Replicas, AWriteIsCommittedOnceAllInSyncHaveIt) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  ASSERT_TRUE(a.serves());
  const auto before = a.committed();
  at.cut.insert({1, 2});
  const auto offset = a.write("k", "v");
  ASSERT_TRUE(offset);
  EXPECT_EQ(a.committed(), before) << "the other one has not got it";
  EXPECT_EQ(a.read("k"), "") << "rows come with the commit";
  at.cut.clear();
  a.replicas->link_up(2);
  settle();
  EXPECT_EQ(a.committed(), *offset);
  EXPECT_EQ(a.read("k"), "v");
  EXPECT_EQ(b.read("k"), "v");
}

TEST_F(Replicas, AWriteWhileAReplicaIsGivenUpKeepsTheRowsOfTheOneBefore) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  at.cut.insert({1, 2});
  ASSERT_TRUE(a.write("before", "v"));
  at.now += milliseconds{3'500};
  a.replicas->tick();  // gives it up: all is to be synced first
  ASSERT_TRUE(a.write("after", "w"));
  settle();
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1));
  EXPECT_EQ(a.read("before"), "v");
  EXPECT_EQ(a.read("after"), "w");
}

TEST_F(Replicas, AFollowerGoesOnFromWhereThePrimaryWas) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  for (int i = 0; i < 10; ++i)
    a.write("k" + std::to_string(i), "v");
  settle(3);
  leave(a);
  settle();
  ASSERT_TRUE(b.serves());
  EXPECT_EQ(at.records[shard].primary, 2u);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(b.read("k" + std::to_string(i)), "v");
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(2)) << "the dead one was given up";
  ASSERT_TRUE(b.write("later", "w"));
  enter(a);
  settle(60);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2)) << "and taken in again";
  EXPECT_EQ(a.read("later"), "w");
}

TEST_F(Replicas, ANewNodeLearnsTheCatalogueFirst) {
  const auto catalogue = model::catalogue_shard;
  record(catalogue, 1, {1}, {1, 3});
  record(shard, 2, {2}, {2, 3});
  for (auto* n : all)
    enter(*n);
  at.cut = {{1, 3}};  // it hears nothing of the catalogue
  settle(60);
  ASSERT_TRUE(a.write("model", "m", catalogue));
  ASSERT_TRUE(b.write("device", "d"));
  settle(60);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(2));
  EXPECT_EQ(c.read("device"), "");
  at.cut.clear();
  a.replicas->link_up(3);
  settle(60);
  EXPECT_EQ(c.read("model", catalogue), "m");
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(2, 3));
  EXPECT_EQ(c.read("device"), "d");
}

TEST_F(Replicas, WhatNobodyServesIsOfferedAndGoesOnFromTheChosenCopy) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  ASSERT_TRUE(a.write("both", "v"));
  settle();
  leave(b);
  settle(60);
  ASSERT_THAT(at.records[shard].in_sync, ElementsAre(1));
  ASSERT_TRUE(a.write("alone", "w"));
  leave(a);
  enter(b);
  settle(40);
  EXPECT_TRUE(b.offers.empty()) << "the other one may be about to come";
  settle(60);
  ASSERT_TRUE(b.offers.contains(shard));
  EXPECT_EQ(b.offers[shard].version, at.records[shard].version);
  EXPECT_EQ(b.offers[shard].end.epoch, 1u);
  auto& now = at.records[shard];
  now.recovered = ++now.epoch;
  now.primary.reset();
  now.in_sync = {2};
  now.version = ++at.versions;
  tell_records();
  settle(40);
  ASSERT_TRUE(b.serves());
  EXPECT_EQ(b.read("both"), "v");
  EXPECT_EQ(b.read("alone"), "");
  ASSERT_TRUE(b.write("later", "x"));
  enter(a);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (at.records[shard].in_sync.size() < 2 && std::chrono::steady_clock::now() < until)
    settle(1);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
  EXPECT_EQ(a.read("alone"), "") << "it was given up";
  EXPECT_EQ(a.read("both"), "v");
  EXPECT_EQ(a.read("later"), "x");
}

TEST_F(Replicas, AnIdleShardIsTakenInToo) {
  record(shard, 1, {1}, {1, 2});
  enter(a);
  settle();
  enter(b);
  settle(60);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
}

TEST_F(Replicas, ANewReplicaOfAnOldShardGetsACopyOfIt) {
  record(shard, 1, {1}, {1});
  enter(a);
  settle();
  for (int i = 0; i < 100; ++i)
    a.write("k" + std::to_string(i), std::string(100, 'x'));
  settle();
  // Materialised up to here: the journal is trimmed, so the log alone does not do.
  auto f = storage::frame{};
  f.shard = shard;
  f.rows.push_back(
      storage::shard_meta_row(shard, {.epoch = 1, .next_offset = 100, .checkpoint_offset = 99}));
  a.replicas->write(f);
  a.pump();
  settle();
  ASSERT_GT(a.store->journal(shard).begin()->first, 50u) << "trimmed";
  at.records[shard].replicas = {1, 2};
  at.records[shard].version = ++at.versions;
  enter(b);
  // The copy goes by a thread of its own.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (at.records[shard].in_sync.size() < 2 && std::chrono::steady_clock::now() < until)
    settle(1);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
  EXPECT_THAT(b.loaded, ElementsAre(shard));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(b.read("k" + std::to_string(i)), std::string(100, 'x'));
  ASSERT_TRUE(a.write("more", "m"));
  settle();
  EXPECT_EQ(b.read("more"), "m");
}

TEST_F(Replicas, APlannedMoveGoesThroughTheHost) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  prefer(2);
  settle(5);
  EXPECT_THAT(a.asked_to_leave, ElementsAre(shard));
  EXPECT_TRUE(a.serves()) << "until the host has let go";
  a.replicas->host_left(shard);
  settle();
  EXPECT_FALSE(a.serves());
  EXPECT_TRUE(b.serves());
  EXPECT_EQ(at.records[shard].epoch, 2u);
}

TEST_F(Replicas, AShardThatDoesNotMoveIsOpenedAgainOnceAllIsApplied) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  prefer(2);
  settle(5);
  ASSERT_THAT(a.asked_to_leave, ElementsAre(shard));
  at.cut = {{1, 2}, {2, 1}};
  ASSERT_TRUE(a.write("last", "w"));
  prefer(1);
  settle(10);
  EXPECT_TRUE(a.stayed_with.empty()) << "the other copy has not acknowledged the write";
  at.cut.clear();
  settle(60);
  ASSERT_EQ(a.stayed_with.size(), 1u);
  EXPECT_EQ(a.applied_then[0], "w");
  EXPECT_TRUE(a.serves());
}

TEST_F(Replicas, SilenceIsCountedFromTheFirstEntryThatIsMissing) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  for (int idle = 0; idle < 20; ++idle) {  // whenever it was looked at last
    settle(60 + idle);
    ASSERT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
    at.cut = {{1, 2}, {2, 1}};
    ASSERT_TRUE(a.write("k", "v"));
    settle(29);
    EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2)) << "after less than three seconds";
    settle(5);
    EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1));
    at.cut.clear();
  }
}

TEST_F(Replicas, AnIdleShardIsSpokenToNowAndThen) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle(60);
  auto sent = 0;
  for (int i = 0; i < 10 * static_cast<int>(replicas::ticks_for_all); ++i) {
    at.now += milliseconds{50};
    a.replicas->tick();
    a.pump();
    sent += static_cast<int>(at.network.size());
    while (!at.network.empty()) {
      const auto p = std::exchange(at.network, {});
      for (const auto& one : p)
        (one.to == a.id ? a : b).replicas->received(one.from, *decode_replica(one.bytes));
      a.pump();
      b.pump();
    }
  }
  EXPECT_GE(sent, 5) << "in ten seconds";
  EXPECT_LE(sent, 10);
}

TEST_F(Replicas, AfterALostWriteEverythingIsReadAnew) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  ASSERT_TRUE(a.write("k", "v"));
  settle();
  a.store->faults.putting = true;
  a.write("lost", "w");
  EXPECT_FALSE(a.serves());
  settle();
  EXPECT_TRUE(a.serves() || b.serves());
  EXPECT_GT(at.records[shard].epoch, 1u) << "never the same epoch again";
  auto& leads = a.serves() ? a : b;
  ASSERT_TRUE(leads.write("next", "n"));
  settle();
  for (auto* n : {&a, &b}) {
    EXPECT_EQ(n->read("k"), "v");
    EXPECT_EQ(n->read("next"), "n");
    EXPECT_EQ(n->read("lost"), a.read("lost")) << "the same everywhere, whatever it is";
  }
}

TEST_F(Replicas, ALapsedNodeServesNothing) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  a.replicas->lapsed();
  a.pump();
  EXPECT_FALSE(a.serves());
  EXPECT_FALSE(a.write("k", "v"));
  a.lease = false;
  EXPECT_FALSE(a.replicas->may_answer());
}

TEST_F(Replicas, AChangeOfTheCatalogueIsToldOnceEveryNodeHasIt) {
  const auto catalogue = model::catalogue_shard;
  record(catalogue, 1, {1, 2}, {1, 2, 3});
  for (auto* n : all)
    enter(*n);
  settle();
  ASSERT_TRUE(a.serves(catalogue));
  at.cut = {{1, 3}, {3, 1}};
  const auto rows = c.catalogue_rows;
  auto offset = a.write("k", "v", catalogue);
  ASSERT_TRUE(offset);
  settle(5);
  EXPECT_LT(a.committed(catalogue), *offset) << "the third node has not applied it";
  at.cut.clear();
  a.replicas->link_up(3);
  settle(20);
  EXPECT_EQ(a.committed(catalogue), *offset);
  EXPECT_GT(c.catalogue_rows, rows);
  at.cut = {{1, 3}, {3, 1}};
  offset = a.write("k", "w", catalogue);
  settle(120);
  EXPECT_EQ(a.committed(catalogue), *offset) << "it does not wait for ever";
}

}  // namespace
}  // namespace orrery::cluster
