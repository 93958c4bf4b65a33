// Names of things. An entity id says which shard holds the entity, so it routes without a lookup.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/time.hpp"

namespace orrery::model {

using shard_id = std::uint16_t;

/// Organisations, users, keys, models and products live in one shard that every node follows.
inline constexpr shard_id catalogue_shard = 32767;

/// The kinds of entity. Values are on disk: never renumbered.
enum class entity_kind : std::uint8_t {
  device = 1,
  product = 2,
  blueprint = 3,
  organisation = 4,
  asset = 5,
  client = 6,
  topic = 7,
  tree = 8,
  operation = 9,
  audit_log = 10,
  device_ledger = 11
};

/// Shard, then a ULID: 48 bits of milliseconds and 80 random bits, big-endian, so ids sort by the
/// time they were made. As text: 3 + 26 characters of Crockford base32, lower case.
/// A device's id is its assetId; commands and jobs have ids of the same form.
struct entity_id {
  shard_id shard = 0;
  std::array<std::uint8_t, 16> ulid{};
  auto operator<=>(const entity_id&) const = default;
};

inline constexpr std::size_t entity_id_text_size = 29;

/// An id from its parts; `entropy` must come from a cryptographic generator.
entity_id make_entity_id(shard_id shard, timestamp now,
                         const std::array<std::uint8_t, 10>& entropy);

std::string to_string(const entity_id& id);

/// Reads what to_string wrote; upper case is accepted. Nothing for any other text.
std::optional<entity_id> parse_entity_id(std::string_view text);

/// A device by the name it logs in with. The pair is unique in the installation.
struct device_name {
  std::string product_key;
  std::string device_key;
  auto operator<=>(const device_name&) const = default;
};

/// Where a session lives: a name, never a handle, so it outlives a failover.
struct session_ref {
  std::uint64_t node_incarnation = 0;
  std::uint64_t number = 0;  // of the session within that incarnation; 0: none
  std::uint64_t epoch = 0;   // rises with each login of the device
  bool operator==(const session_ref&) const = default;
};

/// True for keys a person may choose: 1 to 64 characters of [A-Za-z0-9._-] (`least` at least).
bool is_valid_key(std::string_view key, std::size_t least = 1, std::size_t most = 64);

}  // namespace orrery::model

template <>
struct std::hash<orrery::model::entity_id> {
  std::size_t operator()(const orrery::model::entity_id& id) const noexcept {
    std::uint64_t low = 0;
    for (int i = 8; i < 16; ++i)
      low = low << 8 | id.ulid[static_cast<std::size_t>(i)];
    return low * 0x9e3779b97f4a7c15ull ^ id.shard;  // the last 8 bytes are random already
  }
};
template <>
struct std::hash<orrery::model::device_name> {
  std::size_t operator()(const orrery::model::device_name& n) const noexcept {
    return std::hash<std::string>{}(n.product_key) * 31 + std::hash<std::string>{}(n.device_key);
  }
};
