// Opens the database with all its families, or says why it must not be opened.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/db.h>

#include "model/result.hpp"
#include "storage/rocks_families.hpp"

namespace orrery::storage {

struct open_rocks {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<std::pair<std::string, rocksdb::ColumnFamilyHandle*>> families;
};

/// Makes the folder and the database if they are not there. Fails as open_rocks_store does; a
/// folder that is refused is left as it was.
model::result<open_rocks> open_database(const rocks_options& options, const family_parts& parts);

}  // namespace orrery::storage
