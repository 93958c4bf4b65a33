// What RocksDB is told about the families of samples: how parts come together, and what is too old.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <rocksdb/options.h>

namespace orrery::storage {

/// The time before which samples and events count as gone, in milliseconds; set by the store, read
/// by the database's own threads.
using sample_horizon = std::atomic<std::int64_t>;

/// Sets the merge operator and the compaction filter of a family of samples.
///
/// Merge: readers get a bucket's parts one behind the other; flushes and compactions join them.
/// Filter: compactions drop buckets and events that are wholly older than the horizon.
void set_series_options(rocksdb::ColumnFamilyOptions& options,
                        std::shared_ptr<const sample_horizon> horizon);

/// While it lives, merges of this thread only put parts one behind the other: whoever reads decodes
/// them anyway. RocksDB does not tell its operator who asks.
class reading_parts {
 public:
  reading_parts();
  ~reading_parts();
  reading_parts(const reading_parts&) = delete;
  reading_parts& operator=(const reading_parts&) = delete;

 private:
  bool before_;
};

}  // namespace orrery::storage
