// The one writer of a node: packs waiting records of each shard into frames, writes all frames and
// rows in one batch, and only then runs effects and answers.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include <caf/fwd.hpp>

#include "actors/messages.hpp"
#include "actors/replication.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// Figures of the writer, read by metrics and by whoever must slow down.
struct journal_figures {
  std::atomic<std::uint64_t> queued_bytes{0};  // waiting in the writer's mailbox
  std::atomic<std::uint64_t> groups{0};
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> failed_groups{0};
  std::atomic<bool> broken{false};  // the store takes nothing at the moment
  /// Called by the writer after each group: records in it, seconds the write took.
  std::function<void(std::size_t, double)> observe = [](std::size_t, double) {};
};

/// The shards of this node, by number; made once, before any actor.
using shard_table = std::unordered_map<model::shard_id, std::shared_ptr<shard_status>>;

struct journal_options {
  bool sync = true;  // fsync each group before it is answered
  std::size_t group_max_bytes = 4 * 1024 * 1024;
  model::milliseconds retention{std::chrono::hours{72}};
  std::function<model::timestamp()> now;
};

struct journal_parts {
  std::shared_ptr<storage::entity_store> store;
  std::shared_ptr<commit_effects> effects;
  std::shared_ptr<const shard_table> shards;
  std::shared_ptr<journal_figures> figures;
  journal_options options;
  /// Tells a shard's host that its entities must reload (the write's fate is unknown).
  std::function<void(write_lost)> on_write_lost;
  /// Of a node in a cluster: every shard goes by it. Null: the node is alone.
  std::shared_ptr<replication> replicas = {};
  /// Tells a shard's host what this node is to its shard.
  std::function<void(model::shard_id, shard_role)> on_role = {};
};

/// Bytes an entry counts for in `queued_bytes`: whoever sends an entry adds them, the writer takes
/// them off. Above `storage.queue_max_bytes` sessions stop reading their sockets.
std::size_t cost_of(const entry& e);

/// `detached`: on a thread of its own, since it blocks in the store. Tests have it on the
/// scheduler.
journal_actor spawn_journal(caf::actor_system& system, journal_parts parts, bool detached = true);

/// Adds the entries' cost to the figures and sends them.
void send_entries(const journal_actor& writer, journal_figures& figures, entry_batch batch);

}  // namespace orrery::actors
