#include "storage/rocks_store.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>

#include "model/bytes.hpp"
#include "storage/backup.hpp"
#include "storage/frame.hpp"
#include "storage/journal_trim.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_families.hpp"
#include "storage/rocks_open.hpp"
#include "storage/rocks_scan.hpp"
#include "storage/rocks_status.hpp"
#include "storage/time_series.hpp"

namespace orrery::storage {
namespace {

using model::errc;
using model::failure;
using model::status;
using model::timestamp;

/// Free space that a reopened database needs beside what it holds in memory.
constexpr std::uintmax_t reopen_reserve_bytes = 16 * 1024 * 1024;

std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

/// A family that takes part in a copy.
struct copied_family {
  storage::family name;
  rocksdb::ColumnFamilyHandle* handle;
  timestamp slice{};
};

/// Copies that are under way: they end before the database or its families change.
class rocks_copy;
struct copy_list {
  std::mutex mutex;
  std::set<rocks_copy*> copies;
};

class rocks_copy final : public shard_copy {
 public:
  rocks_copy(std::shared_ptr<copy_list> all, rocksdb::DB& db, std::vector<copied_family> families,
             model::shard_id shard, std::uint64_t offset, std::string folder)
      : all_{std::move(all)},
        db_{&db},
        snapshot_{db.GetSnapshot()},
        families_{std::move(families)},
        shard_{shard},
        offset_{offset},
        folder_{std::move(folder)} {
    const auto hold = std::lock_guard{all_->mutex};
    all_->copies.insert(this);
  }
  ~rocks_copy() override {
    {
      const auto hold = std::lock_guard{all_->mutex};
      all_->copies.erase(this);
    }
    drop();
  }

  /// Lets go of the database.
  void drop() {
    const auto hold = std::lock_guard{mutex_};
    if (!db_)
      return;
    at_.reset();
    db_->ReleaseSnapshot(snapshot_);
    db_ = nullptr;
  }

  model::result<std::vector<row>> next(std::size_t max_bytes) override {
    const auto hold = std::lock_guard{mutex_};
    if (!db_)
      return failure{errc::unavailable, "storage_failed",
                     "database in " + folder_ + " was reopened while it was copied: begin again"};
    auto rows = std::vector<row>{};
    auto bytes = std::size_t{0};
    for (; family_ < families_.size(); ++family_, at_.reset()) {
      const auto& f = families_[family_];
      if (!at_)
        seek(f);
      for (; at_->Valid() && at_->key().starts_with(keys::shard_prefix(shard_)); at_->Next()) {
        if (bytes >= max_bytes)
          return rows;
        rows.push_back({.family = f.name,
                        .key = at_->key().ToString(),
                        .value = at_->value().ToString(),
                        .slice_time = f.slice});
        bytes += rows.back().key.size() + rows.back().value.size();
      }
      if (!at_->status().ok())
        return to_failure(at_->status(), folder_);
    }
    return rows;
  }

 private:
  void seek(const copied_family& f) {
    auto read = rocksdb::ReadOptions{};
    read.snapshot = snapshot_;
    read.fill_cache = false;
    at_.reset(db_->NewIterator(read, f.handle));
    at_->Seek(f.name == family::journal ? keys::journal(shard_, offset_ + 1)
                                        : keys::shard_prefix(shard_));
  }

  std::shared_ptr<copy_list> all_;
  std::mutex mutex_;
  rocksdb::DB* db_;  // null: dropped
  const rocksdb::Snapshot* snapshot_;
  std::vector<copied_family> families_;
  model::shard_id shard_;
  std::uint64_t offset_;
  std::string folder_;
  std::size_t family_ = 0;
  std::unique_ptr<rocksdb::Iterator> at_;
};

class rocks_store final : public entity_store {
 public:
  rocks_store(rocks_options options, timestamp now)
      : options_{std::move(options)},
        parts_{.cache = rocksdb::NewLRUCache(options_.block_cache_bytes),
               .horizon = horizon_,
               .sample_retention = options_.sample_retention},
        now_{now} {
    *horizon_ = model::to_ms(now - options_.sample_retention);
  }
  ~rocks_store() override { close(); }

  status open() {
    const auto hold = std::unique_lock{mutex_};
    return open_held();
  }

  status append(std::span<const frame> frames, bool sync) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto batch = rocksdb::WriteBatch{};
    for (const auto& f : frames) {
      if (!f.records.empty()) {
        buffer_.clear();
        encode_frame(f, buffer_);
        batch.Put(journal_, keys::journal(f.shard, f.first_offset), buffer_);
      }
      if (auto ok = add_rows(batch, f.rows); !ok)
        return ok;
    }
    return write(batch, sync);
  }

  status put(std::span<const row> rows, bool sync) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto batch = rocksdb::WriteBatch{};
    if (auto ok = add_rows(batch, rows); !ok)
      return ok;
    return write(batch, sync);
  }

  model::result<std::optional<std::string>> get(family f, std::string_view key) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    return get_held(f, key, nullptr);
  }

  model::result<std::unique_ptr<const row_reader>> moment() const override {
    auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    return std::unique_ptr<const row_reader>{std::make_unique<held_view>(*this, std::move(hold))};
  }

  status scan(family f, std::string_view prefix, std::string_view from, bool backwards,
              const visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    return scan_held(f, prefix, from, backwards, visit, nullptr);
  }

  status scan_series(std::string_view prefix, timestamp from, timestamp to, bool backwards,
                     const visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    from = std::max(from, bucket_of(sample_horizon()));
    auto slices = std::vector<rocksdb::ColumnFamilyHandle*>{};
    for (const auto& [start, handle] : slices_)
      if (start <= to && from < start + slice_length)
        slices.push_back(handle);
    if (backwards)
      std::reverse(slices.begin(), slices.end());
    const auto at = [&](timestamp t) { return std::string{prefix}.append(keys::ordered(t)); };
    return failed(
        scan_slices(*db_, far_, slices, {at(from), key_behind(at(to)), backwards}, visit));
  }

  timestamp sample_horizon() const override {
    return model::from_ms(horizon_->load(std::memory_order_relaxed));
  }

  status replay(model::shard_id shard, std::uint64_t from_offset,
                const record_visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    // The frame that holds the offset begins at it or before.
    const auto prefix = keys::shard_prefix(shard);
    auto read = rocksdb::ReadOptions{};
    read.fill_cache = false;
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator(read, journal_)};
    it->SeekForPrev(keys::journal(shard, from_offset));
    if (!it->Valid() || !it->key().starts_with(prefix))
      it->Seek(keys::journal(shard, from_offset));
    for (; it->Valid() && it->key().starts_with(prefix); it->Next()) {
      auto f = decode(shard, *it);
      if (!f)
        return f.error();
      for (std::size_t i = 0; i < f->records.size(); ++i)
        if (f->first_offset + i >= from_offset &&
            !visit(f->first_offset + i, f->epoch, f->records[i]))
          return {};
    }
    return failed(it->status());
  }

  model::result<shard_meta> meta(model::shard_id shard) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto found = noted(shard);
    if (!found)
      return found;
    // The journal itself knows how far it goes.
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator({}, journal_)};
    it->SeekForPrev(keys::journal(shard, ~std::uint64_t{0}));
    if (it->Valid() && it->key().starts_with(keys::shard_prefix(shard))) {
      auto f = decode(shard, *it);
      if (!f)
        return f.error();
      found->next_offset = std::max(found->next_offset, f->first_offset + f->records.size());
    }
    if (auto ok = failed(it->status()); !ok)
      return ok.error();
    return found;
  }

  status put_meta(model::shard_id shard, const shard_meta& meta) override {
    const auto r = shard_meta_row(shard, meta);
    return put(std::span{&r, 1}, false);
  }

  status trim_journal(model::shard_id shard, std::uint64_t offset, timestamp before) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    return failed(trim_by_age(*db_, *journal_, shard, offset, before));
  }

  status limit_journal(std::uint64_t max_bytes) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto size = std::uint64_t{0};
    if (const auto s = journal_bytes(*db_, *journal_, size); !s.ok())
      return failed(s);
    if (size <= max_bytes)
      return {};
    auto unreadable = status{};
    const auto s = trim_by_size(*db_, *journal_, size - max_bytes + max_bytes / 16,
                                [&](model::shard_id shard) {
                                  const auto found = noted(shard);
                                  if (!found)
                                    unreadable = found.error();
                                  return found ? found->checkpoint_offset : 0;
                                });
    return s.ok() ? unreadable : failed(s);
  }

  status roll_slices(timestamp oldest, timestamp now) override {
    const auto hold = std::unique_lock{mutex_};
    if (!db_)
      return closed();
    now_ = now;
    *horizon_ = model::to_ms(oldest);
    while (!slices_.empty() && slices_.begin()->first + slice_length <= oldest) {
      const auto first = slices_.begin();
      drop_copies();
      if (const auto s = db_->DropColumnFamily(first->second); !s.ok())
        return failed(s);
      db_->DestroyColumnFamilyHandle(first->second);
      slices_.erase(first);
    }
    return make_slices();
  }

  model::result<std::unique_ptr<shard_copy>> copy_shard(model::shard_id shard,
                                                        std::uint64_t offset) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto families = std::vector<copied_family>{
        {family::state, state_}, {family::latest, latest_}, {family::index, index_},
        {family::meta, meta_},   {family::series, far_},    {family::journal, journal_}};
    for (const auto& [start, handle] : slices_)
      families.push_back({family::series, handle, start});
    return std::unique_ptr<shard_copy>{std::make_unique<rocks_copy>(
        copies_, *db_, std::move(families), shard, offset, options_.folder)};
  }

  status reopen() override {
    const auto hold = std::unique_lock{mutex_};
    if (db_ && was_full_) {
      auto error = std::error_code{};
      auto unwritten = std::uint64_t{0};
      db_->GetAggregatedIntProperty("rocksdb.cur-size-all-mem-tables", &unwritten);
      const auto space = std::filesystem::space(options_.folder, error);
      const auto needed = unwritten + reopen_reserve_bytes;
      if (!error && space.available < needed)
        return failure{errc::unavailable, "storage_full",
                       "database in " + options_.folder + ": the disk is full: free at least " +
                           std::to_string((needed >> 20) + 1) +
                           " MiB; nothing acknowledged is lost, and what is there can be read"};
    }
    close();
    return open_held();
  }

  model::result<stored_backup> back_up(const backup_target& to) override {
    auto* db = static_cast<rocksdb::DB*>(nullptr);
    {
      const auto hold = std::shared_lock{mutex_};
      if (!db_)
        return closed();
      if (!backups_.begin())
        return failure{errc::conflict, "backup_running",
                       "a backup of the database in " + options_.folder + " is under way"};
      db = db_.get();  // until it is over: close() waits for that
    }
    return backups_.make(*db, to);
  }

  void stop_backup() override { backups_.end(); }

  std::vector<std::pair<std::string, double>> figures() const override {
    const auto hold = std::shared_lock{mutex_};
    auto out = std::vector<std::pair<std::string, double>>{};
    if (!db_)
      return out;
    const auto add = [&](const char* name, const char* property) {
      auto v = std::uint64_t{0};
      if (db_->GetAggregatedIntProperty(property, &v))
        out.emplace_back(name, static_cast<double>(v));
    };
    add("memtable_bytes", "rocksdb.cur-size-all-mem-tables");
    add("sst_bytes", "rocksdb.total-sst-files-size");
    add("pending_compaction_bytes", "rocksdb.estimate-pending-compaction-bytes");
    add("running_compactions", "rocksdb.num-running-compactions");
    add("running_flushes", "rocksdb.num-running-flushes");
    add("write_stopped", "rocksdb.is-write-stopped");
    add("delayed_write_bytes_per_second", "rocksdb.actual-delayed-write-rate");
    add("keys_estimate", "rocksdb.estimate-num-keys");
    auto journal = std::uint64_t{0};
    if (journal_bytes(*db_, *journal_, journal).ok())
      out.emplace_back("journal_bytes", static_cast<double>(journal));
    out.emplace_back("block_cache_bytes", static_cast<double>(parts_.cache->GetUsage()));
    return out;
  }

 private:
  failure closed() const {
    return {errc::unavailable, "storage_failed",
            "database in " + options_.folder + " is closed after a failure, and is being reopened"};
  }
  status failed(const rocksdb::Status& s) const {
    if (s.ok())
      return {};
    return to_failure(s, options_.folder);
  }

  /// Holds the database open, and what was in it.
  class held_view final : public row_reader {
   public:
    held_view(const rocks_store& of, std::shared_lock<std::shared_mutex> hold)
        : of_{of}, hold_{std::move(hold)}, as_of_{of.db_->GetSnapshot()} {}
    ~held_view() override { of_.db_->ReleaseSnapshot(as_of_); }
    held_view(const held_view&) = delete;
    held_view& operator=(const held_view&) = delete;

    model::result<std::optional<std::string>> get(family f, std::string_view key) const override {
      return of_.get_held(f, key, as_of_);
    }
    status scan(family f, std::string_view prefix, std::string_view from, bool backwards,
                const visitor& visit) const override {
      return of_.scan_held(f, prefix, from, backwards, visit, as_of_);
    }

   private:
    const rocks_store& of_;
    std::shared_lock<std::shared_mutex> hold_;
    const rocksdb::Snapshot* as_of_;
  };

  model::result<std::optional<std::string>> get_held(family f, std::string_view key,
                                                     const rocksdb::Snapshot* as_of) const {
    auto value = std::string{};
    auto read = rocksdb::ReadOptions{};
    read.snapshot = as_of;
    const auto s = db_->Get(read, handle_of(f), rocksdb::Slice{key.data(), key.size()}, &value);
    if (s.IsNotFound())
      return std::optional<std::string>{};
    if (!s.ok())
      return failed(s).error();
    return std::optional{std::move(value)};
  }

  status scan_held(family f, std::string_view prefix, std::string_view from, bool backwards,
                   const visitor& visit, const rocksdb::Snapshot* as_of) const {
    auto range = key_range{std::string{prefix}, key_behind(prefix), backwards, as_of};
    if (!from.empty() && backwards)
      range.end = std::string{from}.append(1, '\0');  // the key behind it
    else if (!from.empty())
      range.first = from;
    return failed(scan_range(*db_, handle_of(f), std::move(range), visit));
  }

  rocksdb::ColumnFamilyHandle* handle_of(family f) const {
    switch (f) {
      case family::state:
        return state_;
      case family::latest:
        return latest_;
      case family::series:
        return far_;
      case family::index:
        return index_;
      case family::meta:
        return meta_;
      case family::journal:
        return journal_;
    }
    return meta_;
  }

  status write(rocksdb::WriteBatch& batch, bool sync) {
    auto options = rocksdb::WriteOptions{};
    options.sync = sync;
    const auto ok = failed(db_->Write(options, &batch));
    was_full_ = !ok && ok.error().reason == "storage_full";
    return ok;
  }

  status add_rows(rocksdb::WriteBatch& batch, std::span<const row> rows) const {
    for (const auto& r : rows) {
      auto* handle = r.family == family::series ? slice_handle(r.slice_time) : handle_of(r.family);
      auto s = rocksdb::Status{};
      switch (r.operation) {
        case row_operation::put:
          s = batch.Put(handle, r.key, r.value);
          break;
        case row_operation::remove:
          s = batch.Delete(handle, r.key);
          break;
        case row_operation::append:
          if (r.family != family::series)
            return failure{errc::internal, "only rows of samples can be appended to"};
          s = batch.Merge(handle, r.key, r.value);
          break;
        case row_operation::remove_range:
          s = batch.DeleteRange(handle, r.key, r.value);
          if (r.family == family::series) {
            s = batch.DeleteRange(far_, r.key, r.value);
            for (auto slice = slices_.begin(); s.ok() && slice != slices_.end(); ++slice)
              s = batch.DeleteRange(slice->second, r.key, r.value);
          }
          break;
      }
      if (!s.ok())
        return failed(s);
    }
    return {};
  }

  /// The slice of a time; times far from now share one, so odd clocks make no families.
  rocksdb::ColumnFamilyHandle* slice_handle(timestamp t) const {
    const auto found = slices_.find(slice_of(t));
    return found == slices_.end() ? far_ : found->second;
  }

  static model::result<frame> decode(model::shard_id shard, const rocksdb::Iterator& at) {
    const auto first = keys::journal_offset(view(at.key()));
    return decode_frame(shard, first.value_or(0), view(at.value()));
  }

  /// The position of a shard as its last checkpoint noted it.
  model::result<shard_meta> noted(model::shard_id shard) const {
    auto found = shard_meta{};
    auto bytes = std::string{};
    const auto s = db_->Get({}, meta_, keys::meta(shard, "shard"), &bytes);
    if (s.IsNotFound())
      return found;
    if (!s.ok())
      return failed(s).error();
    return parse_shard_meta(shard, bytes);
  }

  status open_held() {
    auto opened = open_database(options_, parts_);
    if (!opened)
      return opened.error();
    db_ = std::move(opened->db);
    for (const auto& [name, handle] : opened->families)
      if (const auto start = slice_start(name))
        slices_[*start] = handle;
      else
        fixed_.push_back(handle);
    const auto fixed = [&](std::string_view name) {
      return std::find_if(opened->families.begin(), opened->families.end(),
                          [&](const auto& f) { return f.first == name; })
          ->second;
    };
    journal_ = fixed(journal_family);
    state_ = fixed("state");
    latest_ = fixed("latest");
    index_ = fixed("index");
    meta_ = fixed("meta");
    far_ = fixed(far_slice);
    auto ok = make_slices();
    if (!ok)
      close();
    return ok;
  }

  /// The slices of the retention, the one of now and two ahead.
  status make_slices() {
    auto missing = std::vector<rocksdb::ColumnFamilyDescriptor>{};
    auto starts = std::vector<timestamp>{};
    for (auto start = slice_of(sample_horizon()); start <= now_ + 2 * slice_length;
         start += slice_length)
      if (!slices_.contains(start)) {
        missing.emplace_back(slice_name(start), family_options(slice_name(start), parts_));
        starts.push_back(start);
      }
    if (missing.empty())
      return {};
    auto made = std::vector<rocksdb::ColumnFamilyHandle*>{};
    const auto s = db_->CreateColumnFamilies(missing, &made);
    for (std::size_t i = 0; i < made.size(); ++i)
      slices_[starts[i]] = made[i];
    return failed(s);
  }

  void drop_copies() {
    const auto hold = std::lock_guard{copies_->mutex};
    for (auto* copy : copies_->copies)
      copy->drop();
  }

  void close() {
    if (!db_)
      return;
    backups_.end();
    drop_copies();
    for (auto* handle : std::exchange(fixed_, {}))
      db_->DestroyColumnFamilyHandle(handle);
    for (const auto& [start, handle] : std::exchange(slices_, {}))
      db_->DestroyColumnFamilyHandle(handle);
    (void)db_->Close();
    db_.reset();
  }

  rocks_options options_;
  backup_maker backups_;
  std::shared_ptr<copy_list> copies_ = std::make_shared<copy_list>();
  std::shared_ptr<storage::sample_horizon> horizon_ = std::make_shared<storage::sample_horizon>(0);
  family_parts parts_;
  timestamp now_{};
  mutable std::shared_mutex mutex_;  // exclusive: the database or its families change
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> fixed_;
  std::map<timestamp, rocksdb::ColumnFamilyHandle*> slices_;  // by start
  rocksdb::ColumnFamilyHandle *journal_ = nullptr, *state_ = nullptr, *latest_ = nullptr,
                              *index_ = nullptr, *meta_ = nullptr, *far_ = nullptr;
  std::atomic<bool> was_full_{false};  // the last write found no space
  std::string buffer_;                 // of the writer
};

}  // namespace

row shard_meta_row(model::shard_id shard, const shard_meta& meta) {
  auto out = model::byte_writer{};
  out.varint(meta.epoch);
  out.varint(meta.checkpoint_offset);
  out.varint(meta.next_offset);
  return {.family = family::meta, .key = keys::meta(shard, "shard"), .value = out.take()};
}

model::result<shard_meta> parse_shard_meta(model::shard_id shard, std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  auto found = shard_meta{};
  found.epoch = in.varint();
  found.checkpoint_offset = in.varint();
  found.next_offset = in.varint();  // as of the checkpoint: the journal may be trimmed up to it
  if (!in.ok())
    return failure{errc::corrupted, "storage_corrupt",
                   "the position of shard " + std::to_string(shard) + " is damaged"};
  return found;
}

model::result<std::unique_ptr<entity_store>> open_rocks_store(const rocks_options& options,
                                                              timestamp now) {
  auto store = std::make_unique<rocks_store>(options, now);
  if (auto ok = store->open(); !ok)
    return ok.error();
  return std::unique_ptr<entity_store>{std::move(store)};
}

}  // namespace orrery::storage
