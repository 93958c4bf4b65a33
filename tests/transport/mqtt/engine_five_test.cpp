// What the engine does for a client of version 5.
#include <gtest/gtest.h>

#include "packets.hpp"
#include "transport/mqtt/engine.hpp"

namespace orrery::transport::mqtt {
namespace {

using namespace std::chrono_literals;

constexpr auto five = protocol::v5;

/// A server's engine and a client of version 5.
class FiveEngine : public testing::Test {
 protected:
  std::optional<action> tell(const packet& p) {
    said.push_back(bytes_of(p, five));
    auto view = std::string_view{said.back()};
    auto todo = e.step(view, now);
    EXPECT_TRUE(view.empty());
    return todo;
  }
  std::string_view over_after(const packet& p) {
    const auto todo = tell(p);
    const auto* o = todo ? std::get_if<over>(&*todo) : nullptr;
    return o ? o->reason : "";
  }
  /// What the engine sent since the last look; it must be packets of version 5.
  std::vector<packet> sent() {
    sent_bytes.push_back(std::move(e.out()));
    e.out().clear();
    auto view = std::string_view{sent_bytes.back()};
    auto all = std::vector<packet>{};
    while (!view.empty()) {
      auto got = decode(view, view.size(), five);
      if (!got || !*got) {
        ADD_FAILURE() << "the engine sent what is no packet";
        break;
      }
      view.remove_prefix((*got)->size);
      all.push_back(std::move((*got)->what));
    }
    return all;
  }
  template <class Packet>
  Packet only() {
    auto all = sent();
    if (all.size() != 1 || !std::holds_alternative<Packet>(all[0])) {
      ADD_FAILURE() << "expected one packet of another kind, got " << all.size();
      return {};
    }
    return std::get<Packet>(all[0]);
  }
  connack connected(const properties& with = {}, const terms& told = {},
                    std::optional<kept_session> resumed = {}) {
    auto c = connect{.protocol_level = 5, .client_id = "c", .with = with};
    const auto todo = tell(c);
    EXPECT_TRUE(todo && std::holds_alternative<login_wanted>(*todo));
    e.grant(now, std::move(resumed), told);
    return only<connack>();
  }
  std::uint64_t post(std::uint16_t id, qos level = qos::at_least_once) {
    const auto todo = tell(publish{.topic = "t", .payload = "x", .level = level, .packet_id = id});
    return todo ? std::get<message>(*todo).ticket : 0;
  }
  static publish of(std::string_view topic, std::string_view payload, qos level) {
    return {.topic = topic, .payload = payload, .level = level};
  }

  engine e{{.max_packet_bytes = 100'000,
            .max_subscriptions = 3,
            .max_queued = 5,
            .receive_maximum = 3,
            .topic_aliases = 2,
            .max_granted = qos::exactly_once}};
  std::deque<std::string> said, sent_bytes;
  model::timestamp now = model::from_ms(1'000'000);
};

TEST_F(FiveEngine, TellsWhatItGrants) {
  const auto c = connected({.session_expiry = 60, .request_response_info = 1},
                           {.session_expiry = 4'294'967'295,
                            .keep_alive = 30,
                            .assigned_client_id = "auto",
                            .response_info = "r/1"});
  EXPECT_EQ(c.code, 0);
  EXPECT_FALSE(c.session_present);
  EXPECT_EQ(c.with->session_expiry, 4'294'967'295u);
  EXPECT_EQ(c.with->server_keep_alive, 30);
  EXPECT_EQ(c.with->assigned_client_id, "auto");
  EXPECT_EQ(c.with->response_info, "r/1");
  EXPECT_EQ(c.with->receive_maximum, 3);
  EXPECT_EQ(c.with->maximum_packet_size, 100'000u);
  EXPECT_EQ(c.with->topic_alias_maximum, 2);
  EXPECT_EQ(c.with->shared_available, 0);
  EXPECT_FALSE(c.with->retain_available || c.with->maximum_qos || c.with->wildcards_available);
  now += 45s;
  EXPECT_FALSE(e.tick(now));
  now += 1ms;
  EXPECT_EQ(e.tick(now)->reason, "keep_alive");  // the server's interval counts
}

TEST_F(FiveEngine, ResponseInformationIsForThoseWhoAsk) {
  EXPECT_FALSE(connected({}, {.response_info = "r/1"}).with->response_info);
}

TEST_F(FiveEngine, CleanStartAndExpiryAreTwoThings) {
  struct {
    bool clean;
    std::optional<std::uint32_t> expiry;
    bool resumes, keeps;
  } const rows[] = {{true, {}, false, false},
                    {true, 0, false, false},
                    {true, 9, false, true},
                    {false, {}, true, false},
                    {false, 4'294'967'295, true, true}};
  for (const auto& r : rows) {
    auto fresh = engine{{}};
    const auto in = bytes_of(connect{.protocol_level = 5,
                                     .clean_session = r.clean,
                                     .client_id = "c",
                                     .with = properties{.session_expiry = r.expiry}});
    auto view = std::string_view{in};
    const auto todo = fresh.step(view, now);
    const auto& wanted = std::get<login_wanted>(*todo);
    EXPECT_EQ(wanted.resumes, r.resumes);
    EXPECT_EQ(wanted.keeps_session, r.keeps);
  }
}

TEST_F(FiveEngine, ExpiryIsGrantedUpToALimit) {
  EXPECT_EQ(granted_expiry(60, 1h), 60u);
  EXPECT_EQ(granted_expiry(3'601, 1h), 3'600u);
  EXPECT_EQ(granted_expiry(no_expiry, 1h), 3'600u);
  EXPECT_EQ(granted_expiry(no_expiry, 1ms), 1u) << "0 would be none";
  EXPECT_EQ(granted_expiry(0, 1h), 0u);
  for (const auto asked : {60u, no_expiry})
    EXPECT_EQ(granted_expiry(asked, 0ms), asked) << "no limit";
  EXPECT_EQ(granted_expiry(no_expiry, std::chrono::hours{24 * 365 * 200}), no_expiry);
}

TEST_F(FiveEngine, KeepAliveIsBounded) {
  EXPECT_EQ(granted_keep_alive(60, 1h), std::nullopt);
  EXPECT_EQ(granted_keep_alive(3'600, 1h), std::nullopt);
  EXPECT_EQ(granted_keep_alive(3'601, 1h), 3'600);
  EXPECT_EQ(granted_keep_alive(0, 1h), 3'600) << "none is longest";
  EXPECT_EQ(granted_keep_alive(0, 1ms), 1);
  EXPECT_EQ(granted_keep_alive(0, 0ms), std::nullopt) << "no limit";
  EXPECT_EQ(granted_keep_alive(0, std::chrono::hours{100}), 0xffff);
}

TEST_F(FiveEngine, RefusesWithATextForThoseWhoWantIt) {
  tell(connect{.protocol_level = 5, .client_id = "c"});
  e.refuse(0x9c, "full", "other:1883");
  const auto c = only<connack>();
  EXPECT_EQ(c.code, 0x9c);
  EXPECT_EQ(c.with->reason, "full");
  EXPECT_EQ(c.with->server_reference, "other:1883");
  e.end("full");
  EXPECT_TRUE(sent().empty());  // it is answered

  e = engine{{}};
  tell(connect{.protocol_level = 5, .client_id = "c", .with = properties{.request_problems = 0}});
  e.refuse(0x86, "login_refused");
  EXPECT_EQ(only<connack>(), (connack{false, 0x86, {}}));
}

TEST_F(FiveEngine, AnAuthenticationMethodIsNotKnown) {
  EXPECT_EQ(over_after(connect{.protocol_level = 5,
                               .client_id = "c",
                               .with = properties{.auth_method = "SCRAM", .auth_data = "x"}}),
            "auth_method_unknown");
  EXPECT_EQ(only<connack>().code, 0x8c);
  e = engine{{}};
  connected();
  EXPECT_EQ(over_after(auth{0x19, properties{.auth_method = "SCRAM"}}), "unexpected_packet");
}

TEST_F(FiveEngine, AMalformedConnectIsToldSo) {
  struct {
    std::string in;
    unsigned code;
  } const rows[] = {
      {std::string{"\x10\x0e\0\4MQTT\5\3\0\0\0\0\1c", 16}, 0x81},          // reserved flag
      {std::string{"\x10\x11\0\4MQTT\5\2\0\0\3\x21\0\0\0\1c", 19}, 0x82},  // receive maximum 0
      {std::string{"\x10\xff\xff\xff\x7f\0\4MQTT\5", 12}, 0x95},           // too large
  };
  for (const auto& r : rows) {
    e = engine{{}};
    auto view = std::string_view{r.in};
    const auto todo = e.step(view, now);
    ASSERT_TRUE(todo && std::holds_alternative<over>(*todo));
    e.end(std::get<over>(*todo).reason);
    EXPECT_EQ(only<connack>().code, r.code);
  }
}

TEST_F(FiveEngine, SaysGoodbyeWithACode) {
  struct {
    const char* reason;
    unsigned code;
  } const rows[] = {{"taken_over", 0x8e},
                    {"keep_alive", 0x8d},
                    {"node_stopped", 0x8b},
                    {"disabled", 0x98},
                    {"deleted", 0x98},
                    {"slow_consumer", 0x97},
                    {"server_moved", 0x9d},
                    {"use_another_server", 0x9c},
                    {"packet_too_large", 0x95},
                    {"malformed_publish", 0x81},
                    {"answer_timeout", 0x89},
                    {"not_kept", 0x80},
                    {"receive_maximum_exceeded", 0x93}};
  for (const auto& r : rows) {
    e = engine{{}};
    connected();
    e.end(r.reason, r.code == 0x9d ? "other:1883" : "");
    const auto d = only<disconnect>();
    EXPECT_EQ(d.code, r.code) << r.reason;
    EXPECT_EQ(d.with->reason, r.reason);
    EXPECT_EQ(d.with->server_reference.has_value(), r.code == 0x9d);
    e.end("keep_alive");
    EXPECT_TRUE(sent().empty());  // once
  }
  for (const auto* silent : {"client", "socket"}) {
    e = engine{{}};
    connected();
    e.end(silent);
    EXPECT_TRUE(sent().empty()) << silent;
  }
  e = engine{{}};
  connected({.request_problems = 0});
  e.end("taken_over");
  EXPECT_EQ(only<disconnect>(), (disconnect{0x8e, {}}));
}

TEST_F(FiveEngine, AnOlderClientIsToldNothingAtTheEnd) {
  const auto in = bytes_of(connect{.client_id = "c"});
  auto view = std::string_view{in};
  e.step(view, now);
  e.grant(now);
  e.out().clear();
  e.end("taken_over");
  EXPECT_EQ(e.out(), "");
}

TEST_F(FiveEngine, ADisconnectMayWantItsWillAndChangeItsExpiry) {
  connected({.session_expiry = 10});
  auto todo = tell(disconnect{4, properties{.session_expiry = 0}});
  EXPECT_EQ(std::get<over>(*todo).reason, "client");
  EXPECT_TRUE(std::get<over>(*todo).with_will);
  EXPECT_EQ(std::get<over>(*todo).session_expiry, 0u);
  e = engine{{}};
  connected();
  todo = tell(disconnect{});
  EXPECT_FALSE(std::get<over>(*todo).with_will);
  EXPECT_FALSE(std::get<over>(*todo).session_expiry);
  // What was not kept cannot be kept by the goodbye (3.14.2.2.2).
  e = engine{{}};
  connected();
  EXPECT_EQ(over_after(disconnect{0, properties{.session_expiry = 10}}), "protocol_error");
}

TEST_F(FiveEngine, AcknowledgesWithACodeAndAText) {
  connected();
  const auto first = post(1), second = post(2, qos::exactly_once);
  e.settle(second, 0x97, "full");
  EXPECT_TRUE(sent().empty());
  e.settle(first, 0x87, "topic_forbidden");
  const auto all = sent();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0], (packet{puback{1, 0x87, properties{.reason = "topic_forbidden"}}}));
  EXPECT_EQ(all[1], (packet{pubrec{2, 0x97, properties{.reason = "full"}}}));
  // A refusal ends the flow of QoS 2: the id is free, and its release is unknown.
  EXPECT_TRUE(e.unreleased().empty());
  tell(pubrel{2});
  EXPECT_EQ(only<pubcomp>(), (pubcomp{2, 0x92, {}}));
  e.settle(post(3));
  EXPECT_EQ(only<puback>(), (puback{3, 0, {}}));
}

TEST_F(FiveEngine, ATextThatMakesAPacketTooLargeIsLeftOut) {
  connected({.maximum_packet_size = 40});
  e.settle(post(1), 0x87, std::string(100, 'x'));
  EXPECT_EQ(only<puback>(), (puback{1, 0x87, {}}));
  EXPECT_FALSE(e.send("t", std::string(40, 'x'), qos::at_most_once));
  EXPECT_FALSE(e.send("t", std::string(40, 'x'), qos::at_least_once));
  EXPECT_EQ(e.send(of("t", std::string(40, 'x'), qos::exactly_once), 1, now).how, taken::too_large);
  EXPECT_TRUE(sent().empty());
  EXPECT_TRUE(e.send("t", std::string(30, 'x'), qos::at_least_once));
  EXPECT_EQ(sent().size(), 1u);
}

TEST_F(FiveEngine, TheClientKeepsToTheReceiveMaximum) {
  connected();
  const auto first = post(1);
  post(2);
  post(3, qos::exactly_once);
  EXPECT_EQ(post(3, qos::exactly_once), 0u);  // a repetition is no further one
  e.settle(first);
  post(4);
  EXPECT_EQ(over_after(of("t", "", qos::at_most_once)), "");
  EXPECT_EQ(over_after({publish{
                .topic = "t", .payload = "", .level = qos::at_least_once, .packet_id = 5}}),
            "receive_maximum_exceeded");
}

TEST_F(FiveEngine, AFlowOfQosTwoCountsUntilItsRelease) {
  connected();
  for (std::uint16_t id = 1; id <= 3; ++id)
    e.settle(post(id, qos::exactly_once));
  tell(pubrel{1});
  e.settle(post(4, qos::exactly_once));
  EXPECT_EQ(
      over_after(publish{.topic = "t", .payload = "", .level = qos::exactly_once, .packet_id = 5}),
      "receive_maximum_exceeded");
}

TEST_F(FiveEngine, OlderClientsHaveNoReceiveMaximum) {
  auto old = engine{{.receive_maximum = 1}};
  auto in = bytes_of(connect{.client_id = "c"});
  auto view = std::string_view{in};
  old.step(view, now);
  old.grant(now);
  for (std::uint16_t id = 1; id < 9; ++id) {
    in = bytes_of(
        publish{.topic = "t", .payload = "", .level = qos::at_least_once, .packet_id = id});
    view = in;
    const auto todo = old.step(view, now);
    EXPECT_TRUE(std::holds_alternative<message>(*todo));
  }
}

TEST_F(FiveEngine, TopicAliasesOfTheClient) {
  connected();
  const auto aliased = [&](std::string_view topic, std::uint16_t alias) {
    return publish{.topic = topic, .payload = "x", .with = properties{.topic_alias = alias}};
  };
  const auto topic_of = [&](const packet& p) {
    const auto todo = tell(p);
    return std::string{std::get<message>(*todo).packet.topic};
  };
  EXPECT_EQ(topic_of(aliased("a/b", 2)), "a/b");
  EXPECT_EQ(topic_of(aliased("", 2)), "a/b");
  EXPECT_EQ(topic_of(aliased("c", 1)), "c");
  EXPECT_EQ(topic_of(aliased("d", 2)), "d");
  EXPECT_EQ(topic_of(aliased("", 2)), "d");
  EXPECT_EQ(topic_of(aliased("", 1)), "c");
  EXPECT_EQ(over_after(aliased("e", 3)), "topic_alias_invalid");
  e = engine{{}};
  connected();
  EXPECT_EQ(over_after(aliased("", 1)), "protocol_error");
}

TEST_F(FiveEngine, TopicAliasesForTheClient) {
  connected({.topic_alias_maximum = 1});
  for (auto i = 0; i < 4; ++i)
    EXPECT_TRUE(e.send("some/topic", "x", qos::at_most_once));
  auto all = sent();
  ASSERT_EQ(all.size(), 4u);
  const auto topic = [&](int i) {
    return std::get<publish>(all[static_cast<std::size_t>(i)]).topic;
  };
  const auto alias = [&](int i) {
    return std::get<publish>(all[static_cast<std::size_t>(i)]).with->topic_alias;
  };
  EXPECT_EQ(topic(0), "some/topic");
  EXPECT_FALSE(alias(0));  // it might never come again
  EXPECT_EQ(topic(1), "some/topic");
  EXPECT_EQ(alias(1), 1);
  EXPECT_EQ(topic(2), "");
  EXPECT_EQ(alias(2), 1);
  EXPECT_EQ(topic(3), "");
  for (auto i = 0; i < 3; ++i)
    EXPECT_TRUE(e.send("other", "x", qos::at_most_once));  // the client takes no second one
  all = sent();
  EXPECT_EQ(topic(2), "other");
  EXPECT_FALSE(alias(2));
}

TEST_F(FiveEngine, NoAliasUnlessTheClientTakesSome) {
  connected();
  for (auto i = 0; i < 4; ++i)
    EXPECT_TRUE(e.send("t", "x", qos::at_most_once));
  for (const auto& p : sent())
    EXPECT_FALSE(std::get<publish>(p).with->topic_alias);
}

TEST_F(FiveEngine, TheClientsReceiveMaximumBoundsWhatIsUnderWay) {
  connected({.receive_maximum = 2});
  for (std::uint64_t key = 1; key <= 5; ++key)
    EXPECT_TRUE(e.send(of("t", std::to_string(key), qos::at_least_once), key, now));
  EXPECT_EQ(e.send(of("t", "6", qos::at_least_once), 6, now).how, taken::queue_full);
  EXPECT_TRUE(e.send(of("t", "0", qos::at_most_once), 0, now));  // needs no acknowledgement
  auto all = sent();
  ASSERT_EQ(all.size(), 3u);
  auto expected = 3;
  auto under_way = std::deque<std::uint16_t>{std::get<publish>(all[0]).packet_id,
                                             std::get<publish>(all[1]).packet_id};
  for (std::uint64_t key = 1; key <= 5; ++key) {
    const auto done = tell(puback{under_way.front()});
    under_way.pop_front();
    EXPECT_EQ(std::get<completed>(*done).key, key);
    for (const auto& p : sent()) {
      EXPECT_EQ(std::get<publish>(p).payload, std::to_string(expected++));
      under_way.push_back(std::get<publish>(p).packet_id);
    }
    EXPECT_LE(under_way.size(), 2u);
  }
  EXPECT_EQ(expected, 6);
}

TEST_F(FiveEngine, RepliesAndCommandsWaitToo) {
  connected({.receive_maximum = 1});
  EXPECT_TRUE(e.send("r", "reply", qos::at_least_once));
  EXPECT_EQ(e.send_command("c", "command", 7, false), qos::at_least_once);
  const auto reply = only<publish>();
  tell(puback{reply.packet_id});
  const auto command = only<publish>();
  EXPECT_EQ(command.payload, "command");
  const auto done = tell(puback{command.packet_id});
  EXPECT_EQ(std::get<delivered>(*done).command, 7u);
}

TEST_F(FiveEngine, QosTwoOutgoingTakesFourSteps) {
  connected();
  const auto went = e.send(of("t", "x", qos::exactly_once), 42, now);
  const auto p = only<publish>();
  EXPECT_EQ(p.packet_id, went.packet_id);
  EXPECT_EQ(p.level, qos::exactly_once);
  auto todo = tell(pubrec{p.packet_id});
  EXPECT_EQ(std::get<received>(*todo).key, 42u);
  EXPECT_EQ(only<pubrel>().packet_id, p.packet_id);
  EXPECT_FALSE(tell(pubrec{p.packet_id}));  // that PUBREL was lost
  EXPECT_EQ(only<pubrel>().packet_id, p.packet_id);
  todo = tell(pubcomp{p.packet_id});
  EXPECT_EQ(std::get<completed>(*todo).key, 42u);
  EXPECT_EQ(std::get<completed>(*todo).code, 0);
  EXPECT_FALSE(tell(pubcomp{p.packet_id}));
  tell(pubrec{p.packet_id});  // of nothing now
  EXPECT_EQ(only<pubrel>(), (pubrel{p.packet_id, 0x92, {}}));
}

TEST_F(FiveEngine, ARefusalEndsAFlow) {
  connected();
  const auto id = e.send(of("t", "x", qos::exactly_once), 1, now).packet_id;
  const auto todo = tell(pubrec{id, 0x97, {}});
  EXPECT_EQ(std::get<completed>(*todo).code, 0x97);
  sent();
  EXPECT_FALSE(tell(pubcomp{id}));
}

TEST_F(FiveEngine, AnAcknowledgementOfAnotherQosIsWrong) {
  connected();
  const auto once = e.send(of("t", "x", qos::at_least_once), 1, now).packet_id;
  EXPECT_EQ(over_after(pubrec{once}), "protocol_error");
  const auto twice = e.send(of("t", "x", qos::exactly_once), 2, now).packet_id;
  EXPECT_EQ(over_after(puback{twice}), "protocol_error");
  EXPECT_EQ(over_after(pubcomp{twice}), "protocol_error");
}

TEST_F(FiveEngine, AMessageKeepsItsProperties) {
  connected();
  const auto with = properties{.payload_format = 1,
                               .message_expiry = 60,
                               .content_type = "text/plain",
                               .response_topic = "r",
                               .correlation_data = std::string_view{"\0\1", 2},
                               .user = {{"a", "b"}, {"a", "c"}}};
  auto p = of("t", "x", qos::at_most_once);
  p.retain = true;
  p.with = with;
  const auto todo = tell(p);
  EXPECT_EQ(std::get<message>(*todo).packet, p);
  EXPECT_TRUE(e.send(p, 1, now));
  EXPECT_EQ(only<publish>(), p);
}

TEST_F(FiveEngine, TimeThatAMessageWaitsGoesOffItsExpiry) {
  connected({.receive_maximum = 1});
  const auto first = e.send(of("t", "1", qos::at_least_once), 1, now).packet_id;
  auto p = of("t", "2", qos::at_least_once);
  p.with.edit().message_expiry = 10;
  const auto second = e.send(p, 2, now).packet_id;
  p.payload = "3";
  p.with.edit().message_expiry = 4;
  e.send(p, 3, now);
  sent();
  now += 3'500ms;
  tell(puback{first});
  EXPECT_EQ(only<publish>().with->message_expiry, 7u);
  now += 500ms;
  auto todo = tell(puback{second});
  EXPECT_EQ(std::get<completed>(*todo).key, 2u);
  EXPECT_TRUE(sent().empty());
  auto nothing = std::string_view{};
  todo = e.step(nothing, now);
  ASSERT_TRUE(todo);
  EXPECT_EQ(std::get<completed>(*todo).key, 3u);
  EXPECT_TRUE(std::get<completed>(*todo).dropped);
}

TEST_F(FiveEngine, WhatWaitsHasABoundInBytes) {
  auto roomy = engine{{}};
  const auto in = bytes_of(
      connect{.protocol_level = 5, .client_id = "c", .with = properties{.receive_maximum = 1}});
  auto view = std::string_view{in};
  roomy.step(view, now);
  roomy.grant(now);
  const auto payload = std::string(1'000'000, 'x');
  auto taken_ones = 0;
  while (taken_ones < 100 && roomy.send(of("t", payload, qos::at_least_once), 1, now))
    ++taken_ones;
  EXPECT_EQ(taken_ones, 5);  // one under way, four waiting
}

TEST_F(FiveEngine, SubscriptionsHaveOptions) {
  connected();
  const auto todo = tell(subscribe{
      1,
      {{"a/#", qos::exactly_once, true, true, 1}, {"b", qos::at_least_once, false, false, 2}},
      properties{.subscription_ids = {300}}});
  const auto& made = std::get<subscribed>(*todo);
  EXPECT_EQ(only<suback>(), (suback{1, {2, 1}, {}}));
  EXPECT_EQ(made.wants_retained, (std::vector<std::string>{"a/#"}));
  EXPECT_EQ(subscription::unpacked(*made.changes.at("a/#")),
            (subscription{qos::exactly_once, true, true, 1, 300}));
  EXPECT_EQ(*made.changes.at("b"), 0x21u | 300u << 8);
  EXPECT_FALSE(e.wants("a/x", true));
  const auto w = e.wants("a/x");
  ASSERT_TRUE(w);
  EXPECT_EQ(w->level, qos::exactly_once);
  EXPECT_TRUE(w->retain_as_published);
  EXPECT_EQ(w->ids, std::vector<std::uint32_t>{300});
  // Once more: it is not new, and has no identifier any more.
  const auto again = tell(subscribe{2, {{"a/#", qos::at_most_once, false, false, 1}}});
  EXPECT_TRUE(std::get<subscribed>(*again).wants_retained.empty());
  EXPECT_TRUE(e.wants("a/x", true)->ids.empty());
}

TEST_F(FiveEngine, ADeliveryNamesTheSubscriptionsThatItIsFor) {
  connected();
  tell(subscribe{1, {{"a/#", {}}}, properties{.subscription_ids = {7}}});
  tell(subscribe{2, {{"a/+", {}}}, properties{.subscription_ids = {9}}});
  tell(subscribe{3, {{"a/b", {}}}});
  sent();
  EXPECT_TRUE(e.send("a/b", "x", qos::at_least_once));
  auto ids = only<publish>().with->subscription_ids;
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{7, 9}));
  EXPECT_TRUE(e.send("c", "x", qos::at_most_once));
  EXPECT_TRUE(only<publish>().with->subscription_ids.empty());
  tell(unsubscribe{4, {"a/#", "a/+", "no"}});
  EXPECT_EQ(only<unsuback>(), (unsuback{4, {0, 0, 0x11}, {}}));
  EXPECT_TRUE(e.send("a/b", "x", qos::at_most_once));
  EXPECT_TRUE(only<publish>().with->subscription_ids.empty());
}

TEST_F(FiveEngine, SubscriptionsAreRefusedWithTheirReason) {
  connected();
  tell(subscribe{1, {{"$share/g/a", {}}, {"a", {}}, {"b", {}}, {"c", {}}, {"d", {}}}});
  EXPECT_EQ(only<suback>(), (suback{1, {0x9e, 0, 0, 0, 0x97}, {}}));
}

TEST_F(FiveEngine, WhatOnlyAServerMaySayEndsIt) {
  connected();
  EXPECT_EQ(
      over_after(publish{.topic = "t", .payload = "", .with = properties{.subscription_ids = {1}}}),
      "protocol_error");
  for (const auto& p : std::vector<packet>{connack{}, suback{1, {0}}, unsuback{1, {0}}, pingresp{}})
    EXPECT_EQ(over_after(p), "unexpected_packet");
}

TEST_F(FiveEngine, RetainedMessagesMayBeRefused) {
  e = engine{{.retain = false}};
  EXPECT_EQ(connected().with->retain_available, 0);
  EXPECT_EQ(over_after(publish{.topic = "t", .payload = "", .retain = true}),
            "retain_not_supported");
  e = engine{{.retain = false}};
  EXPECT_EQ(over_after(connect{.protocol_level = 5,
                               .client_id = "c",
                               .last_will = will{.topic = "t", .payload = "", .retain = true}}),
            "retain_not_supported");
  EXPECT_EQ(only<connack>().code, 0x9a);
}

TEST_F(FiveEngine, QosTwoMayBeRefused) {
  e = engine{{.max_published = qos::at_least_once}};
  EXPECT_EQ(connected().with->maximum_qos, 1);
  EXPECT_NE(post(1), 0u);
  EXPECT_EQ(
      over_after(publish{.topic = "t", .payload = "", .level = qos::exactly_once, .packet_id = 2}),
      "qos_not_supported");
  e = engine{{.max_published = qos::at_least_once}};
  EXPECT_EQ(over_after(connect{
                .protocol_level = 5,
                .client_id = "c",
                .last_will = will{.topic = "t", .payload = "", .level = qos::exactly_once}}),
            "qos_not_supported");
  EXPECT_EQ(only<connack>().code, 0x9b);
}

TEST_F(FiveEngine, AKeptSessionGoesOn) {
  const auto c =
      connected({.session_expiry = 9}, {}, kept_session{{{"a/#", 0x0e | 300 << 8}}, {5, 6}});
  EXPECT_TRUE(c.session_present);
  EXPECT_EQ(e.wants("a/b")->ids, std::vector<std::uint32_t>{300});
  EXPECT_FALSE(e.wants("a/b", true));
  EXPECT_EQ(post(5, qos::exactly_once), 0u);  // taken by the earlier connection
  EXPECT_EQ(only<pubrec>().packet_id, 5);
  tell(pubrel{5});
  EXPECT_EQ(only<pubcomp>(), (pubcomp{5, 0, {}}));
  EXPECT_EQ(e.unreleased(), (std::set<std::uint16_t>{6}));
  // What it had sent: once more with its id, or its release alone.
  auto p = of("a/b", "x", qos::exactly_once);
  p.packet_id = 17;
  p.dup = true;
  EXPECT_EQ(e.send(p, 1, now).packet_id, 17);
  EXPECT_TRUE(only<publish>().dup);
  EXPECT_FALSE(e.send(p, 1, now));  // that id is under way
  EXPECT_TRUE(e.release(18, 2));
  EXPECT_FALSE(e.release(18, 2));
  EXPECT_EQ(only<pubrel>().packet_id, 18);
  const auto done = tell(pubcomp{18});
  EXPECT_EQ(std::get<completed>(*done).key, 2u);
}

}  // namespace
}  // namespace orrery::transport::mqtt
