// A node's picture of its cluster, kept up: lists all keys, follows their changes, and lists again
// when some may be missing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"

namespace orrery::cluster {

struct directory_options {
  std::chrono::milliseconds first_retry{100};  // after a listing that failed, doubled each time
  std::chrono::milliseconds last_retry{2000};
  /// Lists again so often without a reason: a connection may be dead without saying so.
  std::chrono::milliseconds relisting{10'000};
};

/// Thread-safe.
class directory {
 public:
  using view_pointer = std::shared_ptr<const cluster_view>;

  /// `changed` is called from a thread of the directory's own, with the newest picture: several
  /// changes that come together may be told once. It must not end the directory.
  directory(std::shared_ptr<coordinator> at, const std::string& cluster,
            std::function<void(view_pointer)> changed, directory_options options = {});
  /// May wait for as long as the coordinator does.
  ~directory();
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  /// Never null; revision 0 until the first listing, which finds at least what `join` has made.
  view_pointer current() const;
  /// Asks the coordinator: a picture with every change that was made before the call. Blocks.
  /// Fails as coordinator::list does.
  model::result<view_pointer> refresh();
  /// What a record is after a swap, without waiting for the news of it.
  void note(model::shard_id shard, const shard_record& now);

 private:
  void run();
  bool follow_anew();
  void hear(const news& n);
  void take_in(std::vector<change> changes);
  void publish(cluster_view view);
  void tell();
  bool pause(std::chrono::milliseconds most);

  std::shared_ptr<coordinator> at_;
  cluster_keys keys_;
  std::function<void(view_pointer)> changed_;
  directory_options options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  view_pointer view_ = std::make_shared<const cluster_view>();
  std::vector<change> waiting_;  // told and not taken in
  bool lost_ = false;            // some of it is missing
  bool untold_ = false;          // `view_` is newer than what was told
  bool over_ = false;

  std::unique_ptr<subscription> following_;  // of the thread alone
  std::thread thread_;
};

}  // namespace orrery::cluster
