// Materialises a device's newest values and sample buckets behind the journal.
#pragma once

#include <vector>

#include "model/device/device.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// The rows that make everything unsaved durable in `latest` and `series`: one part for each bucket
/// that the samples fall in. `revision`: of the entity, rising.
std::vector<storage::row> checkpoint_rows(const model::entity_id& id, const model::device::state& s,
                                          std::uint64_t revision);

}  // namespace orrery::actors
