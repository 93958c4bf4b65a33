// MQTT 3.1.1 control packets and their bytes, both directions. No socket, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/result.hpp"

namespace orrery::transport::mqtt {

enum class qos : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };

// Texts and payloads of decoded packets are views into the bytes they were decoded from.

struct will {
  std::string_view topic, payload;
  mqtt::qos level = qos::at_most_once;
  bool retain = false;
};
struct connect {
  // 3: MQIsdp, 4: 3.1.1; others, and 0 for a level that its name does not have, are decoded no
  // further
  std::uint8_t protocol_level = 4;
  bool clean_session = true;
  std::uint16_t keep_alive = 0;  // seconds
  std::string_view client_id;
  std::optional<mqtt::will> last_will{};
  std::optional<std::string_view> username{}, password{};
};
struct connack {
  bool session_present = false;
  std::uint8_t code = 0;
};
struct publish {
  std::string_view topic, payload;
  mqtt::qos level = qos::at_most_once;
  bool retain = false, dup = false;
  std::uint16_t packet_id = 0;  // qos 1 and 2
};
struct puback {
  std::uint16_t packet_id;
};
struct pubrec {
  std::uint16_t packet_id;
};
struct pubrel {
  std::uint16_t packet_id;
};
struct pubcomp {
  std::uint16_t packet_id;
};
struct filter {
  std::string_view text;
  mqtt::qos level;
};
struct subscribe {
  std::uint16_t packet_id;
  std::vector<filter> filters;
};
struct suback {
  std::uint16_t packet_id;
  std::vector<std::uint8_t> codes;  // granted qos, or 0x80
};
struct unsubscribe {
  std::uint16_t packet_id;
  std::vector<std::string_view> filters;
};
struct unsuback {
  std::uint16_t packet_id;
};
struct pingreq {};
struct pingresp {};
struct disconnect {};

using packet = std::variant<connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe,
                            suback, unsubscribe, unsuback, pingreq, pingresp, disconnect>;

struct decoded {
  packet what;
  std::size_t size;  // bytes it took
};

/// Reads one control packet from the front of `in` (MQTT 3.1.1, 2 and 3); nothing: more bytes are
/// needed. Fails: `invalid_argument` if malformed (the reason tells which part: few, static),
/// `too_large` if it announces more than `max_size` bytes; the connection must end then.
model::result<std::optional<decoded>> decode(std::string_view in, std::size_t max_size);

/// Appends the packet's bytes.
void encode(const packet& p, std::string& out);

/// UTF-8 as MQTT wants it (1.5.3): no surrogates, no U+0000, no overlong forms.
bool is_mqtt_text(std::string_view text);
bool is_topic_name(std::string_view topic);
bool is_topic_filter(std::string_view filter);
/// 4.7: + one level, # the rest; wildcards at the front do not match topics that begin with $.
bool filter_matches(std::string_view filter, std::string_view topic);

}  // namespace orrery::transport::mqtt
