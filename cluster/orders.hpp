// An operator's orders on nodes: checked, and put where the controller reads them.
#pragma once

#include <string>

#include "actors/cluster_desk.hpp"
#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"

namespace orrery::cluster {

/// Gives the order in one step, if the nodes that it counts on are still there. `least_nodes`: so
/// many must be left to take shards. Blocks. Gives the picture with it. Fails:
/// as actors::cluster_desk::give, and then nothing was changed, but for `unavailable`: whether it
/// was given is not known, and giving it again is right.
model::result<cluster_view> give_order(coordinator& at, const std::string& cluster,
                                       const actors::desk_order& order, std::size_t least_nodes);

}  // namespace orrery::cluster
