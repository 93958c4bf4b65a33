// The nodes of a tree in memory, as rows would have them.
#pragma once

#include <algorithm>
#include <map>

#include "model/tree/nodes.hpp"

namespace orrery::tests {

class map_source final : public model::tree::node_source {
 public:
  void take(const model::tree::event& e) {
    if (const auto* made = std::get_if<model::tree::created>(&e))
      nodes[made->root.id] = made->root;
    const auto* changed = std::get_if<model::tree::nodes_changed>(&e);
    if (!changed)
      return;
    for (const auto& c : changed->all)
      if (c.now)
        nodes[c.id] = *c.now;
      else
        nodes.erase(c.id);
  }
  model::result<std::optional<model::tree::node>> find(const model::entity_id& id) const override {
    const auto found = nodes.find(id);
    return found == nodes.end() ? std::optional<model::tree::node>{} : std::optional{found->second};
  }
  model::result<std::optional<model::entity_id>> holder(
      const model::entity_id& asset) const override {
    for (const auto& [id, n] : nodes)
      if (n.asset == asset)
        return std::optional{id};
    return std::optional<model::entity_id>{};
  }
  model::status children(const model::entity_id& parent, std::string_view from, bool backwards,
                         const visitor& visit) const override {
    auto all = std::map<std::string, model::entity_id>{};
    for (const auto& [id, n] : nodes)
      if (n.parent == parent)
        all.emplace(model::tree::place_of(n), id);
    const auto wanted = [&](const std::string& place) {
      return from.empty() || (backwards ? place < from : place > from);
    };
    const auto give = [&](const auto& one) {
      return !wanted(one.first) || visit(one.first, one.second);
    };
    if (backwards)
      (void)std::find_if_not(all.rbegin(), all.rend(), give);
    else
      (void)std::find_if_not(all.begin(), all.end(), give);
    return {};
  }

  std::map<model::entity_id, model::tree::node> nodes;
};

}  // namespace orrery::tests
