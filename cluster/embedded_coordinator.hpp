// The coordinator of a node that is alone: in memory, with what must last in its own store.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "cluster/coordinator.hpp"
#include "storage/entity_store.hpp"

namespace orrery::cluster {

/// Keys without a lease, and the number of changes, are rows of `store` and are there after a
/// restart; leases and their keys are not. `now`: a clock that does not go back.
/// Fails: what the store fails with.
model::result<std::unique_ptr<coordinator>> make_embedded_coordinator(
    std::shared_ptr<storage::entity_store> store, std::function<std::chrono::milliseconds()> now);

}  // namespace orrery::cluster
