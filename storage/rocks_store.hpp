// entity_store on RocksDB: column families, batches, slices of samples.
#pragma once

#include <memory>
#include <string>

#include "model/result.hpp"
#include "model/time.hpp"
#include "storage/entity_store.hpp"

namespace orrery::storage {

struct rocks_options {
  std::string folder;
  std::size_t write_buffer_bytes = 256 * 1024 * 1024;  // memtables of all families together
  std::size_t block_cache_bytes = 256 * 1024 * 1024;
  std::size_t max_wal_bytes = 1024 * 1024 * 1024;
  int background_jobs = 2;
  model::milliseconds sample_retention{std::chrono::hours{24 * 30}};
};

/// Opens or makes the database. Fails: `unavailable` reason "storage_locked" (another process has
/// it) or "storage_failed" (folder missing, read-only, disk full), `corrupted` reason
/// "storage_corrupt", `conflict` reason "storage_newer_format". Details name the folder and what to
/// do.
model::result<std::unique_ptr<entity_store>> open_rocks_store(const rocks_options& options,
                                                              model::timestamp now);

}  // namespace orrery::storage
