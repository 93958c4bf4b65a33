#include "cluster/overview.hpp"

#include <algorithm>
#include <limits>

#include "cluster/in_sync.hpp"
#include "cluster/member.hpp"

namespace orrery::cluster {
namespace {

using actors::desk_node_state;
using actors::desk_shard_state;
using std::chrono::milliseconds;

bool is_here(const cluster_view& view, node_id id) {
  return view.nodes.contains(id);
}

std::vector<std::string> names_of(const cluster_view& view, const node_set& nodes) {
  auto all = std::vector<std::string>{};
  for (const auto id : nodes)
    all.push_back(name_of(view, id));
  return all;
}

std::optional<std::string> name_of(const cluster_view& view, std::optional<node_id> id) {
  return id ? std::optional{cluster::name_of(view, *id)} : std::nullopt;
}

/// Replicas that are being brought up to date. Of the catalogue's some only watch, for good.
node_set learners(const cluster_view& view, const placement_options& options, model::shard_id shard,
                  const shard_record& r) {
  const auto leaving = leaving_nodes(view);
  auto all = node_set{};
  for (const auto id : r.replicas)
    if (!r.in_sync.contains(id) && is_here(view, id) &&
        is_to_be_in_sync(shard, r, options.catalogue_factor, leaving, id))
      all.insert(id);
  return all;
}

/// Who is to lead it instead of who does.
std::optional<node_id> next_leader(const cluster_view& view, const shard_record& r) {
  return r.preferred && r.preferred != r.primary && is_here(view, *r.preferred) ? r.preferred
                                                                                : std::nullopt;
}

desk_shard_state state_of(const cluster_view& view, model::shard_id shard, const shard_record& r,
                          const placement_options& options) {
  const auto alive = static_cast<std::size_t>(std::count_if(
      r.in_sync.begin(), r.in_sync.end(), [&](auto id) { return is_here(view, id); }));
  if (!r.primary || !is_here(view, *r.primary))
    return alive == 0 ? desk_shard_state::stuck : desk_shard_state::without_primary;
  if (alive < options.replication_factor)
    return desk_shard_state::lacking;
  if (next_leader(view, r) || !learners(view, options, shard, r).empty())
    return desk_shard_state::moving;
  return desk_shard_state::whole;
}

desk_node_state state_of(bool present, const node_entry* entry, std::optional<node_order> order) {
  if (order == node_order::remove)
    return desk_node_state::removed;
  if (!present)
    return desk_node_state::absent;
  return order || entry->info.draining ? desk_node_state::draining : desk_node_state::up;
}

}  // namespace

std::string name_of(const cluster_view& view, node_id id) {
  for (const auto& [name, number] : view.numbers)
    if (number == id)
      return name;
  return "#" + std::to_string(id);
}

std::vector<actors::desk_node> nodes_of(const cluster_view& view) {
  auto all = std::vector<actors::desk_node>{};
  auto places = std::map<node_id, std::size_t>{};
  for (const auto& [name, id] : view.numbers) {
    places[id] = all.size();
    auto& n = all.emplace_back();
    n.number = id;
    n.name = name;
    const auto order = view.orders.find(id);
    const auto given =
        order == view.orders.end() ? std::nullopt : std::optional<node_order>{order->second};
    if (given)
      n.order = *given == node_order::drain ? "drain" : "remove";
    const auto entry = view.nodes.find(id);
    n.present = entry != view.nodes.end();
    n.state = state_of(n.present, n.present ? &entry->second : nullptr, given);
    if (!n.present)
      continue;
    const auto& info = entry->second.info;
    n.version = info.version;
    n.zone = info.zone;
    n.weight = info.weight;
    n.addresses = info.addresses;
    n.started = model::from_ms(static_cast<std::int64_t>(info.incarnation / incarnation_stride));
  }
  const auto add = [&](node_id id, std::size_t actors::desk_node::*to) {
    if (const auto found = places.find(id); found != places.end())
      ++(all[found->second].*to);
  };
  for (const auto& [shard, r] : view.shards) {
    if (r.primary)
      add(*r.primary, &actors::desk_node::primaries);
    for (const auto id : r.in_sync)
      add(id, &actors::desk_node::in_sync);
    for (const auto id : r.replicas)
      if (!r.in_sync.contains(id))
        add(id, &actors::desk_node::learning);
  }
  return all;
}

std::vector<actors::desk_shard> shards_of(const cluster_view& view,
                                          const placement_options& options) {
  auto all = std::vector<actors::desk_shard>{};
  const auto add = [&](model::shard_id shard) {
    auto& s = all.emplace_back();
    s.number = shard;
    const auto found = view.shards.find(shard);
    if (found == view.shards.end())
      return;
    const auto& r = found->second;
    s.state = state_of(view, shard, r, options);
    s.epoch = r.epoch;
    s.primary = name_of(view, r.primary);
    s.preferred = name_of(view, r.preferred);
    s.in_sync = names_of(view, r.in_sync);
    s.replicas = names_of(view, r.replicas);
  };
  for (unsigned shard = 0; shard < options.shard_count; ++shard)
    add(static_cast<model::shard_id>(shard));
  add(model::catalogue_shard);
  return all;
}

std::map<actors::desk_shard_state, std::size_t> count(const std::vector<actors::desk_shard>& all) {
  auto counts = std::map<desk_shard_state, std::size_t>{};
  for (const auto state :
       {desk_shard_state::stuck, desk_shard_state::without_primary, desk_shard_state::lacking,
        desk_shard_state::moving, desk_shard_state::whole})
    counts[state] = 0;
  for (const auto& s : all)
    ++counts[s.state];
  return counts;
}

std::vector<actors::desk_move> moves_of(const cluster_view& view,
                                        const placement_options& options) {
  auto all_at_once = options;
  all_at_once.moves_at_once = std::numeric_limits<std::size_t>::max();
  all_at_once.replace_after = milliseconds::max();
  auto missing = absences{};
  for (const auto& [name, id] : view.numbers)
    if (!is_here(view, id))
      missing[id] = {};
  auto records = view.shards;
  for (auto& change : plan(view, all_at_once, missing, milliseconds{0}).changes)
    if (change.wanted.version != 0)  // one that is to be made moves nothing
      records[change.shard] = std::move(change.wanted);
  auto all = std::vector<actors::desk_move>{};
  for (const auto& [shard, r] : records) {
    auto move =
        actors::desk_move{shard, name_of(view, r.primary), name_of(view, next_leader(view, r)),
                          names_of(view, learners(view, options, shard, r))};
    if (move.leader || !move.copies.empty())
      all.push_back(std::move(move));
  }
  return all;
}

}  // namespace orrery::cluster
