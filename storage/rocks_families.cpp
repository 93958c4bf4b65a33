#include "storage/rocks_families.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_partitioner.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include "storage/rocks_log.hpp"

namespace orrery::storage {
namespace {

constexpr std::string_view slice_prefix = "series-";
constexpr std::size_t mib = 1024 * 1024;
constexpr std::size_t shard_prefix_size = 2;

int background_jobs() {
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency() / 2, 2u, 8u));
}

}  // namespace

const std::vector<std::string>& fixed_families() {
  static const auto names =
      std::vector<std::string>{"default", std::string{journal_family}, "state", "latest", "index",
                               "meta",    std::string{far_slice}};
  return names;
}

bool is_ours(std::string_view family) {
  const auto& fixed = fixed_families();
  return std::find(fixed.begin(), fixed.end(), family) != fixed.end() || slice_start(family);
}

model::timestamp slice_of(model::timestamp t) {
  using slices = std::chrono::duration<std::int64_t, std::ratio<7 * 24 * 3600>>;
  return std::chrono::floor<slices>(std::max(t, model::timestamp::min() + slice_length));
}

std::string slice_name(model::timestamp start) {
  return std::string{slice_prefix} + std::to_string(model::to_ms(start));
}

std::optional<model::timestamp> slice_start(std::string_view family) {
  if (!family.starts_with(slice_prefix))
    return std::nullopt;
  family.remove_prefix(slice_prefix.size());
  auto ms = std::int64_t{0};
  const auto* end = family.data() + family.size();
  const auto [ptr, error] = std::from_chars(family.data(), end, ms);
  if (error != std::errc{} || ptr != end)
    return std::nullopt;
  return model::from_ms(ms);
}

rocksdb::DBOptions database_options(const rocks_options& options) {
  auto o = rocksdb::DBOptions{};
  o.create_if_missing = true;
  o.create_missing_column_families = true;
  o.max_background_jobs = background_jobs();
  // Whatever stands in the log is read again at a start: families written seldom must not hold old
  // log files back for long.
  o.max_total_wal_size = options.max_wal_bytes;
  o.max_open_files = 512;  // the process has 20,000, most of them for connections
  o.info_log = rocks_log();
  o.bytes_per_sync = mib;  // the disk works all the time instead of in bursts
  o.wal_bytes_per_sync = mib;
  o.compaction_readahead_size = 2 * mib;
  o.avoid_unnecessary_blocking_io = true;
  o.max_manifest_file_size = 64 * mib;
  // A record that a crash cut short ends the log. Damage before its end stops the start, where each
  // write was synced: something acknowledged would be missing. Where none was, a power cut may
  // leave gaps anywhere, and what stands before the first of them is kept.
  o.wal_recovery_mode = options.synced ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                                       : rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  o.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(options.write_buffer_bytes);
  return o;
}

rocksdb::ColumnFamilyOptions family_options(std::string_view family, const family_parts& parts) {
  auto o = rocksdb::ColumnFamilyOptions{};
  auto table = rocksdb::BlockBasedTableOptions{};
  table.block_cache = parts.cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  o.write_buffer_size = 32 * mib;
  o.compression = rocksdb::kLZ4Compression;
  o.bottommost_compression = rocksdb::kZSTD;
  o.level_compaction_dynamic_level_bytes = true;
  if (family == journal_family) {
    // Written in order of its keys within each shard, read seldom, dropped from the front. A file
    // below the top level has one shard alone: it overlaps no other, so it moves down without being
    // written again, and goes as a whole when its records are trimmed.
    o.sst_partitioner_factory = rocksdb::NewSstPartitionerFixedPrefixFactory(shard_prefix_size);
    o.level_compaction_dynamic_level_bytes = false;
    o.write_buffer_size = 64 * mib;
    o.level0_file_num_compaction_trigger = 8;
    o.max_bytes_for_level_base = 512 * mib;
    o.target_file_size_base = 64 * mib;
    o.bottommost_compression = rocksdb::kDisableCompressionOption;  // as all levels: LZ4
    table.block_size = 64 * 1024;
  }
  if (family == "state" || family == "latest")
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  if (family.starts_with(slice_prefix)) {
    set_series_options(o, parts.horizon);
    table.block_size = 16 * 1024;
    // Nothing else would ever look for what is too old in files at rest.
    using std::chrono::seconds;
    const auto half = std::chrono::duration_cast<seconds>(parts.sample_retention / 2);
    const auto hour = seconds{std::chrono::hours{1}}, month = seconds{std::chrono::hours{24 * 30}};
    o.periodic_compaction_seconds =
        static_cast<std::uint64_t>(std::clamp(half, hour, month).count());
  }
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return o;
}

}  // namespace orrery::storage
