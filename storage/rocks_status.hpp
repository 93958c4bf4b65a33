// RocksDB's failures in our words.
#pragma once

#include <string>

#include <rocksdb/status.h>

#include "model/result.hpp"

namespace orrery::storage {

/// `folder`: of the database; the detail names it and says what to do. `s` must not be ok.
model::failure to_failure(const rocksdb::Status& s, const std::string& folder);

}  // namespace orrery::storage
