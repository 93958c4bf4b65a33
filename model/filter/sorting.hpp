// The order of a list: `sort=-createdAt,name`. Pure; any thread.
#pragma once

#include <compare>
#include <span>
#include <string_view>
#include <vector>

#include "model/filter/record.hpp"
#include "model/filter/schema.hpp"

namespace orrery::model::filter {

struct sort_key {
  field_place where;
  bool descending = false;
  bool operator==(const sort_key&) const = default;
};

inline constexpr std::size_t max_sort_keys = 4;

/// Fields with commas between them, a minus before one that falls. Fails: `invalid_argument`
/// "bad_sort" for what cannot be read, is no field that may be sorted by, or is there twice.
result<std::vector<sort_key>> parse_sort(std::string_view text, const schema& fields);

/// The order of two records by what they have in the fields of `keys`, as many each. What a record
/// does not have comes last, whichever way the field goes.
std::strong_ordering order(std::span<const sort_key> keys, std::span<const datum> a,
                           std::span<const datum> b);

}  // namespace orrery::model::filter
