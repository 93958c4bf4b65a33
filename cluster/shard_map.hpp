// Name -> shard. Pure; the same on every node for ever.
#pragma once

#include <cstdint>

#include "model/ids.hpp"

namespace orrery::cluster {

/// The shard of a name: stable 64-bit hash (XXH3) of product key, 0x1f, device key, modulo
/// `shard_count` (1 to 32,767; fixed when a cluster is made).
model::shard_id shard_of(const model::device_name& name, std::uint16_t shard_count);

}  // namespace orrery::cluster
