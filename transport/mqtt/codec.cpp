#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

enum type : unsigned {
  t_connect = 1,
  t_connack,
  t_publish,
  t_puback,
  t_pubrec,
  t_pubrel,
  t_pubcomp,
  t_subscribe,
  t_suback,
  t_unsubscribe,
  t_unsuback,
  t_pingreq,
  t_pingresp,
  t_disconnect
};

/// Sticks at the first field that does not fit.
class reader {
 public:
  explicit reader(std::string_view in) : in_{in} {}
  std::uint8_t u8() {
    if (in_.empty()) {
      ok_ = false;
      return 0;
    }
    const auto v = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return v;
  }
  std::uint16_t u16() {
    const auto high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::string_view bytes() {
    const auto size = u16();
    if (size > in_.size()) {
      ok_ = false;
      return {};
    }
    const auto v = in_.substr(0, size);
    in_.remove_prefix(size);
    return v;
  }
  std::string_view text() {
    const auto v = bytes();
    ok_ = ok_ && is_mqtt_text(v);
    return v;
  }
  std::string_view tail() {
    const auto v = in_;
    in_ = {};
    return v;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

failure malformed(std::string_view reason, const char* detail) {
  return {errc::invalid_argument, reason, detail};
}

model::result<packet> decode_connect(reader in) {
  const auto name = in.text();
  auto c = connect{};
  c.protocol_level = in.u8();
  if (!in.ok() || (name != "MQTT" && name != "MQIsdp"))
    return malformed("malformed_connect", "connect: the protocol name is not MQTT");
  if (c.protocol_level != (name == "MQTT" ? 4 : 3)) {
    if (c.protocol_level == 3 || c.protocol_level == 4)
      c.protocol_level = 0;
    return packet{c};  // the level alone decides the answer
  }
  const auto flags = in.u8();
  c.keep_alive = in.u16();
  c.client_id = in.text();
  c.clean_session = flags & 2;
  if (flags & 1)
    return malformed("malformed_connect", "connect: the reserved flag is set");
  if (flags & 4) {
    auto w = will{};
    w.topic = in.text();
    w.payload = in.bytes();
    if ((flags >> 3 & 3) > 2 || !is_topic_name(w.topic))
      return malformed("malformed_connect", "connect: the will is not possible");
    w.level = static_cast<qos>(flags >> 3 & 3);
    w.retain = flags & 32;
    c.last_will = w;
  } else if (flags & 0x38) {
    return malformed("malformed_connect", "connect: flags of a will without a will");
  }
  if (flags & 128)
    c.username = in.text();
  if (flags & 64) {
    if (!(flags & 128))
      return malformed("malformed_connect", "connect: a password without a user name");
    c.password = in.bytes();
  }
  if (!in.ok() || !in.at_end())
    return malformed("malformed_connect",
                     "connect: ends inside a field, or goes on after the last");
  return packet{c};
}

model::result<packet> decode_publish(unsigned flags, reader in) {
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
  p.payload = in.tail();
  if (!in.ok())
    return malformed("malformed_publish", "publish: ends inside a field");
  if (!is_topic_name(p.topic))
    return malformed("malformed_topic", "publish: an empty topic or one with wildcards");
  if (p.level != qos::at_most_once && p.packet_id == 0)
    return malformed("malformed_publish", "publish: packet id 0");
  return packet{p};
}

template <class Ack>
model::result<packet> decode_ack(reader in) {
  const auto id = in.u16();
  if (!in.ok() || !in.at_end() || id == 0)
    return malformed("malformed_ack", "an acknowledgement is a packet id and nothing else");
  return packet{Ack{id}};
}

model::result<packet> decode_subscribe(reader in) {
  auto s = subscribe{in.u16(), {}};
  while (in.ok() && !in.at_end()) {
    const auto text = in.text();
    const auto level = in.u8();
    if (!in.ok() || level > 2 || !is_topic_filter(text))
      return malformed("malformed_subscribe", "subscribe: a filter or QoS that is not possible");
    s.filters.push_back({text, static_cast<qos>(level)});
  }
  if (!in.ok() || s.packet_id == 0 || s.filters.empty())
    return malformed("malformed_subscribe", "subscribe: no filter, packet id 0 or cut short");
  return packet{std::move(s)};
}

model::result<packet> decode_unsubscribe(reader in) {
  auto u = unsubscribe{in.u16(), {}};
  while (in.ok() && !in.at_end()) {
    const auto text = in.text();
    if (!in.ok() || !is_topic_filter(text))
      return malformed("malformed_unsubscribe", "unsubscribe: a filter that is not possible");
    u.filters.push_back(text);
  }
  if (!in.ok() || u.packet_id == 0 || u.filters.empty())
    return malformed("malformed_unsubscribe", "unsubscribe: no filter, packet id 0 or cut short");
  return packet{std::move(u)};
}

model::result<packet> decode_body(unsigned type, unsigned flags, reader in) {
  const auto expected = type == t_pubrel || type == t_subscribe || type == t_unsubscribe ? 2u : 0u;
  if (type != t_publish && flags != expected)
    return malformed("malformed_header", "the flags of a fixed header are not what they must be");
  switch (type) {
    case t_connect:
      return decode_connect(in);
    case t_connack: {
      const auto flag = in.u8();
      const auto code = in.u8();
      if (!in.ok() || !in.at_end() || flag > 1)
        return malformed("malformed_ack", "connack: two bytes");
      return packet{connack{flag == 1, code}};
    }
    case t_publish:
      return decode_publish(flags, in);
    case t_puback:
      return decode_ack<puback>(in);
    case t_pubrec:
      return decode_ack<pubrec>(in);
    case t_pubrel:
      return decode_ack<pubrel>(in);
    case t_pubcomp:
      return decode_ack<pubcomp>(in);
    case t_subscribe:
      return decode_subscribe(in);
    case t_suback: {
      auto s = suback{in.u16(), {}};
      while (!in.at_end())
        s.codes.push_back(in.u8());
      if (!in.ok() || s.packet_id == 0 || s.codes.empty())
        return malformed("malformed_ack", "suback: a packet id and codes");
      return packet{std::move(s)};
    }
    case t_unsubscribe:
      return decode_unsubscribe(in);
    case t_unsuback:
      return decode_ack<unsuback>(in);
    case t_pingreq:
    case t_pingresp:
    case t_disconnect:
      if (!in.at_end())
        return malformed("malformed_header", "a packet without content has some");
      return type == t_pingreq    ? packet{pingreq{}}
             : type == t_pingresp ? packet{pingresp{}}
                                  : packet{disconnect{}};
    default:
      return malformed("malformed_header", "a packet type that does not exist");
  }
}

void put_u16(std::string& out, std::size_t v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}
void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out += text;
}
void put_header(std::string& out, unsigned type, unsigned flags, std::size_t size) {
  out += static_cast<char>(type << 4 | flags);
  do {
    out += static_cast<char>(size % 128 | (size >= 128 ? 128 : 0));
    size /= 128;
  } while (size > 0);
}
void put_ack(std::string& out, unsigned type, unsigned flags, std::uint16_t id) {
  put_header(out, type, flags, 2);
  put_u16(out, id);
}

struct encoder {
  std::string& out;

  void operator()(const connect& c) const {
    auto body = std::string{};
    put_text(body, c.protocol_level == 3 ? "MQIsdp" : "MQTT");
    body += static_cast<char>(c.protocol_level);
    auto flags = c.clean_session ? 2u : 0u;
    if (c.last_will)
      flags |=
          4u | static_cast<unsigned>(c.last_will->level) << 3 | (c.last_will->retain ? 32u : 0u);
    flags |= (c.username ? 128u : 0u) | (c.password ? 64u : 0u);
    body += static_cast<char>(flags);
    put_u16(body, c.keep_alive);
    put_text(body, c.client_id);
    if (c.last_will) {
      put_text(body, c.last_will->topic);
      put_text(body, c.last_will->payload);
    }
    if (c.username)
      put_text(body, *c.username);
    if (c.password)
      put_text(body, *c.password);
    put_header(out, t_connect, 0, body.size());
    out += body;
  }
  void operator()(const connack& c) const {
    put_header(out, t_connack, 0, 2);
    out += static_cast<char>(c.session_present ? 1 : 0);
    out += static_cast<char>(c.code);
  }
  void operator()(const publish& p) const {
    const auto with_id = p.level != qos::at_most_once;
    put_header(out, t_publish,
               (p.dup ? 8u : 0u) | static_cast<unsigned>(p.level) << 1 | (p.retain ? 1u : 0u),
               2 + p.topic.size() + (with_id ? 2 : 0) + p.payload.size());
    put_text(out, p.topic);
    if (with_id)
      put_u16(out, p.packet_id);
    out += p.payload;
  }
  void operator()(const puback& a) const { put_ack(out, t_puback, 0, a.packet_id); }
  void operator()(const pubrec& a) const { put_ack(out, t_pubrec, 0, a.packet_id); }
  void operator()(const pubrel& a) const { put_ack(out, t_pubrel, 2, a.packet_id); }
  void operator()(const pubcomp& a) const { put_ack(out, t_pubcomp, 0, a.packet_id); }
  void operator()(const unsuback& a) const { put_ack(out, t_unsuback, 0, a.packet_id); }
  void operator()(const subscribe& s) const {
    auto size = std::size_t{2};
    for (const auto& f : s.filters)
      size += 3 + f.text.size();
    put_header(out, t_subscribe, 2, size);
    put_u16(out, s.packet_id);
    for (const auto& f : s.filters) {
      put_text(out, f.text);
      out += static_cast<char>(f.level);
    }
  }
  void operator()(const suback& s) const {
    put_header(out, t_suback, 0, 2 + s.codes.size());
    put_u16(out, s.packet_id);
    for (const auto code : s.codes)
      out += static_cast<char>(code);
  }
  void operator()(const unsubscribe& u) const {
    auto size = std::size_t{2};
    for (const auto f : u.filters)
      size += 2 + f.size();
    put_header(out, t_unsubscribe, 2, size);
    put_u16(out, u.packet_id);
    for (const auto f : u.filters)
      put_text(out, f);
  }
  void operator()(const pingreq&) const { put_header(out, t_pingreq, 0, 0); }
  void operator()(const pingresp&) const { put_header(out, t_pingresp, 0, 0); }
  void operator()(const disconnect&) const { put_header(out, t_disconnect, 0, 0); }
};

}  // namespace

model::result<std::optional<decoded>> decode(std::string_view in, std::size_t max_size) {
  if (in.size() < 2)
    return std::optional<decoded>{};
  const auto first = static_cast<unsigned char>(in[0]);
  auto size = std::size_t{0};
  auto at = std::size_t{1};
  for (auto shift = 0;; shift += 7, ++at) {
    if (at == 5)
      return malformed("malformed_header", "the remaining length is longer than four bytes");
    if (at >= in.size())
      return std::optional<decoded>{};
    const auto byte = static_cast<unsigned char>(in[at]);
    size |= static_cast<std::size_t>(byte & 127) << shift;
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
  auto body = decode_body(first >> 4, first & 15, reader{in.substr(at, size)});
  if (!body)
    return body.error();
  return std::optional{decoded{std::move(*body), at + size}};
}

void encode(const packet& p, std::string& out) {
  std::visit(encoder{out}, p);
}

bool is_mqtt_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      if (c == 0)
        return false;
      ++i;
      continue;
    }
    const auto length = c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : c >= 0xc2 ? 2u : 0u;
    if (length == 0 || c > 0xf4 || i + length > text.size())
      return false;
    auto point = static_cast<unsigned>(c & (0xff >> (length + 1)));
    for (auto k = 1u; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80)
        return false;
      point = point << 6 | (next & 0x3f);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff))
      return false;
    i += length;
  }
  return true;
}

bool is_topic_name(std::string_view topic) {
  return !topic.empty() && topic.find_first_of("+#") == std::string_view::npos;
}

bool is_topic_filter(std::string_view filter) {
  if (filter.empty())
    return false;
  for (std::size_t i = 0; i < filter.size(); ++i) {
    const auto starts_level = i == 0 || filter[i - 1] == '/';
    const auto ends_level = i + 1 == filter.size() || filter[i + 1] == '/';
    if (filter[i] == '#' && (!starts_level || i + 1 != filter.size()))
      return false;
    if (filter[i] == '+' && (!starts_level || !ends_level))
      return false;
  }
  return true;
}

bool filter_matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')))
    return false;
  for (;;) {
    if (filter == "#")
      return true;
    const auto filter_end = filter.find('/'), topic_end = topic.find('/');
    const auto level = filter.substr(0, filter_end);
    if (level != "+" && level != topic.substr(0, topic_end))
      return false;
    if (topic_end == std::string_view::npos)
      return filter_end == std::string_view::npos || filter.substr(filter_end) == "/#";
    if (filter_end == std::string_view::npos)
      return false;
    filter.remove_prefix(filter_end + 1);
    topic.remove_prefix(topic_end + 1);
  }
}

}  // namespace orrery::transport::mqtt
