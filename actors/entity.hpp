// The one entity actor: adds order, durability and delivery to the rules of a kind.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/catalogue.hpp"
#include "actors/doorway.hpp"
#include "actors/journal.hpp"
#include "actors/messages.hpp"
#include "model/credentials.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// What an entity is given: everything by handle or value, the clock as a function.
struct entity_context {
  journal_actor journal;
  std::shared_ptr<journal_figures> figures;
  std::shared_ptr<const storage::entity_store> store;
  std::shared_ptr<const catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
  std::shared_ptr<shard_status> shard;
  host_actor host;
  /// Takes what an alias was asked for to the device that it leads to.
  std::function<void(ask_batch)> pass_on = {};
  /// True while somebody listens to live events: without it nothing is made for feeds.
  std::shared_ptr<const std::atomic<bool>> feed_wanted;
  std::size_t max_queued_commands = 50;
  std::size_t max_login_failures = 5;
  model::milliseconds audit_retention = std::chrono::hours{24 * 400};
  std::uint64_t audit_max_bytes = 1024ull * 1024 * 1024;  // of one log
  std::size_t max_queued_messages = 1'000;                // kept for one client
  std::uint16_t shard_count = 64;
  std::size_t unsaved_points_max = 4096;  // then a checkpoint of this entity alone
};

/// Journal records of an entity that are newer than its rows: replayed at wake-up.
struct tail_record {
  std::uint64_t revision;
  std::string events;
};
using tail = std::vector<tail_record>;

/// Wakes an entity: loads its rows, replays `unsaved` on top and takes questions. If its rows do
/// not decode it answers every question with that failure (`corrupted`) until it is told to rest.
/// `generation`: of the shard, as its host knows it. After a lost write the writer refuses what was
/// decided under an older one, also by an entity that has not been told yet. `through`: its door,
/// new and open; its host keeps it too.
entity_actor spawn_entity(caf::actor_system& system, model::entity_kind kind, model::entity_id id,
                          std::shared_ptr<const entity_context> context, std::uint64_t generation,
                          tail unsaved, std::shared_ptr<gate> through);

}  // namespace orrery::actors
