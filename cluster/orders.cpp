#include "cluster/orders.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/overview.hpp"

namespace orrery::cluster {
namespace {

using model::errc;
using model::failure;
using kind = actors::desk_order::kind;

constexpr auto most_tries = 8;  // each, something else changed meanwhile

model::result<node_id> find(const cluster_view& view, const std::string& name) {
  const auto found = view.numbers.find(name);
  if (found != view.numbers.end())
    return found->second;
  auto known = std::string{};
  for (const auto& [one, id] : view.numbers)
    known += (known.empty() ? "" : ", ") + one;
  return failure{errc::not_found, "node_unknown",
                 "the cluster has no node " + name + "; its nodes are: " + known};
}

std::optional<node_order> order_on(const cluster_view& view, node_id id) {
  const auto found = view.orders.find(id);
  return found == view.orders.end() ? std::nullopt : std::optional{found->second};
}

/// Nodes that may take shards, but for one.
std::vector<node_id> takers(const cluster_view& view, node_id but) {
  auto all = std::vector<node_id>{};
  for (const auto& [id, entry] : view.nodes)
    if (id != but && !view.orders.contains(id))
      all.push_back(id);
  return all;
}

/// What the key of the order is to hold; nothing: it goes.
struct decision {
  node_id node = 0;
  std::optional<node_order> wanted;
  std::vector<node_id> counts_on;  // they have no order
  std::optional<node_id> by;       // and this one is registered
};

model::status check_successor(const cluster_view& view, const std::string& name,
                              decision& decided) {
  const auto by = find(view, name);
  if (!by)
    return by.error();
  if (*by == decided.node)
    return failure{errc::invalid_argument, "same_node", "a node cannot replace itself"};
  if (!view.nodes.contains(*by))
    return failure{errc::conflict, "node_absent",
                   name + " is not there: start it, and give the order again when it is up"};
  if (view.orders.contains(*by))
    return failure{errc::conflict, "node_draining",
                   name + " takes no shards, by an order of its own: undrain it first"};
  decided.by = *by;
  decided.counts_on.push_back(*by);
  return {};
}

model::result<decision> decide(const cluster_view& view, const actors::desk_order& order,
                               std::size_t least_nodes) {
  const auto id = find(view, order.node);
  if (!id)
    return id.error();
  auto decided = decision{.node = *id, .wanted = {}, .counts_on = {}, .by = {}};
  if (order.what == kind::undrain)
    return decided;
  decided.wanted = order.what == kind::drain ? node_order::drain : node_order::remove;
  if (order.what == kind::replace)
    if (auto ok = check_successor(view, order.by, decided); !ok)
      return ok.error();
  const auto before = order_on(view, *id);
  if (before == node_order::remove && order.what == kind::drain)
    return failure{errc::conflict, "node_removed",
                   order.node + " is removed: undrain takes that back, then it can be drained"};
  if (before || !view.nodes.contains(*id))
    return decided;  // it takes no shards already
  const auto others = takers(view, *id);
  if (others.size() < least_nodes)
    return failure{errc::conflict, "too_few_nodes",
                   "without " + order.node + " there would be " + std::to_string(others.size()) +
                       " nodes to take shards, and " + std::to_string(least_nodes) +
                       " are needed: start another node first, or undrain one"};
  for (const auto other : others)
    if (decided.counts_on.size() < least_nodes && other != decided.by)
      decided.counts_on.push_back(other);
  return decided;
}

std::uint64_t revision_of(const listing& all, const std::string& key) {
  const auto found = std::find_if(all.items.begin(), all.items.end(),
                                  [&](const agreed& one) { return one.key == key; });
  return found == all.items.end() ? 0 : found->revision;
}

}  // namespace

model::result<cluster_view> give_order(coordinator& at, const std::string& cluster,
                                       const actors::desk_order& order, std::size_t least_nodes) {
  const auto keys = cluster_keys{cluster};
  for (auto tries = 0; tries < most_tries; ++tries) {
    const auto all = at.list(keys.root());
    if (!all)
      return all.error();
    auto view = view_of(keys, *all, {});
    const auto decided = decide(view, order, std::max<std::size_t>(least_nodes, 1));
    if (!decided)
      return decided.error();
    const auto key = keys.order(decided->node);
    const auto revision = revision_of(*all, key);
    const auto stands = order_on(view, decided->node) == decided->wanted;
    if (stands && (decided->wanted || revision == 0))
      return view;
    auto conditions = std::vector<condition>{{key, revision}};
    for (const auto id : decided->counts_on)
      conditions.push_back({keys.order(id), 0});
    if (decided->by)
      conditions.push_back({keys.node(*decided->by), view.nodes.at(*decided->by).incarnation});
    auto to = change{key, std::nullopt};
    if (decided->wanted)
      to.value = encode(*decided->wanted);
    const auto done = at.swap(conditions, {&to, 1});
    if (!done)
      return failure{
          done.error().code, done.error().reason,
          "whether the order was given is not known, give it again: " + done.error().detail};
    if (!done->done)
      continue;
    if (decided->wanted)
      view.orders[decided->node] = *decided->wanted;
    else
      view.orders.erase(decided->node);
    return view;
  }
  return failure{errc::unavailable, "coordinator_busy",
                 "the cluster changed all the time meanwhile: give the order again"};
}

}  // namespace orrery::cluster
