// The journal of a node in a cluster, over replicas that a test holds in its hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "actors/journal.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/recording.hpp"
#include "tests/support/spawn.hpp"
#include "tests/support/stage.hpp"

namespace orrery::actors {
namespace {

using model::errc;
using testing::ElementsAre;
using what = shard_progress::what;

/// Takes frames, and tells what the test says.
class fake_replicas final : public replication {
 public:
  std::optional<std::uint64_t> write(storage::frame& f) override {
    if (!takes)
      return std::nullopt;
    f.first_offset = end + 1;
    end += std::max<std::size_t>(f.records.size(), 1);
    round.needed = true;
    return end;
  }
  std::uint64_t end_of(model::shard_id) const override { return end; }
  bool may_answer() const override { return leased; }
  void collect(write_round& into) override { into = std::exchange(round, {}); }
  void written(bool) override {}
  bool has_more() const override { return false; }
  std::vector<shard_progress> take_progress() override { return std::exchange(progress, {}); }
  bool failed() const override { return false; }
  void start_again() override { ++starts; }

  bool takes = true, leased = true;
  std::uint64_t end = 0;
  write_round round;
  std::vector<shard_progress> progress;
  int starts = 0;
};

class ReplicatedWriter : public testing::Test {
 protected:
  ReplicatedWriter() {
    (*shards)[1] = std::make_shared<shard_status>();
    writer = tests::spawn_journal_here(
        stage.system(),
        {.store = store,
         .effects = std::make_shared<tests::recording_effects>(),
         .shards = shards,
         .figures = figures,
         .options = {.now = stage.clock.reader()},
         .on_write_lost = [this](write_lost lost) { told.push_back(lost); },
         .replicas = replicas,
         .on_role = [this](model::shard_id, shard_role role) { roles.push_back(role); }});
  }
  ~ReplicatedWriter() override {
    stage.kill(writer);
    stage.run();
  }
  void send(std::uint64_t number, bool writes = true) {
    auto e = entry{};
    e.shard = 1;
    e.generation = (*shards)[1]->generation;
    e.to = asker.handle();
    e.number = number;
    e.entity = tests::device_id(1, 1);
    if (writes)
      e.record = storage::record{.entity = e.entity,
                                 .kind = model::entity_kind::device,
                                 .revision = number,
                                 .time = stage.clock.now(),
                                 .events = "e"};
    auto batch = entry_batch{};
    batch.entries.push_back(std::move(e));
    send_entries(writer, *figures, std::move(batch));
    stage.run();
  }
  void tell(what happened, std::uint64_t offset = 0, bool acknowledged = true) {
    replicas->progress.push_back({1, happened, offset, acknowledged});
    caf::anon_send(writer, writer_task{[] {}});
    stage.run();
  }
  std::string_view reason_of(std::uint64_t number) {
    const auto* got = asker.to(number);
    return !got ? "none yet" : *got ? "" : got->error().reason;
  }

  tests::stage stage;
  tests::recorder asker{stage};
  std::shared_ptr<tests::memory_store> store = std::make_shared<tests::memory_store>();
  std::shared_ptr<shard_table> shards = std::make_shared<shard_table>();
  std::shared_ptr<journal_figures> figures = std::make_shared<journal_figures>();
  std::shared_ptr<fake_replicas> replicas = std::make_shared<fake_replicas>();
  std::vector<write_lost> told;
  std::vector<shard_role> roles;
  journal_actor writer;
};

TEST_F(ReplicatedWriter, AnswersInOrderOnceAllBeforeIsCommitted) {
  send(1);
  send(2);
  send(3, false);  // a read rests on what is not committed yet
  tell(what::committed, 1);
  EXPECT_THAT(asker.numbers(), ElementsAre(1));
  EXPECT_GT(figures->queued_bytes, 0u);
  tell(what::committed, 2);
  EXPECT_THAT(asker.numbers(), ElementsAre(1, 2, 3));
  EXPECT_EQ((*asker.to(2))->offset, 2u);
  EXPECT_EQ((*shards)[1]->committed, 2u);
  EXPECT_EQ(figures->queued_bytes, 0u);
}

TEST_F(ReplicatedWriter, RefusesWhatTooFewHaveAndWhatTheLeaseDoesNotCover) {
  send(1);
  tell(what::committed, 1, false);
  EXPECT_EQ(reason_of(1), "not_in_sync");
  send(2);
  replicas->leased = false;
  tell(what::committed, 2);
  EXPECT_EQ(reason_of(2), "lease_lost");
}

TEST_F(ReplicatedWriter, AShardThatTakesNothingBeginsANewGeneration) {
  replicas->takes = false;
  send(1);
  EXPECT_EQ(reason_of(1), "shard_not_served");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].generation, (*shards)[1]->generation);
}

TEST_F(ReplicatedWriter, WhatWaitsWhenTheShardMovesHasNoKnownFate) {
  send(1);
  tell(what::ended);
  EXPECT_EQ(reason_of(1), "shard_moved");
  tell(what::began, 7);
  EXPECT_EQ((*shards)[1]->committed, 7u);
  ASSERT_EQ(roles.size(), 2u);
  EXPECT_EQ(roles[0].now, shard_role::what::away);
  EXPECT_EQ(roles[1].now, shard_role::what::serves);
  EXPECT_EQ(roles[1].generation, (*shards)[1]->generation);
}

TEST_F(ReplicatedWriter, WritesAreTakenAsTheReplicasSay) {
  tell(what::read_only);
  EXPECT_FALSE((*shards)[1]->writable);
  tell(what::writable);
  EXPECT_TRUE((*shards)[1]->writable);
}

TEST_F(ReplicatedWriter, ATaskBehindEntriesFindsThemWithTheReplicas) {
  auto seen = std::uint64_t{0};
  auto e = entry{};
  e.shard = 1;
  e.generation = (*shards)[1]->generation;
  e.entity = tests::device_id(1, 1);
  e.record = storage::record{.entity = e.entity,
                             .kind = model::entity_kind::device,
                             .revision = 1,
                             .time = stage.clock.now(),
                             .events = "e"};
  auto batch = entry_batch{};
  batch.entries.push_back(std::move(e));
  send_entries(writer, *figures, std::move(batch));
  caf::anon_send(writer, writer_task{.run = [&] { seen = replicas->end; }, .behind_entries = true});
  stage.run();
  EXPECT_EQ(seen, 1u);
}

TEST_F(ReplicatedWriter, AFailedStoreIsTriedAgainAlsoAfterACheckpoint) {
  store->faults = {.reopening = true, .putting = true};
  caf::anon_send(writer, checkpoint_note{1, (*shards)[1]->generation, 5});
  stage.run();
  EXPECT_TRUE(figures->broken);
  send(1);
  EXPECT_EQ(reason_of(1), "storage_failed");
  store->faults = {};
  stage.pass(std::chrono::seconds{2});
  EXPECT_FALSE(figures->broken);
  EXPECT_EQ(replicas->starts, 1);
  send(2);
  tell(what::committed, replicas->end);
  EXPECT_EQ(reason_of(2), "");
}

}  // namespace
}  // namespace orrery::actors
