// Every key of a cluster at its coordinator in one table.
//
//   /orrery/{cluster}/about           what the cluster is: made once, by its first node
//   /orrery/{cluster}/number/<name>   the number of the node of that name, given once for ever
//   /orrery/{cluster}/last_number     the highest that was given: none is given twice
//   /orrery/{cluster}/node/<number>   a node that is there; goes with its lease
//   /orrery/{cluster}/shard/<shard>   who holds the shard
//   /orrery/{cluster}/copy/<shard>/<number>  what that node has of a shard that nobody serves
//   /orrery/{cluster}/controller      who decides placement; goes with that node's lease
//   /orrery/{cluster}/order/<number>  an operator's word on a node
//   /orrery/{cluster}/backup/<id>     a backup that every node of then makes its part of
//   /orrery/{cluster}/backup/<id>/<number>  what came of that node's part
//   /orrery/{cluster}/last_backup     the id of the newest: one at a time is begun
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/shard_record.hpp"
#include "model/ids.hpp"

namespace orrery::cluster {

inline constexpr node_id max_node_id = 1023;  // from 1

/// What a key is for, and its last part.
struct cluster_key {
  enum class kind : std::uint8_t {
    about,
    number,
    last_number,
    node,
    shard,
    copy,
    controller,
    order,
    backup,
    backup_part,
    last_backup,
  };
  kind what;
  std::string name = {};   // number: of the node; backup, backup_part: the backup's id
  std::uint32_t id = 0;    // node, order, backup_part, copy: the node; shard: the shard
  model::shard_id of = 0;  // copy: the shard
  bool operator==(const cluster_key&) const = default;
};

class cluster_keys {
 public:
  explicit cluster_keys(std::string_view cluster);

  /// What all of them begin with.
  const std::string& root() const { return root_; }
  std::string about() const { return root_ + "about"; }
  std::string numbers() const { return root_ + "number/"; }
  std::string number(std::string_view name) const { return numbers().append(name); }
  std::string last_number() const { return root_ + "last_number"; }
  std::string node(node_id id) const { return root_ + "node/" + std::to_string(id); }
  std::string shard(model::shard_id id) const { return root_ + "shard/" + std::to_string(id); }
  std::string copy(model::shard_id shard, node_id node) const {
    return root_ + "copy/" + std::to_string(shard) + "/" + std::to_string(node);
  }
  std::string controller() const { return root_ + "controller"; }
  std::string order(node_id id) const { return root_ + "order/" + std::to_string(id); }

  std::string backups() const { return root_ + "backup/"; }
  std::string backup(std::string_view id) const { return backups().append(id); }
  std::string backup_part(std::string_view id, node_id node) const {
    return backup(id) + "/" + std::to_string(node);
  }
  std::string last_backup() const { return root_ + "last_backup"; }

  /// Nothing for a key that none of these makes.
  std::optional<cluster_key> parse(std::string_view key) const;

 private:
  std::string root_;
};

/// True for the name of a node: 1 to 128 characters of [A-Za-z0-9._-].
bool is_valid_node_name(std::string_view name);
/// True for the name of a cluster: the same, 1 to 64.
bool is_valid_cluster_name(std::string_view name);

/// True for the id of a backup, as backup_id makes it: "20261125-025746".
bool is_valid_backup_id(std::string_view id);

}  // namespace orrery::cluster
