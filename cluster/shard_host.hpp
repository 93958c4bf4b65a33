// The entities of one shard held here: wakes one on its first question, rests it when it is idle,
// runs checkpoints and deadlines, reloads all after a lost write.
#pragma once

#include <atomic>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/entity.hpp"
#include "actors/messages.hpp"

namespace orrery::cluster {

struct host_options {
  model::milliseconds idle_timeout{std::chrono::minutes{5}};
  std::size_t checkpoint_bytes = 512 * 1024;  // of this shard: the node's limit over its shards
  model::milliseconds checkpoint_interval{std::chrono::seconds{30}};
  model::milliseconds tick{std::chrono::seconds{1}};
  std::size_t max_retained = 10'000;  // topics of one organisation in this shard
  std::size_t max_awake = 300'000;    // of all shards of the node; beyond it the idlest rest
};

/// How many of its `here` entities a shard rests before their time where a node has `awake` of them
/// and may have `most`: its part of those that are too many, rounded up.
std::size_t to_rest_early(std::size_t awake, std::size_t most, std::size_t here);

struct host_parts {
  model::shard_id shard = 0;
  actors::entity_context context;  // `host` is filled in by the host itself
  host_options options;
  /// True: a session of that incarnation of some node is over.
  std::function<bool(std::uint64_t)> session_lost;
  std::shared_ptr<std::atomic<std::int64_t>> awake;  // entities awake on this node
  /// Called once the tail is replayed and lost sessions are told.
  std::function<void(model::status)> on_open;

  /// In a cluster: the host opens the shard when it is told that this node serves it.
  bool in_cluster = false;
  /// Takes questions that cannot be answered here (any more).
  std::function<void(actors::ask_batch)> elsewhere = {};
  /// A shard that is to move was let go of: all that its entities will say of it was sent to the
  /// journal's writer before this.
  std::function<void(model::shard_id)> on_left = {};
};

/// Opens the shard: replays the tail behind its checkpoint, tells devices whose session is over. In
/// a cluster whenever the node begins to serve it. Entities that have something in that tail are
/// woken when they are asked, and all of them bit by bit; and bit by bit they end when the shard
/// goes.
actors::host_actor spawn_shard_host(caf::actor_system& system, host_parts parts);

}  // namespace orrery::cluster
