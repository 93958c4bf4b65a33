// The hosts of a node's shards: makes one for each, in the same surroundings.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/entity.hpp"
#include "actors/journal.hpp"
#include "app/effects.hpp"
#include "cluster/member.hpp"
#include "cluster/router.hpp"
#include "config/settings.hpp"

namespace orrery::app {

struct shards_parts {
  actors::entity_context context;  // `shard` and `host` are filled in for each
  std::shared_ptr<const actors::shard_table> shards;
  std::shared_ptr<cluster::router> router;
  std::shared_ptr<std::atomic<std::int64_t>> awake;
  std::uint64_t incarnation = 0;      // of this process
  cluster::member* member = nullptr;  // null: the node is alone
};

/// Makes the hosts and gives them to router and effects. Alone it waits until all are open: hosts
/// first learn their lives in the table, then open, so that a question of one finds all others. In
/// a cluster they open when this node begins to serve their shards. Throws storage_failed.
void open_shards(caf::actor_system& system, const config::settings& s, const shards_parts& parts,
                 node_effects& effects);

}  // namespace orrery::app
