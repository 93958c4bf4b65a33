#include "transport/mqtt/engine.hpp"

#include <random>

#include <gtest/gtest.h>

namespace orrery::transport::mqtt {
namespace {

using namespace std::chrono_literals;

using words = std::vector<std::string>;

std::string encoded(const packet& p) {
  auto out = std::string{};
  encode(p, out);
  return out;
}

/// A packet in few words, as the tests below expect it.
struct describe {
  static std::string number(std::uint16_t n) { return ' ' + std::to_string(n); }
  std::string operator()(const connack& c) const {
    return "connack" + number(c.code) + (c.session_present ? " present" : "");
  }
  std::string operator()(const publish& p) const {
    return "publish " + std::string{p.topic} + ' ' + std::string{p.payload} +
           (p.level == qos::at_most_once ? "" : " q" + std::to_string(static_cast<int>(p.level))) +
           (p.retain ? " retain" : "") + (p.dup ? " dup" : "");
  }
  std::string operator()(const puback& a) const { return "puback" + number(a.packet_id); }
  std::string operator()(const pubrec& a) const { return "pubrec" + number(a.packet_id); }
  std::string operator()(const pubrel& a) const { return "pubrel" + number(a.packet_id); }
  std::string operator()(const pubcomp& a) const { return "pubcomp" + number(a.packet_id); }
  std::string operator()(const unsuback& a) const { return "unsuback" + number(a.packet_id); }
  std::string operator()(const suback& s) const {
    auto out = "suback" + number(s.packet_id) + ':';
    for (const auto code : s.codes)
      out += number(code);
    return out;
  }
  std::string operator()(const pingresp&) const { return "pingresp"; }
  template <class Other>
  std::string operator()(const Other&) const {
    return "no packet of a server";
  }
};

/// A server's engine and what a client says to it.
class Engine : public testing::Test {
 protected:
  /// Hands over bytes; gives what is to be done, in few words. Messages stay unsettled.
  words feed(std::string_view in) {
    waiting += in;
    auto view = std::string_view{waiting};
    auto todo = words{};
    while (auto a = e.step(view, now)) {
      if (const auto* m = std::get_if<message>(&*a)) {
        todo.push_back("message " + std::string{m->packet.topic} + ' ' +
                       std::string{m->packet.payload});
        tickets.push_back(m->ticket);
      } else if (const auto* c = std::get_if<login_wanted>(&*a)) {
        todo.push_back("login " + std::string{c->packet.client_id});
      } else if (const auto* s = std::get_if<subscribed>(&*a)) {
        todo.push_back("subscribed");
        if (s->ticket != 0)
          tickets.push_back(s->ticket);
      } else if (const auto* d = std::get_if<delivered>(&*a)) {
        todo.push_back("delivered " + std::to_string(d->command));
      } else {
        todo.push_back("over " + std::string{std::get<over>(*a).reason});
        break;
      }
    }
    waiting.erase(0, waiting.size() - view.size());
    return todo;
  }
  words tell(const packet& p) { return feed(encoded(p)); }

  /// What the engine sent since the last look.
  words sent() {
    auto out = words{};
    ids.clear();
    auto view = std::string_view{e.out()};
    while (!view.empty()) {
      const auto got = decode(view, view.size());
      if (!got || !*got) {
        ADD_FAILURE() << "the engine sent what is no packet";
        break;
      }
      out.push_back(std::visit(describe{}, (*got)->what));
      if (const auto* p = std::get_if<publish>(&(*got)->what))
        ids.push_back(p->packet_id);
      view.remove_prefix((*got)->size);
    }
    e.out().clear();
    return out;
  }

  void connected(std::uint16_t keep_alive = 0) {
    ASSERT_EQ(tell(connect{.keep_alive = keep_alive, .client_id = "c"}), words{"login c"});
    e.grant(now);
    ASSERT_EQ(sent(), words{"connack 0"});
  }
  words post(std::uint16_t id, qos level = qos::at_least_once, std::string_view payload = "x",
             bool dup = false) {
    return tell(publish{"t", payload, level, false, dup, id});
  }

  engine e{{.max_packet_bytes = 100'000, .max_subscriptions = 3, .max_queued = 5}};
  model::timestamp now = model::from_ms(1'700'000'000'000);
  std::string waiting;
  std::vector<std::uint64_t> tickets;  // of the messages, in their order
  std::vector<std::uint16_t> ids;      // of the publishes last sent
};

TEST_F(Engine, AsksForTheLoginAndGrantsIt) {
  EXPECT_FALSE(e.granted());
  const auto todo = tell(connect{.client_id = "c", .username = "u", .password = "p"});
  EXPECT_EQ(todo, words{"login c"});
  EXPECT_EQ(sent(), words{});  // not before it is checked
  e.grant(now);
  EXPECT_TRUE(e.granted());
  EXPECT_EQ(sent(), words{"connack 0"});
}

TEST_F(Engine, ARefusalIsAConnackWithItsCode) {
  tell(connect{.client_id = "c"});
  e.refuse(5);
  EXPECT_EQ(sent(), words{"connack 5"});
  EXPECT_FALSE(e.granted());
}

TEST_F(Engine, TheFirstPacketIsAConnect) {
  for (const auto& p :
       std::vector<packet>{publish{.topic = "t", .payload = "x"},
                           publish{"t", "x", qos::at_least_once, false, false, 1},
                           subscribe{1, {{"a", qos::at_most_once}}}, unsubscribe{1, {"a"}},
                           pingreq{}, disconnect{}, puback{1}, pubrel{1}, connack{}, pingresp{}}) {
    auto fresh = engine{{}};
    const auto in = encoded(p);
    auto view = std::string_view{in};
    const auto todo = fresh.step(view, now);
    ASSERT_TRUE(todo) << p.index();
    ASSERT_TRUE(std::holds_alternative<over>(*todo)) << p.index();
    EXPECT_EQ(std::get<over>(*todo).reason, "not_connected");
    EXPECT_EQ(fresh.out(), "");
  }
}

TEST_F(Engine, ASecondConnectEndsTheConnection) {
  connected();
  EXPECT_EQ(tell(connect{.client_id = "c"}), words{"over second_connect"});
  EXPECT_EQ(sent(), words{});
}

TEST_F(Engine, AnUnknownProtocolLevelIsAnsweredByCodeOne) {
  for (const auto& head :
       {std::string{"\0\4MQTT\6\2\0\0\0\0\0", 13}, std::string{"\0\4MQTT\3\2\0\0\0\1a", 13},
        std::string{"\0\6MQIsdp\4\2\0\0\0\1a", 15}, std::string{"\0\4MQTT\0\2\0\0\0\1a", 13}}) {
    auto fresh = engine{{}};
    const auto in = std::string{"\x10"} + static_cast<char>(head.size()) + head;
    auto view = std::string_view{in};
    const auto todo = fresh.step(view, now);
    ASSERT_TRUE(todo);
    ASSERT_TRUE(std::holds_alternative<over>(*todo)) << testing::PrintToString(head);
    EXPECT_EQ(std::get<over>(*todo).reason, "protocol_level");
    EXPECT_EQ(fresh.out(), encoded(connack{false, 1}));
  }
}

TEST_F(Engine, TheOlderProtocolNameIsTaken) {
  EXPECT_EQ(tell(connect{.protocol_level = 3, .client_id = "old"}), words{"login old"});
}

TEST_F(Engine, AMessageOfQosZeroIsNotAcknowledged) {
  connected();
  EXPECT_EQ(post(0, qos::at_most_once), words{"message t x"});
  EXPECT_EQ(tickets, std::vector<std::uint64_t>{0});
  EXPECT_EQ(e.unsettled(), 0u);
  e.settle(0);
  EXPECT_EQ(sent(), words{});
}

TEST_F(Engine, AMessageOfQosOneIsAcknowledgedOnceItIsSettled) {
  connected();
  EXPECT_EQ(post(7), words{"message t x"});
  EXPECT_EQ(sent(), words{});
  EXPECT_EQ(e.unsettled(), 1u);
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), words{"puback 7"});
  EXPECT_EQ(e.unsettled(), 0u);
  e.settle(tickets[0]);  // settled once, acknowledged once
  EXPECT_EQ(sent(), words{});
}

TEST_F(Engine, ARepetitionOfQosOneIsAMessageOfItsOwn) {
  connected();
  post(7);
  EXPECT_EQ(post(7, qos::at_least_once, "x", true), words{"message t x"});
  e.settle(tickets[1]);
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), (words{"puback 7", "puback 7"}));
}

TEST_F(Engine, AcknowledgementsKeepTheOrderOfTheMessages) {
  connected();
  for (std::uint16_t id = 1; id <= 6; ++id)
    post(id);
  e.settle(tickets[2]);
  e.settle(tickets[1]);
  EXPECT_EQ(sent(), words{});
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), (words{"puback 1", "puback 2", "puback 3"}));
  e.settle(tickets[5]);
  e.settle(tickets[3]);
  EXPECT_EQ(sent(), words{"puback 4"});
  e.settle(tickets[4]);
  EXPECT_EQ(sent(), (words{"puback 5", "puback 6"}));
  EXPECT_EQ(e.unsettled(), 0u);
}

TEST_F(Engine, AnyOrderOfSettlingGivesTheSameAcknowledgements) {
  auto random = std::mt19937{7};
  connected();
  auto next = std::uint16_t{1};
  for (auto round = 0; round < 50; ++round) {
    tickets.clear();
    auto expected = words{};
    for (auto n = random() % 20; n > 0; --n, ++next) {
      const auto twice = random() % 3 == 0;
      post(next, twice ? qos::exactly_once : qos::at_least_once);
      expected.push_back((twice ? "pubrec " : "puback ") + std::to_string(next));
    }
    std::shuffle(tickets.begin(), tickets.end(), random);
    auto got = words{};
    for (const auto ticket : tickets) {
      e.settle(ticket);
      for (auto& one : sent())
        got.push_back(std::move(one));
    }
    EXPECT_EQ(got, expected);
  }
}

TEST_F(Engine, UnknownTicketsSettleNothing) {
  connected();
  post(1);
  post(2);
  for (const auto ticket : {std::uint64_t{0}, tickets[1] + 1, ~std::uint64_t{0}})
    e.settle(ticket);
  EXPECT_EQ(sent(), words{});
  EXPECT_EQ(e.unsettled(), 2u);
}

TEST_F(Engine, QosTwoTakesFourSteps) {
  connected();
  EXPECT_EQ(post(9, qos::exactly_once), words{"message t x"});
  EXPECT_EQ(sent(), words{});
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), words{"pubrec 9"});
  EXPECT_EQ(tell(pubrel{9}), words{});
  EXPECT_EQ(sent(), words{"pubcomp 9"});
  EXPECT_EQ(post(9, qos::exactly_once, "y"), words{"message t y"});  // the id is free again
}

TEST_F(Engine, ARepetitionOfQosTwoIsTakenOnce) {
  connected();
  post(9, qos::exactly_once);
  // Before it is settled: its PUBREC is due and comes once.
  EXPECT_EQ(post(9, qos::exactly_once, "x", true), words{});
  EXPECT_EQ(sent(), words{});
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), words{"pubrec 9"});
  // After it: that PUBREC was lost.
  EXPECT_EQ(post(9, qos::exactly_once, "x", true), words{});
  EXPECT_EQ(sent(), words{"pubrec 9"});
  EXPECT_EQ(tell(pubrel{9}), words{});
  EXPECT_EQ(tell(pubrel{9}), words{});  // that PUBCOMP was lost
  EXPECT_EQ(sent(), (words{"pubcomp 9", "pubcomp 9"}));
  EXPECT_EQ(tickets.size(), 1u);
}

TEST_F(Engine, AReleaseOfAnUnknownIdIsConfirmed) {
  connected();
  EXPECT_EQ(tell(pubrel{77}), words{});
  EXPECT_EQ(sent(), words{"pubcomp 77"});
}

TEST_F(Engine, SendsWithAndWithoutAcknowledgement) {
  connected();
  EXPECT_TRUE(e.send("a", "zero", qos::at_most_once));
  EXPECT_TRUE(e.send("a", "one", qos::at_least_once));
  EXPECT_TRUE(e.send("a", "two", qos::exactly_once));  // the server sends nothing with QoS 2
  EXPECT_EQ(sent(), (words{"publish a zero", "publish a one q1", "publish a two q1"}));
  EXPECT_EQ(ids[0], 0);
  EXPECT_NE(ids[1], 0);
  EXPECT_NE(ids[1], ids[2]);
  EXPECT_EQ(tell(puback{ids[1]}), words{});
  EXPECT_EQ(tell(puback{12'345}), words{});  // of nothing: ignored
  EXPECT_EQ(sent(), words{});
}

TEST_F(Engine, TakesNoMoreThanTheClientAcknowledges) {
  connected();
  for (auto i = 0; i < 5; ++i)
    EXPECT_TRUE(e.send("a", "x", qos::at_least_once));
  EXPECT_FALSE(e.send("a", "x", qos::at_least_once));
  EXPECT_TRUE(e.send("a", "x", qos::at_most_once));
  EXPECT_EQ(sent().size(), 6u);
  EXPECT_EQ(tell(puback{ids[2]}), words{});
  EXPECT_TRUE(e.send("a", "x", qos::at_least_once));
  EXPECT_FALSE(e.send("a", "x", qos::at_least_once));
}

TEST_F(Engine, PacketIdsAreNeverZeroNorInUse) {
  connected();
  e.send("a", "kept", qos::at_least_once);
  sent();
  const auto kept = ids[0];
  auto seen = std::size_t{0};
  for (auto i = 0; i < 140'000; ++i) {
    ASSERT_TRUE(e.send("a", "x", qos::at_least_once));
    sent();
    ASSERT_NE(ids[0], 0);
    ASSERT_NE(ids[0], kept);
    ASSERT_EQ(tell(puback{ids[0]}), words{});
    ++seen;
  }
  EXPECT_EQ(seen, 140'000u);
}

TEST_F(Engine, ATopicThatNoPacketHoldsIsNotSent) {
  connected();
  EXPECT_FALSE(e.send(std::string(65'536, 't'), "x", qos::at_least_once));
  EXPECT_FALSE(e.send(std::string(65'536, 't'), "x", qos::at_most_once));
  EXPECT_EQ(sent(), words{});
  EXPECT_TRUE(e.send(std::string(65'535, 't'), "x", qos::at_least_once));
  EXPECT_EQ(sent().size(), 1u);
}

TEST_F(Engine, WhatNobodyKnowsOfQosTwoIsBroughtToItsEnd) {
  connected();
  EXPECT_EQ(tell(pubrec{1}), words{});
  EXPECT_EQ(sent(), words{"pubrel 1"});
  EXPECT_EQ(tell(pubcomp{1}), words{});
  EXPECT_EQ(sent(), words{});
}

TEST_F(Engine, GrantsSubscriptions) {
  connected();
  EXPECT_EQ(tell(subscribe{3, {{"a/+", qos::exactly_once}, {"b", qos::at_most_once}}}),
            words{"subscribed"});
  EXPECT_EQ(sent(), words{"suback 3: 1 0"});
  EXPECT_TRUE(e.listens_to("a/x"));
  EXPECT_TRUE(e.listens_to("b"));
  EXPECT_FALSE(e.listens_to("c"));
  EXPECT_EQ(tell(unsubscribe{4, {"a/+", "never subscribed"}}), words{"subscribed"});
  EXPECT_EQ(sent(), words{"unsuback 4"});
  EXPECT_FALSE(e.listens_to("a/x"));
  EXPECT_TRUE(e.listens_to("b"));
}

TEST_F(Engine, KnowsWhichRepliesAreNotWanted) {
  connected();
  EXPECT_FALSE(e.has_left("/a/post_reply"));
  tell(unsubscribe{1, {"/a/post_reply", "/a/+/get_reply", "/a/set"}});
  EXPECT_TRUE(e.has_left("/a/post_reply"));  // it had no subscription: it says so all the same
  EXPECT_FALSE(e.has_left("/a/b/get_reply"));
  EXPECT_FALSE(e.has_left("/a/set"));
  tell(subscribe{2, {{"/a/#", {}}}});
  EXPECT_FALSE(e.has_left("/a/post_reply"));
  tell(unsubscribe{3, {"/a/#"}});
  EXPECT_TRUE(e.has_left("/a/post_reply"));
  tell(subscribe{4, {{"/a/post_reply", {}}}});
  EXPECT_FALSE(e.has_left("/a/post_reply"));
  tell(unsubscribe{5, {"/a/post_reply", "/b_reply", "/c_reply", "/d_reply"}});
  EXPECT_TRUE(e.has_left("/a/post_reply"));
  EXPECT_FALSE(e.has_left("/d_reply"));  // as many as there may be subscriptions
}

TEST_F(Engine, SubscriptionsHaveALimit) {
  connected();
  tell(subscribe{1, {{"a", {}}, {"b", {}}, {"c", {}}, {"d", {}}}});
  EXPECT_EQ(sent(), words{"suback 1: 0 0 0 128"});
  tell(subscribe{2, {{"a", qos::at_least_once}}});  // a known one takes no place
  EXPECT_EQ(sent(), words{"suback 2: 1"});
  tell(unsubscribe{3, {"b"}});
  tell(subscribe{4, {{"d", {}}}});
  EXPECT_EQ(sent(), (words{"unsuback 3", "suback 4: 0"}));
}

TEST_F(Engine, AVeryLongFilterIsNotKept) {
  connected();
  const auto longest = std::string(1'024, 'f');
  tell(subscribe{1, {{longest, {}}, {longest + 'f', {}}}});
  EXPECT_EQ(sent(), words{"suback 1: 0 128"});
  EXPECT_TRUE(e.listens_to(longest));
  EXPECT_FALSE(e.listens_to(longest + 'f'));
}

TEST_F(Engine, SubscriptionsOfAKeptSessionAreAcknowledgedOnceTheyAreKept) {
  tell(connect{.clean_session = false, .client_id = "c"});
  e.grant(now);
  EXPECT_EQ(sent(), words{"connack 0"});
  post(1);
  EXPECT_EQ(tell(subscribe{2, {{"a", qos::at_least_once}}}), words{"subscribed"});
  EXPECT_EQ(tell(unsubscribe{3, {"a"}}), words{"subscribed"});
  EXPECT_EQ(tell(unsubscribe{4, {"never subscribed"}}), words{"subscribed"});
  EXPECT_EQ(sent(), words{"unsuback 4"});  // nothing to keep
  ASSERT_EQ(tickets.size(), 3u);
  e.settle(tickets[2]);
  e.settle(tickets[1]);
  EXPECT_EQ(sent(), words{});
  e.settle(tickets[0]);
  EXPECT_EQ(sent(), (words{"puback 1", "suback 2: 1", "unsuback 3"}));
}

TEST_F(Engine, ACommandHasTheQosThatWasSubscribed) {
  connected();
  EXPECT_EQ(e.send_command("c/x", "any", 1, false), qos::at_least_once);  // no filter: with 1
  tell(subscribe{1, {{"c/#", qos::at_most_once}}});
  EXPECT_EQ(e.send_command("c/x", "zero", 2, true), qos::at_most_once);
  tell(subscribe{2, {{"c/+", qos::exactly_once}, {"d", qos::at_most_once}}});
  EXPECT_EQ(e.send_command("c/x", "one", 3, false), qos::at_least_once);  // the highest counts
  EXPECT_EQ(sent(), (words{"publish c/x any q1", "suback 1: 0", "publish c/x zero", "suback 2: 1 0",
                           "publish c/x one q1"}));
}

TEST_F(Engine, CommandsHaveALimitOfTheirOwn) {
  connected();
  for (std::uint64_t n = 0; n < 5; ++n)
    EXPECT_TRUE(e.send_command("c", "x", 32'768 * n, false));  // the same id, if it were free
  EXPECT_FALSE(e.send_command("c", "x", 6, false));
  EXPECT_TRUE(e.send("a", "x", qos::at_least_once));
  EXPECT_EQ(sent().size(), 6u);
  EXPECT_EQ(std::set<std::uint16_t>(ids.begin(), ids.end()).size(), 6u);
}

TEST_F(Engine, KnowsWhoListensToCommands) {
  connected();
  EXPECT_FALSE(e.listens_to_commands());
  tell(subscribe{1, {{"/sys/pk/dk/thing/measurepoint/post_reply", {}}}});
  EXPECT_FALSE(e.listens_to_commands());
  tell(subscribe{2, {{"/sys/pk/dk/thing/service/+", {}}}});
  EXPECT_TRUE(e.listens_to_commands());
}

TEST_F(Engine, AnswersPings) {
  connected();
  EXPECT_EQ(tell(pingreq{}), words{});
  EXPECT_EQ(sent(), words{"pingresp"});
}

TEST_F(Engine, ADisconnectEndsIt) {
  connected();
  EXPECT_EQ(feed(encoded(publish{.topic = "t", .payload = "last"}) + encoded(disconnect{}) +
                 encoded(publish{.topic = "t", .payload = "too late"})),
            (words{"message t last", "over client"}));
}

TEST_F(Engine, PacketsOfServersEndIt) {
  for (const auto& p : std::vector<packet>{connack{}, suback{1, {0}}, unsuback{1}, pingresp{}}) {
    auto fresh = engine{{}};
    const auto in = encoded(connect{.client_id = "c"}) + encoded(p);
    auto view = std::string_view{in};
    fresh.step(view, now);
    fresh.grant(now);
    const auto todo = fresh.step(view, now);
    ASSERT_TRUE(todo && std::holds_alternative<over>(*todo)) << p.index();
    EXPECT_EQ(std::get<over>(*todo).reason, "unexpected_packet");
  }
}

TEST_F(Engine, MalformedPacketsEndItWithTheirReason) {
  for (const auto& [in, reason] : std::vector<std::pair<std::string, std::string>>{
           {std::string{"\x36\3\0\1t", 5}, "over malformed_publish"},
           {std::string{"\x30\3\0\1+", 5}, "over malformed_topic"},
           {std::string{"\x40\2\0\0", 4}, "over malformed_ack"},
           {std::string{"\x82\2\0\1", 4}, "over malformed_subscribe"},
           {std::string{"\xa2\2\0\1", 4}, "over malformed_unsubscribe"},
           {std::string{"\x01\0", 2}, "over malformed_header"},
           {std::string{"\x30\xff\xff\xff\xff\x01", 6}, "over malformed_header"},
           {std::string{"\x30\xff\xff\xff\x7f", 5}, "over packet_too_large"}}) {
    e = engine{{.max_packet_bytes = 100'000}};
    waiting.clear();
    connected();
    EXPECT_EQ(feed(in), words{reason});
    EXPECT_EQ(sent(), words{});
  }
}

TEST_F(Engine, AConnectIsSmall) {
  // Who has not proved himself makes nobody keep half a megabyte for him.
  auto in = encoded(connect{.client_id = "c", .last_will = will{"t", std::string(65'535, 'x')}});
  EXPECT_EQ(feed(in.substr(0, 11)), words{"over packet_too_large"});
  e = engine{{}};
  waiting.clear();
  in = encoded(connect{.client_id = std::string(2'000, 'c'),
                       .last_will = will{"t", std::string(10'000, 'x')},
                       .username = std::string(1'000, 'u'),
                       .password = std::string(1'000, 'p')});
  EXPECT_EQ(feed(in).size(), 1u);
  e.grant(now);
  sent();
  EXPECT_EQ(post(1, qos::at_least_once, std::string(500'000, 'x')).size(), 1u);
}

TEST_F(Engine, KeepAliveEndsAfterOneAndAHalf) {
  connected(10);
  now += 15s;
  EXPECT_FALSE(e.tick(now));
  now += 1ms;
  ASSERT_TRUE(e.tick(now));
  EXPECT_EQ(e.tick(now)->reason, "keep_alive");
}

TEST_F(Engine, AnyPacketKeepsItAlive) {
  connected(10);
  for (const auto& p : std::vector<packet>{pingreq{}, publish{.topic = "t", .payload = ""},
                                           puback{1}, subscribe{1, {{"a", {}}}}, pubrel{1}}) {
    now += 15s;
    tell(p);
    now += 15s;
    EXPECT_FALSE(e.tick(now)) << p.index();
    tell(pingreq{});
  }
  // Half a packet is none.
  now += 10s;
  feed(encoded(pingreq{}).substr(0, 1));
  now += 6s;
  EXPECT_TRUE(e.tick(now));
}

TEST_F(Engine, KeepAliveZeroNeverEnds) {
  connected(0);
  now += std::chrono::hours{24 * 365};
  EXPECT_FALSE(e.tick(now));
}

TEST_F(Engine, KeepAliveCountsFromTheGrant) {
  tell(connect{.keep_alive = 1, .client_id = "c"});
  now += 10s;  // the check of the login took its time
  EXPECT_FALSE(e.tick(now));
  e.grant(now);
  now += 1500ms;
  EXPECT_FALSE(e.tick(now));
}

/// All that a client may say, in one stream.
std::string conversation() {
  return encoded(connect{.client_id = "c", .last_will = will{"w", "gone"}, .username = "u"}) +
         encoded(subscribe{1, {{"a/#", qos::at_least_once}}}) +
         encoded(publish{"t", "one", qos::at_least_once, false, false, 2}) +
         encoded(publish{.topic = "t", .payload = std::string(200, 'z')}) +
         encoded(publish{"t", "two", qos::exactly_once, false, false, 3}) + encoded(pubrel{3}) +
         encoded(unsubscribe{4, {"a/#"}}) + encoded(pingreq{}) + encoded(disconnect{});
}

/// Feeds a conversation cut at the given places; gives all that was done and sent.
class Cut : public Engine {
 protected:
  words play(const std::vector<std::size_t>& cuts) {
    e = engine{{}};
    waiting.clear();
    const auto in = conversation();
    auto all = words{};
    auto from = std::size_t{0};
    for (const auto to : cuts) {
      auto rest = in.substr(from, to - from);
      from = to;
      // The login is granted and messages are settled as soon as they are seen, as in the
      // connection; what follows a CONNECT waits for the grant.
      waiting += rest;
      auto view = std::string_view{waiting};
      while (auto a = e.step(view, now)) {
        if (const auto* m = std::get_if<message>(&*a)) {
          all.push_back("message " + std::string{m->packet.payload});
          e.settle(m->ticket);
        } else if (std::holds_alternative<login_wanted>(*a)) {
          e.grant(now);
        } else if (const auto* o = std::get_if<over>(&*a)) {
          all.push_back("over " + std::string{o->reason});
          break;
        }
      }
      waiting.erase(0, waiting.size() - view.size());
      for (auto& s : sent())
        all.push_back(std::move(s));
    }
    return all;
  }
  words in_one_piece() {
    auto all = play({conversation().size()});
    std::sort(all.begin(), all.end());
    return all;
  }
  words sorted(words all) {
    std::sort(all.begin(), all.end());
    return all;
  }
};

TEST_F(Cut, AtEveryByteItIsTheSameConversation) {
  const auto whole = in_one_piece();
  EXPECT_EQ(whole.size(), 11u);
  const auto size = conversation().size();
  for (std::size_t at = 1; at < size; ++at)
    EXPECT_EQ(sorted(play({at, size})), whole) << at;
  auto each = std::vector<std::size_t>{};
  for (std::size_t at = 1; at <= size; ++at)
    each.push_back(at);
  EXPECT_EQ(sorted(play(each)), whole);
}

TEST_F(Engine, NoBytesBreakIt) {
  auto random = std::mt19937{11};
  for (auto round = 0; round < 2'000; ++round) {
    auto in = conversation();
    for (auto n = 1 + random() % 6; n > 0; --n)
      in[random() % in.size()] = static_cast<char>(random());
    auto fresh = engine{{}};
    auto view = std::string_view{in};
    while (auto a = fresh.step(view, now)) {
      if (std::holds_alternative<login_wanted>(*a))
        fresh.grant(now);
      else if (const auto* m = std::get_if<message>(&*a))
        fresh.settle(m->ticket);
      else if (std::holds_alternative<over>(*a))
        break;
    }
    auto out = std::string_view{fresh.out()};
    while (!out.empty()) {
      const auto got = decode(out, out.size());
      ASSERT_TRUE(got && *got);
      out.remove_prefix((*got)->size);
    }
  }
}

}  // namespace
}  // namespace orrery::transport::mqtt
