// The cluster's desk: what an operator asks and orders, done at the coordinator on a thread of its
// own, so that one that does not answer holds up nothing else.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "actors/cluster_desk.hpp"
#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"
#include "cluster/placement.hpp"

namespace orrery::cluster {

struct desk_parts {
  std::shared_ptr<coordinator> at;
  std::string cluster;
  std::string node;  // this one's name
  placement_options placement;
  std::size_t min_in_sync = 1;
  bool makes_backups = false;  // a setting says where to
  std::size_t keep_backups = 7;
  std::function<model::timestamp()> now;
  /// What this node saw last, for when the coordinator does not answer. Any thread.
  std::function<std::shared_ptr<const cluster_view>()> seen;
};

class desk final : public actors::cluster_desk {
 public:
  explicit desk(desk_parts parts);
  ~desk() override;
  desk(const desk&) = delete;
  desk& operator=(const desk&) = delete;

  void status(then<actors::desk_status> done) override;
  void shards(then<std::vector<actors::desk_shard>> done) override;
  void moves(then<std::vector<actors::desk_move>> done) override;
  void give(actors::desk_order order, then<actors::desk_node> done) override;
  void back_up(std::string actor, then<actors::desk_backup> done) override;
  void backups(then<std::vector<actors::desk_backup>> done) override;

  /// Waits for what it is at; whoever waits is told `unavailable`. Not from within a `done`.
  void stop();

 private:
  struct job {
    std::function<void()> run;
    std::function<void(model::failure)> refuse;
  };
  template <class T>
  void take(std::function<model::result<T>()> work, then<T> done);
  void run();
  /// The coordinator's word, or else what was seen, and why.
  std::shared_ptr<const cluster_view> look(std::optional<std::string>& trouble) const;
  model::result<cluster_view> ask() const;

  desk_parts parts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<job> jobs_;
  bool over_ = false;
  std::thread thread_;
};

/// What a node that is alone is.
struct lone_node {
  std::string cluster, name, zone;
  std::uint32_t weight = 100;
  std::uint16_t shard_count = 64;
  model::timestamp started;
};

/// Who makes the backups of a node that is alone. Any thread; neither blocks.
struct lone_backups {
  std::function<model::result<actors::desk_backup>(std::string actor)> begin;
  std::function<std::vector<actors::desk_backup>()> all;
};

/// The desk of a node that is alone: a cluster of one, where there is nothing to order.
class lone_desk final : public actors::cluster_desk {
 public:
  explicit lone_desk(lone_node what) : what_{std::move(what)} {}

  void status(then<actors::desk_status> done) override;
  void shards(then<std::vector<actors::desk_shard>> done) override;
  void moves(then<std::vector<actors::desk_move>> done) override;
  void give(actors::desk_order order, then<actors::desk_node> done) override;
  void back_up(std::string actor, then<actors::desk_backup> done) override;
  void backups(then<std::vector<actors::desk_backup>> done) override;

  /// Before anybody asks.
  void makes(lone_backups backups) { backups_ = std::move(backups); }
  /// Its public ports are open.
  void listens(std::map<std::string, std::string> addresses);

 private:
  lone_node what_;
  lone_backups backups_;
  std::mutex mutex_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace orrery::cluster
