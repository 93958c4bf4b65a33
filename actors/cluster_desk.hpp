// The cluster as an operator sees it, and the orders that he gives: what the API asks of whoever
// knows the cluster. A node that is alone is a cluster of one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::actors {

/// `absent`: not registered. `draining`: it is being emptied, or about to restart. `removed`: it
/// was ordered away for good, whether its process is still there or not.
enum class desk_node_state : std::uint8_t { up, absent, draining, removed };

/// The first that holds. `stuck`: no node that has all of it is there. `without_primary`: nobody
/// serves it at the moment. `lacking`: fewer living copies in sync than there are to be. `moving`:
/// a replica is being brought up to date, or another node is to lead.
enum class desk_shard_state : std::uint8_t { stuck, without_primary, lacking, moving, whole };

struct desk_node {
  std::uint32_t number = 0;  // 0: the node is alone
  std::string name;
  desk_node_state state = desk_node_state::absent;
  bool present = false;  // registered
  std::string order;     // "drain" or "remove"; empty: none
  // Of its registration; empty while it is absent.
  std::string version, zone;
  std::uint32_t weight = 0;
  std::map<std::string, std::string> addresses;  // "mqtt" -> "host:port"
  std::optional<model::timestamp> started;
  // Shards, the catalogue's among them.
  std::size_t primaries = 0, in_sync = 0, learning = 0;
  bool operator==(const desk_node&) const = default;
};

struct desk_shard {
  model::shard_id number = 0;
  desk_shard_state state = desk_shard_state::without_primary;
  std::uint64_t epoch = 0;  // 0: it has no record yet
  std::optional<std::string> primary, preferred;
  std::vector<std::string> in_sync, replicas;
  bool operator==(const desk_shard&) const = default;
};

struct desk_status {
  std::string name;
  std::string coordinator;  // "etcd" or "embedded"
  /// Why it did not answer; then the rest is what this node saw last.
  std::optional<std::string> trouble;
  std::string node;                       // that answers
  std::optional<std::string> controller;  // nobody at the moment
  std::size_t copies = 1;                 // of each shard, that are to be in sync
  std::vector<desk_node> nodes;
  std::map<desk_shard_state, std::size_t> shards;
  bool operator==(const desk_status&) const = default;
};

/// What would become of a shard if nodes stayed as they are.
struct desk_move {
  model::shard_id shard = 0;
  std::optional<std::string> primary;  // now
  std::optional<std::string> leader;   // another one that is to be it
  std::vector<std::string> copies;     // nodes that get one, or are being brought up to date
  bool operator==(const desk_move&) const = default;
};

/// Of a node's part of a backup. `absent`: it was not there when the backup began.
enum class desk_backup_part_state : std::uint8_t { running, complete, failed, absent };

struct desk_backup_part {
  std::string node;
  desk_backup_part_state state = desk_backup_part_state::running;
  std::optional<model::timestamp> finished;  // complete, failed; not if its node is gone
  std::optional<std::uint64_t> bytes;        // complete
  std::optional<model::milliseconds> took;   // complete, failed
  std::string reason, detail;                // failed
  bool operator==(const desk_backup_part&) const = default;
};

/// `partial`: some nodes have their part, others failed or were absent. `failed`: none has.
enum class desk_backup_state : std::uint8_t { running, complete, partial, failed };

struct desk_backup {
  std::string id;
  model::timestamp at;
  std::string by;  // who ordered it
  std::vector<desk_backup_part> nodes;
  bool operator==(const desk_backup&) const = default;

  desk_backup_state state() const;
};

struct desk_order {
  enum class kind : std::uint8_t {
    drain,    // its shards go elsewhere while it lives
    undrain,  // takes back either of the others
    remove,   // the same as drain, and it is not waited for
    replace,  // remove, if node `by` is there to take shards
  };
  kind what = kind::drain;
  std::string node;
  std::string by = {};
  std::string actor = {};  // who gives it, for the log
};

/// Thread-safe. `done` runs once, on a thread of its own: hand over and return. Fails everywhere:
/// `unavailable` (the coordinator does not answer), `too_many_requests`.
class cluster_desk {
 public:
  template <class T>
  using then = std::function<void(model::result<T>)>;

  virtual ~cluster_desk() = default;

  /// Both also without the coordinator: as this node saw it last.
  virtual void status(then<desk_status> done) = 0;
  virtual void shards(then<std::vector<desk_shard>> done) = 0;
  /// What is to move, and moves by itself.
  virtual void moves(then<std::vector<desk_move>> done) = 0;
  /// Gives the node as it is then. An order that stands already is fine. Fails also: `not_found`
  /// "node_unknown"; `conflict` "node_removed", "node_absent", "node_draining", "too_few_nodes",
  /// "not_clustered"; `invalid_argument` "same_node".
  virtual void give(desk_order order, then<desk_node> done) = 0;

  /// Begins a backup of all nodes that are there. Fails also: `conflict` "backup_running",
  /// "backup_off" (no setting says where to).
  virtual void back_up(std::string actor, then<desk_backup> done) = 0;
  /// Newest first; without the coordinator as this node saw them last.
  virtual void backups(then<std::vector<desk_backup>> done) = 0;
};

inline desk_backup_state desk_backup::state() const {
  using part_state = desk_backup_part_state;
  const auto are = [this](part_state s) {
    return static_cast<std::size_t>(
        std::count_if(nodes.begin(), nodes.end(), [s](const auto& n) { return n.state == s; }));
  };
  if (are(part_state::running) > 0)
    return desk_backup_state::running;
  const auto complete = are(part_state::complete);
  return complete == 0             ? desk_backup_state::failed
         : complete < nodes.size() ? desk_backup_state::partial
                                   : desk_backup_state::complete;
}

}  // namespace orrery::actors
