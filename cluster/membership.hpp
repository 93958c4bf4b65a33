// How a node becomes one of a cluster, and how it changes a shard's record: what is done at the
// coordinator in one step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/cluster_records.hpp"
#include "cluster/coordinator.hpp"
#include "cluster/shard_record.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::cluster {

/// What a node is in its cluster.
struct membership {
  node_id number = 0;
  model::timestamp made;  // the cluster: with its name, what tells it from all others
};

/// What a node's own store says of the cluster that it has joined.
struct own_data {
  bool joined = false;
  std::optional<model::timestamp> made;  // that cluster; some that have joined do not know
  /// An operator says that what the coordinator knew of that cluster is lost for good.
  bool found_again = false;
};

/// Makes the cluster if there is none, checks that it is the same one as this node's, and gives
/// the number of the node of that name: always the same. A node whose data are of a cluster makes
/// no other, and the same one anew only if it is told to. Blocks; may be called again at any time.
/// Fails: `invalid_argument` "name_invalid" (of cluster or node); `conflict` "format_unknown" (a
/// newer release made it), "other_shard_count", "other_master_key", "cluster_gone",
/// "other_cluster", "data_missing" (the cluster counts on what a node of that name has, and this
/// one has nothing), "node_removed" (an operator's order, and it has nothing that others lack);
/// `too_large` "no_number_left"; `corrupted` "value_malformed"; what the coordinator fails with,
/// and then trying again is right.
model::result<membership> join_with(coordinator& at, const std::string& cluster,
                                    std::string_view name, std::uint16_t shard_count,
                                    const std::string& key_check, model::timestamp now,
                                    const own_data& has);

/// The same but for what follows from a node's data.
model::result<node_id> join(coordinator& at, const std::string& cluster, std::string_view name,
                            std::uint16_t shard_count, const std::string& key_check,
                            model::timestamp now);

struct record_outcome {
  bool done = false;
  shard_record now;  // as it is after it; version 0: there is none
};

/// Does what a proposal demands if all that it demands holds, in one step. Fails: as the
/// coordinator, and then its outcome is not known; `corrupted`, if the record that is there cannot
/// be read.
model::result<record_outcome> swap_record(coordinator& at, const std::string& cluster,
                                          model::shard_id shard, const proposal& what);

}  // namespace orrery::cluster
