// Checkpoints of a shard, what a start replays, and what a lost write leaves.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/shard_host.hpp"
#include "storage/keys.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::cluster {
namespace {

namespace device = model::device;
namespace keys = storage::keys;
using model::errc;
using storage::family;
using tests::order;
using tests::points;
using tests::reply_of;
using namespace std::chrono_literals;

class Checkpoint : public testing::Test {
 protected:
  device::report_points p(int v) { return points(node.now(), {{"q", v}}); }
  std::uint64_t noted(model::shard_id shard) { return node.store->meta(shard)->checkpoint_offset; }
  std::uint64_t written(model::shard_id shard) { return node.store->meta(shard)->next_offset - 1; }
  std::size_t segments(const model::entity_id& id) {
    return node.store->rows(family::series, keys::bucket_prefix(id));
  }
  std::size_t unsaved(const model::entity_id& id) {
    const auto got =
        node.ask(id, order(device::read_samples{model::timestamp::min(), model::timestamp::max()}));
    const auto* found = reply_of<device::unsaved_samples>(got);
    return found ? found->batches.size() : 999;
  }
  tests::small_node node;
};

TEST_F(Checkpoint, ComesAfterAWhileAndIsNoted) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(5s);
  EXPECT_EQ(segments(id), 0u);
  EXPECT_EQ(noted(id.shard), 0u);
  node.pass(30s);
  EXPECT_EQ(segments(id), 1u);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  EXPECT_EQ(unsaved(id), 0u);
  EXPECT_EQ((*node.shards)[id.shard]->tail_bytes, 0u);
}

TEST_F(Checkpoint, ComesEarlyWhenTheTailIsLong) {
  auto small = tests::small_node{{.hosts = {.checkpoint_bytes = 1}}};
  const auto id = small.add_device("dk");
  ASSERT_TRUE(small.ask(id, order(points(small.now(), {{"q", 1}}))));
  small.pass(2s);
  EXPECT_EQ(small.store->rows(family::series, keys::bucket_prefix(id)), 1u);
}

TEST_F(Checkpoint, ShardsTakeTurns) {
  auto ids = std::map<model::shard_id, model::entity_id>{};
  for (auto i = 0; ids.size() < 2; ++i) {
    const auto key = "d" + std::to_string(i);
    if (!ids.contains(node.shard_of(key)))
      ids[node.shard_of(key)] = node.add_device(key);
  }
  const auto post = [&](int v) {
    for (const auto& [shard, id] : ids)
      EXPECT_TRUE(node.ask(id, order(p(v))));
  };
  for (auto round = 1; round <= 2; ++round) {  // half the interval lies between them, for ever
    post(round);
    node.pass(17s);
    EXPECT_EQ(unsaved(ids[0]), 0u);
    EXPECT_EQ(unsaved(ids[1]), 1u);
    node.pass(14s);
    EXPECT_EQ(unsaved(ids[1]), 0u);
    node.pass(9s);
  }
}

TEST_F(Checkpoint, AQuietShardWritesNothing) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(1min);
  const auto appends = node.store->appends.size();
  const auto offset = noted(id.shard);
  node.pass(2min);
  EXPECT_EQ(node.store->appends.size(), appends);
  EXPECT_EQ(noted(id.shard), offset);
}

TEST_F(Checkpoint, AStartWakesOnlyWhatItsRowsLack) {
  const auto posted = node.add_device("posted");
  const auto silent = node.add_device("silent");
  ASSERT_TRUE(node.ask(posted, order(p(7))));
  ASSERT_TRUE(node.ask(silent, order(device::report_event{"hot", {}, {}})));
  node.restart();
  EXPECT_EQ(node.awake(), 1u);
  EXPECT_EQ(node.latest(posted, "q"), model::value{7});
  EXPECT_TRUE(node.state_of(silent).exists);
  EXPECT_EQ(node.ask(silent, order(device::read_device{}))->revision, 2u);
  node.pass(1min);  // and the tail is gone all the same
  EXPECT_EQ(noted(silent.shard), written(silent.shard));
}

TEST_F(Checkpoint, CoversWhatCameBeforeItAndLeavesTheRest) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(31s);
  ASSERT_TRUE(node.ask(id, order(p(2))));
  node.pass(1s);
  EXPECT_EQ(noted(id.shard), 2u);
  EXPECT_EQ(unsaved(id), 1u);
  node.pass(1min);
  EXPECT_EQ(noted(id.shard), 3u);
  EXPECT_EQ(segments(id), 1u);  // both are in the row of their hour
}

TEST_F(Checkpoint, EventsThatAreInRowsNeedNoEntity) {
  const auto id = node.add_device("dk");
  node.pass(1min);
  EXPECT_EQ(noted(id.shard), 1u);
}

TEST_F(Checkpoint, AFailedOneIsNotNotedAndComesAgain) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(29s);
  node.store->faults.appends = 1;
  node.pass(2s);
  ASSERT_EQ(node.store->faults.appends, 0);
  EXPECT_EQ(noted(id.shard), 0u);
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
  node.pass(1min);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  EXPECT_EQ(segments(id), 1u);
}

TEST_F(Checkpoint, AnEntityThatRestsMeanwhileDoesNotHoldItUp) {
  const auto id = node.add_device("dk");
  auto other = id;
  for (int i = 0; other.shard != id.shard || other == id; ++i)
    other = node.add_device("o" + std::to_string(i));
  node.pass(1min);  // a checkpoint with nothing behind it
  // Asked for something that it refused: it counts as one that may hold telemetry, and holds none.
  EXPECT_FALSE(node.ask(id, order(points(node.now(), {{"q", "no number"}}))));
  node.pass(4min + 50s);
  ASSERT_TRUE(node.ask(other, order(p(1))));
  node.pass(2min);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  ASSERT_TRUE(node.ask(other, order(p(2))));
  node.pass(1min);
  EXPECT_EQ(noted(id.shard), written(id.shard));
}

TEST_F(Checkpoint, AnEntityThatCouldNotRestIsStillAskedByTheNextOne) {
  auto brisk = tests::small_node{{.hosts = {.idle_timeout = 2s}}};
  const auto id = brisk.add_device("dk");
  const auto report = [&](int v) { return order(points(brisk.now(), {{"q", v}})); };
  ASSERT_TRUE(brisk.ask(id, report(1)));
  // The order to rest finds a record in flight.
  brisk.send(id, report(2));
  brisk.where().run_only(brisk.host(id.shard));
  brisk.where().clock.turn(3s);
  caf::anon_send(brisk.host(id.shard), actors::host_tick{});
  brisk.run();
  // Reads keep it awake until the checkpoint comes.
  for (int i = 0; i < 60; ++i) {
    brisk.pass(1s);
    EXPECT_EQ(brisk.latest(id, "q"), model::value{2});
  }
  const auto meta = brisk.store->meta(id.shard);
  EXPECT_EQ(meta->checkpoint_offset, meta->next_offset - 1);
  brisk.restart();
  EXPECT_EQ(brisk.latest(id, "q"), model::value{2});
  EXPECT_EQ(brisk.store->rows(family::series, keys::bucket_prefix(id)), 1u);
}

TEST_F(Checkpoint, AnEntityThatCannotBeReadHoldsItUp) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.store->faults = {.appends = 1, .rows = true};
  EXPECT_FALSE(node.ask(id, order(p(2))));  // all are loaded again, and it cannot
  node.pass(2min);
  EXPECT_EQ(noted(id.shard), 0u);
  node.store->faults = {};
  node.pass(2min);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  EXPECT_EQ(segments(id), 1u);
  node.restart();
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
}

// ---- a start ------------------------------------------------------------------------------------

TEST_F(Checkpoint, ACrashLosesNothingThatWasAnswered) {
  const auto id = node.add_device("dk");
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(node.ask(id, order(p(i))));
  node.restart();
  EXPECT_EQ(node.awake(), 1u);  // only what is in the tail
  EXPECT_EQ(node.latest(id, "q"), model::value{4});
  EXPECT_EQ(unsaved(id), 5u);
  EXPECT_EQ(node.ask(id, order(device::read_device{}))->revision, 6u);
  node.restart();
  EXPECT_EQ(unsaved(id), 5u);  // the same after another one
}

TEST_F(Checkpoint, WhatWasNotWrittenIsNotThere) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  const auto number = node.send(id, order(p(2)));
  node.where().run_only(node.host(id.shard));  // it is in the entity's box, or the journal's
  node.restart();
  EXPECT_FALSE(node.asker().to(number));
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
  EXPECT_EQ(unsaved(id), 1u);
}

TEST_F(Checkpoint, AStartReplaysOnlyTheTailBehindIt) {
  const auto id = node.add_device("dk");
  const auto idle = node.add_device("idle");
  ASSERT_TRUE(node.ask(idle, order(p(5))));
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(1min);
  ASSERT_TRUE(node.ask(id, order(p(2))));
  node.restart();
  EXPECT_EQ(node.awake(), 1u);
  EXPECT_EQ(unsaved(id), 1u);
  EXPECT_EQ(segments(id), 1u);
  EXPECT_EQ(node.latest(id, "q"), model::value{2});
  EXPECT_EQ(node.latest(idle, "q"), model::value{5});
}

TEST_F(Checkpoint, WhatWasReplayedIsMaterialisedByTheNextOne) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.restart();
  node.pass(1min);
  EXPECT_EQ(segments(id), 1u);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  node.restart();
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
}

TEST_F(Checkpoint, TheJournalIsTrimmedBehindItAndAStartStillKnowsAll) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.pass(1min);
  node.where().clock.turn(std::chrono::hours{24 * 4});
  ASSERT_TRUE(node.ask(id, order(p(2))));
  node.pass(2min);
  EXPECT_EQ(node.store->journal(id.shard).size(), 1u);
  node.restart();
  EXPECT_EQ(node.latest(id, "q"), model::value{2});
  EXPECT_EQ(segments(id), 2u);
  ASSERT_TRUE(node.ask(id, order(p(3))));
  EXPECT_EQ(node.store->journal(id.shard).rbegin()->first, 4u);
}

TEST_F(Checkpoint, AShardWhoseJournalDoesNotReadDoesNotOpen) {
  node.add_device("dk");
  node.crash();
  node.store->faults = {.journal = true};
  node.start();
  ASSERT_EQ(node.opened.size(), 3u);
  for (const auto& ok : node.opened)
    EXPECT_EQ(ok ? errc::internal : ok.error().code, errc::unavailable);
}

// ---- a lost write -------------------------------------------------------------------------------

class LostWrite : public Checkpoint {};

TEST_F(LostWrite, WhatWasNotKeptIsForgotten) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.store->faults.appends = 1;
  EXPECT_EQ(node.ask(id, order(p(2))).error().code, errc::unavailable);
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
  EXPECT_EQ(unsaved(id), 1u);
  const auto again = node.ask(id, order(p(3)));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->revision, 3u);
  node.restart();
  EXPECT_EQ(node.latest(id, "q"), model::value{3});
  EXPECT_EQ(unsaved(id), 2u);
}

TEST_F(LostWrite, WhatWasKeptAfterAllIsSeen) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.store->faults = {.appends = 1, .kept_by_log = true};
  EXPECT_EQ(node.ask(id, order(p(2))).error().code, errc::unavailable);
  const auto next = node.ask(id, order(p(3)));
  if (!next) {
    EXPECT_EQ(next.error().code, errc::unavailable);
    ASSERT_TRUE(node.ask(id, order(p(3))));
  }
  // Revisions of the journal rise by one, whatever was kept.
  auto expected = std::uint64_t{0};
  for (const auto& [offset, r] : node.store->journal(id.shard))
    if (r.entity == id) {
      EXPECT_EQ(r.revision, ++expected) << "offset " << offset;
    }
  EXPECT_EQ(unsaved(id), 3u);
  node.restart();
  EXPECT_EQ(unsaved(id), 3u);
}

TEST_F(LostWrite, CountersAndNamesAreRight) {
  const auto id = node.add_device("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  ASSERT_TRUE(node.ask(id, order(p(0))));
  node.restart();
  EXPECT_EQ(node.awake(), 1u);
  node.store->faults.appends = 1;
  EXPECT_FALSE(node.ask(id, order(p(1))));
  EXPECT_TRUE(reply_of<device::device_snapshot>(node.ask(name, order(device::read_device{}))));
  EXPECT_EQ(node.awake(), 1u);
  EXPECT_EQ(node.figures->queued_bytes, 0u);
  node.pass(10min);
  EXPECT_EQ(node.awake(), 0u);
}

TEST_F(LostWrite, OtherShardsGoOnUndisturbed) {
  const auto a = node.add_device("a");
  auto b = a;
  for (int i = 0; b.shard == a.shard; ++i)
    b = node.add_device("b" + std::to_string(i));
  const auto generation = (*node.shards)[b.shard]->generation.load();
  node.store->faults.appends = 1;
  EXPECT_FALSE(node.ask(a, order(p(1))));
  EXPECT_TRUE(node.ask(b, order(p(1))));
  EXPECT_EQ((*node.shards)[b.shard]->generation, generation);
}

TEST_F(LostWrite, ARegistrationThatWasLostLeavesTheNameFree) {
  const auto shard = node.shard_of("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  node.store->faults.appends = 1;
  EXPECT_FALSE(node.ask(tests::device_id(shard, 1), order(tests::registration(name))));
  const auto got = node.ask(tests::device_id(shard, 2), order(tests::registration(name)));
  ASSERT_TRUE(reply_of<device::device_snapshot>(got));
  EXPECT_EQ(reply_of<device::device_snapshot>(got)->id, tests::device_id(shard, 2));
}

TEST_F(LostWrite, ALateWordOfRestIsNotTheReloadedEntitys) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  // The entity of before said that it rests; the host hears it after the reload.
  const auto generation = ++(*node.shards)[id.shard]->generation;
  caf::anon_send(node.host(id.shard), actors::write_lost{id.shard, generation});
  const auto number = node.send(id, order(p(2)));
  caf::anon_send(node.host(id.shard), actors::rest_answer{id, true});
  node.run();
  ASSERT_TRUE(node.asker().to(number) && *node.asker().to(number));
  EXPECT_EQ(node.latest(id, "q"), model::value{2});
  EXPECT_EQ(unsaved(id), 2u);
}

TEST_F(LostWrite, TheNextCheckpointHoldsWhatTheReloadBrought) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.store->faults.appends = 1;
  EXPECT_FALSE(node.ask(id, order(p(2))));
  node.pass(1min);
  EXPECT_EQ(segments(id), 1u);
  EXPECT_EQ(noted(id.shard), written(id.shard));
  node.restart();
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
}

TEST_F(LostWrite, AShardThatCannotBeReloadedIsUnavailableUntilItIs) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(p(1))));
  node.store->faults = {.appends = 1, .journal = true};
  EXPECT_EQ(node.ask(id, order(p(2))).error().code, errc::unavailable);
  // Its tail is not known: an answer now could be a wrong one.
  const auto meanwhile = node.ask(id, order(device::read_latest{}));
  EXPECT_EQ(meanwhile ? errc::internal : meanwhile.error().code, errc::unavailable);
  node.store->faults = {};
  node.pass(5s);
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
  node.pass(1min);
  EXPECT_EQ(segments(id), 1u);
}

}  // namespace
}  // namespace orrery::cluster
