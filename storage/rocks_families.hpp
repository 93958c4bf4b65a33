// The families of the database, and how RocksDB is set up for what each of them is used for.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/options.h>

#include "model/time.hpp"
#include "storage/rocks_store.hpp"
#include "storage/series_family.hpp"

namespace orrery::storage {

inline constexpr std::string_view journal_family = "journal";
/// Samples and events are in one family per week, so that old ones go by dropping it.
inline constexpr auto slice_length = std::chrono::hours{24 * 7};
/// Holds what belongs to no slice of the retention and the near future.
inline constexpr std::string_view far_slice = "series-far";

/// The families that every database has.
const std::vector<std::string>& fixed_families();
/// True for a name that this program gives to a family.
bool is_ours(std::string_view family);

model::timestamp slice_of(model::timestamp t);
std::string slice_name(model::timestamp start);
/// The start in a slice's name; nothing for any other family.
std::optional<model::timestamp> slice_start(std::string_view family);

/// What all families share.
struct family_parts {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<const sample_horizon> horizon;
  model::milliseconds sample_retention;
};

rocksdb::DBOptions database_options(const rocks_options& options);
rocksdb::ColumnFamilyOptions family_options(std::string_view family, const family_parts& parts);

}  // namespace orrery::storage
