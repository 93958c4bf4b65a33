#include "cluster/shard_map.hpp"

#include <xxhash.h>

namespace orrery::cluster {

model::shard_id shard_of(const model::device_name& name, std::uint16_t shard_count) {
  const auto text = name.product_key + '\x1f' + name.device_key;
  return static_cast<model::shard_id>(XXH3_64bits(text.data(), text.size()) % shard_count);
}

}  // namespace orrery::cluster
