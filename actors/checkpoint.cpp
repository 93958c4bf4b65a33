#include "actors/checkpoint.hpp"

#include <map>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {

namespace keys = storage::keys;

std::vector<storage::row> checkpoint_rows(const model::entity_id& id, const model::device::state& s,
                                          std::uint64_t revision) {
  auto rows = std::vector<storage::row>{};
  rows.push_back({.family = storage::family::latest,
                  .key = keys::latest(id),
                  .value = model::device::encode_latest(s.telemetry, revision, s.last_data)});
  auto buckets = std::map<model::timestamp, std::vector<const model::sample*>>{};
  for (const auto& batch : s.telemetry.unsaved)
    for (const auto& sample : batch->samples)
      buckets[storage::bucket_of(sample.time)].push_back(&sample);
  for (const auto& [bucket, samples] : buckets)
    rows.push_back({.family = storage::family::series,
                    .key = keys::bucket(id, bucket),
                    .value = storage::bucket_part(revision, samples),
                    .slice_time = bucket,
                    .operation = storage::row_operation::append});
  return rows;
}

}  // namespace orrery::actors
