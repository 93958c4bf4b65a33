// Reads of asset trees and of what is on them, for actors/query: each page of rows as they were at
// one moment, so nobody sees half of a move.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/tree/nodes.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

// ---- trees and nodes ----------------------------------------------------------------------------

/// All trees of the organisation.
struct list_trees {};
/// Those that are there, in the order asked for. `above`: with all nodes above each.
struct find_nodes {
  model::entity_id tree;
  std::vector<model::tree::node_ref> which;
  bool above = false;
};
/// What is below a node (nothing: the root), each before what is below it, `levels` deep (0: all).
struct walk_nodes {
  model::entity_id tree;
  std::optional<model::tree::node_ref> from;
  std::uint8_t levels = 1;
  bool with_first = false;    // the node itself comes first
  bool devices_only = false;  // a page may be short or empty, and yet not be the last
  std::string cursor;
  std::uint64_t limit = 50;
};
/// Where assets are, in all trees of the organisation, with all nodes above each.
struct find_assets {
  std::vector<model::entity_id> assets;
};
/// What changed after that revision.
struct read_changes {
  model::entity_id tree;
  std::uint64_t since = 0;
  std::uint64_t limit = 50;
};
/// `shard`: that of the organisation's trees.
struct tree_question {
  model::shard_id shard = 0;
  std::string organisation;
  std::variant<list_trees, find_nodes, walk_nodes, find_assets, read_changes> what;
};

struct listed_tree {
  model::entity_id id;
  model::tree::state what;
};
struct listed_node {
  model::entity_id tree;
  std::uint8_t level = 1;  // the root is 1
  model::tree::node what;
  std::vector<model::tree::node> above;  // from its parent up, if asked for
};
struct listed_change {
  std::uint64_t revision = 0;
  std::vector<model::tree::change_note> what;
};
struct tree_page {
  std::uint64_t revision = 0;  // of the tree
  std::vector<listed_tree> trees;
  std::vector<listed_node> nodes;
  std::vector<listed_change> changes;
  bool gap = false;  // what changed right after `since` is not kept any more
  std::string next;  // cursor; empty: the last page
};

/// Fails: `not_found` "tree_unknown" (also a tree of another organisation) or "node_unknown" (where
/// a walk begins), `invalid_argument` "bad_cursor", `corrupted`, what `from` fails with.
model::result<tree_page> read_tree(const tree_question& q, const storage::row_reader& from);

// ---- assets -------------------------------------------------------------------------------------

enum class asset_sort : std::uint8_t { any = 0, device = 1, logical = 2 };

/// What lists show of an asset, device or logical.
struct asset_facts {
  model::entity_id id;
  bool device = false;
  std::string organisation, name, description, timezone;
  std::string model_id;                 // of a logical asset; a device has that of its product
  std::string product_key, device_key;  // of a device
  std::string status;                   // of a device
  model::tag_map tags;
  model::timestamp created_at{}, updated_at{};
};
/// Those of `ids` (all of that shard) that are there, in their order.
struct asset_facts_question {
  model::shard_id shard = 0;
  std::string organisation;
  std::vector<model::entity_id> ids;
};
/// Those of one shard.
struct asset_list_question {
  model::shard_id shard = 0;
  std::string organisation;
  asset_sort sort = asset_sort::any;
  std::string cursor;
  std::uint64_t limit = 50;
};
struct asset_page {
  std::vector<asset_facts> assets;
  std::string next;  // cursor; empty: no more in the shard
};

model::result<asset_page> read_assets(const asset_facts_question& q,
                                      const storage::row_reader& from);
/// Fails also: `invalid_argument` "bad_cursor".
model::result<asset_page> read_assets(const asset_list_question& q,
                                      const storage::row_reader& from);

}  // namespace orrery::actors
