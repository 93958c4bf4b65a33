// What the keys of a cluster hold, as JSON that a person can read with the coordinator's own tools.
// Members that this release does not know are passed over: a newer one may write more.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cluster/log_outline.hpp"
#include "cluster/shard_record.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::cluster {

inline constexpr std::uint32_t cluster_format = 1;

/// {"format":1,"shards":64,"made":1700000000000,"keyCheck":"9f86d081","foundAgain":true}
struct cluster_about {
  std::uint32_t format = cluster_format;  // of all keys; another one is a newer release's
  std::uint16_t shards = 0;               // for ever, without the catalogue's
  model::timestamp made;
  std::string key_check;  // says whether two nodes have one master key, and nothing else of it
  /// What the coordinator knew was lost, and nodes had joined before: an operator says who has what
  /// of each shard (cluster/recovery).
  bool found_again = false;
  bool operator==(const cluster_about&) const = default;
};

/// {"name":"a","linkHost":"10.0.0.1","linkPort":7400,"incarnation":"17","bootId":"..",
///  "version":"0.1.0","zone":"","weight":100,"draining":false,"addresses":{"mqtt":"10.0.0.1:1883"}}
struct node_info {
  std::string name;
  std::string link_host;
  std::uint16_t link_port = 0;
  std::uint64_t incarnation = 0;  // of the process, as sessions name it; as text: all 64 bits
  std::string boot_id;            // of the machine
  std::string version;
  std::string zone;            // what fails together has one name; empty: unknown
  std::uint32_t weight = 100;  // its share of the shards, relative to other nodes'; 1 to 10,000
  bool draining = false;       // it is about to leave
  std::map<std::string, std::string> addresses;  // of its public ports: "mqtt" -> "host:port"
  bool operator==(const node_info&) const = default;
};

/// {"version":"812","epoch":3,"index":4711}: what a node has of a shard that nobody serves.
struct offered_copy {
  std::uint64_t version = 0;  // of the shard's record that it goes with; as text: all 64 bits
  log_position end;           // of its log
  bool operator==(const offered_copy&) const = default;
};

/// {"drain":true}: its shards go elsewhere while it lives. {"remove":true}: it does not come back.
enum class node_order : std::uint8_t { drain, remove };

/// {"at":1700000000000,"by":"user:admin","nodes":{"1":"1740800000001"},"absent":[3]}
struct backup_order {
  model::timestamp at;
  std::string by;
  std::map<node_id, std::uint64_t> nodes;  // that were registered then, and their processes
  node_set absent;                         // that were not, and were not removed
  bool operator==(const backup_order&) const = default;
};

/// {"at":1700000004200,"bytes":123456,"ms":4200} or {"at":..,"ms":..,"reason":"..","detail":".."}
struct backup_part {
  model::timestamp at;  // when it was over
  std::chrono::milliseconds took{};
  std::uint64_t bytes = 0;
  std::string reason, detail;  // why it failed; no reason: it is complete
  bool operator==(const backup_part&) const = default;
};

// Each decoder fails with `corrupted`, naming the key, for what the encoder cannot have written.
// None takes more than 64 KiB.

std::string encode(const cluster_about& about);
model::result<cluster_about> decode_about(std::string_view key, std::string_view text);

std::string encode(const node_info& info);
model::result<node_info> decode_node(std::string_view key, std::string_view text);

/// {"epoch":3,"primary":1,"inSync":[1,2],"replicas":[1,2],"preferred":1}; nobody is null. With
/// "recovered":3 after an operator's choice.
std::string encode(const shard_record& record);
/// `version`: the revision at which the key was last changed.
model::result<shard_record> decode_shard(std::string_view key, std::string_view text,
                                         std::uint64_t version);

std::string encode(const offered_copy& copy);
model::result<offered_copy> decode_copy(std::string_view key, std::string_view text);

std::string encode(node_order order);
model::result<node_order> decode_order(std::string_view key, std::string_view text);

std::string encode(const backup_order& order);
model::result<backup_order> decode_backup_order(std::string_view key, std::string_view text);

std::string encode(const backup_part& part);
model::result<backup_part> decode_backup_part(std::string_view key, std::string_view text);

/// A node's number, decimal.
std::string encode_number(node_id id);
model::result<node_id> decode_number(std::string_view key, std::string_view text);

}  // namespace orrery::cluster
