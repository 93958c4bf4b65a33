// The end of giving a device another name: whether it has the name that an alias was reserved for,
// and what follows from that. Whoever asked for the name does it, and an alias that does not know
// whether its device has the name: as often as need be, at once or one after another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "actors/caller.hpp"

namespace orrery::actors {

struct reserved_name {
  model::entity_id alias, device;
  std::uint64_t renames = 0;  // model::device::name_alias::renames
};

/// If the device has the name: its gateway is told, the alias of the name before is let go, the
/// device forgets both, and then the alias is settled. If not: the device is kept from taking the
/// name later, and the alias goes. `then` runs once, on an actor's thread; where it is told of a
/// failure the alias is as it was, and asks again by itself. Lost with the caller.
void settle_name(std::weak_ptr<caller> ask, const reserved_name& what,
                 std::function<void(const model::status&)> then);

}  // namespace orrery::actors
