// The nodes of one tree for those who decide about them or read them: from rows, and as they will
// be by changes that are not in the rows yet.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "model/tree/tree.hpp"

namespace orrery::model::tree {

/// Reads nodes. Fails as what it reads from does.
class node_source {
 public:
  virtual ~node_source() = default;
  virtual result<std::optional<node>> find(const entity_id& id) const = 0;
  /// The node that an asset is on.
  virtual result<std::optional<entity_id>> holder(const entity_id& asset) const = 0;
  /// Visits the children of a node from behind `from` on (a place; empty: the first), in their
  /// order or backwards, until the visitor gives false.
  using visitor = std::function<bool(std::string_view place, const entity_id& child)>;
  virtual status children(const entity_id& parent, std::string_view from, bool backwards,
                          const visitor& visit) const = 0;
};

/// A node's place among its siblings, as bytes that sort as they stand: its order, 0, its ulid.
std::string place_of(std::string_view order, const entity_id& id);
std::string place_of(const node& n);
/// The node of a place, in that shard; nothing if it is none.
std::optional<entity_id> node_of(std::string_view place, shard_id shard);

/// The nodes above one, from its parent up to the root. Fails: `corrupted` where that has no end.
result<std::vector<node>> above(const node_source& nodes, const node& n);
/// Nothing: there is no such node in the tree.
result<std::optional<node>> resolve(const node_source& nodes, const node_ref& which);

/// Changes of nodes that go before what is below them.
class node_changes {
 public:
  /// `before`: as it was until now.
  void put(const node& now, const std::optional<former>& before, std::uint64_t revision);
  void erase(const entity_id& id, const std::optional<former>& before, std::uint64_t revision);
  void add(const std::vector<node_change>& all, std::uint64_t revision);
  /// Forgets what belongs to revisions up to that one.
  void forget(std::uint64_t revision);
  bool empty() const { return nodes_.empty(); }
  std::size_t size() const { return nodes_.size(); }

 private:
  friend class changed_nodes;
  template <class T>
  struct entry {
    T what;
    std::uint64_t revision;
  };
  void leave(const entity_id& id, const std::optional<former>& before, std::uint64_t revision);
  std::map<entity_id, entry<std::optional<node>>> nodes_;  // nothing: gone
  std::map<std::pair<entity_id, std::string>, entry<bool>> places_;
  std::map<entity_id, entry<std::optional<entity_id>>> holders_;
  std::uint64_t newest_ = 0;
};

/// The nodes as they are with those changes.
class changed_nodes final : public node_source {
 public:
  changed_nodes(const node_changes& changes, const node_source& under)
      : changes_{changes}, under_{under} {}
  result<std::optional<node>> find(const entity_id& id) const override;
  result<std::optional<entity_id>> holder(const entity_id& asset) const override;
  status children(const entity_id& parent, std::string_view from, bool backwards,
                  const visitor& visit) const override;

 private:
  const node_changes& changes_;
  const node_source& under_;
};

}  // namespace orrery::model::tree
