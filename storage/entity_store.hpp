// What the actors ask of storage: append frames with the rows that go with them, load rows, scan.
// Every key starts with its shard, so a shard can be dumped, shipped and dropped by range.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::storage {

struct backup_target;
struct stored_backup;

/// The families a row may name. The names (not the numbers) are on disk and on the wire.
enum class family : std::uint8_t { state, latest, series, index, meta, journal };
inline constexpr auto last_family = family::journal;

/// What a row does to its key. `append`: to a bucket of samples (family `series`), which is made if
/// it is not there; the value is a part made by storage/bucket. `remove_range`: takes away all keys
/// from this one up to the one in `value` (exclusive); in `series` those of all times.
enum class row_operation : std::uint8_t { put, remove, append, remove_range };
inline constexpr auto last_operation = row_operation::remove_range;

/// One materialised row: written when its record is committed. `key` is the whole key, shard
/// included (made by storage/keys). For `series` the slice is found from `slice_time`, the start of
/// the sample bucket, or the time of the event, the row belongs to.
struct row {
  storage::family family;
  std::string key;
  std::string value{};  // empty for `remove`
  model::timestamp slice_time{};
  row_operation operation = row_operation::put;
};

/// One record of a shard's journal. `events` is opaque here.
struct record {
  model::entity_id entity;
  model::entity_kind kind;
  std::uint64_t revision = 0;  // of the entity, after this record
  model::timestamp time;
  std::string events;
};

/// The records that one group commit writes for one shard: one key of the journal.
struct frame {
  model::shard_id shard = 0;
  std::uint64_t epoch = 0;
  std::uint64_t first_offset = 0;  // of records[0]; offsets rise by one
  std::vector<record> records;
  std::vector<row> rows;  // materialised in the same write
};

/// The rows of one shard as they were at one moment, family by family. Any thread, one at a time.
class shard_copy {
 public:
  virtual ~shard_copy() = default;
  /// The next rows, about `max_bytes` of them but at least one; none: there are no more.
  virtual model::result<std::vector<row>> next(std::size_t max_bytes) = 0;
};

/// A row read back.
struct stored_row {
  std::string key;
  std::string value;
};

struct shard_meta {
  std::uint64_t epoch = 0;
  std::uint64_t next_offset = 1;        // of the next record
  std::uint64_t checkpoint_offset = 0;  // every record up to and with this one is materialised
};

/// The row that put_meta writes. Fails: `corrupted`.
row shard_meta_row(model::shard_id shard, const shard_meta& meta);
model::result<shard_meta> parse_shard_meta(model::shard_id shard, std::string_view bytes);

/// Reads rows. Fails as the store does.
class row_reader {
 public:
  virtual ~row_reader() = default;
  virtual model::result<std::optional<std::string>> get(family f, std::string_view key) const = 0;

  /// Visits rows whose key starts with `prefix`, from `from` on (whole key; empty: the first), in
  /// key order or backwards, until the visitor gives false. One consistent snapshot.
  using visitor = std::function<bool(std::string_view key, std::string_view value)>;
  [[nodiscard]] virtual model::status scan(family f, std::string_view prefix, std::string_view from,
                                           bool backwards, const visitor& visit) const = 0;
};

/// Thread-safe. Fails everywhere: `unavailable` (I/O error, disk full: may work again after
/// `reopen`), `corrupted` (checksum, a record that does not decode).
class entity_store : public row_reader {
 public:
  /// Writes all frames (one key each), their rows and each shard's new next offset in ONE batch,
  /// all or nothing. `sync`: on stable storage before it returns. Writer thread only.
  [[nodiscard]] virtual model::status append(std::span<const frame> frames, bool sync) = 0;

  /// Rows without records (metadata, reader positions, what a cluster agreed on). Any thread.
  [[nodiscard]] virtual model::status put(std::span<const row> rows, bool sync) = 0;

  /// All rows as they are now, whatever is written meanwhile. For one thread, and for as long as a
  /// page is read: the database is not reopened before the view is gone. Not `series`.
  virtual model::result<std::unique_ptr<const row_reader>> moment() const = 0;

  /// The series rows of one prefix whose time (of a bucket its start) is in [from, to], in order of
  /// their keys or backwards. What is older than the retention does not appear.
  [[nodiscard]] virtual model::status scan_series(std::string_view prefix, model::timestamp from,
                                                  model::timestamp to, bool backwards,
                                                  const visitor& visit) const = 0;

  /// Samples and events before this time are older than the retention: readers hide them, also
  /// where a bucket still holds them.
  virtual model::timestamp sample_horizon() const = 0;

  /// Replays a shard's journal from `from_offset` (inclusive): one call per record, in order.
  /// Fails `corrupted` on a frame whose checksum is wrong, naming shard and offset.
  using record_visitor =
      std::function<bool(std::uint64_t offset, std::uint64_t epoch, const record&)>;
  [[nodiscard]] virtual model::status replay(model::shard_id shard, std::uint64_t from_offset,
                                             const record_visitor& visit) const = 0;

  virtual model::result<shard_meta> meta(model::shard_id shard) const = 0;
  /// Notes that every record up to `offset` is materialised; epoch changes go the same way.
  [[nodiscard]] virtual model::status put_meta(model::shard_id shard, const shard_meta& meta) = 0;

  /// Drops journal frames of a shard that hold nothing behind `offset` and are older than `before`.
  [[nodiscard]] virtual model::status trim_journal(model::shard_id shard, std::uint64_t offset,
                                                   model::timestamp before) = 0;

  /// Drops the oldest journal frames of all shards while the journal takes more than `max_bytes`,
  /// but none that its shard's noted checkpoint is not behind. Any thread.
  [[nodiscard]] virtual model::status limit_journal(std::uint64_t max_bytes) = 0;

  /// Drops whole slices of samples that end before `oldest`, which is the horizon from now on;
  /// makes the next slices ahead of `now`.
  [[nodiscard]] virtual model::status roll_slices(model::timestamp oldest,
                                                  model::timestamp now) = 0;

  /// What is in the families now, each row as a `put`; of the journal what is behind `offset`. A
  /// copy that lives while the database is reopened fails `unavailable`.
  virtual model::result<std::unique_ptr<shard_copy>> copy_shard(model::shard_id shard,
                                                                std::uint64_t offset) const = 0;

  /// After a failed write: closes the database and opens it again. While the disk is still full it
  /// fails at once, and what is there can be read meanwhile.
  [[nodiscard]] virtual model::status reopen() = 0;

  /// A backup of all that was written before the call, as of one moment (storage/backup). Blocks
  /// for as long as it takes; any thread, one at a time. Fails: as backup_maker::make, `conflict`
  /// "backup_running". `reopen` ends one under way.
  virtual model::result<stored_backup> back_up(const backup_target& to) = 0;
  /// Ends one under way, and waits for its end.
  virtual void stop_backup() = 0;

  /// Figures for the metrics page: name without prefix ("memtable_bytes") and value.
  virtual std::vector<std::pair<std::string, double>> figures() const = 0;
};

}  // namespace orrery::storage
