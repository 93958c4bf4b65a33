// Entries that are written together, and what becomes of them then.
#pragma once

#include <cstddef>
#include <vector>

#include "actors/journal.hpp"
#include "actors/messages.hpp"

namespace orrery::actors {

/// As they came: entries are large, and stay in place.
struct entry_group {
  std::vector<entry_batch> batches;
  std::size_t bytes = 0;    // what they count for in journal_figures::queued_bytes
  std::size_t records = 0;  // entries

  bool empty() const { return batches.empty(); }
  void add(entry_batch batch);
  /// Gives what it has and begins anew, with as much room.
  entry_group take();

  template <class Visit>
  void each(Visit visit) {
    for (auto& batch : batches)
      for (auto& e : batch.entries)
        visit(e);
  }
};

/// It is answered `unavailable`, for that reason, and sets nothing off.
void refuse(entry& e, const model::failure& why);
/// Refuses entries decided on top of a write whose fate is unknown.
void refuse_lost(entry_group& group, const shard_table& shards);

/// Runs the effects of what is committed, and answers.
void settle(entry_group& group, commit_effects& effects);
/// One message for the answers that stand together and are for the same asker.
void answer_all(entry_group& group);

}  // namespace orrery::actors
