// The entities of a shard: waking, names, rest, deadlines, sessions of earlier incarnations.
#include "cluster/shard_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/keys.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::cluster {
namespace {

namespace device = model::device;
namespace keys = storage::keys;
using model::errc;
using storage::family;
using testing::ElementsAre;
using tests::order;
using tests::points;
using tests::reply_of;
using namespace std::chrono_literals;
using state_code = device::command_record::state_code;

class ShardHost : public testing::Test {
 protected:
  device::report_points p(int v) { return points(node.now(), {{"q", v}}); }
  /// Until everything that is idle sleeps.
  void sleep() { node.pass(6min); }
  state_code logged(const model::entity_id& id, const model::entity_id& command) {
    const auto row = node.store->get(family::state, keys::command(id, command));
    return *row ? device::decode_command(**row)->state : state_code{};
  }
  tests::small_node node;
};

TEST_F(ShardHost, OpensEveryShard) {
  ASSERT_EQ(node.opened.size(), 3u);
  for (const auto& ok : node.opened)
    EXPECT_TRUE(ok);
}

TEST_F(ShardHost, WakesAnEntityOnItsFirstQuestionAndOnlyOnce) {
  sleep();
  EXPECT_EQ(node.awake(), 0u);
  const auto id = node.add_device("dk");
  EXPECT_EQ(node.awake(), 1u);
  node.state_of(id);
  EXPECT_EQ(node.awake(), 1u);
  node.add_device("other");
  EXPECT_EQ(node.awake(), 2u);
}

TEST_F(ShardHost, TwoKindsMayBeAskedForByOneId) {
  const auto id = node.add_device("dk");
  const auto asset = [&](model::asset::order what) {
    return node.ask(id, tests::asset_order(std::move(what)));
  };
  EXPECT_EQ(asset(model::asset::read_asset{}).error().code, errc::not_found);
  EXPECT_EQ(node.awake(), 2u);
  EXPECT_TRUE(node.ask(id, order(device::read_device{})));
  sleep();
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(asset(model::asset::read_asset{}).error().code, errc::not_found);
  EXPECT_TRUE(node.ask(id, order(p(1)))) << "whoever is asked for first stands in nobody's way";
}

TEST_F(ShardHost, AnswersOneEntityInOrderAndOthersBetween) {
  const auto a = node.add_device("a");
  const auto first = node.send(a, order(p(1)));
  const auto more =
      node.send(a, std::vector{order(p(2)), order(device::read_latest{}), order(p(99'999))});
  node.run();
  EXPECT_EQ((*node.asker().to(first))->revision, 2u);
  EXPECT_EQ((*node.asker().to(more[0]))->revision, 3u);
  EXPECT_EQ(reply_of<device::latest_points>(*node.asker().to(more[1]))->points[0].v,
            model::value{2});
}

TEST_F(ShardHost, AMessageForSeveralEntitiesReachesEach) {
  const auto a = node.add_device("a");
  auto b = a;
  for (int i = 0; b.shard != a.shard || b == a; ++i)
    b = node.add_device("b" + std::to_string(i));  // one in the same shard
  auto batch = actors::ask_batch{.shard = a.shard, .asks = {}};
  auto number = std::uint64_t{1000};
  for (const auto& [id, v] : {std::pair{a, 1}, std::pair{a, 2}, std::pair{b, 3}, std::pair{a, 4}})
    batch.asks.push_back({node.asker().handle(), ++number, id, order(p(v))});
  node.router->route(std::move(batch));
  node.run();
  EXPECT_EQ(node.latest(a, "q"), model::value{4});
  EXPECT_EQ(node.latest(b, "q"), model::value{3});
  for (auto n = std::uint64_t{1001}; n <= 1004; ++n)
    EXPECT_TRUE(node.asker().to(n)) << n;
}

// ---- names --------------------------------------------------------------------------------------

TEST_F(ShardHost, FindsADeviceByItsName) {
  const auto id = node.add_device("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  for (int i = 0; i < 2; ++i) {
    const auto got = node.ask(name, order(device::read_device{}));
    ASSERT_TRUE(reply_of<device::device_snapshot>(got));
    EXPECT_EQ(reply_of<device::device_snapshot>(got)->id, id);
    sleep();  // then by the store
  }
  const auto unknown =
      node.ask(model::device_name{tests::product_key, "nobody"}, order(device::read_device{}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, errc::not_found);
  EXPECT_EQ(unknown.error().reason, "device_unknown");
}

TEST_F(ShardHost, DoesNotTakeANameForTheBeginningOfAnother) {
  node.add_device("dk-and-more");
  for (const auto* key : {"dk", "dk-and"}) {
    const auto name = model::device_name{tests::product_key, key};
    if (node.shard_of(key) == node.shard_of("dk-and-more")) {
      EXPECT_EQ(node.ask(name, order(device::read_device{})).error().code, errc::not_found);
    }
  }
}

TEST_F(ShardHost, RegistersANameOnce) {
  const auto shard = node.shard_of("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  const auto first = tests::device_id(shard, 1), second = tests::device_id(shard, 2),
             third = tests::device_id(shard, 3);
  // Both are under way at once: the first takes the name before it is committed.
  const auto a = node.send(first, order(tests::registration(name)));
  const auto b = node.send(second, order(tests::registration(name)));
  node.run();
  ASSERT_TRUE(*node.asker().to(a));
  ASSERT_FALSE(*node.asker().to(b));
  EXPECT_EQ(node.asker().to(b)->error().code, errc::already_exists);
  sleep();
  EXPECT_EQ(node.ask(third, order(tests::registration(name))).error().code, errc::already_exists);
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(shard, "name")), 1u);
}

TEST_F(ShardHost, RegistersSeveralInOneMessage) {
  auto batch = actors::ask_batch{.shard = 0, .asks = {}};
  auto number = std::uint64_t{1000};
  auto keys_here = std::vector<std::string>{};
  for (int i = 0; keys_here.size() < 3; ++i)
    if (const auto key = "d" + std::to_string(i); node.shard_of(key) == 0)
      keys_here.push_back(key);
  keys_here.push_back(keys_here.front());
  for (const auto& key : keys_here) {
    ++number;
    const auto id = tests::device_id(0, static_cast<std::uint8_t>(number));
    const auto name = model::device_name{tests::product_key, key};
    batch.asks.push_back({node.asker().handle(), number, id, order(tests::registration(name))});
  }
  node.router->route(std::move(batch));
  node.run();
  for (auto n = std::uint64_t{1001}; n <= 1003; ++n)
    EXPECT_TRUE(node.asker().to(n) && *node.asker().to(n)) << n;
  ASSERT_TRUE(node.asker().to(1004));
  EXPECT_EQ(node.asker().to(1004)->error().code, errc::already_exists);
}

TEST_F(ShardHost, ARefusedRegistrationLeavesTheNameFree) {
  const auto shard = node.shard_of("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  auto wrong = tests::registration(name);
  wrong.attributes = {{"no such attribute", 1}};
  EXPECT_FALSE(node.ask(tests::device_id(shard, 1), order(wrong)));
  EXPECT_TRUE(node.ask(tests::device_id(shard, 2), order(tests::registration(name))));
  sleep();
  const auto got = node.ask(name, order(device::read_device{}));
  EXPECT_TRUE(reply_of<device::device_snapshot>(got));
}

TEST_F(ShardHost, ANameThatCannotBeLookedUpIsNotRegistered) {
  node.add_device("dk");
  sleep();
  const auto shard = node.shard_of("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  node.store->faults.rows = true;
  EXPECT_EQ(node.ask(name, order(device::read_device{})).error().code, errc::unavailable);
  const auto number = node.send(tests::device_id(shard, 2), order(tests::registration(name)));
  node.run();
  EXPECT_EQ(node.asker().to(number)->error().code, errc::unavailable);
  node.store->faults = {};
  sleep();
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(shard, "name")), 1u);
  EXPECT_EQ(node.ask(tests::device_id(shard, 3), order(tests::registration(name))).error().code,
            errc::already_exists);
}

TEST_F(ShardHost, ARemovedNameMayBeRegisteredAgain) {
  const auto old = node.add_device("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  ASSERT_TRUE(node.ask(old, order(p(7))));
  ASSERT_TRUE(node.ask(old, order(device::remove_device{})));
  EXPECT_EQ(node.ask(name, order(device::read_device{})).error().code, errc::not_found);
  const auto fresh = tests::device_id(old.shard, 2);
  const auto got = node.ask(fresh, order(tests::registration(name)));
  ASSERT_TRUE(reply_of<device::device_snapshot>(got));
  EXPECT_EQ(reply_of<device::device_snapshot>(got)->id, fresh);
  EXPECT_FALSE(node.latest(fresh, "q"));  // nothing of the old one's life
}

TEST_F(ShardHost, ARetiredDeviceIsRemovedWhenItsTimeIsOver) {
  const auto old = node.add_device("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  ASSERT_TRUE(node.ask(old, order(p(7))));
  auto c = node.login("dk");
  ASSERT_TRUE(node.ask(old, order(device::retire_device{"scrapped", 24h})));
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(old.shard, "session")), 0u);
  EXPECT_EQ(node.ask(tests::device_id(old.shard, 2), order(tests::registration(name))).error().code,
            errc::already_exists);
  EXPECT_EQ(node.ask(old, order(p(8))).error().reason, "device_retired");
  sleep();
  node.restart();  // it is not forgotten
  EXPECT_EQ(device::status_of(node.state_of(old)), "retired");
  node.pass(23h);
  EXPECT_TRUE(node.ask(name, order(device::read_device{})));
  node.pass(2h);
  EXPECT_EQ(node.ask(old, order(device::read_device{})).error().code, errc::not_found);
  EXPECT_EQ(node.ask(name, order(device::read_device{})).error().code, errc::not_found);
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(old.shard, "due")), 0u);
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(old.shard, "name")), 0u);
  sleep();
  const auto fresh = tests::device_id(old.shard, 2);
  EXPECT_TRUE(node.ask(fresh, order(tests::registration(name))));
  EXPECT_FALSE(node.latest(fresh, "q"));
}

TEST_F(ShardHost, AnotherTakesTheNameOfOneThatWasRetiredWithoutQuarantine) {
  const auto old = node.add_device("dk");
  ASSERT_TRUE(node.ask(old, order(device::retire_device{"scrapped", 0ms})));
  EXPECT_EQ(node.ask(old, order(device::read_device{})).error().code, errc::not_found);
  const auto fresh = tests::device_id(old.shard, 2);
  EXPECT_TRUE(
      node.ask(fresh, order(tests::registration(model::device_name{tests::product_key, "dk"}))));
}

TEST_F(ShardHost, ARestoredDeviceStays) {
  const auto id = node.add_device("dk");
  const auto name = model::device_name{tests::product_key, "dk"};
  ASSERT_TRUE(node.ask(id, order(device::retire_device{"scrapped", 24h})));
  node.pass(12h);
  ASSERT_TRUE(node.ask(id, order(device::restore_device{
                               tests::keys().seal("another", device::secret_owner(name))})));
  node.pass(48h);
  EXPECT_EQ(device::status_of(node.state_of(id)), "inactive");
  EXPECT_EQ(node.store->rows(family::index, keys::index_prefix(id.shard, "due")), 0u);
}

// ---- rest ---------------------------------------------------------------------------------------

TEST_F(ShardHost, RestsWhatIsIdleAndWakesItWithAllItsState) {
  const auto id = node.add_device("dk");
  auto tags = device::change_tags{};
  tags.changes["t"] = "v";
  ASSERT_TRUE(node.ask(id, order(tags)));
  ASSERT_TRUE(node.ask(id, order(p(7))));
  node.pass(4min);
  EXPECT_EQ(node.awake(), 1u);
  node.latest(id, "q");  // so it is not idle
  node.pass(4min);
  EXPECT_EQ(node.awake(), 1u);
  sleep();
  EXPECT_EQ(node.awake(), 0u);
  const auto got = node.ask(id, order(device::read_device{}));
  EXPECT_EQ(node.awake(), 1u);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->revision, 3u);
  EXPECT_EQ(reply_of<device::device_snapshot>(got)->what->tags->at("t"), "v");
  EXPECT_EQ(node.latest(id, "q"), model::value{7});
}

TEST(RestingEarly, IsSharedByTheShardsOfANode) {
  EXPECT_EQ(to_rest_early(0, 10, 0), 0u);
  EXPECT_EQ(to_rest_early(10, 10, 10), 0u);
  EXPECT_EQ(to_rest_early(15, 10, 15), 5u);
  EXPECT_EQ(to_rest_early(15, 10, 3), 1u);
  EXPECT_EQ(to_rest_early(15, 10, 1), 1u) << "rounded up, or nobody would begin";
  EXPECT_EQ(to_rest_early(15, 10, 0), 0u);
  EXPECT_EQ(to_rest_early(2, 1, 5), 3u) << "the number of the node is read while it changes";
  EXPECT_EQ(to_rest_early(3, 0, 7), 7u) << "never more than there are";
}

TEST(ShardHostOfFew, RestsTheIdlestWhereANodeHasTooMany) {
  auto node = tests::small_node{{.shards = 1, .hosts = {.max_awake = 3}}};
  auto ids = std::vector<model::entity_id>{};
  for (const auto* key : {"a", "b", "c"}) {
    ids.push_back(node.add_device(key));
    node.pass(2s);
  }
  EXPECT_EQ(node.awake(), 3u);
  ASSERT_TRUE(node.ask(ids[0], order(device::read_device{})));
  node.add_device("d");
  node.add_device("e");
  EXPECT_EQ(node.awake(), 5u) << "whoever is asked is awake";
  node.pass(2s);
  EXPECT_EQ(node.awake(), 3u);
  // Those that were asked last are those that stay: reading them wakes nobody.
  ASSERT_TRUE(node.ask(ids[0], order(device::read_device{})));
  EXPECT_EQ(node.awake(), 3u);
  for (const auto& id : ids)
    EXPECT_TRUE(node.state_of(id).exists);
  EXPECT_EQ(node.awake(), 5u);
  node.pass(2s);
  EXPECT_EQ(node.awake(), 3u);
}

TEST(ShardHostOfFew, RestsOthersInThePlaceOfOneThatRefuses) {
  auto node = tests::small_node{{.shards = 1, .hosts = {.max_awake = 2}}};
  const auto stuck = node.add_device("stuck");
  ASSERT_TRUE(node.ask(stuck, order(points(node.now(), {{"q", 1}}))));
  // What only the journal has of it cannot be saved, so it must not rest.
  node.store->plant(family::state, keys::state(model::entity_kind::device, stuck), "no snapshot");
  node.restart();
  node.pass(2s);
  const auto idle = node.add_device("idle");
  node.pass(2s);
  EXPECT_EQ(node.awake(), 2u);
  node.add_device("busy");
  EXPECT_EQ(node.awake(), 3u);
  node.pass(4s);
  EXPECT_EQ(node.awake(), 2u);
  EXPECT_TRUE(node.state_of(idle).exists);
  EXPECT_EQ(node.awake(), 3u) << "it was the one that rested";
  EXPECT_EQ(node.ask(stuck, order(device::read_device{})).error().code, errc::corrupted);
}

TEST_F(ShardHost, ARevisionNeverGoesBack) {
  const auto id = node.add_device("dk");
  ASSERT_TRUE(node.ask(id, order(device::report_event{"hot", {}, {}})));
  const auto before = node.ask(id, order(p(1)));
  const auto raised = node.ask(id, order(device::report_event{"hot", {}, {}}));
  ASSERT_TRUE(before && raised);
  EXPECT_EQ(raised->revision, before->revision + 1);
  sleep();
  const auto after = node.ask(id, order(device::read_device{}));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->revision, raised->revision);
}

TEST_F(ShardHost, EventsOfOneTimeAreAllKeptOverARest) {
  const auto id = node.add_device("dk");
  const auto then = node.now();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(node.ask(id, order(device::report_event{"hot", {}, then})));
    sleep();
  }
  EXPECT_EQ(node.store->rows(family::series, keys::event_prefix(id)), 3u);
}

TEST_F(ShardHost, WhatComesWhileAnEntityGoesToRestIsNotLost) {
  const auto id = node.add_device("dk");
  node.pass(4min);
  // The order to rest and the questions behind it are in the boxes together.
  node.where().clock.turn(2min);
  caf::anon_send(node.host(id.shard), actors::host_tick{});
  auto numbers = std::vector<std::uint64_t>{};
  for (int i = 0; i < 3; ++i)
    numbers.push_back(node.send(id, order(p(i))));
  node.run();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto* got = node.asker().to(numbers[i]);
    ASSERT_TRUE(got && *got) << i;
    EXPECT_EQ((*got)->revision, 2 + i);
  }
  EXPECT_EQ(node.latest(id, "q"), model::value{2});
  EXPECT_EQ(node.awake(), 1u);
}

TEST_F(ShardHost, AnEntityWithSomethingInFlightIsNotRested) {
  const auto id = node.add_device("dk");
  node.pass(4min);
  node.where().clock.turn(2min);
  const auto number = node.send(id, order(p(1)));
  node.where().run_only(node.host(id.shard));
  // Idle by the clock, while its record is on the way to the disk.
  node.where().clock.turn(6min);
  caf::anon_send(node.host(id.shard), actors::host_tick{});
  node.run();
  ASSERT_TRUE(node.asker().to(number) && *node.asker().to(number));
  EXPECT_EQ(node.latest(id, "q"), model::value{1});
}

TEST_F(ShardHost, ADamagedEntityRestsAndIsReadAgain) {
  const auto id = node.add_device("dk");
  sleep();
  const auto key = keys::state(model::entity_kind::device, id);
  const auto good = **node.store->get(family::state, key);
  node.store->plant(family::state, key, "no snapshot");
  EXPECT_EQ(node.ask(id, order(device::read_device{})).error().code, errc::corrupted);
  node.store->plant(family::state, key, good);
  sleep();
  EXPECT_TRUE(node.state_of(id).exists);
}

TEST_F(ShardHost, AnEntityThatCouldNotBeReadForAMomentIsNotUnavailableForLong) {
  const auto id = node.add_device("dk");
  sleep();
  node.store->faults.rows = true;
  EXPECT_EQ(node.ask(id, order(device::read_device{})).error().code, errc::unavailable);
  node.store->faults = {};
  node.pass(2s);
  EXPECT_TRUE(node.state_of(id).exists);
}

// ---- deadlines and sessions ---------------------------------------------------------------------

TEST_F(ShardHost, ADeadlineEndsACommandThatIsNotAnswered) {
  const auto id = node.add_device("dk");
  const auto c = node.login("dk");
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command))));
  ASSERT_EQ(c.port->delivered.size(), 1u);
  node.pass(29s);
  EXPECT_EQ(logged(id, command), state_code::sent);
  node.pass(2s);
  EXPECT_EQ(logged(id, command), state_code::timed_out);
}

TEST_F(ShardHost, ADeadlineWakesAnEntityThatRests) {
  const auto id = node.add_device("dk");
  const auto c = node.login("dk");
  caf::anon_send(c.session, actors::session_closed{"client"});
  node.run();
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command, 1h))));
  sleep();
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(logged(id, command), state_code::queued);
  node.pass(55min);
  EXPECT_EQ(logged(id, command), state_code::expired);
}

TEST_F(ShardHost, AKeptSessionEndsDaysLater) {
  const auto id = node.add_device("dk");
  const auto c = node.connect();
  const auto name = model::device_name{tests::product_key, "dk"};
  auto how = tests::login(name);
  how.keeps_session = how.resumes = true;
  how.session_lasts = 72h;
  caf::anon_send(c.session, actors::session_login{1, name, how});
  node.run();
  caf::anon_send(c.session, actors::session_closed{"client"});
  node.run();
  ASSERT_TRUE(node.state_of(id).keeps_session);
  sleep();
  EXPECT_EQ(node.awake(), 0u);
  node.where().clock.turn(71h);
  node.pass(1min);
  EXPECT_TRUE(node.state_of(id).keeps_session);
  node.restart();
  node.where().clock.turn(1h);
  node.pass(2s);
  EXPECT_FALSE(node.state_of(id).keeps_session);
}

TEST_F(ShardHost, ADeadlineOutlivesTheNode) {
  const auto id = node.add_device("dk");
  node.login("dk");
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command, 1h))));
  node.pass(1min);  // sent, and given up
  const auto second = tests::device_id(id.shard, 10);
  node.restart();
  ASSERT_TRUE(node.ask(id, order(tests::call(second, 1h))));
  node.restart();
  node.where().clock.turn(2h);
  node.pass(1s);
  EXPECT_EQ(logged(id, command), state_code::timed_out);
  EXPECT_EQ(logged(id, second), state_code::expired);
}

TEST_F(ShardHost, EveryDeadlineOfADeviceOutlivesTheNode) {
  const auto id = node.add_device("dk");
  caf::anon_send(node.login("dk").session, actors::session_closed{"client"});
  node.run();
  for (std::uint8_t i = 1; i <= 3; ++i)
    ASSERT_TRUE(node.ask(id, order(tests::call(tests::device_id(id.shard, i), i * 1h))));
  node.restart();
  for (std::uint8_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(logged(id, tests::device_id(id.shard, i)), state_code::queued);
    node.where().clock.turn(1h);
    node.pass(2s);
    EXPECT_EQ(logged(id, tests::device_id(id.shard, i)), state_code::expired);
  }
}

TEST_F(ShardHost, ADeadlineWhoseWriteWasLostComesAgain) {
  const auto id = node.add_device("dk");
  node.login("dk");
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command))));
  node.pass(29s);
  node.store->faults.appends = 1;
  node.pass(3s);
  EXPECT_EQ(node.store->faults.appends, 0);  // it was the time-out that failed
  node.pass(5s);
  EXPECT_EQ(logged(id, command), state_code::timed_out);
}

TEST_F(ShardHost, ADeadlineThatFallsIntoATimeWithoutReplicasComesAgain) {
  const auto id = node.add_device("dk");
  node.login("dk");
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command))));
  node.pass(29s);
  auto& writable = node.shards->at(id.shard)->writable;
  writable.store(false);
  node.pass(10s);
  EXPECT_EQ(logged(id, command), state_code::sent);
  writable.store(true);
  node.pass(3s);
  EXPECT_EQ(logged(id, command), state_code::timed_out);
}

TEST_F(ShardHost, SessionsOfAnEarlierIncarnationAreLost) {
  const auto id = node.add_device("dk");
  const auto other = node.add_device("other");
  node.login("dk");
  const auto command = tests::device_id(id.shard, 9);
  ASSERT_TRUE(node.ask(id, order(tests::call(command))));
  EXPECT_TRUE(node.state_of(id).connection.online);
  node.restart();
  const auto s = node.state_of(id);
  EXPECT_FALSE(s.connection.online);
  EXPECT_EQ(*s.connection.reason, "node_lost");
  EXPECT_EQ(logged(id, command), state_code::failed);  // it needed the device to be there
  EXPECT_FALSE(node.state_of(other).connection.online);
  // A session of this incarnation stays.
  node.login("dk");
  EXPECT_TRUE(node.state_of(id).connection.online);
  sleep();
  EXPECT_TRUE(node.state_of(id).connection.online);
}

TEST_F(ShardHost, LosingASessionIsToldAgainIfItsWriteIsLost) {
  const auto id = node.add_device("dk");
  node.login("dk");
  node.crash();
  node.store->faults.appends = 1;
  node.start();
  node.pass(5s);
  EXPECT_FALSE(node.state_of(id).connection.online);
}

TEST_F(ShardHost, LosingASessionIsToldAgainAfterATimeWithoutReplicas) {
  const auto id = node.add_device("dk");
  node.login("dk");
  node.crash();
  node.starts_writable = false;
  node.start();
  node.pass(10s);
  node.shards->at(id.shard)->writable.store(true);
  node.pass(5s);
  EXPECT_FALSE(node.state_of(id).connection.online);
}

// ---- moves --------------------------------------------------------------------------------------

class ShardMoves : public ShardHost {
 protected:
  using role = actors::shard_role::what;
  static constexpr model::shard_id shard = 0;

  ShardMoves() {
    node.on_left = [this](model::shard_id which) {
      EXPECT_EQ(which, shard);
      ++left;
      // What the writer had by then.
      caf::anon_send(
          node.journal,
          actors::writer_task{.run = [this] { end = node.store->meta(shard)->next_offset - 1; },
                              .behind_entries = true});
    };
  }
  model::entity_id add(int n) {
    auto key = std::string{};
    for (auto i = 0; key.empty(); ++i)
      if (const auto k = std::to_string(n) + "-" + std::to_string(i); node.shard_of(k) == shard)
        key = k;
    node.where().clock.turn(1ms);  // ids are of a time, and of few others in it
    return node.add_device(key);
  }
  std::vector<model::entity_id> add_many(int count) {
    auto all = std::vector<model::entity_id>{};
    for (auto n = 0; n < count; ++n)
      all.push_back(add(n));
    return all;
  }
  void tell(role what) {
    node.change_role(shard, what);
    node.where().run_only(node.host(shard));
  }
  std::size_t actors_running() { return node.system().registry().running(); }

  int left = 0;
  std::uint64_t end = 0;
};

TEST_F(ShardMoves, LeavesWithoutWaitingForWhatIsOnlyAwake) {
  add_many(300);
  ASSERT_EQ(node.awake(), 300u);
  const auto running = actors_running();
  tell(role::leaves);
  EXPECT_EQ(left, 1);
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(actors_running(), running);  // nobody was waited for
  node.run();
  EXPECT_GT(actors_running(), running - 300);  // and they end bit by bit
  EXPECT_LT(actors_running(), running);
  node.pass(2s);
  EXPECT_EQ(actors_running(), running - 300);
  EXPECT_EQ(left, 1);
}

TEST_F(ShardMoves, LeavesOnceWhatIsUnderWayIsWithTheWriter) {
  const auto ids = add_many(3);
  const auto before = node.store->meta(shard)->next_offset - 1;
  const auto first = node.send(ids[1], std::vector{order(p(1)), order(p(2))});
  node.where().run_only(node.host(shard));  // it is in the entity's box
  tell(role::leaves);
  EXPECT_EQ(left, 0);
  const auto late = node.send(ids[1], order(p(3)));
  node.run();
  EXPECT_EQ(left, 1);
  EXPECT_EQ(end, before + 2);
  for (const auto number : first)
    EXPECT_TRUE(node.asker().to(number) && *node.asker().to(number)) << number;
  // What came later goes to the next primary, and has been decided by nobody.
  EXPECT_FALSE(node.asker().to(late));
  ASSERT_EQ(node.given_back.size(), 1u);
  EXPECT_EQ(node.given_back[0].asks[0].number, late);
  EXPECT_FALSE(node.given_back[0].entered);
  tell(role::away);
  tell(role::serves);
  node.router->route(std::move(node.given_back[0]));
  node.run();
  ASSERT_TRUE(node.asker().to(late) && *node.asker().to(late));
  EXPECT_EQ((*node.asker().to(late))->revision, (*node.asker().to(first[1]))->revision + 1);
  EXPECT_EQ(node.latest(ids[1], "q"), model::value{3});
}

TEST_F(ShardMoves, WhatComesByADoorwayWhileItLeavesIsWaitedFor) {
  const auto id = add(1);
  auto batch = actors::ask_batch{.shard = shard, .asks = {}};
  batch.asks.push_back({node.asker().handle(), 1'000, id, order(device::read_device{}), true});
  node.router->route(std::move(batch));
  node.run();
  const auto way = (*node.asker().to(1'000))->way;
  ASSERT_TRUE(way);
  auto by_it = [&](std::uint64_t number) {
    auto b = actors::ask_batch{.shard = shard, .asks = {}};
    b.asks.push_back({node.asker().handle(), number, id, order(p(static_cast<int>(number)))});
    return way->send(b);
  };
  ASSERT_TRUE(by_it(1'001));
  tell(role::leaves);
  EXPECT_EQ(left, 0);
  EXPECT_FALSE(by_it(1'002));
  node.run();
  EXPECT_EQ(left, 1);
  EXPECT_TRUE(node.asker().to(1'001) && *node.asker().to(1'001));
}

TEST_F(ShardMoves, WhatAnOldEntityStillSaysWhenTheShardIsBackIsRefused) {
  const auto ids = add_many(300);
  const auto id = ids[7];
  ASSERT_TRUE(node.ask(id, order(p(1))));
  const auto revision = node.ask(id, order(device::read_device{}))->revision;
  const auto late = node.send(id, order(p(2)));
  const auto read = node.send(id, order(device::read_device{}));
  node.where().run_only(node.host(shard));
  tell(role::leaves);
  tell(role::serves);  // it does not move after all: the old ones have not even been told
  const auto fresh = node.send(id, order(p(3)));
  node.run();
  EXPECT_EQ(left, 0);
  for (const auto number : {late, read}) {
    ASSERT_TRUE(node.asker().to(number) && !*node.asker().to(number)) << number;
    EXPECT_EQ(node.asker().to(number)->error().code, errc::unavailable);
  }
  ASSERT_TRUE(node.asker().to(fresh) && *node.asker().to(fresh));
  EXPECT_EQ((*node.asker().to(fresh))->revision, revision + 1);
  EXPECT_EQ(node.latest(id, "q"), model::value{3});
  for (auto i = 0; i < 20; ++i) {  // while the others of before end
    ASSERT_TRUE(node.ask(ids[static_cast<std::size_t>(i)], order(p(i))));
    node.pass(100ms);
  }
  EXPECT_EQ(node.awake(), 20u);
}

TEST_F(ShardMoves, UnsavedTelemetryIsThereAtOnceAndWokenBitByBit) {
  const auto ids = add_many(300);
  for (auto i = 0; i < 300; ++i)
    ASSERT_TRUE(node.ask(ids[static_cast<std::size_t>(i)], order(p(i))));
  tell(role::leaves);
  tell(role::away);
  tell(role::serves);
  EXPECT_EQ(node.awake(), 128u);
  for (auto i = 0; i < 300; i += 10)
    EXPECT_EQ(node.latest(ids[static_cast<std::size_t>(i)], "q"), model::value{i});
  EXPECT_LT(node.awake(), 300u);
  node.pass(2s);
  EXPECT_EQ(node.awake(), 300u);
  node.pass(2min);  // a checkpoint has it all
  EXPECT_EQ(node.store->meta(shard)->checkpoint_offset, node.store->meta(shard)->next_offset - 1);
  node.restart();
  EXPECT_EQ(node.awake(), 0u);
  EXPECT_EQ(node.latest(ids[299], "q"), model::value{299});
}

}  // namespace
}  // namespace orrery::cluster
