// The place of a node in its cluster: joins it, gives its parts to each other, passes on what other
// nodes send.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/journal.hpp"
#include "actors/query.hpp"
#include "app/backups.hpp"
#include "app/data_folder.hpp"
#include "app/effects.hpp"
#include "cluster/desk.hpp"
#include "cluster/member.hpp"
#include "cluster/redirection.hpp"
#include "cluster/remote_blobs.hpp"
#include "cluster/remote_reads.hpp"
#include "config/settings.hpp"

namespace orrery::app {

struct cluster_place_parts {
  std::string key_check;  // tells two master keys apart, and nothing else
  std::shared_ptr<actors::catalogue> known;
  std::shared_ptr<actors::shard_table> shards;
  std::shared_ptr<actors::journal_figures> figures;
  std::function<model::timestamp()> now;
  /// Runs something on the journal writer's thread.
  std::function<void(std::function<void()>)> on_writer;
  app::backups* backups;  // is to outlive it
  /// Where this node's devices are to go, whenever that changes; nothing: they stay.
  std::function<void(const std::optional<cluster::redirection>&)> redirect;
  std::shared_ptr<actors::blob_access> blobs;
  bool found_again = false;  // an operator's word: cluster::own_data
};

class cluster_place {
 public:
  /// Joins the cluster and reads the replicas that are here. `settings` and `data` are to outlive
  /// it. Throws cluster_failed, storage_failed, transport::port_taken, std::runtime_error.
  cluster_place(const config::settings& settings, data_folder& data, cluster_place_parts parts);
  ~cluster_place();
  cluster_place(const cluster_place&) = delete;
  cluster_place& operator=(const cluster_place&) = delete;

  std::uint64_t incarnation() const { return incarnation_; }
  cluster::member& member() { return *member_; }
  const std::shared_ptr<cluster::remote_reads>& reads() const { return reads_; }
  const std::shared_ptr<cluster::desk>& desk() const { return desk_; }
  /// Whether its copy of the catalogue was level since it began, as far as others count on that:
  /// who comes or comes back learns it first. On any thread, after start().
  bool has_catalogue() const;

  // ---- before start()
  /// Where what other nodes send goes.
  void set_effects(std::shared_ptr<node_effects> effects);
  void set_query(std::shared_ptr<actors::query> query);

  /// Registers, and sees to it that the cluster has its first user. `addresses`: of the public
  /// ports.
  void start(std::map<std::string, std::string> addresses, std::shared_ptr<actors::caller> ask);
  /// Waits until there is a first user.
  void wait_for_first_user();

  // ---- the end, in that order
  /// Goes on without a first user.
  void stop_asking();
  void stop();
  /// Lets go of what was set.
  void release();

 private:
  cluster::node_id join(cluster::coordinator& at);
  cluster::member_parts parts_of(cluster::node_id number,
                                 const std::shared_ptr<cluster::coordinator>& at);
  void take(cluster::node_id from, cluster::link_channel channel, std::string_view bytes);
  void take_read(cluster::node_id from, std::string_view bytes);
  void tick();
  void look_for_user();

  const config::settings& settings_;
  data_folder& data_;
  cluster_place_parts parts_;
  std::uint64_t incarnation_ = 0;
  std::unique_ptr<cluster::member> member_;
  std::shared_ptr<cluster::remote_reads> reads_;
  std::shared_ptr<cluster::remote_blobs> blobs_;
  std::shared_ptr<cluster::desk> desk_;
  std::shared_ptr<node_effects> effects_;
  std::shared_ptr<actors::query> query_;
  std::shared_ptr<actors::caller> ask_;
  std::atomic<bool> boot_noted_{false};
  mutable std::atomic<bool> has_catalogue_{false};
  std::optional<cluster::redirection> redirected_;  // of the thread that sees
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread starter_;
};

/// The desk of a node that is alone. Throws config::bad_settings: its data are of a cluster's node.
std::shared_ptr<cluster::lone_desk> desk_of_lone_node(const config::settings& s,
                                                      const data_folder& data,
                                                      model::timestamp now);

}  // namespace orrery::app
