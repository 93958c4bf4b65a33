// One row of `series`: the samples of one device in one bucket of time, as a list of parts. A
// checkpoint appends a part and never rewrites the others; parts are joined behind it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "storage/time_series.hpp"

namespace orrery::storage {

/// What a checkpoint appends. `revision`: of the device after these samples; it rises from part to
/// part, and where two parts have the same point at the same time the later revision counts.
std::string bucket_part(std::uint64_t revision, std::span<const sample* const> samples);
std::string bucket_part(std::uint64_t revision, std::span<const sample> samples);

/// The row of `values` (rows and parts) one behind the other. Bytes that are no parts stay in it,
/// wrapped: they neither hide what stands behind them nor are lost.
std::string concatenate(std::span<const std::string_view> values);

/// The same row with fewer parts: the last two are joined while one is not much larger than the
/// other, so a sample is written anew only a few times however many parts come, and few are left.
/// Parts that do not decode, and large ones, stay as they are.
std::string join_parts(std::string_view row);

/// A part of a row, which must outlive it.
struct part {
  std::uint64_t revision;
  time_range range;
  std::string_view segment;
};
/// The parts of a row in the order in which they were appended. Fails: `corrupted` if any of them
/// is damaged.
model::result<std::vector<part>> parts_of(std::string_view row);

}  // namespace orrery::storage
