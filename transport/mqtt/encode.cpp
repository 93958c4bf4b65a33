#include <algorithm>

#include "transport/mqtt/codec.hpp"

namespace orrery::transport::mqtt {
namespace {

void put_header(std::string& out, unsigned type, unsigned flags, std::size_t size) {
  out += static_cast<char>(type << 4 | flags);
  put_varint(out, size);
}

struct encoder {
  std::string& out;
  protocol by;
  bool five = by == protocol::v5;

  void put_with(std::string& body, const shared_properties& p, carrier where) const {
    if (five)
      write_properties(p, where, body);
  }
  void operator()(const connect& c) const {
    const auto own = static_cast<protocol>(c.protocol_level);
    const auto put = encoder{out, own};
    auto body = std::string{};
    put_text(body, own == protocol::v3_1 ? "MQIsdp" : "MQTT");
    body += static_cast<char>(c.protocol_level);
    auto flags = c.clean_session ? 2u : 0u;
    if (c.last_will)
      flags |=
          4u | static_cast<unsigned>(c.last_will->level) << 3 | (c.last_will->retain ? 32u : 0u);
    flags |= (c.username ? 128u : 0u) | (c.password ? 64u : 0u);
    body += static_cast<char>(flags);
    put_u16(body, c.keep_alive);
    put.put_with(body, c.with, carrier::connect);
    put_text(body, c.client_id);
    if (c.last_will) {
      put.put_with(body, c.last_will->with, carrier::will);
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
    auto body = std::string{static_cast<char>(c.session_present ? 1 : 0)};
    body += static_cast<char>(c.code);
    put_with(body, c.with, carrier::connack);
    put_header(out, t_connack, 0, body.size());
    out += body;
  }
  void operator()(const publish& p) const {
    const auto with_id = p.level != qos::at_most_once;
    auto with = std::string{};
    put_with(with, p.with, carrier::publish);
    put_header(out, t_publish,
               (p.dup ? 8u : 0u) | static_cast<unsigned>(p.level) << 1 | (p.retain ? 1u : 0u),
               2 + p.topic.size() + (with_id ? 2 : 0) + with.size() + p.payload.size());
    put_text(out, p.topic);
    if (with_id)
      put_u16(out, p.packet_id);
    out += with;
    out += p.payload;
  }
  /// Without a code of 0 and without an empty list.
  void put_end(std::string& body, std::uint8_t code, const shared_properties& p,
               carrier where) const {
    if (!five)
      return;
    auto with = std::string{};
    write_properties(p, where, with);
    if (code != 0 || with.size() > 1)
      body += static_cast<char>(code);
    if (with.size() > 1)
      body += with;
  }
  template <class Ack>
  void put_ack(unsigned type, unsigned flags, const Ack& a) const {
    auto body = std::string{};
    put_u16(body, a.packet_id);
    put_end(body, a.code, a.with, carrier::ack);
    put_header(out, type, flags, body.size());
    out += body;
  }
  void operator()(const puback& a) const { put_ack(t_puback, 0, a); }
  void operator()(const pubrec& a) const { put_ack(t_pubrec, 0, a); }
  void operator()(const pubrel& a) const { put_ack(t_pubrel, 2, a); }
  void operator()(const pubcomp& a) const { put_ack(t_pubcomp, 0, a); }
  void operator()(const subscribe& s) const {
    auto body = std::string{};
    put_u16(body, s.packet_id);
    put_with(body, s.with, carrier::subscribe);
    for (const auto& f : s.filters) {
      put_text(body, f.text);
      auto options = static_cast<unsigned>(f.level);
      if (five)
        options |= (f.no_local ? 4u : 0u) | (f.retain_as_published ? 8u : 0u) |
                   static_cast<unsigned>(f.retain_handling) << 4;
      body += static_cast<char>(options);
    }
    put_header(out, t_subscribe, 2, body.size());
    out += body;
  }
  void operator()(const suback& s) const {
    auto body = std::string{};
    put_u16(body, s.packet_id);
    put_with(body, s.with, carrier::ack);
    for (const auto code : s.codes)
      body += static_cast<char>(five ? code : std::min<std::uint8_t>(code, 0x80));
    put_header(out, t_suback, 0, body.size());
    out += body;
  }
  void operator()(const unsubscribe& u) const {
    auto body = std::string{};
    put_u16(body, u.packet_id);
    put_with(body, u.with, carrier::unsubscribe);
    for (const auto f : u.filters)
      put_text(body, f);
    put_header(out, t_unsubscribe, 2, body.size());
    out += body;
  }
  void operator()(const unsuback& a) const {
    auto body = std::string{};
    put_u16(body, a.packet_id);
    put_with(body, a.with, carrier::ack);
    if (five)
      for (const auto code : a.codes)
        body += static_cast<char>(code);
    put_header(out, t_unsuback, 0, body.size());
    out += body;
  }
  void operator()(const pingreq&) const { put_header(out, t_pingreq, 0, 0); }
  void operator()(const pingresp&) const { put_header(out, t_pingresp, 0, 0); }
  void operator()(const disconnect& d) const {
    auto body = std::string{};
    put_end(body, d.code, d.with, carrier::disconnect);
    put_header(out, t_disconnect, 0, body.size());
    out += body;
  }
  void operator()(const auth& a) const {
    auto body = std::string{};
    put_end(body, a.code, a.with, carrier::auth);
    put_header(out, t_auth, 0, body.size());
    out += body;
  }
};

}  // namespace

void encode(const packet& p, std::string& out, protocol by) {
  std::visit(encoder{out, by}, p);
}
void encode(const publish& p, std::string& out, protocol by) {
  encoder{out, by}(p);
}
void encode(const puback& p, std::string& out, protocol by) {
  encoder{out, by}(p);
}
void encode(const pubrec& p, std::string& out, protocol by) {
  encoder{out, by}(p);
}

}  // namespace orrery::transport::mqtt
