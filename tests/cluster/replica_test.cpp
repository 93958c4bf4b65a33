#include "cluster/replica.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/replication_sim.hpp"

namespace orrery::cluster {
namespace {

constexpr node_id me = 1, other = 2, third = 3;

shard_record record(std::uint64_t version, std::uint64_t epoch, std::optional<node_id> primary,
                    node_set in_sync) {
  return {version, epoch, primary, std::move(in_sync), {me, other, third}};
}

log_entry entry(std::uint64_t epoch, std::uint64_t index) {
  return {{epoch, index}, std::make_shared<const std::string>("x")};
}

class Replica : public testing::Test {
 protected:
  replica& make(replica::options wanted = {}, replica::kept found = {}) {
    r = std::make_unique<replica>(me, wanted, std::move(found));
    return *r;
  }
  /// The primary of epoch 1, all in sync, its first entry on its own disk.
  replica& make_primary(node_set in_sync = {me, other, third}, replica::options wanted = {}) {
    make(wanted).registered(10, record(1, 1, me, std::move(in_sync)));
    write_all();
    return *r;
  }
  replica& make_follower(replica::options wanted = {}) {
    make(wanted).registered(10, record(1, 1, other, {me, other, third}));
    r->take_actions();
    return *r;
  }
  /// Does what actions say of the disk; the others are kept.
  void write_all(bool synced = true) {
    for (auto& a : r->take_actions()) {
      if (const auto* w = std::get_if<write_log>(&a))
        r->written(w->number, synced && w->sync);
      actions.push_back(std::move(a));
    }
    for (auto& a : r->take_actions())
      actions.push_back(std::move(a));
  }
  template <class Action>
  std::vector<Action> all() {
    write_all();
    auto found = std::vector<Action>{};
    std::erase_if(actions, [&](const action& a) {
      const auto* one = std::get_if<Action>(&a);
      if (one)
        found.push_back(*one);
      return one != nullptr;
    });
    return found;
  }
  template <class Action>
  std::optional<Action> last() {
    auto found = all<Action>();
    return found.empty() ? std::nullopt : std::optional{found.back()};
  }
  template <class Message>
  std::optional<Message> last_sent() {
    const auto s = last<send_to>();
    const auto* m = s ? std::get_if<Message>(&s->what) : nullptr;
    return m ? std::optional{*m} : std::nullopt;
  }
  void acknowledged(node_id from, std::uint64_t index, incarnation_id life = 20) {
    r->received(from, append_done{r->epoch(), index, life});
  }

  std::unique_ptr<replica> r;
  std::vector<action> actions;
};

// ---- the primary --------------------------------------------------------------------------------

TEST_F(Replica, ServesWhenItsEpochIsInEveryInSyncLog) {
  make_primary();
  EXPECT_EQ(last<mark_led>()->epoch, 1u);
  EXPECT_EQ(all<ship>().size(), 2u);
  EXPECT_FALSE(r->is_serving());
  EXPECT_FALSE(r->write(1, {}));
  acknowledged(other, 1);
  EXPECT_FALSE(r->is_serving());
  acknowledged(third, 1);
  EXPECT_TRUE(r->is_serving());
  EXPECT_EQ(last<begin_serving>()->epoch, 1u);
}

TEST_F(Replica, CommitsWhatEveryInSyncReplicaHas) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  EXPECT_EQ(*r->write(3, {}), (log_position{1, 4}));
  EXPECT_EQ(*r->write(1, {}), (log_position{1, 5}));
  all<commit_up_to>();
  acknowledged(other, 5);
  EXPECT_FALSE(last<commit_up_to>());
  acknowledged(third, 4);
  const auto done = last<commit_up_to>();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->index, 4u);
  EXPECT_TRUE(done->acknowledge);
}

TEST_F(Replica, ItsOwnLogCountsToo) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  ASSERT_TRUE(r->write(1, {}));
  acknowledged(other, 2);
  acknowledged(third, 2);
  EXPECT_EQ(r->commit(), 1u);  // not written here
  write_all();
  EXPECT_EQ(r->commit(), 2u);
}

TEST_F(Replica, AloneItSyncsBeforeItCommits) {
  make_primary({me});
  EXPECT_TRUE(r->is_serving());
  ASSERT_TRUE(r->write(1, {}));
  const auto made = r->take_actions();
  const auto* w = std::get_if<write_log>(&made.front());
  ASSERT_TRUE(w);
  EXPECT_TRUE(w->sync);
  r->written(w->number, false);
  EXPECT_EQ(r->commit(), 1u);
  r->written(w->number, true);
  EXPECT_EQ(r->commit(), 2u);
}

TEST_F(Replica, GivesUpASilentOneAndCountsBothSetsUntilThatIsDecided) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  r->give_up(third);
  const auto asked = last<propose>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->what.wanted, record(1, 1, me, {me, other}));
  ASSERT_TRUE(r->write(1, {}));
  write_all();
  acknowledged(other, 2);
  EXPECT_EQ(r->commit(), 1u);  // it may be in force still
  r->give_up(other);           // one at a time
  EXPECT_FALSE(last<propose>());
  r->propose_again();
  EXPECT_EQ(last<propose>()->what, asked->what);
  r->proposal_decided(1, record(2, 1, me, {me, other}));
  EXPECT_EQ(r->commit(), 2u);
}

TEST_F(Replica, BeforeItGoesOnAloneAllIsOnTheDisk) {
  make_primary({me, other});
  acknowledged(other, 1);
  ASSERT_TRUE(r->write(1, {}));
  r->give_up(other);
  const auto made = r->take_actions();
  EXPECT_TRUE(std::none_of(made.begin(), made.end(),
                           [](const action& a) { return std::holds_alternative<propose>(a); }));
  r->propose_again();
  EXPECT_TRUE(r->take_actions().empty());
  for (const auto& a : made)
    if (const auto* w = std::get_if<write_log>(&a))
      r->written(w->number, w->sync);
  EXPECT_EQ(last<propose>()->what.wanted.in_sync, node_set{me});
}

TEST_F(Replica, TakesALearnerInThatHasCaughtUp) {
  make_primary({me, other});
  acknowledged(other, 1);
  for (auto i = 0; i < 3; ++i)
    ASSERT_TRUE(r->write(1, {}));
  write_all();
  acknowledged(other, 4);
  r->take_in(third);
  EXPECT_FALSE(last<propose>()) << "it has said nothing";
  acknowledged(third, 2, 31);
  r->take_in(third);
  EXPECT_FALSE(last<propose>()) << "it lacks what is committed";
  acknowledged(third, 4, 31);
  r->take_in(third);
  const auto asked = last<propose>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->what.wanted.in_sync, (node_set{me, other, third}));
  EXPECT_THAT(asked->what.registered, testing::Contains(std::pair(third, incarnation_id{31})));
}

TEST_F(Replica, ANewLifeOfAFollowerBeginsWithWhatItSays) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  EXPECT_EQ(r->matched(third), 1u);
  acknowledged(third, 0, 21);
  EXPECT_EQ(r->matched(third), 0u);
  acknowledged(third, 1, 20);  // late, of the old one
  EXPECT_EQ(r->matched(third), 0u);
}

TEST_F(Replica, TooFewInSyncRefuseWrites) {
  make_primary({me, other}, {.min_in_sync = 2});
  acknowledged(other, 1);
  ASSERT_TRUE(r->write(1, {}));
  r->give_up(other);
  EXPECT_FALSE(r->write(1, {}));
  write_all();
  r->proposal_decided(1, record(2, 1, me, {me}));
  const auto done = last<commit_up_to>();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->index, 2u);
  EXPECT_FALSE(done->acknowledge);  // it is there, but nobody is told so
  EXPECT_FALSE(r->write(1, {}));
  EXPECT_TRUE(r->is_serving());  // reads go on
}

TEST_F(Replica, HandsOverWhenTheOtherHasEverything) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  ASSERT_TRUE(r->write(1, {}));
  write_all();
  EXPECT_FALSE(r->hand_over(other));
  acknowledged(other, 2);
  acknowledged(third, 2);
  EXPECT_FALSE(r->hand_over(me));
  ASSERT_TRUE(r->hand_over(other));
  EXPECT_FALSE(r->is_serving());
  EXPECT_TRUE(last<end_serving>());
  EXPECT_EQ(last<propose>()->what.wanted, record(1, 2, other, {me, other, third}));
  // Refused: it goes on. Done: it follows.
  r->proposal_decided(1, record(1, 1, me, {me, other, third}));
  EXPECT_TRUE(r->is_serving());
  ASSERT_TRUE(r->hand_over(other));
  r->proposal_decided(1, record(2, 2, other, {me, other, third}));
  EXPECT_FALSE(r->is_primary());
}

TEST_F(Replica, ANewerEpochEndsItsOwn) {
  make_primary();
  acknowledged(other, 1);
  acknowledged(third, 1);
  r->received(third, append_refused{3, 0});
  EXPECT_FALSE(r->is_primary());
  EXPECT_TRUE(last<end_serving>());
  EXPECT_EQ(r->epoch(), 3u);
}

TEST_F(Replica, AnEpochThatItLedBeforeACrashIsNotContinued) {
  make({}, {.log = {}, .commit = 0, .led = 5, .whole = true});
  r->registered(10, record(7, 5, me, {me, other}));
  EXPECT_FALSE(r->is_primary());
  EXPECT_EQ(last<propose>()->what.wanted, record(7, 6, me, {me, other}));
  r->proposal_decided(7, record(8, 6, me, {me, other}));
  EXPECT_TRUE(r->is_primary());
}

TEST_F(Replica, WhatALearnerLacksThatIsTrimmedGoesAsACheckpoint) {
  make_primary({me});
  for (auto i = 0; i < 5; ++i)
    ASSERT_TRUE(r->write(1, {}));
  write_all();
  r->trim(4);
  r->received(third, append_refused{1, 2});
  EXPECT_EQ(last<send_checkpoint>()->to, third);
  r->received(third, append_refused{1, 4});
  const auto next = last<ship>();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->after, 4u);
}

// ---- the follower -------------------------------------------------------------------------------

TEST_F(Replica, AFollowerSaysWhatItHasWritten) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 3)}, 0});
  auto made = r->take_actions();
  EXPECT_EQ(r->log().last(), (log_position{1, 3}));
  r->written(std::get<write_log>(made.front()).number, false);
  const auto done = last_sent<append_done>();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->index, 3u);
  EXPECT_EQ(done->incarnation, 10u);
}

TEST_F(Replica, WithSyncItSaysWhatItHasSynced) {
  make_follower({.sync = true});
  r->received(other, append_entries{1, {}, {entry(1, 1)}, 0});
  const auto made = r->take_actions();
  const auto& w = std::get<write_log>(made.front());
  EXPECT_TRUE(w.sync);
  r->written(w.number, false);
  EXPECT_EQ(last_sent<append_done>()->index, 0u);
  r->written(w.number, true);
  EXPECT_EQ(last_sent<append_done>()->index, 1u);
}

TEST_F(Replica, RefusesAnOlderEpoch) {
  make_follower();
  r->record_read(record(2, 4, third, {me, third}));
  r->received(other, append_entries{3, {}, {entry(3, 1)}, 0});
  EXPECT_EQ(last_sent<append_refused>()->epoch, 4u);
  EXPECT_EQ(r->log().last().index, 0u);
}

TEST_F(Replica, RefusesWhatDoesNotFollow) {
  make_follower();
  r->received(other, append_entries{1, {1, 5}, {entry(1, 6)}, 0});
  EXPECT_EQ(last_sent<append_refused>()->index, 0u);
  r->received(other, append_entries{1, {}, {entry(1, 2), entry(1, 3)}, 0});
  write_all();
  r->received(third, append_entries{4, {3, 3}, {entry(4, 4)}, 0});  // another epoch's third entry
  EXPECT_EQ(last_sent<append_refused>()->index, 0u);                // before all of that epoch
}

TEST_F(Replica, CutsASuffixThatTheNewPrimaryDoesNotHave) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2), entry(1, 3)}, 1});
  write_all();
  actions.clear();
  r->received(third, append_entries{2, {1, 1}, {entry(2, 2)}, 1});
  const auto w = last<write_log>();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->after, 1u);
  EXPECT_EQ(r->log().last(), (log_position{2, 2}));
}

TEST_F(Replica, AWriteOfWhatWasCutIsNotCounted) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2), entry(1, 3)}, 0});
  const auto old = std::get<write_log>(r->take_actions().front()).number;
  r->received(third, append_entries{2, {1, 1}, {entry(2, 2)}, 0});
  r->take_actions();
  r->written(old, false);
  EXPECT_EQ(last_sent<append_done>()->index, 1u);
}

TEST_F(Replica, TheSameAgainChangesNothing) {
  make_follower();
  const auto m = append_entries{1, {}, {entry(1, 1), entry(1, 2)}, 2};
  r->received(other, m);
  write_all();
  all<write_log>();
  EXPECT_EQ(last<commit_up_to>()->index, 2u);
  r->received(other, m);
  EXPECT_FALSE(last<write_log>());
  EXPECT_FALSE(last<commit_up_to>());
  r->received(other, append_entries{1, {}, {entry(1, 1)}, 1});  // an older one, late
  EXPECT_EQ(r->log().last().index, 2u);
}

TEST_F(Replica, ALogThatLostItsEndLeavesTheInSyncSet) {
  make({}, {.log = {}, .commit = 0, .led = 0, .whole = false});
  r->registered(10, record(4, 2, me, {me, other}));
  EXPECT_FALSE(r->has_joined());
  EXPECT_EQ(last<propose>()->what.wanted, record(4, 3, {}, {other}));
  r->received(other, append_entries{3, {}, {entry(3, 1)}, 0});
  EXPECT_FALSE(last<send_to>());  // it says nothing before that
  r->proposal_decided(4, record(5, 3, {}, {other}));
  EXPECT_TRUE(r->has_joined());
}

TEST_F(Replica, TakesOverWhenThePrimaryIsGone) {
  make_follower();
  const auto now = record(1, 1, other, {me, other, third});
  r->primary_gone(now);
  const auto asked = last<propose>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->what.wanted, record(1, 2, me, {me, other, third}));  // the same in-sync set
  EXPECT_EQ(asked->what.gone, other);
  r->primary_gone(record(2, 1, other, {other, third}));
  EXPECT_FALSE(last<propose>());  // it may lack what was acknowledged
}

TEST_F(Replica, TheControllersWishStaysInEveryProposal) {
  auto wished = record(1, 1, other, {me, other, third});
  wished.preferred = third;
  make_follower().primary_gone(wished);
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);
  make({}, {.log = {}, .commit = 0, .led = 0, .whole = false}).registered(10, wished);
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);  // it leaves the in-sync set
  wished.primary = me;
  make({}, {.log = {}, .commit = 0, .led = 1, .whole = true}).registered(10, wished);
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);  // the next epoch
  make().registered(10, wished);
  write_all();
  acknowledged(other, 1);
  acknowledged(third, 1);
  r->give_up(other);
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);
  auto now = wished;
  now.version = 2;
  now.in_sync.erase(other);
  r->proposal_decided(1, now);
  r->take_in(other);
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);
  now = wished;
  now.version = 3;
  r->proposal_decided(2, now);
  EXPECT_TRUE(r->hand_over(third));
  EXPECT_EQ(last<propose>()->what.wanted.preferred, third);
}

TEST_F(Replica, TakesNoRoleAfterALapseUntilItIsRegisteredAgain) {
  make_primary({me});
  r->lapsed();
  EXPECT_FALSE(r->is_primary());
  r->record_read(record(1, 1, me, {me}));
  EXPECT_FALSE(r->is_primary());
  all<propose>();
  r->registered(11, record(1, 1, me, {me}));
  EXPECT_EQ(last<propose>()->what.wanted.epoch, 2u);
}

TEST_F(Replica, ACheckpointTakesThePlaceOfALogThatLacksIt) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2)}, 1});
  write_all();
  EXPECT_FALSE(r->wants_checkpoint(other, 1, {1, 2}));  // it has that
  EXPECT_EQ(r->commit(), 2u);
  EXPECT_EQ(last_sent<append_done>()->index, 2u) << "and says so: its primary may not know";
  EXPECT_FALSE(r->wants_checkpoint(other, 0, {1, 9}));
  ASSERT_TRUE(r->wants_checkpoint(other, 1, {1, 9}));
  all<send_to>();
  r->received(other, append_entries{1, {}, {entry(1, 1)}, 0});
  EXPECT_FALSE(last<send_to>());  // not while it loads
  r->checkpoint_installed({1, 9});
  EXPECT_EQ(last_sent<append_done>()->index, 9u);
  EXPECT_EQ(r->commit(), 9u);
  r->received(other, append_entries{1, {1, 9}, {entry(1, 10)}, 10});
  EXPECT_EQ(r->log().last().index, 10u);
}

// ---- all of it ----------------------------------------------------------------------------------

/// The same schedules run in hundred thousands without sanitizers: replication_sim.
TEST_F(Replica, AfterAnOperatorsChoiceOtherLogsCountForNothing) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2)}, 2});
  write_all();
  auto chosen = record(2, 3, std::nullopt, {third});
  chosen.recovered = 3;
  r->record_read(chosen);
  EXPECT_EQ(all<discard>().size(), 1u);
  EXPECT_EQ(r->log().last(), log_position{});
  EXPECT_EQ(r->commit(), 0u);
  r->record_read(chosen);
  EXPECT_TRUE(all<discard>().empty()) << "once";
  r->received(third, append_entries{4, {}, {entry(1, 1), entry(4, 2)}, 2, 3});
  write_all();
  EXPECT_EQ(r->log().last(), (log_position{4, 2}));
}

TEST_F(Replica, ItHearsOfTheChoiceByTheFirstThatIsSentToo) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2)}, 2});
  write_all();
  r->received(third, append_entries{4, {1, 1}, {entry(4, 2)}, 2, 3});
  EXPECT_EQ(all<discard>().size(), 1u);
  EXPECT_EQ(r->log().last(), log_position{}) << "what stands before is not there any more";
}

TEST_F(Replica, TheChosenOneSyncsItsLogBeforeItLeads) {
  make_follower();
  r->received(other, append_entries{1, {}, {entry(1, 1), entry(1, 2)}, 1});
  write_all(false);
  auto chosen = record(2, 3, std::nullopt, {me});
  chosen.recovered = 3;
  r->record_read(chosen);
  EXPECT_TRUE(all<discard>().empty());
  r->primary_gone(chosen);
  const auto sync = last<write_log>();
  ASSERT_TRUE(sync && sync->sync && sync->entries.empty());
  r->written(sync->number, true);
  r->primary_gone(chosen);
  const auto p = last<propose>();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->what.wanted.primary, me);
  EXPECT_EQ(p->what.wanted.epoch, 4u);
  EXPECT_EQ(p->what.wanted.recovered, 3u);
}

TEST_F(Replica, WhatIsFromABackupIsCountedOnByNobody) {
  make({}, {.restored = true});
  r->registered(10, record(1, 1, me, {me}));
  const auto p = last<propose>();
  ASSERT_TRUE(p);
  EXPECT_TRUE(p->what.wanted.in_sync.empty());
  EXPECT_EQ(p->what.wanted.primary, std::nullopt);
  EXPECT_FALSE(r->has_joined());
}

TEST(ReplicationSim, BreaksNoPromise) {
  using tests::replication_sim;
  using crashes = replication_sim::machine_crashes;
  auto all = replication_sim::counts{};
  for (auto seed = std::uint64_t{0}; seed < 600; ++seed) {
    all += replication_sim{{.seed = seed, .steps = 2000}}.run();
    all += replication_sim{{.seed = seed, .steps = 2000, .min_in_sync = 2}}.run();
    all +=
        replication_sim{{.seed = seed, .steps = 2000, .sync = true, .crashes = crashes::any}}.run();
  }
  // It did what it was to be tested at.
  EXPECT_GT(all.acknowledged, 1000u);
  EXPECT_GT(all.activations, 1000u);
  EXPECT_GT(all.machine_crashes, 100u);
  EXPECT_GT(all.hand_overs, 100u);
  EXPECT_GT(all.checkpoints, 100u);
  EXPECT_GT(all.truncations, 100u);
}

TEST(ReplicationSim, ASeedRepeatsItsSchedule) {
  const auto run = [] { return tests::replication_sim{{.seed = 42, .steps = 4000}}.run(); };
  const auto a = run(), b = run();
  EXPECT_EQ(a.acknowledged, b.acknowledged);
  EXPECT_EQ(a.proposals, b.proposals);
  EXPECT_EQ(a.checkpoints, b.checkpoints);
}

}  // namespace
}  // namespace orrery::cluster
