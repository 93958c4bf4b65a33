// Samples of one device as columns: a segment holds some messages of one time bucket. What a bucket
// is made of: storage/bucket.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"

namespace orrery::storage {

using model::sample;

/// Encodes samples (any order; of equal (point, time) the last one wins) as one segment: one time
/// column for all points (delta of delta), a column per point (scaled decimals where the doubles
/// are decimal, else XOR of neighbours; integers delta and zigzag; text by dictionary; others as
/// model bytes), qualities, zstd over all when it pays. Versioned. Aim: under 2 bytes a sample.
std::string encode_segment(std::span<const sample* const> samples);
std::string encode_segment(std::span<const sample> samples);

/// The samples of a segment in time order, the points of each by their ids. `only`: just that
/// point's column is decoded.
/// Fails: `corrupted`.
model::result<std::vector<sample>> decode_segment(std::string_view bytes,
                                                  std::optional<std::string_view> only = {});

/// First and last time of a segment without decoding its columns. Fails: `corrupted`.
struct time_range {
  model::timestamp first, last;
};
model::result<time_range> segment_range(std::string_view bytes);

/// Buckets are hours of UTC.
inline constexpr auto bucket_length = std::chrono::hours{1};
/// The start of the bucket that holds `t`.
model::timestamp bucket_of(model::timestamp t);

}  // namespace orrery::storage
