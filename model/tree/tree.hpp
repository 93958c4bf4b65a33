// An asset tree: nodes that have a parent, a place among their siblings and one asset each. What is
// decided changes single nodes; nobody holds a whole tree.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/tags.hpp"
#include "model/time.hpp"

namespace orrery::model::tree {

inline constexpr std::size_t max_depth = 7;         // the root is level 1
inline constexpr std::size_t max_batch = 1'000;     // nodes that one question adds
inline constexpr std::size_t max_at_once = 10'000;  // nodes that one step takes or lifts

struct node {
  entity_id id;
  std::optional<entity_id> parent;  // the root has none
  std::string order;                // tree/order_key
  std::optional<entity_id> asset;   // nothing: it went, and the node had to stay
  bool device = false;              // the asset is one
  std::string label;                // empty: it is called as its asset
  tag_map tags;
  /// How many nodes are one, two and more levels below it, without zeros at the end: so many levels
  /// are below it.
  std::vector<std::uint64_t> below;
  std::uint64_t revision = 0;  // of the tree, when the node itself was changed
  timestamp created_at{}, updated_at{};
};
/// All that are below it.
std::uint64_t count_below(const node& n);
std::uint64_t children_of(const node& n);

/// A node by its own id, or by the asset that is on it.
struct by_node {
  entity_id id;
};
struct by_asset {
  entity_id id;
};
using node_ref = std::variant<by_node, by_asset>;

/// Where among its siblings: first, behind that one, or (without either) last.
struct position {
  bool first = false;
  std::optional<node_ref> after;
};
struct placing {
  entity_id node;                  // new
  std::optional<node_ref> parent;  // nothing: the root
  position where;
  entity_id asset;
  bool device = false;
  std::string label;
  tag_map tags;
};

struct create_tree {
  std::string organisation, name, description;
  tag_map tags;
  placing root;  // parent and position mean nothing
};
struct change_tree {
  std::optional<std::string> name, description;
  tag_changes tags;
};
/// With more than its root only if `cascade`.
struct remove_tree {
  bool cascade = false;
};
struct read_tree {};
/// In their order, so one may stand under another. `together`: all or none; else each for itself.
struct add_nodes {
  std::vector<placing> items;
  bool together = false;
};
struct binding {
  entity_id asset;
  bool device = false;
};
struct change_node {
  node_ref which;
  std::optional<std::string> label;
  tag_changes tags;
  std::optional<binding> asset;           // takes the place of the one that is there
  std::optional<std::uint64_t> expected;  // revision of the node
};
/// With all that is below it. Without a parent it stays under its own.
struct move_node {
  node_ref which;
  std::optional<node_ref> parent;
  position where;
  std::optional<std::uint64_t> expected;
};
/// What becomes of the nodes below one that goes.
enum class orphans : std::uint8_t { refuse = 0, promote = 1, remove = 2 };
struct remove_node {
  node_ref which;
  orphans children = orphans::refuse;
  std::optional<std::uint64_t> expected;
};
/// The asset is gone: its node goes, and what is below it moves up. The root, and a node with more
/// children than can be lifted at once, stay without an asset.
struct release_asset {
  entity_id asset;
};

using order = std::variant<create_tree, change_tree, remove_tree, read_tree, add_nodes, change_node,
                           move_node, remove_node, release_asset>;
struct command {
  tree::order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
  std::string organisation = {};  // in whose name; another's is not there. Empty: of the service
};

/// Where a node stood and what was on it.
struct former {
  std::optional<entity_id> parent;
  std::string order;
  std::optional<entity_id> asset;
};
struct node_change {
  entity_id id;
  std::optional<node> now;       // nothing: it is gone
  std::optional<former> before;  // nothing: it is new
};

struct created {
  create_tree as;
  node root;
  timestamp at;
};
struct changed {
  change_tree what;
  timestamp at;
};
struct removed {
  timestamp at;
};
struct nodes_changed {
  std::vector<node_change> all;
  timestamp at;
};
/// One to a record: revisions of nodes are that of the record.
using event = std::variant<created, changed, removed, nodes_changed>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, name, description;
  tag_map tags;
  entity_id root;
  std::uint64_t nodes = 0;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;
};

struct done {};
struct tree_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
/// What became of each node of a question, in its order.
struct refusal {
  enum class sort : std::uint8_t { invalid = 0, not_found = 1, conflict = 2 } why = sort::invalid;
  std::string_view reason;
  std::string detail;
};
using placed = std::variant<node, refusal>;
struct nodes_placed {
  std::vector<placed> items;
};
/// The logical assets whose nodes went, and how many nodes that were.
struct nodes_removed {
  std::vector<entity_id> logical;
  std::uint64_t nodes = 0;
};
using reply = std::variant<done, tree_snapshot, nodes_placed, nodes_removed>;

class node_source;  // model/tree/nodes.hpp

struct surroundings {
  entity_id self;
  timestamp now;
  /// The nodes as they are by all that was decided, written or not.
  const node_source& nodes;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// An entry of a tree's list of changes.
struct change_note {
  enum class sort : std::uint8_t {
    tree = 0,
    added = 1,
    changed = 2,
    moved = 3,
    removed = 4
  } what = sort::tree;
  std::optional<entity_id> node;
};
/// What the event changed, without nodes of which only the count below them is another.
std::vector<change_note> notes_of(const event& e, std::uint64_t revision);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);
/// A node as its row. Fails: `corrupted`.
std::string encode_node(const node& n);
result<node> decode_node(std::string_view bytes);
std::string encode_notes(const std::vector<change_note>& notes);
result<std::vector<change_note>> decode_notes(std::string_view bytes);

}  // namespace orrery::model::tree
