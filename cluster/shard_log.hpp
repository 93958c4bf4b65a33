// The log of one shard on this node's disk: the frames of its journal with what the replication
// protocol must know of them, and how far they are applied to the other families.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/log_outline.hpp"
#include "cluster/replica.hpp"
#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

/// Makes rows for the journal's writer and reads what was written; writes nothing itself but where
/// it says so. Used on the writer's thread.
class shard_log {
 public:
  shard_log(std::shared_ptr<storage::entity_store> store, model::shard_id shard)
      : store_{std::move(store)}, shard_{shard} {}

  /// What is there. A state that was being loaded when the process ended is taken away first
  /// (written at once). `whole` is the caller's to say. Fails: as the store does.
  model::result<replica::kept> open();

  /// The rows that put entries behind `after`; `now` is the outline with them. `rows`: of the last
  /// entry, so that it need not be decoded to be applied.
  void write(std::uint64_t after, std::vector<log_entry> entries, const log_outline& now,
             std::vector<storage::row> rows, std::vector<storage::row>& into);
  /// Everything written so far is in the store, so it need not be kept in memory.
  void note_written() { written_ = ring_.empty() ? written_ : ring_.back().entry.at.index; }

  /// Entries that follow `after`, about `max_bytes` but at least one if there is one. Nothing: the
  /// journal does not reach back that far. Fails: as the store does.
  model::result<std::optional<std::vector<log_entry>>> entries(std::uint64_t after,
                                                               std::uint64_t last,
                                                               std::size_t max_bytes);
  /// The oldest index that can still be followed: the journal may be trimmed by others.
  model::result<std::uint64_t> begin_kept() const;

  /// The rows that entries up to `index` leave in the other families, and the note that they have.
  /// Fails: `corrupted`, as the store does.
  model::status apply(std::uint64_t index, std::vector<storage::row>& into);
  std::uint64_t applied() const { return applied_; }

  /// The row that notes the newest epoch this node has led (and the outline).
  storage::row mark(std::uint64_t led, const log_outline& now);
  /// The outline has changed otherwise: it was trimmed.
  storage::row outline_row(const log_outline& now) const;

  /// The rows that take away all that is here of the shard.
  std::vector<storage::row> discard();
  /// The same, and they note that it is being loaded.
  std::vector<storage::row> begin_loading();
  /// The rows that end it: everything up to `at` is here and applied.
  std::vector<storage::row> end_loading(log_position at);

  /// True for rows of a copy that say where the copied node stands, not what the shard holds.
  static bool is_local(model::shard_id shard, const storage::row& r);
  /// True for a frame of the journal that begins behind `index`.
  static bool is_behind(const storage::row& r, std::uint64_t index);

 private:
  struct kept_entry {
    log_entry entry;
    std::uint64_t first;  // of its records
    std::vector<storage::row> rows;
    bool has_rows;
  };
  storage::row local_row(std::string_view name, std::string value) const;
  std::vector<storage::row> wipe() const;
  void shrink();

  std::shared_ptr<storage::entity_store> store_;
  model::shard_id shard_;
  std::uint64_t led_ = 0;
  std::uint64_t applied_ = 0;
  std::uint64_t written_ = 0;
  std::deque<kept_entry> ring_;  // the newest entries, without a gap
  std::size_t ring_bytes_ = 0;
};

/// The bytes of an entry that only says that an epoch began, or only carries rows, made at `now`.
std::string encode_entry(storage::frame f, model::timestamp now);

}  // namespace orrery::cluster
