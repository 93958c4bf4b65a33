// Which nodes are to hold which shard, decided from the picture of the cluster alone. Pure: the
// same picture gives the same plan, and a plan that was carried out gives nothing to do.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cluster/cluster_view.hpp"

namespace orrery::cluster {

struct placement_options {
  std::uint16_t shard_count = 64;
  std::size_t replication_factor = 2;  // copies of a shard: 1 to 3
  std::size_t catalogue_factor = 3;    // of the catalogue's, in sync; every node has one more
  /// A node that is missing for less keeps its places: a restart moves nothing.
  std::chrono::milliseconds replace_after{10 * 60 * 1000};
  std::size_t moves_at_once = 4;  // shards that are copied for balance
};

/// A node that shards count on and that is not registered.
struct absence {
  std::chrono::milliseconds since{};
  std::optional<node_info> was;  // nothing: it was never seen here
};
using absences = std::map<node_id, absence>;

/// Remembers who was there: the registration of a node that is missing says nothing any more.
class attendance {
 public:
  void take(const cluster_view& view, std::chrono::milliseconds now);
  const absences& missing() const { return missing_; }

 private:
  std::map<node_id, node_info> seen_;
  absences missing_;
};

/// What a record is to become; `wanted.version`: what it must still be, 0 for a new one.
struct placement_change {
  model::shard_id shard = 0;
  shard_record wanted;
  bool operator==(const placement_change&) const = default;
};

struct placement_plan {
  std::vector<placement_change> changes;
  /// Nobody who has all that was acknowledged is there: they wait until one comes back.
  std::vector<model::shard_id> stuck;
  std::size_t moving = 0;  // shards that are being copied, with those that now begin
};

/// Each shard goes to the first nodes of an order of its own (rendezvous hashing of shard and
/// name, by weight), of different zones while there are enough of them; who leads is balanced among
/// them. An existing record keeps its epoch, primary and in-sync set: those are its primary's. It
/// keeps its old replicas until the new ones are in sync. One whose primary is missing is left to
/// its in-sync members.
///
/// The catalogue's replicas are all nodes; `catalogue_factor` of them are to be in sync
/// (is_to_be_in_sync in cluster/in_sync), the others only watch.
placement_plan plan(const cluster_view& view, const placement_options& options,
                    const absences& missing, std::chrono::milliseconds now);

}  // namespace orrery::cluster
