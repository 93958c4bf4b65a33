// A message on a general topic: what a client published, as it goes to those who listen.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/ids.hpp"
#include "model/time.hpp"

namespace orrery::model {

struct user_property {
  std::string name, value;
  bool operator==(const user_property&) const = default;
};

/// What version 5 lets a publisher say beside the payload (MQTT 5.0, 3.3.2.3).
struct message_properties {
  std::optional<std::uint8_t> payload_format;
  std::optional<std::string> content_type, response_topic, correlation;
  std::vector<user_property> user;
  bool operator==(const message_properties&) const = default;
};

struct topic_message {
  std::string topic, payload;
  std::uint8_t level = 0;  // QoS that it was published with
  bool retain = false;     // as it was published
  timestamp sent{};
  std::optional<std::uint32_t> expiry;  // seconds from `sent`
  std::string publisher;                // name of the client
  message_properties with;
  bool operator==(const topic_message&) const = default;

  bool is_over(timestamp now) const {
    return expiry && now >= sent + std::chrono::seconds{*expiry};
  }
};
using shared_message = std::shared_ptr<const topic_message>;

/// One message on its way to a client's session.
struct topic_delivery {
  entity_id source;          // the client, or the group, that it is taken from
  std::uint64_t number = 0;  // there; 0: nobody counts it
  shared_message what;
  std::uint8_t level = 0;                  // QoS as the subscription has it
  std::optional<std::uint64_t> options{};  // of the group's member; nothing: its own filters say
  bool retained = false;                   // it was kept for those who come later
  bool released = false;                   // QoS 2: the client has it, only its release is repeated
};

/// Subscriptions as they are kept: bits 0 and 1 the QoS, 2 no local, 3 retain as published, 4 and 5
/// how retained messages are sent, from 8 on the identifier (MQTT 5.0, 3.8.3.1).
constexpr std::uint8_t level_of(std::uint64_t options) {
  return static_cast<std::uint8_t>(options & 3);
}
constexpr bool is_no_local(std::uint64_t options) {
  return (options & 4) != 0;
}

/// The client of that name, or the group whose name is its filter, in an organisation: everybody
/// makes the same id. Those of one organisation are in 16 shards at most.
entity_id client_id_of(std::string_view organisation, std::string_view name,
                       std::uint16_t shard_count);
/// The id of the entity that keeps a topic's retained message.
entity_id topic_id_of(std::string_view organisation, std::string_view topic,
                      std::uint16_t shard_count);

}  // namespace orrery::model
