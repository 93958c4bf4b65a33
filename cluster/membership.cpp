#include "cluster/membership.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/cluster_keys.hpp"
#include "cluster/cluster_view.hpp"

namespace orrery::cluster {
namespace {

using model::errc;
using model::failure;

constexpr auto most_tries = 2 * static_cast<int>(max_node_id);  // each, somebody else was faster

/// The key itself, not what begins with it.
model::result<std::optional<agreed>> read(coordinator& at, const std::string& key) {
  auto all = at.list(key);
  if (!all)
    return all.error();
  for (auto& one : all->items)
    if (one.key == key)
      return std::optional{std::move(one)};
  return std::optional<agreed>{};
}

/// What the cluster is, made if it is not.
model::result<cluster_about> found(coordinator& at, const std::string& key,
                                   const cluster_about& ours, bool may_make) {
  const auto there = read(at, key);
  if (!there)
    return there.error();
  if (*there)
    return decode_about(key, (*there)->value);
  if (!may_make)
    return failure{errc::conflict, "cluster_gone",
                   "its coordinator knows nothing of it, and this node's data are of it: the "
                   "coordinator was emptied, or is another one"};
  const auto unmade = condition{key, 0};
  const auto make = change{key, encode(ours)};
  const auto done = at.swap({&unmade, 1}, {&make, 1});
  if (!done)
    return done.error();
  if (done->done || done->now.empty())
    return ours;
  return decode_about(key, done->now[0].value);
}

model::status check(const cluster_about& theirs, const cluster_about& ours,
                    std::optional<model::timestamp> made) {
  if (theirs.format != ours.format)
    return failure{errc::conflict, "format_unknown",
                   "the cluster was made by another release, in format " +
                       std::to_string(theirs.format) + "; this one knows format " +
                       std::to_string(ours.format)};
  if (theirs.shards != ours.shards)
    return failure{errc::conflict, "other_shard_count",
                   "the cluster has " + std::to_string(theirs.shards) +
                       " shards for ever, and this node is set to " + std::to_string(ours.shards)};
  if (theirs.key_check != ours.key_check)
    return failure{errc::conflict, "other_master_key",
                   "this node's master key is not the cluster's"};
  if (made && theirs.made != *made)
    return failure{errc::conflict, "other_cluster",
                   "its coordinator has a cluster of that name that was made at another time than "
                   "the one that this node's data are of: the coordinator was emptied, or is "
                   "another one"};
  return {};
}

/// Others count on what a node in sync has. One that was removed stays away, unless it has what was
/// not taken from it.
model::status check_part(coordinator& at, const cluster_keys& keys, node_id id,
                         const own_data& has) {
  const auto all = at.list(keys.root());
  if (!all)
    return all.error();
  const auto view = view_of(keys, *all, {});
  const auto in_sync = std::count_if(view.shards.begin(), view.shards.end(),
                                     [id](const auto& s) { return s.second.in_sync.contains(id); });
  if (in_sync > 0 && !has.joined)
    return failure{errc::conflict, "data_missing",
                   "the cluster counts on a node of this name for " + std::to_string(in_sync) +
                       " shards, and this data folder has nothing of them"};
  const auto order = view.orders.find(id);
  if (in_sync == 0 && order != view.orders.end() && order->second == node_order::remove)
    return failure{errc::conflict, "node_removed",
                   "an operator has removed this node, and nothing is left on it"};
  return {};
}

/// One try: nothing, if somebody else was faster.
model::result<std::optional<node_id>> number_once(coordinator& at, const cluster_keys& keys,
                                                  const std::string& key) {
  const auto last = read(at, keys.last_number());
  if (!last)
    return last.error();
  const auto all = at.list(keys.numbers());
  if (!all)
    return all.error();
  auto highest = node_id{0};
  if (*last) {
    const auto n = decode_number(keys.last_number(), (*last)->value);
    if (!n)
      return n.error();
    highest = *n;
  }
  for (const auto& one : all->items) {
    const auto n = decode_number(one.key, one.value);
    if (!n)
      return n.error();
    if (one.key == key)
      return std::optional{*n};
    highest = std::max(highest, *n);
  }
  if (highest >= max_node_id)
    return failure{errc::too_large, "no_number_left",
                   "all " + std::to_string(max_node_id) +
                       " numbers of nodes were given: a number is its name's for ever, so let "
                       "nodes keep their names"};
  const condition unchanged[] = {{key, 0}, {keys.last_number(), *last ? (*last)->revision : 0}};
  const change given[] = {{key, encode_number(highest + 1)},
                          {keys.last_number(), encode_number(highest + 1)}};
  const auto done = at.swap(unchanged, given);
  if (!done)
    return done.error();
  return done->done ? std::optional{highest + 1} : std::nullopt;
}

model::result<node_id> number_of(coordinator& at, const cluster_keys& keys, std::string_view name) {
  for (auto tries = 0; tries < most_tries; ++tries) {
    const auto number = number_once(at, keys, keys.number(name));
    if (!number)
      return number.error();
    if (*number)
      return **number;
  }
  return failure{errc::unavailable, "coordinator_busy", "others were always faster: try again"};
}

model::result<membership> enter(coordinator& at, const std::string& cluster, std::string_view name,
                                const cluster_about& ours, const own_data& has) {
  if (!is_valid_cluster_name(cluster))
    return failure{errc::invalid_argument, "name_invalid",
                   "a cluster's name is 1 to 64 characters of A-Z a-z 0-9 . _ -"};
  if (!is_valid_node_name(name))
    return failure{errc::invalid_argument, "name_invalid",
                   "a node's name is 1 to 128 characters of A-Z a-z 0-9 . _ -"};
  const auto keys = cluster_keys{cluster};
  auto again = ours;
  if (has.joined && has.made) {
    again.made = *has.made;
    again.found_again = true;
  }
  const auto theirs = found(at, keys.about(), again, !has.joined || has.found_again);
  if (!theirs)
    return theirs.error();
  if (auto ok = check(*theirs, ours, has.made); !ok)
    return ok.error();
  const auto number = number_of(at, keys, name);
  if (!number)
    return number.error();
  return membership{*number, theirs->made};
}

}  // namespace

model::result<membership> join_with(coordinator& at, const std::string& cluster,
                                    std::string_view name, std::uint16_t shard_count,
                                    const std::string& key_check, model::timestamp now,
                                    const own_data& has) {
  auto joined = enter(at, cluster, name, {cluster_format, shard_count, now, key_check}, has);
  if (joined)
    if (auto ok = check_part(at, cluster_keys{cluster}, joined->number, has); !ok)
      return ok.error();
  return joined;
}

model::result<node_id> join(coordinator& at, const std::string& cluster, std::string_view name,
                            std::uint16_t shard_count, const std::string& key_check,
                            model::timestamp now) {
  const auto joined = enter(at, cluster, name, {cluster_format, shard_count, now, key_check}, {});
  if (!joined)
    return joined.error();
  return joined->number;
}

model::result<record_outcome> swap_record(coordinator& at, const std::string& cluster,
                                          model::shard_id shard, const proposal& what) {
  const auto keys = cluster_keys{cluster};
  const auto key = keys.shard(shard);
  auto conditions = std::vector<condition>{{key, what.wanted.version}};
  // To the coordinator 0 means that the key is not there.
  const auto nobody = std::any_of(what.registered.begin(), what.registered.end(),
                                  [](const auto& one) { return one.second == 0; });
  for (const auto& [id, incarnation] : what.registered)
    conditions.push_back({keys.node(id), incarnation});
  if (what.gone)
    conditions.push_back({keys.node(*what.gone), 0});
  auto outcome = swap_outcome{};
  if (nobody) {
    auto there = read(at, key);
    if (!there)
      return there.error();
    if (*there)
      outcome.now.push_back(std::move(**there));
  } else {
    const auto wanted = change{key, encode(what.wanted)};
    auto done = at.swap(conditions, {&wanted, 1});
    if (!done)
      return done.error();
    outcome = std::move(*done);
  }
  if (outcome.done) {
    auto now = what.wanted;
    now.version = outcome.revision;
    return record_outcome{true, std::move(now)};
  }
  for (const auto& one : outcome.now)
    if (one.key == key) {
      auto now = decode_shard(key, one.value, one.revision);
      if (!now)
        return now.error();
      return record_outcome{false, std::move(*now)};
    }
  return record_outcome{};
}

}  // namespace orrery::cluster
