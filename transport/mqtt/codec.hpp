// Control packets of MQTT 3.1, 3.1.1 and 5.0 and their bytes, both directions. No socket, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/result.hpp"
#include "transport/mqtt/properties.hpp"
#include "transport/mqtt/topics.hpp"

namespace orrery::transport::mqtt {

/// The protocol level of a connection: the CONNECT packet says it.
enum class protocol : std::uint8_t { v3_1 = 3, v3_1_1 = 4, v5 = 5 };
enum class qos : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };

// One set of packets for all versions. Reason codes and properties are those of 5.0; older versions
// leave them out. Texts and payloads of decoded packets are views into the bytes they were decoded
// from.

struct will {
  std::string_view topic, payload;
  mqtt::qos level = qos::at_most_once;
  bool retain = false;
  shared_properties with{};
  bool operator==(const will&) const = default;
};
struct connect {
  // 3: MQIsdp, 4: 3.1.1, 5: 5.0; others, and 0 for a level that its name does not have, are decoded
  // no further
  std::uint8_t protocol_level = 4;
  bool clean_session = true;     // 5.0: clean start
  std::uint16_t keep_alive = 0;  // seconds
  std::string_view client_id;
  std::optional<mqtt::will> last_will{};
  std::optional<std::string_view> username{}, password{};
  shared_properties with{};
  bool operator==(const connect&) const = default;
};
struct connack {
  bool session_present = false;
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const connack&) const = default;
};
struct publish {
  std::string_view topic, payload;  // topic: may be empty in 5.0, beside a topic alias
  mqtt::qos level = qos::at_most_once;
  bool retain = false, dup = false;
  std::uint16_t packet_id = 0;  // qos 1 and 2
  shared_properties with{};
  bool operator==(const publish&) const = default;
};
struct puback {
  std::uint16_t packet_id;
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const puback&) const = default;
};
struct pubrec {
  std::uint16_t packet_id;
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const pubrec&) const = default;
};
struct pubrel {
  std::uint16_t packet_id;
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const pubrel&) const = default;
};
struct pubcomp {
  std::uint16_t packet_id;
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const pubcomp&) const = default;
};
struct filter {
  std::string_view text;
  mqtt::qos level;
  bool no_local = false, retain_as_published = false;
  std::uint8_t retain_handling = 0;  // 0: retained messages at once, 1: if it is new, 2: none
  bool operator==(const filter&) const = default;
};
struct subscribe {
  std::uint16_t packet_id;
  std::vector<filter> filters;
  shared_properties with{};
  bool operator==(const subscribe&) const = default;
};
struct suback {
  std::uint16_t packet_id;
  std::vector<std::uint8_t> codes;  // granted qos, or 0x80 and more
  shared_properties with{};
  bool operator==(const suback&) const = default;
};
struct unsubscribe {
  std::uint16_t packet_id;
  std::vector<std::string_view> filters;
  shared_properties with{};
  bool operator==(const unsubscribe&) const = default;
};
struct unsuback {
  std::uint16_t packet_id;
  std::vector<std::uint8_t> codes{};  // 5.0
  shared_properties with{};
  bool operator==(const unsuback&) const = default;
};
struct pingreq {
  bool operator==(const pingreq&) const = default;
};
struct pingresp {
  bool operator==(const pingresp&) const = default;
};
struct disconnect {
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const disconnect&) const = default;
};
struct auth {  // 5.0
  std::uint8_t code = 0;
  shared_properties with{};
  bool operator==(const auth&) const = default;
};

using packet = std::variant<connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe,
                            suback, unsubscribe, unsuback, pingreq, pingresp, disconnect, auth>;

static_assert(sizeof(packet) <= 160, "it is moved several times on its way: see properties");

/// The first four bits of a packet.
enum packet_type : unsigned {
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
  t_disconnect,
  t_auth
};

struct decoded {
  packet what;
  std::size_t size;  // bytes it took
};

/// Reads one control packet from the front of `in` (MQTT 3.1.1 and 5.0, 2 and 3); nothing: more
/// bytes are needed. A CONNECT is read by the level that it names, all others by `by`. Fails:
/// `invalid_argument` if malformed or against the protocol (the reason tells which part: few,
/// static; errors.hpp has the reason code of each), `too_large` if it announces more than
/// `max_size` bytes; the connection must end then.
model::result<std::optional<decoded>> decode(std::string_view in, std::size_t max_size,
                                             protocol by = protocol::v3_1_1);

/// Appends the packet's bytes. Those that every message needs are not made a `packet` before.
void encode(const packet& p, std::string& out, protocol by = protocol::v3_1_1);
void encode(const publish& p, std::string& out, protocol by = protocol::v3_1_1);
void encode(const puback& p, std::string& out, protocol by = protocol::v3_1_1);
void encode(const pubrec& p, std::string& out, protocol by = protocol::v3_1_1);

/// Whether `in` begins with a CONNECT that names level 5, whatever the rest of it is; nothing: more
/// bytes are needed to tell.
std::optional<bool> names_version_5(std::string_view in);

}  // namespace orrery::transport::mqtt
