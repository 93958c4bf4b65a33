// What the journal's writer asks of the replication of its shards. The writer knows no node and no
// protocol: it gives frames, writes the rows that it is told to write, and hears what is committed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "storage/entity_store.hpp"

namespace orrery::actors {

/// How a shard has gone on. In the order in which it happened.
struct shard_progress {
  enum class what : std::uint8_t {
    committed,  // everything up to `offset`; `acknowledged` false: its fate is not promised
    began,      // this node serves the shard from now on
    ended,      // it does not any more; what is not committed has no known fate
    writable,   // enough replicas are in sync
    read_only,  // too few are: nothing is written
  };
  model::shard_id shard;
  what happened;
  std::uint64_t offset = 0;
  bool acknowledged = true;
};

/// Rows on their way to the store, in one write.
struct write_round {
  std::vector<storage::row> rows;
  bool sync = false;    // to the disk itself
  bool needed = false;  // to be written, also without rows
};

/// All members are called on the writer's thread.
class replication {
 public:
  virtual ~replication() = default;

  /// Takes a frame for a shard that is served here: its rows and records are moved out, and its
  /// epoch and first offset set. The offset of its last record; nothing: no writes are taken.
  virtual std::optional<std::uint64_t> write(storage::frame& f) = 0;
  /// The end of the shard's log: what is asked now rests on it.
  virtual std::uint64_t end_of(model::shard_id shard) const = 0;
  /// False: somebody else may serve the shards of this node already; nothing may be answered.
  virtual bool may_answer() const = 0;

  /// Everything that is to be written now. Then `written` is called, whether it was needed or not.
  virtual void collect(write_round& into) = 0;
  virtual void written(bool ok) = 0;
  /// True: there is more to collect.
  virtual bool has_more() const = 0;
  virtual std::vector<shard_progress> take_progress() = 0;

  /// A write of its own failed, or the store could not be read.
  virtual bool failed() const = 0;
  /// The store failed and was opened again: everything is read anew from it.
  virtual void start_again() = 0;
};

}  // namespace orrery::actors
