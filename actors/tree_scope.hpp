// The part of a tree that is below a node, for whoever asks about its devices: rights, groups,
// searches, jobs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "actors/query.hpp"

namespace orrery::actors {

/// Where all trees of an organisation are.
model::shard_id tree_shard(const std::string& organisation, std::uint16_t shard_count);

/// A node of a tree: it and all that is below it is meant.
struct tree_place {
  std::string organisation;
  model::entity_id tree;
  model::entity_id node;
};
struct device_ids {
  std::vector<model::entity_id> devices;
  std::string next;  // cursor; empty: the last page
};

/// True if the asset (device or logical) is on that node or below it. A tree or node that is not
/// there has nothing below it. Callbacks run as those of query do; fails as it.
void is_below(query& reads, const tree_place& place, const model::entity_id& asset,
              query::then<bool> done);
/// The devices there, in the order of the tree, about `limit` at a time; a page may be shorter and
/// yet not be the last.
void devices_below(query& reads, const tree_place& place, std::string cursor, std::size_t limit,
                   query::then<device_ids> done);

/// Which of the assets are on one of these nodes or below it, whatever the tree; one answer for
/// each, in their order.
void are_below(query& reads, const std::string& organisation, model::shard_id trees,
               std::vector<model::entity_id> nodes, std::vector<model::entity_id> assets,
               query::then<std::vector<char>> done);
/// All devices on these nodes or below them, in order, none twice. Fails also: `too_large`
/// "scope_too_wide" if there are more than `most`.
void all_devices_below(query& reads, const std::string& organisation, model::shard_id trees,
                       std::vector<model::entity_id> nodes, std::size_t most,
                       query::then<std::vector<model::entity_id>> done);

}  // namespace orrery::actors
