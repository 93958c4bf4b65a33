// One consistent picture of a cluster: all that its keys said at one revision. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "cluster/cluster_keys.hpp"
#include "cluster/cluster_records.hpp"
#include "cluster/coordinator.hpp"
#include "cluster/shard_record.hpp"
#include "model/ids.hpp"

namespace orrery::cluster {

struct node_entry {
  node_info info;
  incarnation_id incarnation = 0;  // of its registration
  bool operator==(const node_entry&) const = default;
};

struct backup_entry {
  std::optional<backup_order> order;  // nothing: it is being dropped
  std::uint64_t revision = 0;         // of the order's key
  std::map<node_id, backup_part> parts;
  bool operator==(const backup_entry&) const = default;
};

struct cluster_view {
  std::uint64_t revision = 0;  // every change up to here is in it; 0: nothing was there yet
  std::optional<cluster_about> about;
  std::map<node_id, node_entry> nodes;  // that are registered
  std::map<model::shard_id, shard_record> shards;
  std::map<model::shard_id, std::map<node_id, offered_copy>> copies;  // that nodes offer
  std::optional<node_id> controller;
  std::map<node_id, node_order> orders;
  std::map<std::string, node_id> numbers;       // of all nodes that ever were
  std::map<std::string, backup_entry> backups;  // by id: oldest first
  /// Keys whose values cannot be read. They are missing above, and nobody writes over them.
  std::set<std::string> malformed;
  bool operator==(const cluster_view&) const = default;
};

/// Takes one change in, unless it is in already. Fails: `corrupted`, if its value cannot be read;
/// then the key is among the malformed ones.
model::status take(cluster_view& view, const cluster_keys& keys, const change& c);

/// The nodes that are to hold nothing any more: there is an order for them.
node_set leaving_nodes(const cluster_view& view);

/// Takes in what a shard's record is now; false if the view has it or a newer one.
bool take(cluster_view& view, model::shard_id shard, const shard_record& now);

/// The picture that a listing of `keys.root()` gives, with those records of `before` that are newer
/// than the listing.
cluster_view view_of(const cluster_keys& keys, const listing& all, const cluster_view& before);

}  // namespace orrery::cluster
