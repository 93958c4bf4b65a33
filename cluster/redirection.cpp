#include "cluster/redirection.hpp"

namespace orrery::cluster {

std::optional<redirection> redirection_of(const cluster_view& view, node_id self) {
  const auto order = view.orders.find(self);
  if (order == view.orders.end())
    return std::nullopt;
  auto found = redirection{order->second == node_order::remove, {}};
  auto others = 0;
  for (const auto& [id, node] : view.nodes) {
    if (id == self || view.orders.contains(id) || node.info.draining)
      continue;
    ++others;
    const auto address = node.info.addresses.find(devices_address);
    if (address != node.info.addresses.end() && !address->second.empty())
      found.to.push_back(address->second);
  }
  return others == 0 ? std::nullopt : std::optional{std::move(found)};
}

}  // namespace orrery::cluster
