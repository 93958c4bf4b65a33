#include "cluster/recovery.hpp"

#include <algorithm>

#include "cluster/membership.hpp"

namespace orrery::cluster {
namespace {

using model::errc;
using model::failure;

/// More epochs than a shard has in a year of restarts: records that were made anew may know nothing
/// of what a node that is not there has seen.
constexpr std::uint64_t unknown_epochs = 1u << 20;

bool is_stuck(const cluster_view& view, const shard_record& r) {
  const auto is_there = [&](node_id who) { return view.nodes.contains(who); };
  return !(r.primary && is_there(*r.primary)) && std::ranges::none_of(r.in_sync, is_there);
}

stuck_shard stuck(const cluster_view& view, model::shard_id shard, const shard_record& r) {
  auto found = stuck_shard{shard, r, {}};
  if (const auto offered = view.copies.find(shard); offered != view.copies.end())
    for (const auto& [node, copy] : offered->second)
      if (copy.version == r.version && view.nodes.contains(node))
        found.copies.push_back({node, copy.end});
  std::ranges::stable_sort(found.copies,
                           [](const auto& a, const auto& b) { return a.end > b.end; });
  return found;
}

}  // namespace

std::vector<stuck_shard> stuck_shards(const cluster_view& view) {
  auto all = std::vector<stuck_shard>{};
  for (const auto& [shard, record] : view.shards)
    if (is_stuck(view, record))
      all.push_back(stuck(view, shard, record));
  return all;
}

model::result<shard_record> recover_shard(coordinator& at, const std::string& cluster,
                                          model::shard_id shard, node_id node) {
  const auto keys = cluster_keys{cluster};
  const auto all = at.list(keys.root());
  if (!all)
    return all.error();
  const auto view = view_of(keys, *all, {});
  const auto name = "shard " + std::to_string(shard);
  const auto record = view.shards.find(shard);
  if (record == view.shards.end())
    return failure{errc::not_found, "shard_unknown", "there is no " + name};
  const auto moved = failure{errc::conflict, "shard_not_stuck",
                             name + " is served, or a node that has all of it is there"};
  if (!is_stuck(view, record->second))
    return moved;
  const auto found = stuck(view, shard, record->second);
  const auto offers = [&](const auto& c) { return c.node == node; };
  if (std::ranges::none_of(found.copies, offers))
    return failure{errc::conflict, "copy_not_offered",
                   "node " + std::to_string(node) + " offers no copy of " + name +
                       ": is it there? Nodes offer what they have some seconds after they have "
                       "found that nobody serves it"};
  auto wanted = record->second;
  for (const auto& copy : found.copies)
    wanted.epoch = std::max(wanted.epoch, copy.end.epoch);
  wanted.epoch += view.about && view.about->found_again ? unknown_epochs : 1;
  wanted.recovered = wanted.epoch;
  wanted.primary.reset();
  wanted.in_sync = {node};
  wanted.replicas.insert(node);
  auto conditions = std::vector<condition>{{keys.shard(shard), wanted.version},
                                           {keys.node(node), view.nodes.at(node).incarnation}};
  auto absent = record->second.in_sync;
  if (record->second.primary)
    absent.insert(*record->second.primary);
  for (const auto who : absent)
    conditions.push_back({keys.node(who), 0});
  const auto changed = change{.key = keys.shard(shard), .value = encode(wanted)};
  const auto done = at.swap(conditions, {&changed, 1});
  if (!done)
    return done.error();
  if (!done->done)
    return moved;
  wanted.version = done->revision;
  return wanted;
}

}  // namespace orrery::cluster
