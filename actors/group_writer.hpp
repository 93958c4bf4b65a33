// How the journal's writer makes entries last: as a node that is alone does (lone_writer), or with
// the replicas of other nodes (replicated_writer).
#pragma once

#include "actors/journal_group.hpp"
#include "actors/messages.hpp"
#include "model/result.hpp"

namespace orrery::actors {

/// Used on the writer's thread. Where a call fails the store takes nothing: it is to be opened
/// again, then `store_reopened` is called, and nothing but `turn_away` before that.
class group_writer {
 public:
  virtual ~group_writer() = default;

  /// Writes the entries, and answers each once its fate is known. The group may be empty.
  virtual model::status write(entry_group group) = 0;
  /// Answers all of them with the reason why nothing is written.
  virtual void turn_away(entry_group group, const model::failure& why) = 0;
  /// What was lost is loaded anew.
  virtual model::status store_reopened() = 0;
  /// Keeps how far the state of a shard was written, for its journal to be trimmed.
  virtual model::status note_checkpoint(const checkpoint_note& note) = 0;
  virtual void trim(model::shard_id shard) = 0;
};

}  // namespace orrery::actors
