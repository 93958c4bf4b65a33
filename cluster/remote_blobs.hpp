// Bytes of files on their way between nodes: copies to those that are to have them, and what is
// asked for where it is not. One piece of a file is under way at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/blob_access.hpp"
#include "cluster/blob_wire.hpp"
#include "cluster/cluster_view.hpp"

namespace orrery::cluster {

/// What it needs of the node's place in the cluster. Thread-safe.
struct blob_links {
  node_id self = 0;
  std::function<bool(node_id to, std::string_view bytes)> send;
  std::function<std::shared_ptr<const cluster_view>()> view;
};

/// Thread-safe.
class remote_blobs final : public actors::blob_ways,
                           public std::enable_shared_from_this<remote_blobs> {
 public:
  using clock = std::chrono::steady_clock;
  struct options {
    std::size_t piece_bytes = 256 * 1024;
    std::chrono::milliseconds answer_timeout{5'000};  // of one piece
    std::chrono::milliseconds patience{15'000};       // with a node that takes no copy
    std::chrono::milliseconds silence{60'000};        // after which what is half here goes
  };
  /// `local` is to outlive every call but stop()'s end.
  remote_blobs(blob_links links, std::shared_ptr<actors::blob_access> local, options wanted);

  void spread(model::shard_id shard, storage::blob_name name, then done) override;
  void fetch(model::shard_id shard, storage::blob_name name, then done) override;

  /// A message of another node. On the links' thread.
  void take(node_id from, std::string_view bytes);
  void link_down(node_id who);
  /// Every 50 ms or so.
  void tick();
  /// Answers everything that is open, and takes nothing more: at the end of the node.
  void stop();

 private:
  using on_answer = std::function<void(blob_answer)>;
  struct open_question {
    node_id to;
    on_answer done;
    clock::time_point until;
  };
  struct half_file {
    std::shared_ptr<storage::blob_writer> file;
    clock::time_point last;
  };
  struct spreading;
  struct fetching;

  void ask(node_id to, blob_question q, on_answer done);
  void answered(node_id from, blob_answer a);
  void serve(node_id from, const blob_question& q);
  blob_answer put(node_id from, const blob_question& q);

  void step(const std::shared_ptr<spreading>& s);
  void send_piece(const std::shared_ptr<spreading>& s, node_id to, std::uint64_t offset);
  void try_again(const std::shared_ptr<spreading>& s);

  void next_node(const std::shared_ptr<fetching>& f);
  void get_piece(const std::shared_ptr<fetching>& f);
  void take_piece(const std::shared_ptr<fetching>& f, const blob_answer& a);
  void finish(const std::shared_ptr<fetching>& f, const model::status& how);

  blob_links links_;
  std::shared_ptr<actors::blob_access> local_;
  options options_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::uint64_t numbers_ = 0;
  std::map<std::uint64_t, open_question> open_;
  std::vector<std::shared_ptr<spreading>> waiting_;          // for another try
  std::map<storage::blob_name, std::vector<then>> fetched_;  // by whom each is waited for
  std::mutex halves_mutex_;  // held while a piece is written: of the pool's threads alone
  std::map<std::pair<node_id, storage::blob_name>, half_file> halves_;
};

}  // namespace orrery::cluster
