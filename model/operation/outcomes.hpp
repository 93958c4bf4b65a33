// What became of rows of an operation, as pieces of its result have it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/operation/operation.hpp"

namespace orrery::model::operation {

enum class row_status : std::uint8_t {
  created = 0,
  updated = 1,
  unchanged = 2,  // it was so already
  valid = 3,      // nothing was done: only looked at
  deleted = 4,
  failed = 5
};
std::string_view name_of(row_status s);

struct row_outcome {
  std::uint64_t index = 0;  // from 0 on
  std::string product_key, device_key;
  row_status status = row_status::created;
  std::string id;            // of the device, if it has one
  std::string code, detail;  // of a failure
  bool has_secret = false;   // a new one, that secret_of gives
  bool operator==(const row_outcome&) const = default;
};

/// How they count.
row_counts counts_of(const std::vector<row_outcome>& rows);

std::string encode_outcomes(const std::vector<row_outcome>& rows);
/// Fails: `corrupted`.
result<std::vector<row_outcome>> decode_outcomes(std::string_view bytes);

}  // namespace orrery::model::operation
