// A picture of the cluster in an operator's words. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "actors/cluster_desk.hpp"
#include "cluster/cluster_view.hpp"
#include "cluster/placement.hpp"

namespace orrery::cluster {

/// The name of a node; "#7" for one that has none.
std::string name_of(const cluster_view& view, node_id id);

/// All nodes that ever were, by name.
std::vector<actors::desk_node> nodes_of(const cluster_view& view);
/// All shards that there are to be, the catalogue's last.
std::vector<actors::desk_shard> shards_of(const cluster_view& view,
                                          const placement_options& options);
std::map<actors::desk_shard_state, std::size_t> count(const std::vector<actors::desk_shard>& all);
/// What is under way and what is still to begin; nodes that are absent count as coming back.
std::vector<actors::desk_move> moves_of(const cluster_view& view, const placement_options& options);

}  // namespace orrery::cluster
