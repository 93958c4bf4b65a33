#include "actors/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/keys.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
using model::errc;
using testing::ElementsAre;
using namespace std::chrono_literals;

class Session : public testing::Test {
 protected:
  Session() { id = node.add_device("dk"); }
  void log_in(const tests::small_node::connection& c, std::uint64_t number,
              std::string_view secret = "secret") {
    caf::anon_send(c.session, session_login{number, name, tests::login(name, secret)});
  }
  void post(const tests::small_node::connection& c, std::uint64_t number, int v) {
    auto asks = session_asks{};
    asks.items.push_back({number, tests::points(node.now(), {{"q", v}})});
    caf::anon_send(c.session, std::move(asks));
  }
  void close(const tests::small_node::connection& c) {
    caf::anon_send(c.session, session_closed{"socket"});
  }
  errc code_of(const answer* got) {
    EXPECT_TRUE(got);
    return got && !*got ? got->error().code : errc::internal;
  }
  tests::small_node node;
  model::device_name name{tests::product_key, "dk"};
  model::entity_id id;
};

TEST_F(Session, ALoginThatIsGrantedSpeaksForItsDevice) {
  const auto c = node.connect();
  EXPECT_EQ(node.sessions->size(), 1u);
  log_in(c, 5);
  node.run();
  ASSERT_TRUE(c.port->to(5) && *c.port->to(5));
  const auto* granted = tests::reply_of<device::connection_granted>(*c.port->to(5));
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->id, id);
  EXPECT_EQ(granted->organisation, tests::organisation);
  const auto s = node.state_of(id);
  EXPECT_TRUE(s.connection.online);
  EXPECT_EQ(s.connection.session.node_incarnation, node.incarnation);
  EXPECT_EQ(node.sessions->find(s.connection.session), c.session);
  post(c, 6, 7);
  node.run();
  EXPECT_TRUE(*c.port->to(6));
  EXPECT_EQ(node.latest(id, "q"), model::value{7});
}

TEST_F(Session, ALoginThatIsRefusedSpeaksForNobody) {
  const auto c = node.connect();
  log_in(c, 5, "wrong");
  node.run();
  EXPECT_EQ(code_of(c.port->to(5)), errc::unauthenticated);
  post(c, 6, 7);
  node.run();
  EXPECT_EQ(code_of(c.port->to(6)), errc::unauthenticated);
  EXPECT_FALSE(node.latest(id, "q"));
  EXPECT_FALSE(node.state_of(id).connection.online);
  log_in(c, 7);  // it may try again
  node.run();
  EXPECT_TRUE(*c.port->to(7));
}

TEST_F(Session, BeforeItsLoginEveryQuestionIsRefused) {
  const auto c = node.connect();
  auto asks = session_asks{};
  asks.items.push_back({1, device::read_device{}});
  asks.items.push_back({2, device::read_latest{}});
  caf::anon_send(c.session, std::move(asks));
  log_in(c, 3);
  post(c, 4, 7);  // before the answer to its login
  node.run();
  EXPECT_THAT(c.port->numbers(), ElementsAre(1, 2, 4, 3));
  for (const auto number : {1, 2, 4})
    EXPECT_EQ(code_of(c.port->to(static_cast<std::uint64_t>(number))), errc::unauthenticated);
  EXPECT_TRUE(*c.port->to(3));
}

TEST_F(Session, AnswersComeOncePerCommitAndInOrder) {
  const auto c = node.login("dk");
  const auto before = c.port->messages.size();
  auto asks = session_asks{};
  asks.items.push_back({11, tests::points(node.now(), {{"q", 1}})});
  asks.items.push_back({12, tests::points(node.now(), {{"q", "no"}})});
  asks.items.push_back({13, device::read_latest{}});
  caf::anon_send(c.session, std::move(asks));
  node.run();
  ASSERT_EQ(c.port->messages.size(), before + 1);
  EXPECT_EQ(c.port->messages.back()[0].number, 11u);
  EXPECT_TRUE(c.port->messages.back()[0].what);
  EXPECT_EQ(c.port->messages.back()[1].number, 12u);
  EXPECT_EQ(c.port->messages.back()[1].what.error().code, errc::invalid_argument);
  EXPECT_EQ(c.port->messages.back()[2].number, 13u);
}

TEST_F(Session, ATakeoverClosesTheOlderOne) {
  const auto older = node.login("dk");
  const auto newer = node.login("dk");
  EXPECT_THAT(older.port->closed, ElementsAre("taken_over"));
  EXPECT_TRUE(newer.port->closed.empty());
  // What the older one still has to say counts no more.
  post(older, 100, 1);
  node.run();
  EXPECT_EQ(code_of(older.port->to(100)), errc::conflict);
  EXPECT_EQ(older.port->to(100)->error().reason, "session_superseded");
  close(older);
  node.run();
  EXPECT_TRUE(node.state_of(id).connection.online);  // its end is not the device's
  EXPECT_EQ(node.sessions->size(), 1u);
  post(newer, 101, 2);
  node.run();
  EXPECT_TRUE(*newer.port->to(101));
}

TEST_F(Session, ATakeoverInTheSameCommitComesBehindTheAnswer) {
  const auto older = node.connect();
  const auto newer = node.connect();
  log_in(older, 1);
  log_in(newer, 2);
  node.run();
  EXPECT_THAT(older.port->words, ElementsAre("settle", "close"));
  EXPECT_TRUE(older.port->to(1) && *older.port->to(1));
  EXPECT_THAT(older.port->closed, ElementsAre("taken_over"));
  EXPECT_THAT(newer.port->words, ElementsAre("settle"));
}

TEST_F(Session, ADisabledDeviceLosesIts) {
  const auto c = node.login("dk");
  ASSERT_TRUE(
      node.ask(id, tests::order(device::set_admin_state{device::admin_state::disabled, ""})));
  EXPECT_THAT(c.port->closed, ElementsAre("disabled"));
}

TEST_F(Session, DeliversDownlinks) {
  const auto c = node.login("dk");
  ASSERT_TRUE(node.ask(id, tests::order(tests::call(tests::device_id(id.shard, 9)))));
  ASSERT_EQ(c.port->delivered.size(), 1u);
  EXPECT_EQ(c.port->delivered[0].target, name);
  EXPECT_EQ(std::get<model::service_call>(c.port->delivered[0].what).service, "go");
}

TEST_F(Session, ItsEndIsTheDevices) {
  const auto c = node.login("dk");
  close(c);
  node.run();
  EXPECT_FALSE(node.state_of(id).connection.online);
  EXPECT_EQ(*node.state_of(id).connection.reason, "socket");
  EXPECT_EQ(node.sessions->size(), 0u);
  close(c);  // once more: nobody there
  node.run();
}

TEST_F(Session, EndsAtOnceWithoutALogin) {
  const auto c = node.connect();
  close(c);
  node.run();
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(Session, WhatIsInFlightAtItsEndIsDone) {
  const auto c = node.login("dk");
  post(c, 100, 7);
  close(c);
  node.run();
  EXPECT_EQ(node.latest(id, "q"), model::value{7});
  EXPECT_FALSE(node.state_of(id).connection.online);
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(Session, SpeaksWithItsEntityPastTheHost) {
  const auto c = node.login("dk");
  node.router->place(id.shard, {});  // whoever asked the host would be told so
  post(c, 100, 1);
  node.run();
  EXPECT_TRUE(c.port->to(100) && *c.port->to(100));
}

TEST_F(Session, AsksTheHostOnceItsEntityRests) {
  const auto c = node.login("dk");
  post(c, 100, 1);
  node.pass(20min);
  EXPECT_EQ(node.awake(), 0u);
  for (std::uint64_t i = 101; i < 110; ++i) {  // the first wakes it, all behind it wait their turn
    post(c, i, static_cast<int>(i));
    node.where().run_only(c.session);
  }
  node.run();
  auto numbers = c.port->numbers();
  EXPECT_THAT(std::vector(numbers.end() - 10, numbers.end()),
              ElementsAre(100, 101, 102, 103, 104, 105, 106, 107, 108, 109));
  EXPECT_EQ(node.latest(id, "q"), model::value{109});
  node.router->place(id.shard, {});
  post(c, 110, 110);  // past the host again
  node.run();
  EXPECT_TRUE(c.port->to(110) && *c.port->to(110));
}

TEST_F(Session, WhatItAsksPastTheHostKeepsTheEntityAwake) {
  const auto c = node.login("dk");
  for (std::uint64_t i = 0; i < 10; ++i) {
    node.pass(4min);
    post(c, 100 + i, 1);
    node.run();
  }
  EXPECT_EQ(node.awake(), 1u);
}

TEST_F(Session, WhatItSaysPastTheHostIsInTheStoreWithTheNextCheckpoint) {
  const auto c = node.login("dk");
  post(c, 100, 7);
  node.pass(2min);
  EXPECT_GT(node.store->rows(storage::family::latest, storage::keys::latest(id)), 0u);
}

TEST_F(Session, WhatComesWhileAnotherWriteIsLostIsAnswered) {
  const auto c = node.login("dk");
  node.store->faults.appends = 1;
  post(c, 100, 1);
  node.where().run_only(c.session);
  post(c, 101, 2);
  node.run();
  node.pass(10s);
  post(c, 102, 3);
  node.run();
  for (std::uint64_t i = 100; i < 103; ++i)
    EXPECT_TRUE(c.port->to(i)) << i;
  EXPECT_EQ(code_of(c.port->to(100)), errc::unavailable);
  EXPECT_TRUE(*c.port->to(102));
  EXPECT_EQ(node.latest(id, "q"), model::value{3});
}

TEST_F(Session, AConnectionThatEndsDuringALoginThatIsRefusedIsGone) {
  const auto c = node.connect();
  log_in(c, 5, "wrong");
  close(c);
  node.run();
  EXPECT_FALSE(c.port->to(5));
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(Session, AConnectionThatEndsDuringALoginThatIsGrantedIsToldToTheDevice) {
  const auto c = node.connect();
  log_in(c, 5);
  close(c);
  node.run();
  EXPECT_FALSE(node.state_of(id).connection.online);
  EXPECT_EQ(*node.state_of(id).connection.reason, "socket");
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(Session, AnEndWhoseWriteIsLostIsToldAgain) {
  const auto c = node.login("dk");
  node.store->faults.appends = 1;
  close(c);
  node.run();
  node.pass(10s);
  EXPECT_FALSE(node.state_of(id).connection.online);
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(Session, APortThatIsGoneHurtsNobody) {
  auto port = std::make_shared<tests::recording_port>();
  auto session = spawn_session(node.system(), {node.router, node.sessions}, port);
  port.reset();
  caf::anon_send(session, session_login{1, name, tests::login(name)});
  caf::anon_send(session, session_deliver{{"1", name, model::service_call{}}});
  caf::anon_send(session, session_end{id, "taken_over"});
  node.run();
  caf::anon_send(session, session_closed{"socket"});
  session = nullptr;
  node.run();
  EXPECT_EQ(node.sessions->size(), 0u);
  EXPECT_FALSE(node.state_of(id).connection.online);
}

TEST(SessionTable, FindsOnlySessionsOfThisIncarnation) {
  auto node = tests::small_node{};
  node.connect();
  EXPECT_TRUE(node.sessions->find({node.incarnation, 1, 0}));
  EXPECT_FALSE(node.sessions->find({node.incarnation + 1, 1, 0}));
  EXPECT_FALSE(node.sessions->find({node.incarnation, 2, 0}));
}

// ---- a gateway's connection

class GatewaySession : public Session {
 protected:
  GatewaySession() {
    sub = node.add_device("sub");
    const auto link = device::gateway_link{id, name};
    EXPECT_TRUE(
        node.ask(sub, tests::order(device::bind_gateway{link, tests::organisation, {}, false})));
    hub = node.login("dk");
  }
  void send(std::uint64_t number, device::order what, const model::device_name& whom,
            session_ask::right as = session_ask::right::gateway) {
    auto asks = session_asks{};
    asks.items.push_back({number, std::move(what), whom, as});
    caf::anon_send(hub.session, std::move(asks));
    node.run();
  }
  void log_in_sub(std::uint64_t number) {
    send(number, tests::login(sub_name), sub_name);
    ASSERT_TRUE(hub.port->to(number) && *hub.port->to(number));
  }
  model::device_name sub_name{tests::product_key, "sub"};
  model::entity_id sub;
  tests::small_node::connection hub;
};

TEST_F(GatewaySession, SpeaksForASubDeviceThatItHasLoggedIn) {
  send(10, tests::points(node.now(), {{"q", 7}}), sub_name);
  EXPECT_EQ(code_of(hub.port->to(10)), errc::forbidden);
  log_in_sub(11);
  EXPECT_TRUE(node.state_of(sub).connection.by_gateway);
  send(12, tests::points(node.now(), {{"q", 7}}), sub_name);
  EXPECT_TRUE(*hub.port->to(12));
  EXPECT_EQ(node.latest(sub, "q"), model::value{7});
  send(13, device::disconnect{"logout"}, sub_name);
  EXPECT_FALSE(node.state_of(sub).connection.online);
  EXPECT_TRUE(node.state_of(id).connection.online);
}

TEST_F(GatewaySession, TakesItsSubDevicesWithItWhenItEnds) {
  log_in_sub(11);
  close(hub);
  node.run();
  EXPECT_FALSE(node.state_of(sub).connection.online);
  EXPECT_EQ(*node.state_of(sub).connection.reason, "gateway_offline");
  EXPECT_FALSE(node.state_of(id).connection.online);
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(GatewaySession, ASubDevicesLoginThatComesAfterTheEndIsTakenBack) {
  auto asks = session_asks{};
  asks.items.push_back({11, tests::login(sub_name), sub_name});
  caf::anon_send(hub.session, std::move(asks));
  close(hub);
  node.run();
  EXPECT_FALSE(node.state_of(sub).connection.online);
  EXPECT_EQ(node.sessions->size(), 0u);
}

TEST_F(GatewaySession, ASubDeviceThatLosesItsRightIsGoneAlone) {
  log_in_sub(11);
  ASSERT_TRUE(
      node.ask(sub, tests::order(device::set_admin_state{device::admin_state::disabled, ""})));
  node.run();
  EXPECT_THAT(hub.port->subs_gone, ElementsAre(sub_name));
  EXPECT_TRUE(hub.port->closed.empty());
  EXPECT_TRUE(node.state_of(id).connection.online);
}

TEST_F(GatewaySession, ACommandForASubDeviceComesByItsGateway) {
  log_in_sub(11);
  auto c = device::command_record{};
  c.id = model::make_entity_id(sub.shard, node.now(), {1});
  c.type = device::command_record::form::read;
  c.input = {{"q", nullptr}};
  ASSERT_TRUE(node.ask(sub, tests::order(device::send_command{c})));
  ASSERT_EQ(hub.port->delivered.size(), 1u);
  EXPECT_EQ(hub.port->delivered[0].target, sub_name);
}

TEST_F(GatewaySession, InTheNameOfTheServiceItAsksWithoutASession) {
  send(10, device::read_device{}, sub_name, session_ask::right::service);
  EXPECT_TRUE(*hub.port->to(10));
  const auto channel = node.connect();
  auto asks = session_asks{};
  asks.items.push_back({20, device::read_device{}, sub_name, session_ask::right::service});
  caf::anon_send(channel.session, session_channel{"integration:pk"});
  caf::anon_send(channel.session, std::move(asks));
  node.run();
  EXPECT_TRUE(channel.port->to(20) && *channel.port->to(20));
  auto own = session_asks{};
  own.items.push_back({21, device::read_device{}});
  caf::anon_send(channel.session, std::move(own));
  node.run();
  EXPECT_EQ(code_of(channel.port->to(21)), errc::unauthenticated) << "it has no device of its own";
  close(channel);
  node.run();
  EXPECT_EQ(node.sessions->size(), 1u);
}

TEST_F(GatewaySession, TheLossOfItsNodeIsThatOfItsSubDevices) {
  log_in_sub(11);
  node.crash();
  node.start();
  node.run();
  EXPECT_FALSE(node.state_of(sub).connection.online);
  EXPECT_EQ(*node.state_of(sub).connection.reason, "node_lost");
}

}  // namespace
}  // namespace orrery::actors
