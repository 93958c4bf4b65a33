// The entity actor on a device: order, If-Match, wake-up with a tail, rest, rows.
#include "actors/entity.hpp"

#include <gmock/gmock.h>

#include "model/json.hpp"
#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/time_series.hpp"
#include "tests/support/entity_bench.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
namespace keys = storage::keys;
using model::entity_kind;
using model::errc;
using storage::family;
using testing::ElementsAre;
using tests::points;
using tests::reply_of;

class Entity : public tests::entity_bench {
 protected:
  Entity() { wake(); }
  device::report_points at(int seconds, double p) {
    return points(start + std::chrono::seconds{seconds}, {{"p", p}});
  }
  device::change_tags tag(std::string v) {
    auto t = device::change_tags{};
    t.changes["t"] = std::move(v);
    return t;
  }
  any_command matching(device::order what, std::uint64_t revision) {
    return device::command{std::move(what), {}, "user:a", revision};
  }
  std::size_t due() { return store->rows(family::index, keys::index_prefix(1, "due")); }
  /// What the store holds of the device's samples, as "time:value" in the order of their parts.
  std::vector<std::string> stored() {
    auto all = std::vector<std::string>{};
    const auto visit = [&](std::string_view, std::string_view bytes) {
      const auto parts = storage::parts_of(bytes);
      EXPECT_TRUE(parts);
      for (const auto& part : *parts) {
        const auto samples = storage::decode_segment(part.segment);
        EXPECT_TRUE(samples);
        for (const auto& s : *samples)
          for (const auto& p : s.points)
            all.push_back(std::to_string((s.time - start).count() / 1000) + ":" +
                          model::to_json(p.v));
      }
      return true;
    };
    EXPECT_TRUE(store->scan_series(keys::bucket_prefix(id), model::timestamp::min(),
                                   model::timestamp::max(), false, visit));
    return all;
  }
  model::timestamp start = stage.clock.now();
};

TEST_F(Entity, DecidesInOrderOnTopOfWhatIsNotCommittedYet) {
  add_device();
  const auto first = send(tests::order(tag("a")));
  const auto second = send(tests::order(tag("b")));
  const auto third = send(tests::order(device::read_device{}));
  stage.run_only(entity);
  EXPECT_EQ(store->journal(1).size(), 1u);  // nothing of it is written yet
  stage.run();
  EXPECT_EQ(must(*asker.to(first)), 2u);
  EXPECT_EQ(must(*asker.to(second)), 3u);
  EXPECT_EQ(reply_of<device::device_snapshot>(*asker.to(third))->what->tags->at("t"), "b");
  EXPECT_EQ(must(*asker.to(third)), 3u);  // a read makes no revision
}

TEST_F(Entity, ShowsOnlyWhatIsCommitted) {
  add_device();
  store->faults.appends = 1;
  send(tests::order(tag("a")));
  const auto read = send(tests::order(device::read_device{}));
  stage.run();
  EXPECT_EQ(code_of(*asker.to(read)), errc::unavailable);
}

TEST_F(Entity, IsRefusedUntilItIsToldOfALostWrite) {
  add_device();
  store->faults.appends = 1;
  EXPECT_EQ(code_of(ask(tag("lost"))), errc::unavailable);
  ASSERT_EQ(lost_writes.size(), 1u);
  // It has not been told: what it decides now stands on something that was never written.
  const auto on_top = ask(device::read_device{});
  EXPECT_EQ(code_of(on_top), errc::unavailable);
  EXPECT_EQ(code_of(ask(at(0, 1))), errc::unavailable);
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  ASSERT_EQ(host_settled.size(), 1u);
  EXPECT_FALSE(host_settled[0].what);
  EXPECT_EQ(store->journal(1).size(), 1u);
  EXPECT_TRUE(stored().empty());
  wake(entity_kind::device, tail_from(1));
  EXPECT_EQ(state_of().tags->size(), 0u);
  EXPECT_EQ(must(ask(tag("kept"))), 2u);
}

TEST_F(Entity, ARefusalChangesNothing) {
  add_device();
  EXPECT_EQ(code_of(ask(points(start, {{"p", 99}}))), errc::invalid_argument);
  EXPECT_EQ(must(ask(device::read_device{})), 1u);
  EXPECT_EQ(store->journal(1).size(), 1u);
}

TEST_F(Entity, HoldsIfMatchAgainstItsRevision) {
  add_device();
  EXPECT_EQ(must(ask(matching(tag("a"), 1))), 2u);
  const auto late = ask(matching(tag("b"), 1));
  EXPECT_EQ(code_of(late), errc::conflict);
  EXPECT_EQ(late.error().reason, "etag_mismatch");
  EXPECT_EQ(state_of().tags->at("t"), "a");
  // Also against what is not committed yet.
  const auto first = send(matching(tag("c"), 2));
  const auto second = send(matching(tag("d"), 2));
  stage.run();
  EXPECT_EQ(must(*asker.to(first)), 3u);
  EXPECT_EQ(code_of(*asker.to(second)), errc::conflict);
}

TEST_F(Entity, RefusesACommandOfAnotherKind) {
  EXPECT_EQ(code_of(ask(tests::product_order(model::product::read_product{}))), errc::internal);
}

// ---- waking up ----------------------------------------------------------------------------------

TEST_F(Entity, WakesFromItsRowsAlone) {
  add_device();
  must(ask(tag("a")));
  must(ask(at(0, 1.5)));
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  wake();
  EXPECT_EQ(state_of().tags->at("t"), "a");
  EXPECT_EQ(latest("p"), "1.5");
  EXPECT_EQ(unsaved(), 0u);
  EXPECT_EQ(must(ask(device::read_device{})), 3u);
}

TEST_F(Entity, ReplaysOnlyTheTelemetryThatIsNotInItsRows) {
  add_device();
  must(ask(at(0, 1)));
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  must(ask(at(1, 2)));
  must(ask(at(2, 3)));
  wake(entity_kind::device, tail_from(1));
  EXPECT_EQ(unsaved(), 2u);  // the first one is in the store
  EXPECT_EQ(latest("p"), "3.0");
  EXPECT_EQ(must(ask(device::read_device{})), 4u);
}

TEST_F(Entity, ReplaysTelemetryThatIsOlderThanItsSnapshot) {
  add_device();
  must(ask(at(0, 1)));
  must(ask(tag("a")));  // writes a newer snapshot, without the points
  wake(entity_kind::device, tail_from(1));
  EXPECT_EQ(unsaved(), 1u);
  EXPECT_EQ(latest("p"), "1.0");
  EXPECT_EQ(state_of().tags->at("t"), "a");
}

TEST_F(Entity, ReplaysNothingThatItsSnapshotHas) {
  add_device();
  log_in();
  must(ask(tests::call(tests::device_id(1, 7))));
  ASSERT_EQ(state_of().commands->size(), 1u);
  wake(entity_kind::device, tail_from(1));
  EXPECT_EQ(state_of().commands->size(), 1u);  // queueing it again would show
}

TEST_F(Entity, ReplaysATailWithoutAnyRows) {
  add_device();
  must(ask(at(0, 1)));
  must(ask(tag("a")));
  const auto unsaved_tail = tail_from(1);
  // A snapshot that was lost with its row is made from the journal again.
  for (const auto& [f, key] : {std::pair{family::state, keys::state(entity_kind::device, id)},
                               std::pair{family::latest, keys::latest(id)}}) {
    const auto gone =
        storage::row{.family = f, .key = key, .operation = storage::row_operation::remove};
    ASSERT_TRUE(store->put(std::span{&gone, 1}, true));
  }
  wake(entity_kind::device, unsaved_tail);
  EXPECT_EQ(state_of().tags->at("t"), "a");
  EXPECT_EQ(latest("p"), "1.0");
  EXPECT_EQ(must(ask(device::read_device{})), 3u);
}

TEST_F(Entity, RunsNoEffectsOnReplay) {
  add_device();
  log_in();
  must(ask(tests::call(tests::device_id(1, 7))));
  const auto before = effects->ran.size();
  EXPECT_GT(before, 0u);
  wake(entity_kind::device, tail_from(1));
  state_of();
  EXPECT_EQ(effects->ran.size(), before);
}

TEST_F(Entity, DamagedRowsAnswerCorruptedUntilItRests) {
  add_device();
  must(ask(at(0, 1)));
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  const auto records = tail_from(1);
  const auto snapshot = keys::state(entity_kind::device, id);
  const auto good = **store->get(family::state, snapshot);

  store->plant(family::state, snapshot, "no snapshot");
  wake();
  EXPECT_EQ(code_of(ask(device::read_device{})), errc::corrupted);
  EXPECT_EQ(code_of(ask(at(0, 1))), errc::corrupted);
  EXPECT_EQ(store->journal(1).size(), records.size());  // nothing is built on damage
  caf::anon_send(entity, rest_order{});
  stage.run();
  EXPECT_THAT(rested, ElementsAre(true));

  store->plant(family::state, snapshot, good);
  store->plant(family::latest, keys::latest(id), "no values");
  wake();
  EXPECT_EQ(code_of(ask(device::read_device{})), errc::corrupted);

  store->plant(family::latest, keys::latest(id), device::encode_latest({}, 2, start));
  wake(entity_kind::device, {{9, "no events"}});
  EXPECT_EQ(code_of(ask(device::read_device{})), errc::corrupted);

  wake();
  EXPECT_TRUE(state_of().exists);
}

TEST_F(Entity, AStoreThatDoesNotReadAnswersUnavailableUntilItDoes) {
  add_device();
  must(ask(at(0, 1)));
  store->faults.rows = true;
  wake(entity_kind::device, tail_from(1));
  EXPECT_EQ(code_of(ask(device::read_device{})), errc::unavailable);
  // Its telemetry is not in its hands: no checkpoint may count it as saved.
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  ASSERT_EQ(host_settled.size(), 1u);
  EXPECT_FALSE(host_settled[0].what);
  store->faults = {};
  EXPECT_TRUE(state_of().exists);
  EXPECT_EQ(unsaved(), 1u);
  caf::anon_send(entity, checkpoint_order{2});
  stage.run();
  ASSERT_EQ(host_settled.size(), 2u);
  EXPECT_TRUE(host_settled[1].what);
  EXPECT_THAT(stored(), ElementsAre("0:1.0"));
}

TEST_F(Entity, ItsRevisionIsInTheStoreWhateverCameLast) {
  add_device();
  must(ask(at(0, 1)));
  EXPECT_EQ(must(ask(device::report_event{"hot", {}, start})), 3u);
  for (int i = 0; i < 2; ++i) {
    caf::anon_send(entity, rest_order{});
    stage.run();
  }
  ASSERT_FALSE(rested.empty());
  EXPECT_TRUE(rested.back());
  wake();
  EXPECT_EQ(must(ask(device::read_device{})), 3u);
  // So the next one does not take its row.
  must(ask(device::report_event{"hot", {}, start}));
  EXPECT_EQ(store->rows(family::series, keys::event_prefix(id)), 2u);
}

// ---- checkpoints and rest -----------------------------------------------------------------------

TEST_F(Entity, ACheckpointWritesNewestValuesAndSamples) {
  add_device();
  must(ask(at(0, 1)));
  must(ask(at(3600, 2)));  // another bucket
  EXPECT_TRUE(stored().empty());
  EXPECT_EQ(unsaved(), 2u);
  caf::anon_send(entity, checkpoint_order{17});
  stage.run();
  ASSERT_EQ(host_settled.size(), 1u);
  EXPECT_EQ(host_settled[0].number, 17u);
  EXPECT_TRUE(host_settled[0].what);
  EXPECT_THAT(stored(), ElementsAre("0:1.0", "3600:2.0"));
  EXPECT_EQ(store->rows(family::series, keys::bucket_prefix(id)), 2u);
  EXPECT_TRUE(*store->get(family::latest, keys::latest(id)));
  EXPECT_EQ(unsaved(), 0u);
  EXPECT_EQ(latest("p"), "2.0");
  // One more adds a segment and leaves the others as they are.
  must(ask(at(1, 3)));
  caf::anon_send(entity, checkpoint_order{18});
  stage.run();
  EXPECT_THAT(stored(), ElementsAre("0:1.0", "1:3.0", "3600:2.0"));
}

TEST_F(Entity, ACheckpointWithNothingToSaveIsAnsweredInOrder) {
  add_device();
  send(tests::order(tag("a")));
  caf::anon_send(entity, checkpoint_order{5});
  stage.run_only(entity);
  EXPECT_TRUE(host_settled.empty());  // not before what was decided earlier is committed
  stage.run();
  ASSERT_EQ(host_settled.size(), 1u);
  EXPECT_TRUE(host_settled[0].what);
}

TEST_F(Entity, AFailedCheckpointIsToldToTheHost) {
  add_device();
  must(ask(at(0, 1)));
  store->faults.appends = 1;
  caf::anon_send(entity, checkpoint_order{5});
  stage.run();
  ASSERT_EQ(host_settled.size(), 1u);
  EXPECT_FALSE(host_settled[0].what);
}

TEST_F(Entity, SavesByItselfWhatIsTooMuch) {
  context.unsaved_points_max = 4;
  wake();
  add_device();
  for (int i = 0; i < 3; ++i)
    must(ask(at(i, i)));
  EXPECT_EQ(unsaved(), 3u);
  must(ask(at(3, 3)));
  EXPECT_EQ(unsaved(), 0u);
  EXPECT_THAT(stored(), ElementsAre("0:0.0", "1:1.0", "2:2.0", "3:3.0"));
  must(ask(at(4, 4)));
  EXPECT_EQ(unsaved(), 1u);
}

TEST_F(Entity, RestsWhenEverythingIsInTheStore) {
  add_device();
  must(ask(at(0, 1)));
  caf::anon_send(entity, rest_order{});
  stage.run();
  EXPECT_THAT(rested, ElementsAre(false));  // it has just sent what it held
  EXPECT_THAT(stored(), ElementsAre("0:1.0"));
  caf::anon_send(entity, rest_order{});
  stage.run();
  EXPECT_THAT(rested, ElementsAre(false, true));
  wake();
  EXPECT_EQ(latest("p"), "1.0");
}

TEST_F(Entity, DoesNotRestWithSomethingInFlight) {
  add_device();
  send(tests::order(tag("a")));
  caf::anon_send(entity, rest_order{});
  stage.run_only(entity);
  stage.run();
  EXPECT_THAT(rested, ElementsAre(false));
  EXPECT_EQ(state_of().tags->at("t"), "a");  // it is still there
}

TEST_F(Entity, EndsWhenItsWriteIsLost) {
  add_device();
  caf::anon_send(entity, write_lost{1, 2});
  stage.run();
  const auto number = send(tests::order(device::read_device{}));
  stage.run();
  EXPECT_FALSE(asker.to(number));
}

TEST_F(Entity, DoesNotRestWhileSomethingIsOnItsWayPastTheHost) {
  add_device();
  const auto way = way_in();
  ASSERT_TRUE(door->enter());  // and has not sent yet
  caf::anon_send(entity, rest_order{});
  stage.run();
  EXPECT_THAT(rested, ElementsAre(false));
  door->leave();
  const auto number = ++numbers;
  auto batch = ask_batch{.shard = id.shard, .asks = {}};
  batch.asks.push_back({asker.handle(), number, id, tests::order(device::read_device{})});
  ASSERT_TRUE(way->send(batch));
  stage.run();
  EXPECT_TRUE(asker.to(number));
  caf::anon_send(entity, rest_order{});
  stage.run();
  EXPECT_THAT(rested, ElementsAre(false, true));
  batch = ask_batch{.shard = id.shard, .asks = {}};
  EXPECT_FALSE(way->send(batch));  // closed for ever
}

TEST_F(Entity, AnswersWhatHadEnteredWhenItsWriteIsLost) {
  add_device();
  const auto way = way_in();
  ASSERT_TRUE(door->enter());
  status->generation = 2;
  caf::anon_send(entity, write_lost{1, 2});
  stage.run();
  auto batch = ask_batch{.shard = id.shard, .asks = {}};
  EXPECT_FALSE(way->send(batch));
  const auto number = ++numbers;
  batch.entered = true;
  batch.asks.push_back({asker.handle(), number, id, tests::order(device::read_device{})});
  caf::anon_send(entity, std::move(batch));
  stage.run();
  ASSERT_TRUE(asker.to(number));
  EXPECT_EQ(code_of(*asker.to(number)), model::errc::unavailable);
  const auto late = send(tests::order(device::read_device{}));
  stage.run();
  EXPECT_FALSE(asker.to(late));  // it has ended
}

// ---- what a record leaves behind ----------------------------------------------------------------

TEST_F(Entity, ADeviceIsFoundByNameAndProductUntilItIsRemoved) {
  const auto by_name = keys::index_prefix(1, "name",
                                          "pk\x1f"
                                          "dk");
  const auto by_product = keys::index_prefix(1, "product", "pk");
  add_device();
  must(ask(at(0, 1)));
  caf::anon_send(entity, checkpoint_order{1});
  stage.run();
  EXPECT_EQ(store->rows(family::index, by_name), 1u);
  EXPECT_EQ(store->rows(family::index, by_product), 1u);
  log_in();
  EXPECT_EQ(store->rows(family::index, keys::index_prefix(1, "session")), 1u);
  must(ask(device::remove_device{}));
  EXPECT_EQ(store->rows(family::index, ""), 0u);
  EXPECT_FALSE(*store->get(family::state, keys::state(entity_kind::device, id)));
  EXPECT_FALSE(*store->get(family::latest, keys::latest(id)));
  EXPECT_EQ(code_of(ask(device::read_device{})), errc::not_found);
}

TEST_F(Entity, ARemovedDeviceLeavesNoRowsWhenItRests) {
  add_device();
  must(ask(at(0, 1)));
  must(ask(device::remove_device{}));
  for (int i = 0; i < 2; ++i) {
    caf::anon_send(entity, rest_order{});
    stage.run();
  }
  ASSERT_FALSE(rested.empty());
  EXPECT_TRUE(rested.back());
  EXPECT_FALSE(*store->get(family::latest, keys::latest(id)));
}

TEST_F(Entity, ASessionIsListedUnderItsNodeAsLongAsItIsThere) {
  const auto sessions = keys::index_prefix(1, "session");
  add_device();
  const auto session = log_in(1);
  EXPECT_EQ(store->rows(family::index, sessions), 1u);
  log_in(2);  // takes over, from the same node
  EXPECT_EQ(store->rows(family::index, sessions), 1u);
  EXPECT_EQ(code_of(ask(tests::order(device::disconnect{"client"}, session))), errc::conflict);
  must(ask(tests::order(device::disconnect{"client"}, {7, 2, 2})));
  EXPECT_EQ(store->rows(family::index, sessions), 0u);
}

TEST_F(Entity, ADeadlineIsListedUntilItIsOver) {
  add_device();
  EXPECT_EQ(due(), 0u);
  const auto session = log_in();
  must(ask(tests::call(tests::device_id(1, 7))));
  EXPECT_EQ(due(), 1u);
  const auto reminders = effects->of<model::remind>();
  ASSERT_FALSE(reminders.empty());
  for (const auto& r : reminders)
    EXPECT_EQ(r.at, start + std::chrono::seconds{30});
  const auto sent = effects->of<model::deliver>();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].session, session);
  must(ask(tests::order(device::complete_command{sent[0].message.id, 0, {}, ""}, session)));
  EXPECT_EQ(due(), 0u);
}

TEST_F(Entity, ACommandIsInTheLogWithEveryStepOfIt) {
  const auto command = tests::device_id(1, 7);
  const auto logged = [&] {
    const auto row = store->get(family::state, keys::command(id, command));
    return *row ? device::decode_command(**row)->state : device::command_record::state_code{};
  };
  add_device();
  log_in();
  must(ask(tests::call(command)));
  EXPECT_EQ(logged(), device::command_record::state_code::sent);
  stage.clock.turn(std::chrono::seconds{30});
  must(ask(device::time_passed{}));
  EXPECT_EQ(logged(), device::command_record::state_code::timed_out);
}

TEST_F(Entity, EachEventOfADeviceIsARowOfItsOwn) {
  add_device();
  for (int i = 0; i < 2; ++i)
    must(ask(device::report_event{"hot", {}, start}));  // the same time, twice
  EXPECT_EQ(store->rows(family::series, keys::event_prefix(id)), 2u);
}

TEST_F(Entity, PublishesOnlyWhileSomebodyListens) {
  add_device();
  must(ask(at(0, 1)));
  EXPECT_TRUE(effects->published.empty());
  *feed_wanted = true;
  must(ask(at(1, 2)));
  ASSERT_EQ(effects->published.size(), 1u);
  const auto& one = effects->published[0].at(0);
  EXPECT_EQ(one.who.id, id);
  EXPECT_EQ(one.who.called->name, name);
  EXPECT_EQ(one.who.called->organisation, tests::organisation);
  EXPECT_EQ(one.offset, 3u);
  EXPECT_EQ(std::get<device::points_accepted>(one.what->at(0)).samples.size(), 1u);
}

TEST_F(Entity, PublishesForItsMirrorsByTheirNamesAndIds) {
  add_device();
  const auto all = tests::device_id(2, 7), some = tests::device_id(3, 8);
  must(ask(device::link_mirror{{all, {"other", "all"}, {}}}));
  must(ask(device::link_mirror{{some, {"other", "some"}, {{"own", "q"}}}}));
  must(ask(at(0, 1)));
  EXPECT_TRUE(effects->published.empty()) << "nobody listens";
  *feed_wanted = true;
  must(ask(at(1, 2)));
  auto told = std::vector<published>{};
  const auto take = [&] {
    told.clear();
    for (const auto& group : std::exchange(effects->published, {}))
      told.insert(told.end(), group.begin(), group.end());
  };
  take();
  ASSERT_EQ(told.size(), 2u) << "one shows no such point";
  EXPECT_EQ(told[0].who.id, id);
  EXPECT_EQ(told[1].who.id, all);
  EXPECT_EQ(told[1].who.called->name, (model::device_name{"other", "all"}));
  EXPECT_EQ(told[1].who.called->organisation, tests::organisation);
  EXPECT_EQ(told[1].what, told[0].what) << "as it is";
  EXPECT_EQ(told[1].offset, told[0].offset);
  must(ask(device::link_mirror{{some, {"other", "some"}, {{"own", "p"}}}}));
  take();
  must(ask(at(2, 3)));
  take();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].who.id, some);
  const auto& own = std::get<device::points_accepted>(told[2].what->at(0)).samples;
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].points.at(0).id, "own");
  EXPECT_EQ(own[0].time, std::get<device::points_accepted>(told[0].what->at(0)).samples[0].time);
  must(ask(device::update_device{}));
  take();
  EXPECT_EQ(told.size(), 1u) << "its points alone";
  must(ask(device::unlink_mirror{all}));
  must(ask(device::unlink_mirror{some}));
  take();
  must(ask(at(3, 4)));
  take();
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(Entity, TellsMirrorsNothingThatWasLost) {
  add_device();
  must(ask(device::link_mirror{{tests::device_id(2, 7), {"other", "all"}, {}}}));
  *feed_wanted = true;
  store->faults.appends = 1;
  EXPECT_EQ(code_of(ask(at(1, 2))), model::errc::unavailable);
  EXPECT_TRUE(effects->published.empty());
}

}  // namespace
}  // namespace orrery::actors
