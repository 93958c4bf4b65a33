// Sends shards as they are to replicas whose log ends before the primary's begins: one after the
// other on a thread of its own, in parts that the other side answers for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "cluster/replica_wire.hpp"

namespace orrery::cluster {

class shard_copies {
 public:
  using send = std::function<bool(node_id, std::string)>;

  /// `sent`: counts copies that came to their end.
  shard_copies(send by, std::atomic<std::uint64_t>& sent);
  ~shard_copies();
  shard_copies(const shard_copies&) = delete;
  shard_copies& operator=(const shard_copies&) = delete;

  /// True: none is waiting or under way for that node and shard.
  bool is_free(model::shard_id shard, node_id to) const;
  /// Queues a copy and numbers it. `rows`: the shard as of `what.at`, taken now.
  void add(model::shard_id shard, node_id to, const copy_begun& what,
           std::unique_ptr<storage::shard_copy> rows);
  /// What the other side says of one.
  void taken(node_id from, const copy_taken& m);

 private:
  struct job {
    model::shard_id shard;
    node_id to;
    copy_begun what;
    std::unique_ptr<storage::shard_copy> rows;
  };
  void run();
  bool copy(job& j);
  bool wait_taken(std::unique_lock<std::mutex>& hold, std::uint64_t number);
  bool push(const job& j, const replica_envelope& what);

  send send_;
  std::atomic<std::uint64_t>& sent_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<job> waiting_;
  std::set<std::pair<model::shard_id, node_id>> busy_;
  std::uint64_t numbers_ = 0;
  // Of the copy under way.
  std::uint64_t current_ = 0;
  node_id current_to_ = 0;
  std::uint64_t taken_ = 0;
  bool begun_ = false, refused_ = false;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace orrery::cluster
