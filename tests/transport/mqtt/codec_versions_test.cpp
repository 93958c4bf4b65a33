// The codec on packets of all versions: golden ones, random ones, changed ones, and all that 5.0
// forbids.
#include <memory>
#include <set>

#include "packets.hpp"
#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;

constexpr std::size_t no_limit = 300'000'000;
constexpr auto five = protocol::v5;

std::string bytes(std::initializer_list<unsigned> list) {
  auto out = std::string{};
  for (const auto b : list)
    out += static_cast<char>(b);
  return out;
}
std::string text(std::string_view t) {
  auto out = std::string{};
  put_text(out, t);
  return out;
}
std::string framed(unsigned first, std::string_view body) {
  auto out = bytes({first});
  put_varint(out, body.size());
  return out.append(body);
}
/// Properties behind their length.
std::string with(std::string_view properties) {
  auto out = std::string{};
  put_varint(out, properties.size());
  return out.append(properties);
}

/// Reads from memory of exactly that size: the sanitizer sees what goes beyond. What was read can
/// be written and read again, and is the same. The reason of a refusal, "" if there is none.
std::string_view check(std::string_view in, protocol by) {
  const auto exact = std::make_unique<char[]>(in.size());
  std::copy(in.begin(), in.end(), exact.get());
  const auto got = decode({exact.get(), in.size()}, no_limit, by);
  if (!got) {
    EXPECT_EQ(got.error().code, errc::invalid_argument);
    EXPECT_NE(disconnect_code(got.error().reason), 0x80) << got.error().reason;
    return got.error().reason;
  }
  if (!*got)
    return "needs more";
  EXPECT_LE((*got)->size, in.size());
  const auto* c = std::get_if<connect>(&(*got)->what);
  if (c && (c->protocol_level < 3 || c->protocol_level > 5))
    return "";
  const auto as = c ? static_cast<protocol>(c->protocol_level) : by;
  const auto again = bytes_of((*got)->what, as);
  const auto second = decode(again, no_limit, as);
  EXPECT_TRUE(second && *second && (*second)->what == (*got)->what);
  return "";
}

TEST(MqttGolden, HasAllTypesOfBothVersions) {
  auto seen = std::set<std::pair<protocol, std::size_t>>{};
  for (const auto& g : golden_packets()) {
    const auto got = decode(g.bytes, no_limit, g.by);
    ASSERT_TRUE(got && *got) << g.name << ": " << (got ? "not whole" : got.error().detail);
    EXPECT_EQ((*got)->size, g.bytes.size()) << g.name;
    EXPECT_EQ(bytes_of((*got)->what, g.by).size(), g.bytes.size()) << g.name;
    EXPECT_EQ(check(g.bytes, g.by), "") << g.name;
    seen.insert({g.by, (*got)->what.index()});
  }
  EXPECT_EQ(seen.size(), 14u + 15u + 1u);
}

TEST(MqttGolden, CutAnywhereItNeedsMore) {
  for (const auto& g : golden_packets())
    for (std::size_t n = 0; n < g.bytes.size(); ++n)
      EXPECT_EQ(check(g.bytes.substr(0, n), g.by), "needs more") << g.name << " cut at " << n;
}

TEST(MqttGolden, ABodyCutAnywhereBreaksNothing) {
  for (const auto& g : golden_packets()) {
    const auto body = g.bytes.substr(g.bytes.size() < 130 ? 2 : 3);
    for (std::size_t n = 0; n < body.size(); ++n)
      check(framed(static_cast<unsigned char>(g.bytes[0]), body.substr(0, n)), g.by);
  }
}

TEST(MqttGolden, AnyByteChangedBreaksNothing) {
  for (const auto& g : golden_packets())
    for (std::size_t at = 0; at < g.bytes.size(); ++at)
      for (auto b = 0; b < 256; ++b) {
        auto in = g.bytes;
        in[at] = static_cast<char>(b);
        const auto got = decode(in, no_limit, g.by);
        if (!got || !*got)
          continue;  // that the reasons have codes is seen elsewhere
        const auto* c = std::get_if<connect>(&(*got)->what);
        if (c && (c->protocol_level < 3 || c->protocol_level > 5))
          continue;
        const auto as = c ? static_cast<protocol>(c->protocol_level) : g.by;
        const auto again = bytes_of((*got)->what, as);
        const auto second = decode(again, no_limit, as);
        ASSERT_TRUE(second && *second && (*second)->what == (*got)->what)
            << g.name << " with " << b << " at " << at;
      }
}

TEST(MqttRandom, PacketsOfEveryVersionComeBackAsTheyWere) {
  for (const auto by : {protocol::v3_1, protocol::v3_1_1, five})
    for (auto seed = 0u; seed < 4'000; ++seed) {
      auto maker = packet_maker{seed, by};
      const auto p = maker.any();
      const auto once = bytes_of(p, by);
      const auto got = decode(once, no_limit, by);
      ASSERT_TRUE(got) << "seed " << seed << ": " << got.error().detail;
      ASSERT_TRUE(*got && (*got)->size == once.size()) << "seed " << seed;
      EXPECT_TRUE((*got)->what == p) << "seed " << seed << ", packet " << p.index();
    }
}

TEST(MqttRandom, ChangedPacketsBreakNothing) {
  auto random = std::mt19937{5};
  for (auto seed = 0u; seed < 3'000; ++seed) {
    auto maker = packet_maker{seed, five};
    auto in = bytes_of(maker.any(), five);
    for (auto n = 1 + random() % 4; n > 0; --n)
      in[random() % in.size()] = static_cast<char>(random());
    check(in, five);
  }
}

TEST(MqttFive, OlderVersionsKnowNothingOfIt) {
  const auto p = publish{.topic = "t", .payload = "x", .with = properties{.content_type = "text"}};
  EXPECT_EQ(bytes_of(p), bytes_of(publish{.topic = "t", .payload = "x"}));
  EXPECT_EQ(bytes_of(puback{1, 0x87, properties{.reason = "no"}}), bytes_of(puback{1}));
  EXPECT_EQ(bytes_of(unsuback{1, {0, 0x11}, {}}), bytes_of(unsuback{1}));
  EXPECT_EQ(bytes_of(suback{1, {0x97}, {}}), bytes_of(suback{1, {0x80}, {}}));
  EXPECT_EQ(bytes_of(disconnect{0x8e, {}}), bytes_of(disconnect{}));
  EXPECT_EQ(check(framed(0xf0, ""), protocol::v3_1_1), "malformed_header");
}

struct wrong {
  const char* what;
  std::string in;
  std::string_view reason;
  unsigned code;
};

void expect_refused(const std::vector<wrong>& all) {
  for (const auto& w : all) {
    const auto reason = check(w.in, five);
    EXPECT_EQ(reason, w.reason) << w.what;
    EXPECT_EQ(disconnect_code(reason), w.code) << w.what;
  }
}

std::string a_connect(std::string_view properties, unsigned flags = 2, std::string_view rest = {}) {
  return framed(0x10, text("MQTT") + bytes({5, flags, 0, 0}) + with(properties) + text("c") +
                          std::string{rest});
}
std::string a_publish(std::string_view properties, std::string_view topic = "t") {
  return framed(0x30, text(topic) + with(properties));
}
std::string a_subscribe(unsigned options, std::string_view filter = "a",
                        std::string_view properties = {}) {
  return framed(0x82, bytes({0, 1}) + with(properties) + text(filter) + bytes({options}));
}

TEST(MqttFive, RefusesBadProperties) {
  const auto flag = [](unsigned id, unsigned v) { return bytes({id, v}); };
  const auto zero = std::string_view{"\0\0\0\0", 4};
  expect_refused({
      {"twice", a_connect(bytes({0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1})), "protocol_error", 0x82},
      {"twice the same text", a_publish("\x03" + text("a") + "\x03" + text("a")), "protocol_error",
       0x82},
      {"of another packet", a_connect("\x03" + text("a")), "malformed_properties", 0x81},
      {"of a server", a_connect(bytes({0x13, 0, 1})), "malformed_properties", 0x81},
      {"unknown", a_publish(bytes({0x04, 1})), "malformed_properties", 0x81},
      {"unknown, of two bytes", a_publish(bytes({0x80, 1, 1})), "malformed_properties", 0x81},
      {"an id with a byte in vain", a_publish(bytes({0x81, 0, 1})), "malformed_properties", 0x81},
      {"cut short", a_connect(bytes({0x11, 0, 0})), "malformed_properties", 0x81},
      {"without a value", a_publish(bytes({0x01})), "malformed_properties", 0x81},
      {"text that is none", a_publish("\x03" + text("\xff")), "malformed_properties", 0x81},
      {"text with U+0000", a_publish("\x03" + text(std::string_view{"a\0", 2})),
       "malformed_properties", 0x81},
      {"user property cut short", a_publish("\x26" + text("a")), "malformed_properties", 0x81},
      {"longer than the packet", framed(0x30, text("t") + bytes({9, 1})), "malformed_properties",
       0x81},
      {"length in vain", framed(0x30, text("t") + bytes({0x80, 0})), "malformed_properties", 0x81},
      {"length of five bytes", framed(0x30, text("t") + bytes({0x80, 0x80, 0x80, 0x80, 1})),
       "malformed_properties", 0x81},
      {"payload format 2", a_publish(flag(0x01, 2)), "protocol_error", 0x82},
      {"request problems 2", a_connect(flag(0x17, 2)), "protocol_error", 0x82},
      {"request response 2", a_connect(flag(0x19, 2)), "protocol_error", 0x82},
      {"receive maximum 0", a_connect(bytes({0x21, 0, 0})), "protocol_error", 0x82},
      {"packet size 0", a_connect("\x27" + std::string{zero}), "protocol_error", 0x82},
      {"alias 0", a_publish(bytes({0x23, 0, 0})), "topic_alias_invalid", 0x94},
      {"subscription id 0", a_subscribe(0, "a", bytes({0x0b, 0})), "protocol_error", 0x82},
      {"two subscription ids", a_subscribe(0, "a", bytes({0x0b, 1, 0x0b, 2})), "protocol_error",
       0x82},
      {"subscription id of five bytes",
       a_subscribe(0, "a", bytes({0x0b, 0x80, 0x80, 0x80, 0x80, 1})), "malformed_properties", 0x81},
      {"response topic with wildcards", a_publish("\x08" + text("a/#")), "protocol_error", 0x82},
      {"empty response topic", a_publish("\x08" + text("")), "protocol_error", 0x82},
      {"data without a method", a_connect("\x16" + text("x")), "protocol_error", 0x82},
      {"of a will, with the connect", a_connect(bytes({0x18, 0, 0, 0, 1})), "malformed_properties",
       0x81},
      {"of the connect, with a will",
       a_connect("", 6, with(bytes({0x21, 0, 1})) + text("t") + text("p")), "malformed_properties",
       0x81},
      {"maximum QoS 2", framed(0x20, bytes({0, 0}) + with(flag(0x24, 2))), "protocol_error", 0x82},
      {"shared available 2", framed(0x20, bytes({0, 0}) + with(flag(0x2a, 2))), "protocol_error",
       0x82},
  });
}

TEST(MqttFive, RefusesBadPackets) {
  expect_refused({
      {"no properties", framed(0x30, text("t")), "malformed_properties", 0x81},
      {"neither topic nor alias", a_publish("", ""), "protocol_error", 0x82},
      {"topic with wildcards", a_publish("", "a/+"), "malformed_topic", 0x81},
      {"reserved connect flag", a_connect("", 3), "malformed_connect", 0x81},
      {"connect cut short", framed(0x10, text("MQTT") + bytes({5, 2, 0, 0, 0})),
       "malformed_connect", 0x81},
      {"remaining length in vain", bytes({0xc0, 0x80, 0}), "malformed_header", 0x81},
      {"remaining length in vain, of a connect",
       "\x10" + bytes({0x8e, 0}) + text("MQTT") + bytes({5, 2, 0, 0, 0}) + text("c"),
       "malformed_header", 0x81},
      {"puback with code 1", framed(0x40, bytes({0, 1, 1})), "malformed_ack", 0x81},
      {"puback with a code of pubrel", framed(0x40, bytes({0, 1, 0x92})), "malformed_ack", 0x81},
      {"pubrel with a code of puback", framed(0x62, bytes({0, 1, 0x87})), "malformed_ack", 0x81},
      {"ack with bytes behind", framed(0x40, bytes({0, 1, 0, 0, 0})), "malformed_ack", 0x81},
      {"packet id 0", framed(0x40, bytes({0, 0, 0})), "malformed_ack", 0x81},
      {"suback with code 3", framed(0x90, bytes({0, 1, 0, 3})), "malformed_ack", 0x81},
      {"unsuback with code 1", framed(0xb0, bytes({0, 1, 0, 1})), "malformed_ack", 0x81},
      {"unsuback without codes", framed(0xb0, bytes({0, 1, 0})), "malformed_ack", 0x81},
      {"connack with a code of 3.1.1", framed(0x20, bytes({0, 4, 0})), "malformed_ack", 0x81},
      {"connack, session of a refusal", framed(0x20, bytes({1, 0x86, 0})), "protocol_error", 0x82},
      {"disconnect with code 1", framed(0xe0, bytes({1})), "malformed_header", 0x81},
      {"disconnect, a CONNACK's code", framed(0xe0, bytes({0x85})), "malformed_header", 0x81},
      {"disconnect with bytes behind", framed(0xe0, bytes({0, 0, 0})), "malformed_header", 0x81},
      {"auth with code 1", framed(0xf0, bytes({1})), "malformed_header", 0x81},
      {"auth without a method", framed(0xf0, bytes({0x18})), "protocol_error", 0x82},
      {"auth with flags", framed(0xf2, ""), "malformed_header", 0x81},
      {"options 0x40", a_subscribe(0x40), "malformed_subscribe", 0x81},
      {"options 0x80", a_subscribe(0x80), "malformed_subscribe", 0x81},
      {"QoS 3", a_subscribe(3), "protocol_error", 0x82},
      {"retain handling 3", a_subscribe(0x30), "protocol_error", 0x82},
      {"shared and no local", a_subscribe(4, "$share/g/a"), "protocol_error", 0x82},
      {"shared by nobody", a_subscribe(0, "$share//a"), "malformed_subscribe", 0x81},
      {"shared by a wildcard", a_subscribe(0, "$share/+/a"), "malformed_subscribe", 0x81},
      {"shared nothing", a_subscribe(0, "$share/g"), "malformed_subscribe", 0x81},
      {"shared an empty filter", a_subscribe(0, "$share/g/"), "malformed_subscribe", 0x81},
      {"subscribe to nothing", framed(0x82, bytes({0, 1, 0})), "protocol_error", 0x82},
      {"unsubscribe nothing", framed(0xa2, bytes({0, 1, 0})), "protocol_error", 0x82},
      {"unsubscribe a bad filter", framed(0xa2, bytes({0, 1, 0}) + text("a#")),
       "malformed_unsubscribe", 0x81},
  });
}

TEST(MqttFive, ShortFormsAreTaken) {
  EXPECT_EQ(check(framed(0x40, bytes({0, 1})), five), "");
  EXPECT_EQ(check(framed(0x40, bytes({0, 1, 0})), five), "");
  EXPECT_EQ(check(framed(0x40, bytes({0, 1, 0, 0})), five), "");
  EXPECT_EQ(check(framed(0xe0, bytes({0})), five), "");
  EXPECT_EQ(check(framed(0xe0, bytes({0, 0})), five), "");
  EXPECT_EQ(check(framed(0xf0, bytes({0, 0})), five), "");
}

TEST(MqttFive, IsKnownByItsFirstBytes) {
  const auto good = a_connect("");
  EXPECT_EQ(names_version_5(good), true);
  EXPECT_EQ(names_version_5(good.substr(0, 9)), true);
  for (std::size_t n = 0; n < 9; ++n)
    EXPECT_EQ(names_version_5(good.substr(0, n)), std::nullopt) << n;
  EXPECT_EQ(names_version_5(a_connect("\x26" + text(std::string(300, 'x')) + text(""))), true);
  EXPECT_EQ(names_version_5(bytes_of(connect{})), false);
  EXPECT_EQ(names_version_5(bytes({0x10, 0x20, 1, 2})), false);
  EXPECT_EQ(names_version_5("\x10\x06" + good.substr(2)), false);
  EXPECT_EQ(names_version_5("\xc0"), false);
  EXPECT_EQ(names_version_5("\x10\xff\xff\xff\xff\xff"), false);
}

}  // namespace
}  // namespace orrery::transport::mqtt
