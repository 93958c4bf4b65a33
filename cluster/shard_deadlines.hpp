// When the entities of a shard want to be told that time has passed. Those of the next minutes are
// in memory, later ones are found in the index in time: so who is put off again and again (sessions
// that are kept for days) has no place here for each time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "model/ids.hpp"
#include "model/time.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

/// On the thread of the shard's host.
class shard_deadlines {
 public:
  using due = std::pair<model::entity_id, model::entity_kind>;
  /// Who is told by a question of that number, whose answer is to come to `settle`.
  struct told {
    std::uint64_t number;
    model::entity_id id;
    model::entity_kind kind;
    bool operator==(const told&) const = default;
  };
  /// Questions of the shard's host to others have numbers below it.
  static constexpr auto first_number = std::uint64_t{1} << 61;

  explicit shard_deadlines(model::shard_id shard) : shard_{shard} {}

  /// Knows none, until it is loaded.
  void clear();
  /// Looks into the index for those that come near, if that is to be done. Fails as the store.
  model::status load(const storage::entity_store& store, model::timestamp now);
  /// One that is behind its row is found there in time.
  void add(model::timestamp at, const model::entity_id& id, model::entity_kind kind);
  /// Those whose time has come, earliest first. Each is told once, and again if that is refused.
  std::vector<told> take(model::timestamp now);
  /// What came of it. Who could not take it (too few replicas are in sync) is due again a second
  /// later: nothing else would tell it. Who is told no more, because all was cleared, is passed
  /// over.
  void settle(const actors::settled& item, model::timestamp now);

 private:
  model::shard_id shard_;
  std::map<model::timestamp, std::set<due>> all_;
  model::timestamp until_{};  // up to here they are all there
  bool loaded_ = false;
  std::unordered_map<std::uint64_t, due> told_;
  std::uint64_t last_number_ = first_number;
};

}  // namespace orrery::cluster
