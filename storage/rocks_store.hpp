// entity_store on RocksDB: batches, reads, slices of samples, opening.
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
  std::size_t max_wal_bytes = 256 * 1024 * 1024;
  bool synced = true;  // each append is: damage inside the log is no trace of a power cut
  model::milliseconds sample_retention{std::chrono::hours{24 * 30}};
};

/// Opens or makes the database. Fails, with a detail that names the folder and what to do:
/// `unavailable` reason "storage_locked" (another process has it), "storage_full" (no space) or
/// "storage_failed" (cannot be written, other I/O error); `corrupted` reason "storage_corrupt";
/// `conflict` reason "storage_newer_format" or "storage_foreign" (a database of another program).
model::result<std::unique_ptr<entity_store>> open_rocks_store(const rocks_options& options,
                                                              model::timestamp now);

}  // namespace orrery::storage
