// Which nodes a node can count on, as the replicas of its shards see it.
#pragma once

#include <chrono>
#include <map>

#include "cluster/shard_record.hpp"

namespace orrery::cluster {

struct peers {
  node_set registered;  // at the coordinator
  node_set leaving;     // nothing is to stay there
  node_set linked;      // there is a link to them
  node_set stopping;    // they end soon: they are given nothing to lead
  /// Since when there is no link, of those that one was missed to.
  std::map<node_id, std::chrono::milliseconds> unlinked_since;

  /// Whether it can be given something: there is a link and it is registered.
  bool is_there(node_id who) const { return linked.contains(who) && registered.contains(who); }
};

}  // namespace orrery::cluster
