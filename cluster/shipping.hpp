// Sends a replica what it lacks of its shard: what stands in the log, as much as it can take at a
// time, or the whole where the log does not reach back that far.
#pragma once

#include "cluster/primary_duties.hpp"
#include "cluster/replica.hpp"
#include "cluster/replicas_shared.hpp"
#include "cluster/shard_log.hpp"

namespace orrery::cluster {

enum class shipped {
  done,
  too_old,  // it needs a copy of the shard
};

/// Does what a state machine asks for with `what`. Requires: machine.is_primary(), and a link to
/// what.to, of which `f` is the view.
shipped ship_log(const replicas_shared& with, model::shard_id shard, replica& machine,
                 shard_log& from, follower_view& f, const ship& what);

/// Begins a copy of the shard for `to` if one can be made now; the state machine asks again.
/// `applied`: rows of entries up to there are in the store.
void send_copy(replicas_shared& with, model::shard_id shard, const replica& machine,
               std::uint64_t applied, node_id to);

}  // namespace orrery::cluster
