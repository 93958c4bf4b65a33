// Which replicas of a shard are to be in sync, decided from its record alone. Pure.
#pragma once

#include <cstddef>

#include "cluster/shard_record.hpp"
#include "model/ids.hpp"

namespace orrery::cluster {

/// Whether `who` is to be in the shard's in-sync set. Who is in it and is not to be is given up by
/// the primary; who is to be and is not is taken in as soon as it is level. All replicas are to be,
/// of the catalogue's so many as come first up to `catalogue_factor`: the others watch. A node that
/// is not to hold the shard, or of `leaving`, stays until there are enough without it.
bool is_to_be_in_sync(model::shard_id shard, const shard_record& record,
                      std::size_t catalogue_factor, const node_set& leaving, node_id who);

}  // namespace orrery::cluster
