#include "transport/mqtt/codec.hpp"

#include <random>

#include <gtest/gtest.h>

namespace orrery::transport::mqtt {
namespace {

using model::errc;

constexpr std::size_t no_limit = 300'000'000;

std::string bytes(std::initializer_list<unsigned> list) {
  auto out = std::string{};
  for (const auto b : list)
    out += static_cast<char>(b);
  return out;
}

/// A body behind its fixed header.
std::string framed(unsigned first, std::string_view body) {
  auto out = std::string(1, static_cast<char>(first));
  auto size = body.size();
  do {
    out += static_cast<char>(size % 128 | (size >= 128 ? 128 : 0));
    size /= 128;
  } while (size > 0);
  return out.append(body);
}

std::string field(std::string_view text) {
  return bytes({static_cast<unsigned>(text.size() >> 8), static_cast<unsigned>(text.size() & 255)})
      .append(text);
}

std::string encoded(const packet& p) {
  auto out = std::string{};
  encode(p, out);
  return out;
}

/// The packet in `in`, which must be whole and nothing else. `in` must outlive it.
template <class Packet>
Packet decoded_as(const std::string& in) {
  const auto got = decode(in, no_limit);
  if (!got || !*got) {
    ADD_FAILURE() << (got ? "not whole" : got.error().detail);
    return {};
  }
  EXPECT_EQ((*got)->size, in.size());
  const auto* p = std::get_if<Packet>(&(*got)->what);
  if (!p)
    ADD_FAILURE() << "another packet: " << (*got)->what.index();
  return p ? *p : Packet{};
}

/// The reason why `in` is refused; "" if it is not.
std::string_view refusal(std::string_view in) {
  const auto got = decode(in, no_limit);
  if (got)
    return *got ? "" : "needs more";
  EXPECT_EQ(got.error().code, errc::invalid_argument);
  return got.error().reason;
}

connect full_connect() {
  return {.protocol_level = 4,
          .clean_session = false,
          .keep_alive = 300,
          .client_id = "dk|securemode=2|",
          .last_will = will{"a/b", std::string_view{"\0\xff", 2}, qos::exactly_once, true},
          .username = "dk&pk",
          .password = "secret"};
}

/// One of every packet, in every shape.
std::vector<packet> all_packets() {
  return {full_connect(),
          connect{},
          connect{.protocol_level = 3, .client_id = "old"},
          connect{.client_id = "c", .username = ""},
          connect{.client_id = "c", .last_will = will{.topic = "t", .payload = ""}},
          connack{true, 0},
          connack{false, 5},
          publish{.topic = "t", .payload = ""},
          publish{.topic = "a/b", .payload = "payload", .retain = true},
          publish{"a", "x", qos::at_least_once, false, true, 65535},
          publish{"a", "x", qos::exactly_once, true, false, 1},
          publish{"ä/€/😀", std::string_view{"\0", 1}, qos::at_least_once, false, false, 7},
          puback{1},
          pubrec{256},
          pubrel{65535},
          pubcomp{2},
          subscribe{10, {{"a/+", qos::at_least_once}, {"#", qos::exactly_once}, {"b", {}}}},
          suback{10, {0, 1, 2, 0x80}},
          unsubscribe{11, {"a/+", "#"}},
          unsuback{11},
          pingreq{},
          pingresp{},
          disconnect{}};
}

TEST(MqttCodec, EveryPacketComesBackAsItWas) {
  for (const auto& p : all_packets()) {
    const auto once = encoded(p);
    const auto got = decode(once, no_limit);
    ASSERT_TRUE(got) << p.index() << ": " << got.error().detail;
    ASSERT_TRUE(*got) << p.index();
    EXPECT_EQ((*got)->what.index(), p.index());
    EXPECT_EQ((*got)->size, once.size());
    EXPECT_EQ(encoded((*got)->what), once) << p.index();
  }
}

TEST(MqttCodec, APacketIsReadOnceItIsWhole) {
  for (const auto& p : all_packets()) {
    const auto whole = encoded(p);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto part = std::make_unique<char[]>(n);  // its end is guarded by the sanitizer
      std::copy_n(whole.data(), n, part.get());
      const auto got = decode({part.get(), n}, no_limit);
      ASSERT_TRUE(got) << p.index() << " cut at " << n << ": " << got.error().detail;
      EXPECT_FALSE(*got) << p.index() << " cut at " << n;
    }
  }
}

TEST(MqttCodec, WhatFollowsAPacketIsLeft) {
  const auto first = encoded(puback{1});
  const auto got = decode(first + encoded(pubrec{2}) + "rest", no_limit);
  ASSERT_TRUE(got);
  ASSERT_TRUE(*got);
  EXPECT_EQ((*got)->size, first.size());
}

TEST(MqttCodec, WritesTheBytesOfTheStandard) {
  EXPECT_EQ(encoded(connack{true, 0}), bytes({0x20, 2, 1, 0}));
  EXPECT_EQ(encoded(connack{false, 4}), bytes({0x20, 2, 0, 4}));
  EXPECT_EQ(encoded(publish{"a/b", "xy", qos::at_least_once, true, true, 10}),
            bytes({0x3b, 9, 0, 3, 'a', '/', 'b', 0, 10, 'x', 'y'}));
  EXPECT_EQ(encoded(publish{.topic = "a/b", .payload = "xy"}),
            bytes({0x30, 7, 0, 3, 'a', '/', 'b', 'x', 'y'}));
  EXPECT_EQ(encoded(puback{258}), bytes({0x40, 2, 1, 2}));
  EXPECT_EQ(encoded(pubrec{258}), bytes({0x50, 2, 1, 2}));
  EXPECT_EQ(encoded(pubrel{258}), bytes({0x62, 2, 1, 2}));
  EXPECT_EQ(encoded(pubcomp{258}), bytes({0x70, 2, 1, 2}));
  EXPECT_EQ(encoded(subscribe{10, {{"a", qos::at_least_once}}}),
            bytes({0x82, 6, 0, 10, 0, 1, 'a', 1}));
  EXPECT_EQ(encoded(suback{10, {0, 2, 0x80}}), bytes({0x90, 5, 0, 10, 0, 2, 0x80}));
  EXPECT_EQ(encoded(unsubscribe{10, {"a"}}), bytes({0xa2, 5, 0, 10, 0, 1, 'a'}));
  EXPECT_EQ(encoded(unsuback{10}), bytes({0xb0, 2, 0, 10}));
  EXPECT_EQ(encoded(pingreq{}), bytes({0xc0, 0}));
  EXPECT_EQ(encoded(pingresp{}), bytes({0xd0, 0}));
  EXPECT_EQ(encoded(disconnect{}), bytes({0xe0, 0}));
  EXPECT_EQ(
      encoded(full_connect()),
      framed(0x10, field("MQTT") + bytes({4, 0xf4, 1, 44}) + field("dk|securemode=2|") +
                       field("a/b") + bytes({0, 2, 0, 0xff}) + field("dk&pk") + field("secret")));
}

TEST(MqttCodec, ReadsAConnectWithAllItsParts) {
  const auto in = encoded(full_connect());
  const auto c = decoded_as<connect>(in);
  EXPECT_EQ(c.protocol_level, 4);
  EXPECT_FALSE(c.clean_session);
  EXPECT_EQ(c.keep_alive, 300);
  EXPECT_EQ(c.client_id, "dk|securemode=2|");
  ASSERT_TRUE(c.last_will);
  EXPECT_EQ(c.last_will->topic, "a/b");
  EXPECT_EQ(c.last_will->payload, (std::string_view{"\0\xff", 2}));
  EXPECT_EQ(c.last_will->level, qos::exactly_once);
  EXPECT_TRUE(c.last_will->retain);
  EXPECT_EQ(c.username, "dk&pk");
  EXPECT_EQ(c.password, "secret");
}

TEST(MqttCodec, AConnectMayLackAllButItsId) {
  const auto in = framed(0x10, field("MQTT") + bytes({4, 2, 0, 0, 0, 0}));
  const auto c = decoded_as<connect>(in);
  EXPECT_TRUE(c.clean_session);
  EXPECT_EQ(c.client_id, "");
  EXPECT_FALSE(c.last_will);
  EXPECT_FALSE(c.username);
  EXPECT_FALSE(c.password);
}

TEST(MqttCodec, TakesTheOlderProtocolNameWithItsLevel) {
  EXPECT_EQ(
      decoded_as<connect>(framed(0x10, field("MQIsdp") + bytes({3, 2, 0, 0, 0, 0}))).protocol_level,
      3);
}

TEST(MqttCodec, AnUnknownLevelIsReadNoFurther) {
  // The rest of the packet may have any form.
  const auto v6 = framed(0x10, field("MQTT") + bytes({6, 2, 0, 60, 5, 17, 0, 0, 0, 10, 0, 0}));
  EXPECT_EQ(decoded_as<connect>(v6).protocol_level, 6);
  EXPECT_EQ(decoded_as<connect>(framed(0x10, field("MQTT") + bytes({1}))).protocol_level, 1);
  // A name and a level that do not belong together are no level that is known.
  for (const auto& in : {framed(0x10, field("MQTT") + bytes({3, 2, 0, 0, 0, 0})),
                         framed(0x10, field("MQIsdp") + bytes({4, 2, 0, 0, 0, 0})),
                         framed(0x10, field("MQIsdp") + bytes({5, 2, 0, 0, 0, 0, 0}))}) {
    const auto level = decoded_as<connect>(in).protocol_level;
    EXPECT_TRUE(level < 3 || level > 5) << int{level};
  }
}

TEST(MqttCodec, ReadsThePartsOfAPublish) {
  const auto in = framed(0x3d, field("a/b") + bytes({1, 2}) + "xyz");
  const auto p = decoded_as<publish>(in);
  EXPECT_EQ(p.topic, "a/b");
  EXPECT_EQ(p.payload, "xyz");
  EXPECT_EQ(p.level, qos::exactly_once);
  EXPECT_TRUE(p.dup);
  EXPECT_TRUE(p.retain);
  EXPECT_EQ(p.packet_id, 258);
  const auto plain_in = framed(0x30, field("t"));
  const auto plain = decoded_as<publish>(plain_in);
  EXPECT_EQ(plain.payload, "");
  EXPECT_EQ(plain.packet_id, 0);
  EXPECT_FALSE(plain.dup || plain.retain);
}

TEST(MqttCodec, ReadsListsOfFilters) {
  const auto in = encoded(subscribe{7, {{"a/+", qos::at_least_once}, {"#", qos::exactly_once}}});
  const auto s = decoded_as<subscribe>(in);
  EXPECT_EQ(s.packet_id, 7);
  ASSERT_EQ(s.filters.size(), 2u);
  EXPECT_EQ(s.filters[0].text, "a/+");
  EXPECT_EQ(s.filters[0].level, qos::at_least_once);
  EXPECT_EQ(s.filters[1].text, "#");
  EXPECT_EQ(s.filters[1].level, qos::exactly_once);
  const auto out = encoded(unsubscribe{8, {"a", "b/#"}});
  const auto u = decoded_as<unsubscribe>(out);
  EXPECT_EQ(u.packet_id, 8);
  EXPECT_EQ(u.filters, (std::vector<std::string_view>{"a", "b/#"}));
}

struct wrong {
  const char* what;
  std::string in;
  const char* reason;
};

void expect_refused(const std::vector<wrong>& all) {
  for (const auto& w : all)
    EXPECT_EQ(refusal(w.in), w.reason) << w.what;
}

TEST(MqttCodec, RefusesBadHeaders) {
  const auto id = bytes({0, 1});
  auto all = std::vector<wrong>{
      {"type 0", framed(0x00, ""), "malformed_header"},
      {"type 15", framed(0xf0, ""), "malformed_header"},
      {"a ping with content", framed(0xc0, "x"), "malformed_header"},
      {"an answer to a ping with content", framed(0xd0, "x"), "malformed_header"},
      {"a disconnect with content", framed(0xe0, "x"), "malformed_header"},
      {"length of five bytes", bytes({0x30, 0x80, 0x80, 0x80, 0x80, 1}), "malformed_header"},
      {"length that goes on after four", bytes({0x30, 0xff, 0xff, 0xff, 0xff}), "malformed_header"},
  };
  // Every type but publish has flags that must be exactly so (2.2.2).
  struct {
    unsigned type, flags;
    std::string body;
  } fixed[] = {{1, 0, field("MQTT") + bytes({4, 2, 0, 0, 0, 0})},
               {2, 0, bytes({0, 0})},
               {4, 0, id},
               {5, 0, id},
               {6, 2, id},
               {7, 0, id},
               {8, 2, id + field("a") + bytes({0})},
               {9, 0, id + bytes({0})},
               {10, 2, id + field("a")},
               {11, 0, id},
               {12, 0, ""},
               {13, 0, ""},
               {14, 0, ""}};
  for (const auto& f : fixed)
    for (auto flags = 0u; flags < 16; ++flags)
      EXPECT_EQ(refusal(framed(f.type << 4 | flags, f.body)),
                flags == f.flags ? "" : "malformed_header")
          << f.type << " with flags " << flags;
  expect_refused(all);
}

TEST(MqttCodec, RefusesBadConnects) {
  const auto with = [](unsigned flags, const std::string& rest) {
    return framed(0x10, field("MQTT") + bytes({4, flags, 0, 0}) + field("id") + rest);
  };
  expect_refused({
      {"empty", framed(0x10, ""), "malformed_connect"},
      {"another name", framed(0x10, field("MQT") + bytes({4, 2, 0, 0, 0, 0})), "malformed_connect"},
      {"name in small letters", framed(0x10, field("mqtt") + bytes({4, 2, 0, 0, 0, 0})),
       "malformed_connect"},
      {"name longer than the packet", framed(0x10, bytes({0xff, 0xff, 'M', 'Q'})),
       "malformed_connect"},
      {"no level", framed(0x10, field("MQTT")), "malformed_connect"},
      {"no flags", framed(0x10, field("MQTT") + bytes({4})), "malformed_connect"},
      {"no id", framed(0x10, field("MQTT") + bytes({4, 2, 0, 0})), "malformed_connect"},
      {"reserved flag", with(0x03, ""), "malformed_connect"},
      {"will QoS without a will", with(0x0a, ""), "malformed_connect"},
      {"will retain without a will", with(0x22, ""), "malformed_connect"},
      {"will QoS 3", with(0x1e, field("t") + field("p")), "malformed_connect"},
      {"will without its topic", with(0x06, ""), "malformed_connect"},
      {"will without its payload", with(0x06, field("t")), "malformed_connect"},
      {"will on no topic", with(0x06, field("") + field("p")), "malformed_connect"},
      {"will on a filter", with(0x06, field("a/+") + field("p")), "malformed_connect"},
      {"will topic that is no text", with(0x06, field("\xff") + field("p")), "malformed_connect"},
      {"flag of a name, and none", with(0x82, ""), "malformed_connect"},
      {"flag of a password, and none", with(0xc2, field("u")), "malformed_connect"},
      {"password without a name", with(0x42, field("p")), "malformed_connect"},
      {"name that is no text", with(0x82, field("\xc3")), "malformed_connect"},
      {"bytes behind the last field", with(0x02, "x"), "malformed_connect"},
      {"password cut short", with(0xc2, field("u") + bytes({0, 9, 'p'})), "malformed_connect"},
      {"id with U+0000",
       framed(0x10, field("MQTT") + bytes({4, 2, 0, 0}) + field(std::string_view{"a\0", 2})),
       "malformed_connect"},
  });
  EXPECT_EQ(refusal(with(0xc2, field("u") + field("\xff"))), "");  // a password is bytes, not text
}

TEST(MqttCodec, RefusesBadPublishes) {
  expect_refused({
      {"empty", framed(0x30, ""), "malformed_publish"},
      {"topic cut short", framed(0x30, bytes({0, 5, 'a'})), "malformed_publish"},
      {"QoS 3", framed(0x36, field("t") + bytes({0, 1})), "malformed_publish"},
      {"QoS 1 without a packet id", framed(0x32, field("t")), "malformed_publish"},
      {"QoS 1 with half a packet id", framed(0x32, field("t") + bytes({1})), "malformed_publish"},
      {"QoS 1, packet id 0", framed(0x32, field("t") + bytes({0, 0})), "malformed_publish"},
      {"QoS 2, packet id 0", framed(0x34, field("t") + bytes({0, 0, 'x'})), "malformed_publish"},
      {"repetition with QoS 0", framed(0x38, field("t")), "malformed_publish"},
      {"no topic", framed(0x30, field("") + "x"), "malformed_topic"},
      {"topic with +", framed(0x30, field("a/+")), "malformed_topic"},
      {"topic with #", framed(0x30, field("#")), "malformed_topic"},
      {"topic that is no text", framed(0x30, field("a\xff")), "malformed_publish"},
      {"topic with a surrogate", framed(0x30, field("\xed\xa0\x80")), "malformed_publish"},
      {"topic with U+0000", framed(0x30, field(std::string_view{"a\0b", 3})), "malformed_publish"},
  });
}

TEST(MqttCodec, RefusesBadAcknowledgements) {
  for (const auto first : {0x40u, 0x50u, 0x62u, 0x70u, 0xb0u})
    for (const auto& body : {std::string{}, bytes({1}), bytes({0, 0}), bytes({0, 1, 0})})
      EXPECT_EQ(refusal(framed(first, body)), "malformed_ack") << first << " of " << body.size();
  expect_refused({
      {"connack too short", framed(0x20, bytes({0})), "malformed_ack"},
      {"connack too long", framed(0x20, bytes({0, 0, 0})), "malformed_ack"},
      {"connack with reserved flags", framed(0x20, bytes({2, 0})), "malformed_ack"},
      {"suback without codes", framed(0x90, bytes({0, 1})), "malformed_ack"},
      {"suback with packet id 0", framed(0x90, bytes({0, 0, 1})), "malformed_ack"},
  });
}

TEST(MqttCodec, RefusesBadSubscriptions) {
  const auto id = bytes({0, 1});
  expect_refused({
      {"empty", framed(0x82, ""), "malformed_subscribe"},
      {"no filter", framed(0x82, id), "malformed_subscribe"},
      {"packet id 0", framed(0x82, bytes({0, 0}) + field("a") + bytes({0})), "malformed_subscribe"},
      {"no QoS", framed(0x82, id + field("a")), "malformed_subscribe"},
      {"QoS 3", framed(0x82, id + field("a") + bytes({3})), "malformed_subscribe"},
      {"reserved bits", framed(0x82, id + field("a") + bytes({0x81})), "malformed_subscribe"},
      {"empty filter", framed(0x82, id + field("") + bytes({0})), "malformed_subscribe"},
      {"bad filter", framed(0x82, id + field("a#") + bytes({0})), "malformed_subscribe"},
      {"second filter cut", framed(0x82, id + field("a") + bytes({0, 0, 9})),
       "malformed_subscribe"},
      {"filter that is no text", framed(0x82, id + field("\xc0\x80") + bytes({0})),
       "malformed_subscribe"},
      {"unsubscribe nothing", framed(0xa2, id), "malformed_unsubscribe"},
      {"unsubscribe, packet id 0", framed(0xa2, bytes({0, 0}) + field("a")),
       "malformed_unsubscribe"},
      {"unsubscribe an empty filter", framed(0xa2, id + field("")), "malformed_unsubscribe"},
      {"unsubscribe a bad filter", framed(0xa2, id + field("a/#/b")), "malformed_unsubscribe"},
      {"unsubscribe cut short", framed(0xa2, id + bytes({0, 9, 'a'})), "malformed_unsubscribe"},
  });
}

TEST(MqttCodec, RemainingLengthsOfAllSizes) {
  // The fixed header's last size of each length, and the first of the next (table 2.4).
  for (const auto size : {127u, 128u, 16'383u, 16'384u, 2'097'151u, 2'097'152u}) {
    const auto payload = std::string(size - 3, 'x');
    const auto in = encoded(publish{.topic = "t", .payload = payload});
    EXPECT_EQ(decoded_as<publish>(in).payload.size(), payload.size());
    EXPECT_EQ(in.size() - size, size < 128 ? 2u : size < 16'384 ? 3u : size < 2'097'152 ? 4u : 5u);
  }
  // A length may be written with more bytes than it needs.
  EXPECT_EQ(refusal(bytes({0xc0, 0x80, 0x00})), "");
}

TEST(MqttCodec, TooLargeIsToldFromTheHeaderAlone) {
  constexpr std::size_t limit = 1'000;
  const auto at_limit = encoded(publish{.topic = "t", .payload = std::string(limit - 6, 'x')});
  ASSERT_EQ(at_limit.size(), limit);
  EXPECT_TRUE(decode(at_limit, limit));
  EXPECT_EQ(decode(at_limit, limit - 1).error().code, errc::too_large);
  // 268,435,455 bytes announced, five bytes seen.
  EXPECT_EQ(decode(bytes({0x30, 0xff, 0xff, 0xff, 0x7f}), limit).error().code, errc::too_large);
  EXPECT_EQ(decode(bytes({0x10, 0xff, 0xff, 0xff, 0x7f}), limit).error().code, errc::too_large);
}

TEST(MqttCodec, NoBytesBreakIt) {
  auto random = std::mt19937{42};
  auto good = std::vector<std::string>{};
  for (const auto& p : all_packets())
    good.push_back(encoded(p));
  for (auto round = 0; round < 20'000; ++round) {
    auto in = good[random() % good.size()];
    for (auto n = random() % 4; n > 0; --n)
      in[random() % in.size()] = static_cast<char>(random());
    if (random() % 4 == 0)
      in.resize(random() % (in.size() + 1));
    const auto exact = std::make_unique<char[]>(in.size());
    std::copy(in.begin(), in.end(), exact.get());
    const auto got = decode({exact.get(), in.size()}, no_limit);
    if (got && *got) {
      EXPECT_LE((*got)->size, in.size());
      // What was read can be written: no field is out of its range.
      const auto again = encoded((*got)->what);
      const auto* c = std::get_if<connect>(&(*got)->what);
      if (!c || (c->protocol_level >= 3 && c->protocol_level <= 5)) {
        EXPECT_EQ(refusal(again), "");
      }
    }
  }
}

TEST(MqttText, IsUtf8WithoutItsTraps) {
  for (const std::string_view good :
       {"", "a", "/sys/pk/dk", "ä", "€", "😀", "\xef\xbb\xbf", "\x01\x7f", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbf"}) {
    EXPECT_TRUE(is_mqtt_text(good)) << good;
    const auto inside = std::string(11, '\x01') + std::string{good} + std::string(9, '\x7f');
    EXPECT_TRUE(is_mqtt_text(inside)) << good;
  }
  for (const auto& bad : {bytes({0}),
                          bytes({'a', 0, 'b'}),
                          bytes({0x80}),
                          bytes({0xbf}),
                          bytes({0xc0, 0x80}),
                          bytes({0xc1, 0xbf}),
                          bytes({0xe0, 0x80, 0x80}),
                          bytes({0xe0, 0x9f, 0xbf}),
                          bytes({0xed, 0xa0, 0x80}),
                          bytes({0xed, 0xbf, 0xbf}),
                          bytes({0xf0, 0x80, 0x80, 0x80}),
                          bytes({0xf0, 0x8f, 0xbf, 0xbf}),
                          bytes({0xf4, 0x90, 0x80, 0x80}),
                          bytes({0xf5, 0x80, 0x80, 0x80}),
                          bytes({0xff}),
                          bytes({0xfe}),
                          bytes({0xc3}),
                          bytes({0xe2, 0x82}),
                          bytes({0xf0, 0x9f, 0x98}),
                          bytes({0xc3, 'a'}),
                          bytes({0xe2, 0x82, 'a'}),
                          bytes({0xe2, 'a', 0xac}),
                          bytes({0xc3, 0xc3})}) {
    EXPECT_FALSE(is_mqtt_text(bad)) << testing::PrintToString(bad);
    EXPECT_FALSE(is_mqtt_text("x" + bad));
    EXPECT_FALSE(is_mqtt_text("x" + bad + "x"));
    for (std::size_t before = 0; before < 18; ++before)  // wherever it stands among eight
      EXPECT_FALSE(is_mqtt_text(std::string(before, 'x') + bad + std::string(9, 'x'))) << before;
  }
}

TEST(MqttTopic, HasNoWildcard) {
  for (const auto* good : {"a", "/", "/a", "a//b", "$SYS/x", "a b", "ä"})
    EXPECT_TRUE(is_topic_name(good)) << good;
  for (const auto* bad : {"", "+", "#", "a/+", "a#", "a+b"})
    EXPECT_FALSE(is_topic_name(bad)) << bad;
}

TEST(MqttFilter, WildcardsStandForWholeLevels) {
  for (const auto* good : {"a", "/", "#", "+", "/#", "a/#", "+/+", "/+", "+/a/#", "a//b", "+/"})
    EXPECT_TRUE(is_topic_filter(good)) << good;
  for (const auto* bad :
       {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+", "a/+b/c", "##", "++", "a/##"})
    EXPECT_FALSE(is_topic_filter(bad)) << bad;
}

TEST(MqttFilter, MatchesAsTheStandardSays) {
  struct {
    const char *filter, *topic;
    bool matches;
  } const rows[] = {
      {"a", "a", true},
      {"a", "b", false},
      {"a", "a/b", false},
      {"a/b", "a", false},
      {"a", "A", false},
      {"/a", "a", false},
      {"/a", "/a", true},
      {"a/", "a", false},
      {"a/", "a/", true},
      {"#", "a", true},
      {"#", "a/b/c", true},
      {"#", "/", true},
      {"a/#", "a", true},
      {"a/#", "a/", true},
      {"a/#", "a/b/c", true},
      {"a/#", "ab", false},
      {"/#", "a", false},
      {"+", "a", true},
      {"+", "", true},
      {"+", "a/b", false},
      {"+", "/a", false},
      {"/+", "/a", true},
      {"+/+", "/a", true},
      {"a/+", "a", false},
      {"a/+", "a/", true},
      {"a/+/c", "a/b/c", true},
      {"a/+/c", "a/b/d", false},
      {"a/+/c", "a//c", true},
      {"+/b/#", "a/b", true},
      {"+/b/#", "a/b/c/d", true},
      {"+/b/#", "a/c", false},
      {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
      {"sport/#", "sport", true},
      {"#", "$SYS/a", false},
      {"+/a", "$SYS/a", false},
      {"$SYS/#", "$SYS/a", true},
      {"$SYS/+", "$SYS/a", true},
      {"a/$b", "a/$b", true},
      {"a/+", "a/$b", true},
  };
  for (const auto& r : rows)
    EXPECT_EQ(filter_matches(r.filter, r.topic), r.matches) << r.filter << " on " << r.topic;
}

}  // namespace
}  // namespace orrery::transport::mqtt
