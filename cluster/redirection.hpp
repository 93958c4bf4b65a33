// Where the devices of a node that is being emptied are to go. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster_view.hpp"

namespace orrery::cluster {

struct redirection {
  bool for_good = false;        // the node is ordered away, and not only emptied
  std::vector<std::string> to;  // what the others announce for devices; perhaps nothing
  bool operator==(const redirection&) const = default;
};

/// By which name a node announces where devices reach it from outside (node_info::addresses).
constexpr auto devices_address = "devices";

/// Nothing: the devices of `self` stay. There is no order for it, or no other node is there to take
/// them.
std::optional<redirection> redirection_of(const cluster_view& view, node_id self);

}  // namespace orrery::cluster
