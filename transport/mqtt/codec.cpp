#include "transport/mqtt/codec.hpp"

#include <algorithm>
#include <array>

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

// Reason codes that each packet may have (5.0, 2.4 and the tables of 3).
constexpr std::array<std::uint8_t, 22> of_connack{0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
                                                  0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97,
                                                  0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f};
constexpr std::array<std::uint8_t, 9> of_taken{0x00, 0x10, 0x80, 0x83, 0x87,
                                               0x90, 0x91, 0x97, 0x99};
constexpr std::array<std::uint8_t, 2> of_release{0x00, 0x92};
constexpr std::array<std::uint8_t, 12> of_suback{0x00, 0x01, 0x02, 0x80, 0x83, 0x87,
                                                 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2};
constexpr std::array<std::uint8_t, 7> of_unsuback{0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91};
constexpr std::array<std::uint8_t, 29> of_disconnect{
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2};
constexpr std::array<std::uint8_t, 3> of_auth{0x00, 0x18, 0x19};

template <class Codes>
bool is_one_of(std::uint8_t code, const Codes& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

failure malformed(std::string_view reason, const char* detail) {
  return {errc::invalid_argument, reason, detail};
}

model::status read_will(unsigned flags, reader& in, protocol by, connect& c) {
  if (!(flags & 4)) {
    if (flags & 0x38)
      return malformed("malformed_connect", "connect: flags of a will without a will");
    return {};
  }
  auto w = will{};
  if (by == protocol::v5)
    if (auto read = read_properties(in, carrier::will, w.with); !read)
      return read;
  w.topic = in.text();
  w.payload = in.bytes();
  if ((flags >> 3 & 3) > 2 || !is_topic_name(w.topic))
    return malformed("malformed_connect", "connect: the will is not possible");
  w.level = static_cast<qos>(flags >> 3 & 3);
  w.retain = flags & 32;
  c.last_will = std::move(w);
  return {};
}

model::result<packet> decode_connect(reader in) {
  const auto name = in.text();
  auto made = packet{std::in_place_type<connect>};
  auto& c = std::get<connect>(made);
  c.protocol_level = in.u8();
  if (!in.ok() || (name != "MQTT" && name != "MQIsdp"))
    return malformed("malformed_connect", "connect: the protocol name is not MQTT");
  const auto level = c.protocol_level;
  if (name == "MQTT" ? level != 4 && level != 5 : level != 3) {
    if (level >= 3 && level <= 5)
      c.protocol_level = 0;
    return made;  // the level alone decides the answer
  }
  const auto by = static_cast<protocol>(level);
  const auto flags = in.u8();
  c.keep_alive = in.u16();
  if (by == protocol::v5)
    if (auto read = read_properties(in, carrier::connect, c.with); !read)
      return read.error();
  c.client_id = in.text();
  c.clean_session = flags & 2;
  if (flags & 1)
    return malformed("malformed_connect", "connect: the reserved flag is set");
  if (auto read = read_will(flags, in, by, c); !read)
    return read.error();
  if (flags & 128)
    c.username = in.text();
  if (flags & 64) {
    if (!(flags & 128) && by != protocol::v5)
      return malformed("malformed_connect", "connect: a password without a user name");
    c.password = in.bytes();
  }
  if (!in.ok() || !in.at_end())
    return malformed("malformed_connect",
                     "connect: ends inside a field, or goes on after the last");
  return made;
}

model::result<packet> decode_connack(reader in, protocol by) {
  const auto flag = in.u8();
  auto c = connack{flag == 1, in.u8(), {}};
  if (by == protocol::v5)
    if (auto read = read_properties(in, carrier::connack, c.with); !read)
      return read.error();
  const auto known = by == protocol::v5 ? is_one_of(c.code, of_connack) : c.code <= 5;
  if (!in.ok() || !in.at_end() || flag > 1 || !known)
    return malformed("malformed_ack", "connack: a flag, a code, properties");
  if (c.session_present && c.code != 0)
    return malformed("protocol_error", "connack: a session with a refusal");
  return packet{std::move(c)};
}

model::result<packet> decode_publish(unsigned flags, reader in, protocol by) {
  auto p = publish{};
  if ((flags >> 1 & 3) == 3)
    return malformed("malformed_publish", "publish: QoS 3 does not exist");
  p.level = static_cast<qos>(flags >> 1 & 3);
  p.dup = flags & 8;
  p.retain = flags & 1;
  if (p.dup && p.level == qos::at_most_once)
    return malformed("malformed_publish", "publish: DUP with QoS 0");
  p.topic = in.text();
  if (p.level != qos::at_most_once)
    p.packet_id = in.u16();
  if (by == protocol::v5 && in.ok())
    if (auto read = read_properties(in, carrier::publish, p.with); !read)
      return read.error();
  p.payload = in.tail();
  if (!in.ok())
    return malformed("malformed_publish", "publish: ends inside a field");
  if (p.topic.empty() && by == protocol::v5) {
    if (!p.with->topic_alias)
      return malformed("protocol_error", "publish: neither a topic nor an alias");
  } else if (!is_topic_name(p.topic)) {
    return malformed("malformed_topic", "publish: an empty topic or one with wildcards");
  }
  if (p.level != qos::at_most_once && p.packet_id == 0)
    return malformed("malformed_publish", "publish: packet id 0");
  return packet{std::move(p)};
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP: a code of 0 may be left out, and so may an empty list (3.4.2).
template <class Ack, class Codes>
model::result<packet> decode_ack(reader in, protocol by, const Codes& codes) {
  auto a = Ack{in.u16()};
  if (by == protocol::v5 && !in.at_end()) {
    a.code = in.u8();
    if (!in.at_end())
      if (auto read = read_properties(in, carrier::ack, a.with); !read)
        return read.error();
  }
  if (!in.ok() || !in.at_end() || a.packet_id == 0 || !is_one_of(a.code, codes))
    return malformed("malformed_ack", "an acknowledgement: a packet id, a code, properties");
  return packet{std::move(a)};
}

/// SUBACK, UNSUBACK.
template <class Ack, class Codes>
model::result<packet> decode_codes(reader in, protocol by, const Codes& codes) {
  auto a = Ack{in.u16(), {}, {}};
  if (by == protocol::v5 && in.ok())
    if (auto read = read_properties(in, carrier::ack, a.with); !read)
      return read.error();
  while (!in.at_end())
    a.codes.push_back(in.u8());
  const auto all_known = std::all_of(a.codes.begin(), a.codes.end(), [&](std::uint8_t code) {
    return is_one_of(code, codes) && (by == protocol::v5 || code <= 0x80);
  });
  if (!in.ok() || a.packet_id == 0 || a.codes.empty() || !all_known)
    return malformed("malformed_ack", "an acknowledgement: a packet id and codes");
  return packet{std::move(a)};
}

/// Of 3.1.1: without codes.
model::result<packet> decode_unsuback(reader in) {
  auto a = unsuback{in.u16()};
  if (!in.ok() || !in.at_end() || a.packet_id == 0)
    return malformed("malformed_ack", "unsuback: a packet id and nothing else");
  return packet{std::move(a)};
}

model::result<filter> read_filter(reader& in, protocol by) {
  auto f = filter{in.text(), {}};
  const auto options = in.u8();
  const auto reserved = by == protocol::v5 ? 0xc0u : 0xfcu;
  if (!in.ok() || (options & reserved) ||
      !(by == protocol::v5 ? is_subscription(f.text) : is_topic_filter(f.text)))
    return malformed("malformed_subscribe", "subscribe: a filter or options that are not possible");
  if ((options & 3) == 3)
    return malformed(by == protocol::v5 ? "protocol_error" : "malformed_subscribe",
                     "subscribe: QoS 3 does not exist");
  f.level = static_cast<qos>(options & 3);
  f.no_local = options & 4;
  f.retain_as_published = options & 8;
  f.retain_handling = options >> 4 & 3;
  if (f.retain_handling == 3)
    return malformed("protocol_error", "subscribe: retain handling 3 does not exist");
  if (f.no_local && shared_of(f.text))
    return malformed("protocol_error", "subscribe: a shared subscription cannot be no local");
  return f;
}

model::result<packet> decode_subscribe(reader in, protocol by) {
  auto s = subscribe{in.u16(), {}, {}};
  if (by == protocol::v5 && in.ok())
    if (auto read = read_properties(in, carrier::subscribe, s.with); !read)
      return read.error();
  while (in.ok() && !in.at_end()) {
    auto f = read_filter(in, by);
    if (!f)
      return f.error();
    s.filters.push_back(*f);
  }
  if (!in.ok() || s.packet_id == 0)
    return malformed("malformed_subscribe", "subscribe: packet id 0 or cut short");
  if (s.filters.empty())
    return malformed(by == protocol::v5 ? "protocol_error" : "malformed_subscribe",
                     "subscribe: no filter");
  return packet{std::move(s)};
}

model::result<packet> decode_unsubscribe(reader in, protocol by) {
  auto u = unsubscribe{in.u16(), {}, {}};
  if (by == protocol::v5 && in.ok())
    if (auto read = read_properties(in, carrier::unsubscribe, u.with); !read)
      return read.error();
  while (in.ok() && !in.at_end()) {
    const auto text = in.text();
    if (!in.ok() || !(by == protocol::v5 ? is_subscription(text) : is_topic_filter(text)))
      return malformed("malformed_unsubscribe", "unsubscribe: a filter that is not possible");
    u.filters.push_back(text);
  }
  if (!in.ok() || u.packet_id == 0)
    return malformed("malformed_unsubscribe", "unsubscribe: packet id 0 or cut short");
  if (u.filters.empty())
    return malformed(by == protocol::v5 ? "protocol_error" : "malformed_unsubscribe",
                     "unsubscribe: no filter");
  return packet{std::move(u)};
}

/// DISCONNECT and AUTH of 5.0: all of it may be left out, and so may an empty list
/// (3.14.2, 3.15.2).
template <class Last, class Codes>
model::result<packet> decode_last(reader in, carrier where, const Codes& codes) {
  auto d = Last{};
  if (!in.at_end()) {
    d.code = in.u8();
    if (!in.at_end())
      if (auto read = read_properties(in, where, d.with); !read)
        return read.error();
  }
  if (!in.ok() || !in.at_end() || !is_one_of(d.code, codes))
    return malformed("malformed_header", "a disconnect or auth: a code and properties");
  return packet{std::move(d)};
}

model::result<packet> decode_auth(reader in) {
  auto got = decode_last<auth>(in, carrier::auth, of_auth);
  if (got)
    if (const auto& a = std::get<auth>(*got); a.code != 0 && !a.with->auth_method)
      return malformed("protocol_error", "auth: no method");
  return got;
}

model::result<packet> decode_body(unsigned type, unsigned flags, reader in, protocol by) {
  const auto expected = type == t_pubrel || type == t_subscribe || type == t_unsubscribe ? 2u : 0u;
  if (type != t_publish && flags != expected)
    return malformed("malformed_header", "the flags of a fixed header are not what they must be");
  const auto five = by == protocol::v5;
  switch (type) {
    case t_connect:
      return decode_connect(in);
    case t_connack:
      return decode_connack(in, by);
    case t_publish:
      return decode_publish(flags, in, by);
    case t_puback:
      return decode_ack<puback>(in, by, of_taken);
    case t_pubrec:
      return decode_ack<pubrec>(in, by, of_taken);
    case t_pubrel:
      return decode_ack<pubrel>(in, by, of_release);
    case t_pubcomp:
      return decode_ack<pubcomp>(in, by, of_release);
    case t_subscribe:
      return decode_subscribe(in, by);
    case t_suback:
      return decode_codes<suback>(in, by, of_suback);
    case t_unsubscribe:
      return decode_unsubscribe(in, by);
    case t_unsuback:
      return five ? decode_codes<unsuback>(in, by, of_unsuback) : decode_unsuback(in);
    case t_pingreq:
    case t_pingresp:
    case t_disconnect:
      if (five && type == t_disconnect)
        return decode_last<disconnect>(in, carrier::disconnect, of_disconnect);
      if (!in.at_end())
        return malformed("malformed_header", "a packet without content has some");
      return type == t_pingreq    ? packet{pingreq{}}
             : type == t_pingresp ? packet{pingresp{}}
                                  : packet{disconnect{}};
    case t_auth:
      if (five)
        return decode_auth(in);
      [[fallthrough]];
    default:
      return malformed("malformed_header", "a packet type that does not exist");
  }
}

}  // namespace

model::result<std::optional<decoded>> decode(std::string_view in, std::size_t max_size,
                                             protocol by) {
  if (in.size() < 2)
    return std::optional<decoded>{};
  const auto first = static_cast<unsigned char>(in[0]);
  auto size = std::size_t{0};
  auto at = std::size_t{1};
  auto minimal = true;
  for (auto shift = 0;; shift += 7, ++at) {
    if (at == 5)
      return malformed("malformed_header", "the remaining length is longer than four bytes");
    if (at >= in.size())
      return std::optional<decoded>{};
    const auto byte = static_cast<unsigned char>(in[at]);
    size |= static_cast<std::size_t>(byte & 127) << shift;
    minimal = byte != 0 || shift == 0;
    if (byte < 128)
      break;
  }
  ++at;
  if (at + size > max_size)
    return failure{errc::too_large, "too_large",
                   "a packet of " + std::to_string(at + size) + " bytes; the limit is " +
                       std::to_string(max_size)};
  if (in.size() < at + size)
    return std::optional<decoded>{};
  auto body = decode_body(first >> 4, first & 15, reader{in.substr(at, size)}, by);
  if (!body)
    return body.error();
  if (const auto* c = std::get_if<connect>(&*body))
    by = static_cast<protocol>(c->protocol_level);
  if (!minimal && by == protocol::v5)
    return malformed("malformed_header", "the remaining length has a byte in vain");
  return std::optional{decoded{std::move(*body), at + size}};
}

std::optional<bool> names_version_5(std::string_view in) {
  using namespace std::string_view_literals;
  constexpr auto wanted = "\0\4MQTT\5"sv;
  if (in.empty())
    return std::nullopt;
  if (static_cast<unsigned char>(in.front()) >> 4 != t_connect)
    return false;
  in.remove_prefix(1);
  auto size = std::size_t{0};
  for (auto shift = 0; shift < 28; shift += 7) {
    if (in.empty())
      return std::nullopt;
    const auto byte = static_cast<unsigned char>(in.front());
    size |= static_cast<std::size_t>(byte & 127) << shift;
    in.remove_prefix(1);
    if (byte >= 128)
      continue;
    if (size < wanted.size())
      return false;
    in = in.substr(0, wanted.size());
    if (in.size() < wanted.size() && wanted.starts_with(in))
      return std::nullopt;
    return in == wanted;
  }
  return false;
}

}  // namespace orrery::transport::mqtt
