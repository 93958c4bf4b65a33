// Spawns single actors under test on the stage's scheduler.
#pragma once

#include <caf/all.hpp>

#include "actors/entity.hpp"
#include "actors/journal.hpp"

namespace orrery::tests {

/// The journal on the scheduler instead of a thread of its own.
inline actors::journal_actor spawn_journal_here(caf::actor_system& system,
                                                actors::journal_parts parts) {
  return actors::spawn_journal(system, std::move(parts), false);
}

/// An entity as the host of its shard would wake it.
inline actors::entity_actor wake_entity(
    caf::actor_system& system, model::entity_kind kind, const model::entity_id& id,
    std::shared_ptr<const actors::entity_context> context, actors::tail unsaved = {},
    std::shared_ptr<actors::gate> through = std::make_shared<actors::gate>()) {
  const auto generation = context->shard->generation.load();
  return actors::spawn_entity(system, kind, id, std::move(context), generation, std::move(unsaved),
                              std::move(through));
}

}  // namespace orrery::tests
