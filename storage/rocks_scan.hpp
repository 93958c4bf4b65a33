// Walks over keys of one family, or of the slices of samples together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/db.h>

#include "storage/entity_store.hpp"

namespace orrery::storage {

/// The keys from `first` up to `end` (exclusive; empty: no end), in order or backwards.
struct key_range {
  std::string first, end;
  bool backwards = false;
  const rocksdb::Snapshot* as_of = nullptr;  // null: as they are now
};

/// The first key behind all that begin with `prefix`; empty: there is none.
std::string key_behind(std::string_view prefix);

/// Visits the rows of a range until the visitor gives false.
rocksdb::Status scan_range(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, key_range keys,
                           const entity_store::visitor& visit);

/// The same over several families of samples. `slices`: in the order of the walk, each with times
/// of its own; `far`: with any times. A bucket that is in both comes once.
rocksdb::Status scan_slices(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* far,
                            const std::vector<rocksdb::ColumnFamilyHandle*>& slices,
                            const key_range& keys, const entity_store::visitor& visit);

}  // namespace orrery::storage
