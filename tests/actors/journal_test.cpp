#include "actors/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/keys.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/recording.hpp"
#include "tests/support/spawn.hpp"
#include "tests/support/stage.hpp"

namespace orrery::actors {
namespace {

using model::errc;
using testing::ElementsAre;
using words = std::vector<std::string>;

class Journal : public testing::Test {
 protected:
  Journal() {
    for (const model::shard_id s : {1, 2})
      (*shards)[s] = std::make_shared<shard_status>();
    store->on_append = [this] { diary->emplace_back("write"); };
    spawn({.sync = true, .retention = std::chrono::hours{1}, .now = stage.clock.reader()});
  }
  ~Journal() override {
    stage.kill(writer);
    stage.run();
  }
  void spawn(journal_options options) {
    if (writer)
      stage.kill(writer);
    writer = tests::spawn_journal_here(
        stage.system(), {.store = store,
                         .effects = effects,
                         .shards = shards,
                         .figures = figures,
                         .options = std::move(options),
                         .on_write_lost = [this](write_lost lost) { told.push_back(lost); }});
  }

  entry blank(model::shard_id shard, std::uint64_t number) {
    auto e = entry{};
    e.shard = shard;
    e.generation = (*shards)[shard]->generation;
    e.to = asker.handle();
    e.number = number;
    e.in_flight = in_flight;
    e.entity = tests::device_id(shard, 1);
    in_flight->fetch_add(1);
    return e;
  }
  entry record(model::shard_id shard, std::uint64_t number, std::string events = "e") {
    auto e = blank(shard, number);
    e.record = storage::record{.entity = e.entity,
                               .kind = model::entity_kind::device,
                               .revision = number,
                               .time = stage.clock.now(),
                               .events = std::move(events)};
    e.reply = outcome{model::device::reply{model::device::done{}}, number};
    return e;
  }
  entry refusal(model::shard_id shard, std::uint64_t number) {
    auto e = blank(shard, number);
    e.reply = model::failure{errc::conflict, "no"};
    return e;
  }
  void send(std::vector<entry> entries) { send_entries(writer, *figures, {std::move(entries)}); }
  void send(entry e) {
    auto one = std::vector<entry>{};
    one.push_back(std::move(e));
    send(std::move(one));
  }
  errc code_of(std::uint64_t number, const tests::recorder& by) {
    const auto* got = by.to(number);
    EXPECT_TRUE(got) << "no answer " << number;
    return got && !*got ? got->error().code : errc::internal;
  }
  words events_of(model::shard_id shard) {
    auto all = words{};
    for (const auto& [offset, r] : store->journal(shard))
      all.push_back(r.events);
    return all;
  }

  tests::stage stage;
  tests::recorder asker{stage};
  std::shared_ptr<words> diary = std::make_shared<words>();
  std::shared_ptr<tests::memory_store> store = std::make_shared<tests::memory_store>();
  std::shared_ptr<tests::recording_effects> effects =
      std::make_shared<tests::recording_effects>(diary);
  std::shared_ptr<shard_table> shards = std::make_shared<shard_table>();
  std::shared_ptr<journal_figures> figures = std::make_shared<journal_figures>();
  std::shared_ptr<std::atomic<std::uint32_t>> in_flight =
      std::make_shared<std::atomic<std::uint32_t>>(0);
  std::vector<write_lost> told;
  journal_actor writer;
};

TEST_F(Journal, WritesWhatWaitsAtOnceAFrameForEachShard) {
  send(record(1, 1, "a"));
  send(record(2, 2, "b"));
  send(record(1, 3, "c"));
  stage.run();
  ASSERT_EQ(store->appends.size(), 1u);
  EXPECT_TRUE(store->appends[0].sync);
  EXPECT_EQ(store->appends[0].frames.size(), 2u);
  EXPECT_EQ(events_of(1), (words{"a", "c"}));
  EXPECT_EQ(events_of(2), (words{"b"}));
  EXPECT_EQ(figures->groups, 1u);
  EXPECT_EQ(figures->records, 3u);
  EXPECT_EQ((*shards)[1]->committed, 2u);
  EXPECT_EQ((*shards)[2]->committed, 1u);
  EXPECT_GT((*shards)[1]->tail_bytes, 0u);
}

TEST_F(Journal, NumbersTheRecordsOfAShardOnAndOn) {
  for (std::uint64_t n = 1; n <= 3; ++n) {
    send(record(1, n));
    stage.run();
  }
  EXPECT_EQ(store->appends.size(), 3u);
  EXPECT_EQ(store->appends.back().frames[0].first_offset, 3u);
  // A writer that begins later finds where the journal ends.
  spawn({.now = stage.clock.reader()});
  send(record(1, 4));
  stage.run();
  EXPECT_EQ(store->appends.back().frames[0].first_offset, 4u);
  ASSERT_TRUE(asker.to(4) && *asker.to(4));
  EXPECT_EQ((*asker.to(4))->shard, 1);
  EXPECT_EQ((*asker.to(4))->offset, 4u);
}

TEST_F(Journal, AnswersOncePerAskerAndGroupInOrder) {
  auto other = tests::recorder{stage};
  for (std::uint64_t n = 1; n <= 5; ++n)
    send(record(n % 2 == 0 ? 2 : 1, n));
  auto theirs = record(1, 6);
  theirs.to = other.handle();
  send(std::move(theirs));
  stage.run();
  EXPECT_EQ(asker.told().size(), 1u);
  EXPECT_THAT(asker.numbers(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(other.told().size(), 1u);
  EXPECT_THAT(other.numbers(), ElementsAre(6));
  EXPECT_EQ(*in_flight, 0u);
}

TEST_F(Journal, AnswersNobodyBeforeTheWriteAndItsEffects) {
  auto e = record(1, 1);
  e.effects.push_back(model::remind{stage.clock.now()});
  e.catalogue = catalogue_change{e.entity, std::make_shared<const model::product::state>()};
  e.feed = {device_identity{}, std::make_shared<const std::vector<model::device::event>>(), 0};
  store->on_append = [this] {
    diary->emplace_back("write");
    EXPECT_TRUE(asker.told().empty());
    EXPECT_EQ(*in_flight, 1u);
  };
  send(std::move(e));
  stage.run_only(writer);  // it writes; its answer is on the way
  EXPECT_EQ(*diary, (words{"write", "catalogue", "effect", "publish"}));
  EXPECT_TRUE(asker.told().empty());
  stage.run();
  EXPECT_THAT(asker.numbers(), ElementsAre(1));
  EXPECT_EQ(effects->published.at(0).at(0).offset, 1u);
}

TEST_F(Journal, RefusalsAndReadsTakeTheSameWayAndAreNotWritten) {
  send(record(1, 1));
  send(refusal(1, 2));
  send(record(1, 3));
  stage.run();
  EXPECT_EQ(asker.told().size(), 1u);
  EXPECT_THAT(asker.numbers(), ElementsAre(1, 2, 3));
  EXPECT_EQ(code_of(2, asker), errc::conflict);
  EXPECT_EQ(store->journal(1).size(), 2u);
  send(refusal(1, 4));
  stage.run();
  EXPECT_EQ(code_of(4, asker), errc::conflict);
  EXPECT_EQ(store->appends.size(), 1u);  // there was nothing to write
}

TEST_F(Journal, WritesRowsWithTheirRecordAndAlone) {
  auto both = record(1, 1);
  both.rows.push_back({.family = storage::family::state, .key = "a", .value = "1"});
  auto alone = blank(1, 2);
  alone.rows.push_back({.family = storage::family::latest, .key = "b", .value = "2"});
  alone.reply = outcome{};
  send(std::move(both));
  send(std::move(alone));
  stage.run();
  EXPECT_EQ(store->appends.size(), 1u);
  EXPECT_EQ(**store->get(storage::family::state, "a"), "1");
  EXPECT_EQ(**store->get(storage::family::latest, "b"), "2");
  EXPECT_EQ(store->journal(1).size(), 1u);  // rows take no offset
  send(record(1, 3));
  stage.run();
  EXPECT_EQ(store->appends.back().frames[0].first_offset, 2u);
}

TEST_F(Journal, TellsNobodyWhereNobodyWaits) {
  auto e = record(1, 1);
  e.to = {};
  send(std::move(e));
  send(record(1, 0));
  stage.run();
  EXPECT_EQ(store->journal(1).size(), 2u);
  EXPECT_TRUE(asker.told().empty());
  EXPECT_EQ(*in_flight, 0u);
}

TEST_F(Journal, CutsAGroupAtItsLimit) {
  spawn({.group_max_bytes = 1, .now = stage.clock.reader()});
  send(record(1, 1));
  send(record(1, 2));
  stage.run();
  EXPECT_EQ(figures->groups, 2u);
  EXPECT_THAT(asker.numbers(), ElementsAre(1, 2));
}

TEST_F(Journal, CountsWhatWaits) {
  send(record(1, 1, std::string(1000, 'x')));
  send(refusal(2, 2));
  EXPECT_GT(figures->queued_bytes, 1000u);
  stage.run();
  EXPECT_EQ(figures->queued_bytes, 0u);
  store->faults.appends = 1;
  send(record(1, 3));
  EXPECT_GT(figures->queued_bytes, 0u);
  stage.run();
  EXPECT_EQ(figures->queued_bytes, 0u);
}

TEST_F(Journal, TellsTheSizeOfEachGroup) {
  auto sizes = std::vector<std::size_t>{};
  figures->observe = [&](std::size_t records, double) { sizes.push_back(records); };
  send(record(1, 1));
  send(record(2, 2));
  stage.run();
  send(record(1, 3));
  stage.run();
  EXPECT_THAT(sizes, ElementsAre(2, 1));
}

// ---- a write that fails -------------------------------------------------------------------------

TEST_F(Journal, AFailedWriteAnswersUnavailableAndDoesNothing) {
  store->faults.appends = 1;
  auto e = record(1, 1);
  e.effects.push_back(model::remind{stage.clock.now()});
  e.catalogue = catalogue_change{e.entity, std::make_shared<const model::product::state>()};
  e.feed = {device_identity{}, std::make_shared<const std::vector<model::device::event>>(), 0};
  send(std::move(e));
  send(refusal(1, 2));  // may rest on what was lost
  stage.run();
  EXPECT_EQ(code_of(1, asker), errc::unavailable);
  EXPECT_EQ(code_of(2, asker), errc::unavailable);
  EXPECT_FALSE(asker.to(1)->error().detail.empty());
  EXPECT_EQ(*diary, (words{"write"}));
  EXPECT_EQ(*in_flight, 0u);
  EXPECT_EQ(figures->failed_groups, 1u);
  EXPECT_EQ(figures->groups, 0u);
}

TEST_F(Journal, AFailedWriteBeginsANewGeneration) {
  store->faults.appends = 1;
  auto on_top = record(1, 2);  // decided before anybody knew
  send(record(1, 1));
  stage.run();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].shard, 1);
  EXPECT_GT((*shards)[1]->generation, 1u);
  EXPECT_EQ(told[0].generation, (*shards)[1]->generation);
  EXPECT_EQ((*shards)[2]->generation, 1u);  // the other shard lost nothing

  send(std::move(on_top));
  send(record(2, 3));
  stage.run();
  EXPECT_EQ(code_of(2, asker), errc::unavailable);
  EXPECT_TRUE(store->journal(1).empty());
  EXPECT_TRUE(asker.to(3) && *asker.to(3));

  send(record(1, 4, "after"));  // of the new generation
  stage.run();
  EXPECT_TRUE(asker.to(4) && *asker.to(4));
  EXPECT_EQ(events_of(1), (words{"after"}));
}

TEST_F(Journal, RowsOfAnOlderGenerationAreRefusedToo) {
  auto stale = blank(1, 2);
  stale.rows.push_back({.family = storage::family::latest, .key = "k", .value = "stale"});
  store->faults.appends = 1;
  send(record(1, 1));
  stage.run();
  send(std::move(stale));
  stage.run();
  EXPECT_EQ(code_of(2, asker), errc::unavailable);
  EXPECT_FALSE(*store->get(storage::family::latest, "k"));
}

TEST_F(Journal, GoesOnBehindAFailedWriteThatIsThereAfterAll) {
  send(record(1, 1, "a"));
  stage.run();
  store->faults = {.appends = 1, .kept_by_log = true};
  send(record(1, 2, "unsure"));
  stage.run();
  EXPECT_EQ(code_of(2, asker), errc::unavailable);
  send(record(1, 3, "b"));
  stage.run();
  EXPECT_GE(store->reopened, 1u);
  EXPECT_EQ(events_of(1), (words{"a", "unsure", "b"}));
}

TEST_F(Journal, TakesNothingUntilTheStoreIsOpenAgain) {
  store->faults = {.appends = 1, .reopening = true};
  send(record(1, 1));
  stage.run();
  send(record(1, 2));
  stage.run();
  EXPECT_EQ(code_of(1, asker), errc::unavailable);
  EXPECT_EQ(code_of(2, asker), errc::unavailable);
  store->faults = {};
  stage.pass(std::chrono::seconds{5});
  send(record(1, 3));
  stage.run();
  EXPECT_TRUE(asker.to(3) && *asker.to(3));
  EXPECT_EQ(store->journal(1).size(), 1u);
}

TEST_F(Journal, TellsOfALostWriteOnlyWhenThereIsAStoreToReloadFrom) {
  store->faults = {.appends = 1, .reopening = true};
  send(record(1, 1));
  stage.run();
  send(record(2, 2));
  stage.run();
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(code_of(1, asker), errc::unavailable);
  store->faults = {};
  stage.pass(std::chrono::seconds{5});
  ASSERT_EQ(told.size(), 2u);
  for (const auto& lost : told)
    EXPECT_EQ(lost.generation, (*shards)[lost.shard]->generation);
}

TEST_F(Journal, AnEntryOfNoShardOfThisNodeIsRefused) {
  auto e = blank(1, 1);
  e.shard = 9;
  send(std::move(e));
  stage.run();
  EXPECT_EQ(code_of(1, asker), errc::unavailable);
}

// ---- checkpoints and retention ------------------------------------------------------------------

TEST_F(Journal, NotesACheckpointBehindWhatWaits) {
  send(record(1, 1));
  caf::anon_send(writer, checkpoint_note{1, 1, 1});
  stage.run();
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 1u);
  EXPECT_EQ(store->meta(1)->next_offset, 2u);
}

TEST_F(Journal, ACheckpointNeverGoesBack) {
  for (std::uint64_t n = 1; n <= 3; ++n)
    send(record(1, n));
  caf::anon_send(writer, checkpoint_note{1, 1, 3});
  caf::anon_send(writer, checkpoint_note{1, 1, 2});
  stage.run();
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 3u);
}

TEST_F(Journal, ACheckpointOfALostGenerationIsNotNoted) {
  send(record(1, 1));
  stage.run();
  store->faults.appends = 1;
  send(record(1, 2));
  caf::anon_send(writer, checkpoint_note{1, 1, 1});  // what it counts on may be what failed
  stage.run();
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 0u);
}

TEST_F(Journal, ACheckpointThatCannotBeNotedIsTriedAgain) {
  send(record(1, 1));
  store->faults.noting = true;
  caf::anon_send(writer, checkpoint_note{1, 1, 1});
  stage.run();
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 0u);
  store->faults = {};
  caf::anon_send(writer, checkpoint_note{1, 1, 1});
  stage.run();
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 1u);
}

TEST_F(Journal, TrimsWhatIsOldAndMaterialised) {
  send(record(1, 1, "first"));
  stage.run();
  send(record(1, 2, "second"));
  stage.run();
  caf::anon_send(writer, checkpoint_note{1, 1, 2});
  caf::anon_send(writer, trim_order{1});
  stage.run();
  EXPECT_EQ(events_of(1), (words{"first", "second"}));  // nothing is old
  stage.clock.turn(std::chrono::hours{2});
  send(record(1, 3, "third"));
  stage.run();
  stage.clock.turn(std::chrono::hours{2});
  send(record(1, 4, "fourth"));
  stage.run();
  caf::anon_send(writer, trim_order{1});
  stage.run();
  EXPECT_EQ(events_of(1), (words{"third", "fourth"}));  // the third is old but not materialised
}

}  // namespace
}  // namespace orrery::actors
