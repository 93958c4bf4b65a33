// Holds back what is answered for changes of the catalogue until every node has applied them, so
// that who was answered finds the change everywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "actors/replication.hpp"
#include "cluster/shard_record.hpp"

namespace orrery::cluster {

class catalogue_spread {
 public:
  /// `patience`: a commit is told after so long in any case.
  explicit catalogue_spread(std::chrono::milliseconds patience) : patience_{patience} {}

  /// A commit of the catalogue that was applied here, to be told later.
  void hold(const actors::shard_progress& commit, std::chrono::milliseconds now);
  /// `who` has applied everything up to `index`.
  void applied(node_id who, std::uint64_t index);
  /// What nodes have applied is not known any more: another epoch begins.
  void forget() { applied_.clear(); }

  /// The commits to be told now, in order: that all of `nodes` have applied, or have had their time
  /// for.
  std::vector<actors::shard_progress> take(const node_set& nodes, std::chrono::milliseconds now);
  /// All that are held.
  std::vector<actors::shard_progress> take_all();

 private:
  struct held_commit {
    actors::shard_progress what;
    std::chrono::milliseconds since;
  };

  std::chrono::milliseconds patience_;
  std::deque<held_commit> held_;
  std::map<node_id, std::uint64_t> applied_;
};

}  // namespace orrery::cluster
