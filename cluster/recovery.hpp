// Shards that nobody serves because nobody is there who has all of them: what copies there are, and
// the operator's word that one of them is the shard from now on.
#pragma once

#include <string>
#include <vector>

#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"

namespace orrery::cluster {

struct stuck_shard {
  struct copy {
    node_id node;
    log_position end;  // of its log; {0, 0}: it has nothing
    bool operator==(const copy&) const = default;
  };
  model::shard_id shard = 0;
  shard_record record;
  /// What registered nodes offer, the best first: the later epoch, then the longer log. With one of
  /// those that were in sync at last among them, the best has everything that was acknowledged.
  std::vector<copy> copies;
};

/// Pure.
std::vector<stuck_shard> stuck_shards(const cluster_view& view);

/// Gives the shard to the copy of `node`: what only others have is given up for good, whoever comes
/// back. In one step, if the record, the absence of all who are in sync and the presence of `node`
/// are still so. Blocks. Fails: `not_found` "shard_unknown"; `conflict` "shard_not_stuck",
/// "copy_not_offered"; as the coordinator, and then whether it was done is not known: look again.
model::result<shard_record> recover_shard(coordinator& at, const std::string& cluster,
                                          model::shard_id shard, node_id node);

}  // namespace orrery::cluster
