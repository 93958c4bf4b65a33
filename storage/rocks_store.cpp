#include "storage/rocks_store.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <shared_mutex>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include "model/bytes.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"

namespace orrery::storage {
namespace {

using model::errc;
using model::failure;
using model::status;
using model::timestamp;

constexpr std::uint64_t format_version = 1;
constexpr auto slice_length = std::chrono::hours{24 * 7};
constexpr std::string_view slice_prefix = "series-";
constexpr std::string_view far_slice =
    "series-far";  // times outside the retention and the near future
const std::vector<std::string> fixed_families = {"default", "journal", "state",
                                                 "latest",  "index",   "meta"};

failure to_failure(const rocksdb::Status& s, const std::string& folder) {
  const auto text = "database in " + folder + ": " + s.ToString();
  if (s.IsCorruption())
    return {errc::corrupted, "storage_corrupt",
            text + "; restore a backup or move the folder away"};
  if (s.IsNoSpace())
    return {errc::unavailable, "storage_full", text + "; free some space"};
  if (s.IsIOError() && text.find("lock") != std::string::npos)
    return {errc::unavailable, "storage_locked", text + "; another process has it open"};
  return {errc::unavailable, "storage_failed", text};
}

timestamp slice_of(timestamp t) {
  const auto length = std::chrono::duration_cast<model::milliseconds>(slice_length).count();
  const auto ms = model::to_ms(t);
  const auto rest = ms % length;
  return model::from_ms(ms - (rest < 0 ? rest + length : rest));
}

std::string slice_name(timestamp start) {
  return std::string{slice_prefix} + std::to_string(model::to_ms(start));
}

class rocks_store final : public entity_store {
 public:
  explicit rocks_store(rocks_options options) : options_{std::move(options)} {}
  ~rocks_store() override { close(); }

  status open(timestamp now) {
    const auto hold = std::unique_lock{mutex_};
    now_ = now;
    return open_locked();
  }

  status append(std::span<const frame> frames, bool sync) override {
    {
      const auto hold = std::shared_lock{mutex_};
      if (!db_)
        return closed();
      auto batch = rocksdb::WriteBatch{};
      for (const auto& f : frames) {
        if (!f.records.empty()) {
          buffer_.clear();
          encode_frame(f, buffer_);
          batch.Put(family_handle("journal"), keys::journal(f.shard, f.first_offset), buffer_);
        }
        if (auto ok = add_rows(batch, f.rows); !ok)
          return ok;
      }
      auto write = rocksdb::WriteOptions{};
      write.sync = sync;
      if (const auto s = db_->Write(write, &batch); !s.ok())
        return to_failure(s, options_.folder);
    }
    return {};
  }

  status put(std::span<const row> rows, bool sync) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto batch = rocksdb::WriteBatch{};
    if (auto ok = add_rows(batch, rows); !ok)
      return ok;
    auto write = rocksdb::WriteOptions{};
    write.sync = sync;
    if (const auto s = db_->Write(write, &batch); !s.ok())
      return to_failure(s, options_.folder);
    return {};
  }

  model::result<std::optional<std::string>> get(family f, std::string_view key) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto value = std::string{};
    const auto s =
        db_->Get({}, family_handle(name_of(f)), rocksdb::Slice{key.data(), key.size()}, &value);
    if (s.IsNotFound())
      return std::optional<std::string>{};
    if (!s.ok())
      return to_failure(s, options_.folder);
    return std::optional{std::move(value)};
  }

  status scan(family f, std::string_view prefix, std::string_view from, bool backwards,
              const visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    return scan_family(family_handle(name_of(f)), prefix, from, backwards, visit).second;
  }

  status scan_series(std::string_view prefix, timestamp from, timestamp to, bool backwards,
                     const visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    // Slices by their start; what has a time far off stands apart, before all.
    auto wanted = std::vector<std::string>{std::string{far_slice}};
    for (const auto& [start, name] : slices_)
      if (start <= to && from < start + slice_length)
        wanted.push_back(name);
    if (backwards)
      std::reverse(wanted.begin(), wanted.end());
    for (const auto& name : wanted) {
      auto [go_on, ok] = scan_family(family_handle(name), prefix, {}, backwards, visit);
      if (!ok || !go_on)
        return ok;
    }
    return {};
  }

  status replay(model::shard_id shard, std::uint64_t from_offset,
                const record_visitor& visit) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    const auto prefix = keys::shard_prefix(shard);
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator({}, family_handle("journal"))};
    // The frame that holds the offset begins at it or before.
    it->SeekForPrev(keys::journal(shard, from_offset));
    if (!it->Valid() || !it->key().starts_with(prefix))
      it->Seek(keys::journal(shard, from_offset));
    for (; it->Valid() && it->key().starts_with(prefix); it->Next()) {
      const auto first = first_offset(it->key());
      auto f = decode_frame(shard, first, {it->value().data(), it->value().size()});
      if (!f)
        return f.error();
      for (std::size_t i = 0; i < f->records.size(); ++i)
        if (first + i >= from_offset && !visit(first + i, f->epoch, f->records[i]))
          return {};
    }
    if (!it->status().ok())
      return to_failure(it->status(), options_.folder);
    return {};
  }

  model::result<shard_meta> meta(model::shard_id shard) const override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    auto found = shard_meta{};
    auto bytes = std::string{};
    auto s = db_->Get({}, family_handle("meta"), keys::meta(shard, "shard"), &bytes);
    if (!s.ok() && !s.IsNotFound())
      return to_failure(s, options_.folder);
    if (s.ok()) {
      auto in = model::byte_reader{bytes};
      found.epoch = in.varint();
      found.checkpoint_offset = in.varint();
      found.next_offset = in.varint();  // as of the checkpoint: the journal may be trimmed up to it
      if (!in.ok())
        return failure{errc::corrupted, "storage_corrupt",
                       "the position of shard " + std::to_string(shard) + " is damaged"};
    }
    // The journal itself knows how far it goes.
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator({}, family_handle("journal"))};
    it->SeekForPrev(keys::journal(shard, ~std::uint64_t{0}));
    if (it->Valid() && it->key().starts_with(keys::shard_prefix(shard))) {
      const auto first = first_offset(it->key());
      auto f = decode_frame(shard, first, {it->value().data(), it->value().size()});
      if (!f)
        return f.error();
      found.next_offset = std::max(found.next_offset, first + f->records.size());
    }
    if (!it->status().ok())
      return to_failure(it->status(), options_.folder);
    return found;
  }

  status put_meta(model::shard_id shard, const shard_meta& meta) override {
    auto out = model::byte_writer{};
    out.varint(meta.epoch);
    out.varint(meta.checkpoint_offset);
    out.varint(meta.next_offset);
    const auto r =
        row{.family = family::meta, .key = keys::meta(shard, "shard"), .value = out.take()};
    return put(std::span{&r, 1}, false);
  }

  status trim_journal(model::shard_id shard, std::uint64_t offset, timestamp before) override {
    const auto hold = std::shared_lock{mutex_};
    if (!db_)
      return closed();
    const auto prefix = keys::shard_prefix(shard);
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator({}, family_handle("journal"))};
    it->Seek(prefix);
    auto end = std::optional<std::string>{};
    for (; it->Valid() && it->key().starts_with(prefix); it->Next()) {
      const auto newest = frame_time({it->value().data(), it->value().size()});
      if (end && first_offset(it->key()) > offset + 1)
        break;
      end = it->key().ToString();  // exclusive: this frame stays unless a later one goes too
      if (!newest || *newest >= before || first_offset(it->key()) > offset)
        break;
    }
    if (!it->status().ok())
      return to_failure(it->status(), options_.folder);
    if (!end || *end == keys::journal(shard, 0))
      return {};
    if (const auto s = db_->DeleteRange({}, family_handle("journal"), prefix, *end); !s.ok())
      return to_failure(s, options_.folder);
    return {};
  }

  status roll_slices(timestamp oldest, timestamp now) override {
    const auto hold = std::unique_lock{mutex_};
    if (!db_)
      return closed();
    now_ = now;
    for (auto i = slices_.begin(); i != slices_.end() && i->first + slice_length <= oldest;) {
      const auto handle = handles_.find(i->second);
      if (const auto s = db_->DropColumnFamily(handle->second); !s.ok())
        return to_failure(s, options_.folder);
      db_->DestroyColumnFamilyHandle(handle->second);
      handles_.erase(handle);
      i = slices_.erase(i);
    }
    return make_slices();
  }

  status reopen() override {
    const auto hold = std::unique_lock{mutex_};
    close();
    return open_locked();
  }

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
    out.emplace_back("block_cache_bytes", static_cast<double>(cache_->GetUsage()));
    return out;
  }

 private:
  static std::string_view name_of(family f) {
    switch (f) {
      case family::state:
        return "state";
      case family::latest:
        return "latest";
      case family::series:
        return far_slice;
      case family::index:
        return "index";
      case family::meta:
        return "meta";
    }
    return "meta";
  }

  failure closed() const {
    return {errc::unavailable, "storage_failed",
            "database in " + options_.folder + " is closed after a failure"};
  }

  static std::uint64_t first_offset(const rocksdb::Slice& key) {
    auto in = model::byte_reader{{key.data(), key.size()}};
    in.u16();
    return in.u64();
  }

  rocksdb::ColumnFamilyHandle* family_handle(std::string_view name) const {
    const auto found = handles_.find(name);
    return found == handles_.end() ? nullptr : found->second;
  }

  /// The slice of a time; times far from now share one, so odd clocks make no families.
  rocksdb::ColumnFamilyHandle* series_handle(timestamp t) const {
    const auto found = slices_.find(slice_of(t));
    return family_handle(found == slices_.end() ? far_slice : std::string_view{found->second});
  }

  status add_rows(rocksdb::WriteBatch& batch, std::span<const row> rows) const {
    for (const auto& r : rows) {
      auto* handle = r.family == family::series ? series_handle(r.slice_time)
                                                : family_handle(name_of(r.family));
      const auto s = r.value ? batch.Put(handle, r.key, *r.value) : batch.Delete(handle, r.key);
      if (!s.ok())
        return to_failure(s, options_.folder);
    }
    return {};
  }

  std::pair<bool, status> scan_family(rocksdb::ColumnFamilyHandle* handle, std::string_view prefix,
                                      std::string_view from, bool backwards,
                                      const visitor& visit) const {
    auto read = rocksdb::ReadOptions{};
    auto past = std::string{prefix};  // the first key after all with the prefix
    while (!past.empty() && static_cast<unsigned char>(past.back()) == 0xff)
      past.pop_back();
    if (!past.empty())
      past.back() = static_cast<char>(past.back() + 1);
    const auto upper = rocksdb::Slice{past};
    if (!past.empty())
      read.iterate_upper_bound = &upper;
    const auto matching = rocksdb::Slice{prefix.data(), prefix.size()};
    auto it = std::unique_ptr<rocksdb::Iterator>{db_->NewIterator(read, handle)};
    if (backwards) {
      if (from.empty())
        it->SeekToLast();
      else
        it->SeekForPrev({from.data(), from.size()});
    } else {
      it->Seek(from.empty() ? matching : rocksdb::Slice{from.data(), from.size()});
    }
    for (; it->Valid() && it->key().starts_with(matching); backwards ? it->Prev() : it->Next())
      if (!visit({it->key().data(), it->key().size()}, {it->value().data(), it->value().size()}))
        return {false, {}};
    if (!it->status().ok())
      return {false, to_failure(it->status(), options_.folder)};
    return {true, {}};
  }

  rocksdb::ColumnFamilyOptions family_options(const std::string& name) const {
    auto o = rocksdb::ColumnFamilyOptions{};
    auto table = rocksdb::BlockBasedTableOptions{};
    table.block_cache = cache_;
    table.cache_index_and_filter_blocks = true;
    if (name == "state" || name == "latest")
      table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    o.write_buffer_size = name == "journal" ? 64 * 1024 * 1024 : 32 * 1024 * 1024;
    o.compression = rocksdb::kLZ4Compression;
    o.bottommost_compression = rocksdb::kZSTD;
    if (name == "journal") {
      // Written once in order of its keys per shard, read seldom, dropped by range: few levels.
      o.level0_file_num_compaction_trigger = 8;
      o.target_file_size_base = 64 * 1024 * 1024;
    }
    return o;
  }

  status open_locked() {
    auto o = rocksdb::DBOptions{};
    o.create_if_missing = true;
    o.create_missing_column_families = true;
    o.max_background_jobs = options_.background_jobs;
    o.max_total_wal_size = options_.max_wal_bytes;
    o.max_open_files = 1000;
    o.keep_log_file_num = 4;
    o.info_log_level = rocksdb::WARN_LEVEL;
    o.bytes_per_sync = 1024 * 1024;
    o.max_manifest_file_size = 64 * 1024 * 1024;
    // A record that was cut by a crash ends the log; damage before its end stops the start.
    o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    if (!cache_)
      cache_ = rocksdb::NewLRUCache(options_.block_cache_bytes);
    o.write_buffer_manager =
        std::make_shared<rocksdb::WriteBufferManager>(options_.write_buffer_bytes, cache_);

    auto error = std::error_code{};
    std::filesystem::create_directories(options_.folder, error);
    if (error)
      return failure{errc::unavailable, "storage_failed",
                     "cannot make the folder " + options_.folder + ": " + error.message()};
    auto names = std::vector<std::string>{};
    const auto listed = rocksdb::DB::ListColumnFamilies(o, options_.folder, &names);
    const auto fresh = !listed.ok();
    if (fresh && std::filesystem::exists(options_.folder + "/CURRENT"))
      return to_failure(listed, options_.folder);
    if (fresh)
      names = fixed_families;
    for (const auto& name : fixed_families)
      if (std::find(names.begin(), names.end(), name) == names.end())
        return failure{
            errc::corrupted, "storage_corrupt",
            "database in " + options_.folder + " has no family " + name + "; it is none of ours"};
    auto families = std::vector<rocksdb::ColumnFamilyDescriptor>{};
    for (const auto& name : names)
      families.emplace_back(name, family_options(name));
    auto handles = std::vector<rocksdb::ColumnFamilyHandle*>{};
    rocksdb::DB* db = nullptr;
    if (const auto s = rocksdb::DB::Open(o, options_.folder, families, &handles, &db); !s.ok())
      return to_failure(s, options_.folder);
    db_.reset(db);
    for (std::size_t i = 0; i < names.size(); ++i) {
      handles_[names[i]] = handles[i];
      if (names[i].starts_with(slice_prefix) && names[i] != far_slice)
        slices_[model::from_ms(std::stoll(names[i].substr(slice_prefix.size())))] = names[i];
    }
    if (auto ok = check_format(fresh); !ok) {
      close();
      return ok;
    }
    auto ok = make_slices();
    if (!ok)
      close();
    return ok;
  }

  status check_format(bool fresh) {
    auto bytes = std::string{};
    const auto s = db_->Get({}, family_handle("meta"), keys::meta("format"), &bytes);
    if (s.IsNotFound() && fresh) {
      auto out = model::byte_writer{};
      out.varint(format_version);
      auto write = rocksdb::WriteOptions{};
      write.sync = true;
      if (const auto put =
              db_->Put(write, family_handle("meta"), keys::meta("format"), out.bytes());
          !put.ok())
        return to_failure(put, options_.folder);
      return {};
    }
    auto in = model::byte_reader{bytes};
    const auto found = in.varint();
    if (!s.ok() || !in.ok())
      return failure{errc::corrupted, "storage_corrupt",
                     "database in " + options_.folder + " does not tell its format"};
    if (found > format_version)
      return failure{errc::conflict, "storage_newer_format",
                     "database in " + options_.folder + " has format " + std::to_string(found) +
                         ", this program reads up to " + std::to_string(format_version) +
                         "; install the newer release"};
    return {};
  }

  /// The slices of the retention, the one of now and two ahead.
  status make_slices() {
    auto missing = std::vector<rocksdb::ColumnFamilyDescriptor>{};
    if (!handles_.contains(std::string{far_slice}))
      missing.emplace_back(std::string{far_slice}, family_options(std::string{far_slice}));
    for (auto start = slice_of(now_ - options_.sample_retention); start <= now_ + 2 * slice_length;
         start += slice_length)
      if (!slices_.contains(start))
        missing.emplace_back(slice_name(start), family_options(slice_name(start)));
    if (missing.empty())
      return {};
    auto made = std::vector<rocksdb::ColumnFamilyHandle*>{};
    if (const auto s = db_->CreateColumnFamilies(missing, &made); !s.ok())
      return to_failure(s, options_.folder);
    for (std::size_t i = 0; i < missing.size(); ++i) {
      handles_[missing[i].name] = made[i];
      if (missing[i].name != far_slice)
        slices_[model::from_ms(std::stoll(missing[i].name.substr(slice_prefix.size())))] =
            missing[i].name;
    }
    return {};
  }

  void close() {
    if (!db_)
      return;
    for (const auto& [name, handle] : handles_)
      db_->DestroyColumnFamilyHandle(handle);
    handles_.clear();
    slices_.clear();
    (void)db_->Close();
    db_.reset();
  }

  rocks_options options_;
  timestamp now_{};
  mutable std::shared_mutex mutex_;  // exclusive: the database or its families change
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*, std::less<>> handles_;
  std::map<timestamp, std::string> slices_;  // by start
  std::string buffer_;                       // of the writer
};

}  // namespace

model::result<std::unique_ptr<entity_store>> open_rocks_store(const rocks_options& options,
                                                              timestamp now) {
  auto store = std::make_unique<rocks_store>(options);
  if (auto ok = store->open(now); !ok)
    return ok.error();
  return std::unique_ptr<entity_store>{std::move(store)};
}

}  // namespace orrery::storage
