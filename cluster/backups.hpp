// Backups of a whole cluster: ordered at the coordinator, where each node finds what it has to make
// and leaves what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/cluster_desk.hpp"
#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::cluster {

/// The id of a backup that begins now, when `last` (or "") was the newest: the time in UTC, to the
/// second; always behind the last one's.
std::string backup_id(model::timestamp now, std::string_view last);

/// Orders one of all nodes that are registered, if none is under way, and drops the oldest: `keep`
/// remain. Blocks. Fails: `conflict` "backup_running"; as the coordinator, and then its outcome is
/// not known.
model::result<actors::desk_backup> order_backup(coordinator& at, const std::string& cluster,
                                                const std::string& actor, model::timestamp now,
                                                std::size_t keep);

/// Newest first, with the state of each node.
std::vector<actors::desk_backup> backups_of(const cluster_view& view);

/// What is left to make for a process of a node: the newest that counts on it.
struct wanted_backup {
  std::string id;
  backup_order order;
};
std::optional<wanted_backup> backup_to_make(const cluster_view& view, node_id self,
                                            std::uint64_t process);

/// Leaves what came of a node's part, unless the backup was dropped meanwhile. Blocks. Fails: as
/// the coordinator, and then doing it again is right.
model::status report_backup(coordinator& at, const std::string& cluster, const std::string& id,
                            node_id self, const backup_part& part);

}  // namespace orrery::cluster
