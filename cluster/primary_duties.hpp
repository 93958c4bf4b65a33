// What a primary does about the replicas of its shard when nothing happens: whom it gives up and
// takes in, to whom it sends again, and whom it gives the shard. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cluster/peers.hpp"
#include "cluster/shard_record.hpp"
#include "model/ids.hpp"

namespace orrery::cluster {

/// What a primary remembers of a replica beside what the state machine does.
struct follower_view {
  std::uint64_t matched = 0;
  std::chrono::milliseconds moved{};  // when that changed, or nothing was missing
  std::chrono::milliseconds asked{};  // when it was last sent again what it lacks
  std::size_t unacknowledged_bytes = 0;
  bool blocked = false;  // more is to be sent than it has acknowledged
  std::uint64_t told_commit = 0;
};
using follower_views = std::map<node_id, follower_view>;

/// Takes note of what it has now; `last` is the end of the primary's log.
void note_matched(follower_view& f, std::uint64_t matched, std::uint64_t last,
                  std::chrono::milliseconds now);

/// The shard as its primary sees it, and what is around it.
struct primary_view {
  model::shard_id shard = 0;
  node_id self = 0;
  const shard_record& record;
  const follower_views& followers;
  const peers& nodes;
  std::uint64_t last = 0;  // end of the log
};

/// A change of the in-sync set that is to be made, if it is possible now.
struct in_sync_change {
  node_id who = 0;
  bool takes_in = false;  // else it is given up
  bool operator==(const in_sync_change&) const = default;
};

/// The first that is possible counts: the set is changed by one member at a time. Given up is who
/// has been silent for `silence` and who is not wanted (is_to_be_in_sync) any more.
std::vector<in_sync_change> in_sync_changes(const primary_view& of, std::size_t catalogue_factor,
                                            std::chrono::milliseconds silence,
                                            std::chrono::milliseconds now);

/// How a replica is spoken to anew, also when nothing happens: what was sent may have come before
/// its registration, and what it acknowledges counts for the registration that it had then.
enum class reminder {
  none,
  news,        // what it may lack
  everything,  // from what it has acknowledged on
};
reminder reminder_for(const primary_view& of, node_id who, std::chrono::milliseconds now);

/// Who is to lead the shard instead of this node, if anybody can. `any`: whoever is in sync will
/// do, for this node ends.
std::optional<node_id> successor(const primary_view& of, bool any);

}  // namespace orrery::cluster
