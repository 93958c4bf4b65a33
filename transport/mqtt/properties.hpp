// Properties of MQTT 5.0 packets (2.2.2) and their bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/cow.hpp"
#include "model/result.hpp"
#include "transport/mqtt/reader.hpp"

namespace orrery::transport::mqtt {

struct user_property {
  std::string_view name, value;
  bool operator==(const user_property&) const = default;
};

/// Of any packet; each kind of packet has its own part of them (table 2-4). Texts are views into
/// the bytes that they were read from.
struct properties {
  std::optional<std::uint8_t> payload_format{};   // 1: text
  std::optional<std::uint32_t> message_expiry{};  // seconds
  std::optional<std::string_view> content_type{}, response_topic{}, correlation_data{};
  std::optional<std::uint32_t> session_expiry{};  // seconds; 2^32 - 1: none
  std::optional<std::string_view> assigned_client_id{};
  std::optional<std::uint16_t> server_keep_alive{};  // seconds
  std::optional<std::string_view> auth_method{}, auth_data{};
  std::optional<std::uint8_t>
      request_problems{};                     // 0: no reason strings but in CONNACK, DISCONNECT
  std::optional<std::uint32_t> will_delay{};  // seconds
  std::optional<std::uint8_t> request_response_info{};
  std::optional<std::string_view> response_info{}, server_reference{}, reason{};
  std::optional<std::uint16_t> receive_maximum{}, topic_alias_maximum{}, topic_alias{};
  std::optional<std::uint8_t> maximum_qos{}, retain_available{};
  std::optional<std::uint32_t> maximum_packet_size{};  // bytes
  std::optional<std::uint8_t> wildcards_available{}, subscription_ids_available{},
      shared_available{};
  std::vector<std::uint32_t> subscription_ids{};  // 1 to 268,435,455; several in a PUBLISH only
  std::vector<user_property> user{};
  bool operator==(const properties&) const = default;
};

/// As packets have them: most have none, and that is a null pointer.
using shared_properties = model::cow<properties>;

/// Where properties stand.
enum class carrier : std::uint16_t {
  connect = 1,
  connack = 2,
  publish = 4,
  ack = 8,  // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK
  subscribe = 16,
  unsubscribe = 32,
  disconnect = 64,
  auth = 128,
  will = 256,
};

/// Their length and themselves. Fails: `invalid_argument` with reason "malformed_properties" (not
/// of this packet, unknown, cut short), "protocol_error" (twice, or a value that is not allowed) or
/// "topic_alias_invalid".
model::status read_properties(reader& in, carrier where, shared_properties& out);
/// Writes those that `where` has; others are left out.
void write_properties(const shared_properties& p, carrier where, std::string& out);

void put_u16(std::string& out, std::size_t v);
void put_varint(std::string& out, std::size_t v);
void put_text(std::string& out, std::string_view text);

}  // namespace orrery::transport::mqtt
