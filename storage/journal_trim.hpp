// Drops what the journal need not keep any longer: by age within a shard, by size over all shards.
#pragma once

#include <functional>

#include <rocksdb/db.h>

#include "model/ids.hpp"
#include "model/time.hpp"

namespace orrery::storage {

/// Drops frames of a shard from the front while all their records are up to `offset` and older than
/// `before`. The newest frame of a shard stays: it tells how far the journal goes.
rocksdb::Status trim_by_age(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                            model::shard_id shard, std::uint64_t offset, model::timestamp before);

/// Bytes of the journal on disk and in memory, without what was trimmed. An estimate.
rocksdb::Status journal_bytes(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                              std::uint64_t& bytes);

/// Drops the oldest frames of all shards, as far as `checkpoint_of` a shard goes, until about
/// `excess` bytes are gone. The newest frame of a shard stays.
rocksdb::Status trim_by_size(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& journal,
                             std::uint64_t excess,
                             const std::function<std::uint64_t(model::shard_id)>& checkpoint_of);

}  // namespace orrery::storage
