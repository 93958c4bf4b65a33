// Takes the copy of a shard in that its primary sends, part by part, in place of what is here.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "cluster/replica.hpp"
#include "cluster/replicas_shared.hpp"
#include "cluster/shard_log.hpp"

namespace orrery::cluster {

class copy_intake {
 public:
  copy_intake(replicas_shared& with, model::shard_id shard) : with_{with}, shard_{shard} {}

  bool is_open() const { return open_.has_value(); }
  /// The state machine wants nothing of it any more.
  void close() { open_.reset(); }

  /// Takes the offer if the state machine wants it: what is here goes at once. Before, all that the
  /// machine wants to be done must be.
  void take(replica& machine, shard_log& log, node_id from, const copy_begun& m);
  void take(node_id from, const copy_rows& m);
  /// Up to where the shard is here now; nothing: the copy did not come to a good end.
  std::optional<std::uint64_t> take(replica& machine, shard_log& log, node_id from,
                                    const copy_ended& m);
  /// Gives a copy up of which nothing has come for too long.
  void give_up_if_silent(replica& machine, std::chrono::milliseconds now);

 private:
  struct state {
    node_id from;
    std::uint64_t copy;
    log_position at;
    std::uint64_t parts = 0;
    std::chrono::milliseconds heard{};
  };
  bool is_of(node_id from, std::uint64_t copy) const {
    return open_ && open_->from == from && open_->copy == copy;
  }

  replicas_shared& with_;
  model::shard_id shard_;
  std::optional<state> open_;
};

}  // namespace orrery::cluster
