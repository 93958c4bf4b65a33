// Who holds a shard: the record that a cluster agrees on, and the change of it that a node
// proposes.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace orrery::cluster {

/// A node of the cluster, by the number that the coordinator gave it for ever.
using node_id = std::uint32_t;
using node_set = std::set<node_id>;

/// Changed by compare-and-swap on `version` alone.
struct shard_record {
  std::uint64_t version = 0;  // the coordinator's, rises with every change
  std::uint64_t epoch = 0;    // rises with every change of the primary
  std::optional<node_id> primary;
  node_set in_sync;   // each has every acknowledged record
  node_set replicas;  // meant to hold the shard; those that are not in sync are learning
  /// Who is to be the primary once it is in sync. The controller's wish and nothing more: whoever
  /// changes anything else copies it along.
  std::optional<node_id> preferred = {};
  /// The epoch at which an operator gave the shard to a copy that may lack what was acknowledged
  /// (cluster/recovery). Logs that end before it count for nothing but that copy's.
  std::uint64_t recovered = 0;
  bool operator==(const shard_record&) const = default;
};

/// A registration of a node: its lease. It rises whenever the node registers anew.
using incarnation_id = std::uint64_t;

/// What the coordinator does in one step, or not at all.
struct proposal {
  shard_record wanted;  // `version`: the one that it must still have
  std::vector<std::pair<node_id, incarnation_id>> registered;  // still so, each of them
  std::optional<node_id> gone;                                 // has no registration
  bool operator==(const proposal&) const = default;
};

}  // namespace orrery::cluster
