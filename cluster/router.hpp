// Passes questions to the node that holds their shard.
#pragma once

#include <memory>
#include <unordered_map>

#include "actors/messages.hpp"
#include "cluster/shard_map.hpp"

namespace orrery::cluster {

/// Where a shard is: here, or on another node.
struct placement {
  actors::host_actor host;  // null: not here
  std::string node;         // of the shard's primary when it is not here
};

/// Thread-safe after `place`, which the node calls before it takes connections.
class router final : public actors::ask_router {
 public:
  explicit router(std::uint16_t shard_count) : shard_count_{shard_count} {}

  void place(model::shard_id shard, placement where) { places_[shard] = std::move(where); }
  /// Forgets all hosts: at the end of the node.
  void clear() { places_.clear(); }

  model::shard_id shard_of(const actors::target& whom) const override;
  /// A question for a shard that is elsewhere is answered `wrong_node`, naming the node.
  void route(actors::ask_batch batch) override;

 private:
  std::uint16_t shard_count_;
  std::unordered_map<model::shard_id, placement> places_;
};

}  // namespace orrery::cluster
