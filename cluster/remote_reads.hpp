// Reads of the store that go to the node of their shard, and those of other nodes that come here.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "actors/query.hpp"
#include "cluster/shard_record.hpp"

namespace orrery::cluster {

class member;

/// Thread-safe.
class remote_reads final : public actors::read_ways {
 public:
  using clock = std::chrono::steady_clock;
  struct options {
    std::chrono::milliseconds patience{8000};  // so long a read waits for its shard's node
    std::chrono::milliseconds answer_timeout{10'000};
    std::size_t max_open = 10'000;
  };

  remote_reads(member& at, options wanted) : at_{at}, options_{wanted} {}

  /// Reads what is here: for a shard that has come to this node meanwhile. Set before any read.
  void set_local(std::function<void(actors::any_read, then)> local) { local_ = std::move(local); }

  bool is_here(model::shard_id shard) const override;
  void read(model::shard_id shard, actors::any_read what, then done) override;

  /// A page that another node sent.
  void answered(node_id from, std::string_view page);
  void link_down(node_id who);
  /// Asks again what waits. Every 100 ms or so.
  void tick();
  /// Answers everything that is open: at the end of the node.
  void stop();

 private:
  struct open_read {
    model::shard_id shard;
    actors::any_read what;
    then done;
    clock::time_point until;   // it is given up
    clock::time_point answer;  // of the node that was asked
    node_id to = 0;            // 0: nobody was asked yet
  };
  void send(std::uint64_t number, open_read r);
  void read_here(std::uint64_t number, open_read r);

  member& at_;
  std::function<void(actors::any_read, then)> local_;
  options options_;
  std::mutex mutex_;
  std::uint64_t numbers_ = 0;
  std::unordered_map<std::uint64_t, open_read> open_;
};

}  // namespace orrery::cluster
