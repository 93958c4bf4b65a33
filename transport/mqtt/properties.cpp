#include "transport/mqtt/properties.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

/// What a value must be beside its type.
enum class rule : std::uint8_t { any, flag, positive, alias, topic, binary };

constexpr unsigned operator|(carrier a, carrier b) {
  return static_cast<unsigned>(a) | static_cast<unsigned>(b);
}
constexpr unsigned operator|(unsigned a, carrier b) {
  return a | static_cast<unsigned>(b);
}

constexpr auto of_message = carrier::publish | carrier::will;
constexpr auto of_session = carrier::connect | carrier::connack;
constexpr auto subscription_id_in = carrier::publish | carrier::subscribe;
constexpr unsigned subscription_id = 0x0b, user_id = 0x26;  // the two that may stand there often

/// Calls `each(id, carriers, field, rule)` for all that stand at most once (table 2-4).
template <class Properties, class F>
void for_each(Properties& p, F each) {
  const auto in = [](carrier c) { return static_cast<unsigned>(c); };
  each(0x01, of_message, p.payload_format, rule::flag);
  each(0x02, of_message, p.message_expiry, rule::any);
  each(0x03, of_message, p.content_type, rule::any);
  each(0x08, of_message, p.response_topic, rule::topic);
  each(0x09, of_message, p.correlation_data, rule::binary);
  each(0x11, of_session | carrier::disconnect, p.session_expiry, rule::any);
  each(0x12, in(carrier::connack), p.assigned_client_id, rule::any);
  each(0x13, in(carrier::connack), p.server_keep_alive, rule::any);
  each(0x15, of_session | carrier::auth, p.auth_method, rule::any);
  each(0x16, of_session | carrier::auth, p.auth_data, rule::binary);
  each(0x17, in(carrier::connect), p.request_problems, rule::flag);
  each(0x18, in(carrier::will), p.will_delay, rule::any);
  each(0x19, in(carrier::connect), p.request_response_info, rule::flag);
  each(0x1a, in(carrier::connack), p.response_info, rule::any);
  each(0x1c, carrier::connack | carrier::disconnect, p.server_reference, rule::any);
  each(0x1f, carrier::connack | carrier::ack | carrier::disconnect | carrier::auth, p.reason,
       rule::any);
  each(0x21, of_session, p.receive_maximum, rule::positive);
  each(0x22, of_session, p.topic_alias_maximum, rule::any);
  each(0x23, in(carrier::publish), p.topic_alias, rule::alias);
  each(0x24, in(carrier::connack), p.maximum_qos, rule::flag);
  each(0x25, in(carrier::connack), p.retain_available, rule::flag);
  each(0x27, of_session, p.maximum_packet_size, rule::positive);
  each(0x28, in(carrier::connack), p.wildcards_available, rule::flag);
  each(0x29, in(carrier::connack), p.subscription_ids_available, rule::flag);
  each(0x2a, in(carrier::connack), p.shared_available, rule::flag);
}

failure malformed(std::string_view reason, const char* detail) {
  return {errc::invalid_argument, reason, detail};
}
failure too_long() {
  return malformed("malformed_properties", "the properties are longer than the packet");
}
failure not_of_this_packet() {
  return malformed("malformed_properties", "a property that the packet does not have");
}

void take(reader& in, rule, std::optional<std::uint8_t>& v) {
  v = in.u8();
}
void take(reader& in, rule, std::optional<std::uint16_t>& v) {
  v = in.u16();
}
void take(reader& in, rule, std::optional<std::uint32_t>& v) {
  v = in.u32();
}
void take(reader& in, rule r, std::optional<std::string_view>& v) {
  v = r == rule::binary ? in.bytes() : in.text();
}

template <class Number>
bool is_allowed(Number v, rule r) {
  return (r != rule::flag || v <= 1) && ((r != rule::positive && r != rule::alias) || v != 0);
}
bool is_allowed(std::string_view v, rule r) {
  return r != rule::topic || is_topic_name(v);
}

model::status read_one(reader& in, unsigned id, carrier where, properties& out) {
  auto why = std::optional<failure>{not_of_this_packet()};
  for_each(out, [&](unsigned of, unsigned carriers, auto& field, rule r) {
    if (of != id || !(carriers & static_cast<unsigned>(where)))
      return;
    why.reset();
    if (field)
      why = malformed("protocol_error", "a property stands there twice");
    take(in, r, field);
    if (!why && in.ok() && !is_allowed(*field, r))
      why = r == rule::alias ? malformed("topic_alias_invalid", "topic alias 0")
                             : malformed("protocol_error", "a property has a value it cannot have");
  });
  if (why)
    return *why;
  return {};
}

model::status read_subscription_id(reader& in, carrier where, properties& out) {
  if (!(subscription_id_in & static_cast<unsigned>(where)))
    return not_of_this_packet();
  if (where == carrier::subscribe && !out.subscription_ids.empty())
    return malformed("protocol_error", "two subscription identifiers");
  out.subscription_ids.push_back(in.varint());
  if (in.ok() && out.subscription_ids.back() == 0)
    return malformed("protocol_error", "subscription identifier 0");
  return {};
}

void put(std::string& out, std::uint8_t v) {
  out += static_cast<char>(v);
}
void put(std::string& out, std::uint16_t v) {
  put_u16(out, v);
}
void put(std::string& out, std::uint32_t v) {
  put_u16(out, v >> 16);
  put_u16(out, v & 0xffff);
}
void put(std::string& out, std::string_view v) {
  put_text(out, v);
}

}  // namespace

model::status read_properties(reader& in, carrier where, shared_properties& shared) {
  const auto size = in.varint();
  if (size == 0)
    return in.ok() ? model::status{} : too_long();
  auto& out = shared.edit();
  auto own = reader{in.head(size)};
  if (!in.ok())
    return too_long();
  while (own.ok() && !own.at_end()) {
    const auto id = own.varint();
    if (id == user_id) {
      const auto name = own.text();
      out.user.push_back({name, own.text()});
      continue;
    }
    const auto got = id == subscription_id ? read_subscription_id(own, where, out)
                                           : read_one(own, id, where, out);
    if (!own.ok())
      break;
    if (!got)
      return got;
  }
  if (!own.ok())
    return malformed("malformed_properties", "a property is cut short or is no text");
  if (out.auth_data && !out.auth_method)
    return malformed("protocol_error", "authentication data without a method");
  return {};
}

void write_properties(const shared_properties& shared, carrier where, std::string& out) {
  if (&*shared == &*shared_properties{}) {  // all that are empty are one
    out += '\0';
    return;
  }
  const auto& p = *shared;
  auto own = std::string{};
  for_each(p, [&](unsigned id, unsigned carriers, const auto& field, rule) {
    if (!field || !(carriers & static_cast<unsigned>(where)))
      return;
    own += static_cast<char>(id);
    put(own, *field);
  });
  if (subscription_id_in & static_cast<unsigned>(where))
    for (const auto id : p.subscription_ids) {
      own += static_cast<char>(subscription_id);
      put_varint(own, id);
    }
  for (const auto& [name, value] : p.user) {
    own += static_cast<char>(user_id);
    put_text(own, name);
    put_text(own, value);
  }
  put_varint(out, own.size());
  out += own;
}

void put_u16(std::string& out, std::size_t v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v);
}

void put_varint(std::string& out, std::size_t v) {
  do {
    out += static_cast<char>(v % 128 | (v >= 128 ? 128 : 0));
    v /= 128;
  } while (v > 0);
}

void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out += text;
}

}  // namespace orrery::transport::mqtt
