// A node as one of a cluster: its registration, its picture of the others, its links to them, its
// part in every shard, and where each shard is. Puts the units of this folder together.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

#include "cluster/cluster_view.hpp"
#include "cluster/coordinator.hpp"
#include "cluster/node_link.hpp"
#include "cluster/placement.hpp"
#include "cluster/registration.hpp"
#include "cluster/replicas.hpp"
#include "cluster/router.hpp"

namespace orrery::cluster {

class controller;
struct controller_figures;
class directory;
class running_controller;

/// What a message over a link is about. Numbers are on the wire for ever.
enum class link_channel : std::uint8_t {
  replication = 1,
  questions = 2,
  answers = 3,
  effect = 4,
  published = 5,
  feed_wants = 6,
  read = 7,
  page = 8,
  blob = 10,     // bytes of files: cluster/blob_wire
  stopping = 9,  // the sender hands its shards over and ends
};

/// Incarnations of processes carry the number of their node.
constexpr std::uint64_t incarnation_stride = 1024;
constexpr node_id node_of(std::uint64_t incarnation) {
  return static_cast<node_id>(incarnation % incarnation_stride);
}
/// The next incarnation of a node, after `last`.
constexpr std::uint64_t next_incarnation(std::uint64_t last, std::uint64_t now_ms, node_id node) {
  const auto time = std::max(now_ms, last / incarnation_stride + 1);
  return time * incarnation_stride + node;
}

struct member_parts {
  std::shared_ptr<coordinator> at;
  std::shared_ptr<coordinator> lease_at;  // for the lease alone: nothing else holds it up
  std::string cluster;
  node_info info;  // its addresses may be filled in later
  link_options link;
  registration_options lease;
  placement_options placement;
  replicas_options replicas;
  std::shared_ptr<storage::entity_store> store;
  std::function<model::timestamp()> now;
  std::chrono::milliseconds grace{8000};  // so long a question waits for its shard's node

  /// Runs something on the journal writer's thread. Set before start().
  std::function<void(std::function<void()>)> on_writer;
  /// Tells a shard's host to leave it, or to go on.
  std::function<void(model::shard_id, actors::shard_role::what)> tell_host;
  /// Committed rows of the catalogue came; its whole state came.
  std::function<void(const std::vector<storage::row>&)> catalogue_rows;
  std::function<void()> catalogue_loaded;
  /// The set of living nodes has changed.
  std::function<void()> nodes_changed;
  /// The picture has changed. On a thread that may block, but holds up the picture.
  std::function<void(const cluster_view&)> seen;
  /// Messages that are for other parts of the node. On the links' thread.
  std::function<void(node_id, link_channel, std::string_view)> on_message;
  std::function<void(node_id)> on_link_up, on_link_down;
  /// False: the store takes nothing, so others are to lead what this node leads.
  std::function<bool()> is_able;
  std::function<void()> on_tick;  // every 50 ms, on a thread that may block
};

class member {
 public:
  /// Opens the links' port. Throws std::runtime_error: the port is taken, a certificate is missing.
  explicit member(member_parts parts);
  ~member();
  member(const member&) = delete;
  member& operator=(const member&) = delete;

  node_id self() const { return parts_.link.self; }
  std::uint16_t link_port() const;
  const std::shared_ptr<cluster::router>& router() const { return router_; }
  const std::shared_ptr<cluster::replicas>& replicas() const { return replicas_; }

  /// Reads the replicas on the disk. Before the journal's writer begins. Fails: as the store does.
  model::status open();
  /// Registers and takes part. `addresses`: of its public ports.
  void start(std::map<std::string, std::string> addresses);
  /// Hands over what it leads, for at most `patience`. True: nothing is left.
  bool hand_over(std::chrono::milliseconds patience);
  /// Gives the registration up and ends everything but the objects.
  void stop();

  /// From the journal: what this node is to a shard.
  void note_role(model::shard_id shard, const actors::shard_role& role);

  bool send(node_id to, link_channel channel, std::string_view bytes);
  /// To the node whose process has that incarnation; false: it is gone, or there is no link.
  bool send_to_process(std::uint64_t incarnation, link_channel channel, std::string_view bytes);
  void send_to_all(link_channel channel, std::string_view bytes);

  /// Sessions of that process are over: it is gone, and not only unheard of.
  bool is_process_gone(std::uint64_t incarnation) const;

  std::shared_ptr<const cluster_view> view() const;
  /// Which node leads a shard, as far as is known here.
  std::optional<node_id> primary_of(model::shard_id shard) const;
  bool serves(model::shard_id shard) const;
  /// Registered, and every shard has a primary that is registered.
  bool is_whole() const;
  /// Every shard has taken up its part again since the start.
  bool replicas_joined() const { return joined_.load(std::memory_order_acquire); }
  bool is_registered() const { return registered_.load(std::memory_order_acquire); }
  node_set linked() const;

  link_figures links() const;
  controller_figures controls() const;
  const replicas_figures& replica_figures() const { return *figures_; }

 private:
  struct proposed {
    model::shard_id shard;
    std::variant<proposal, offered_copy> what;
  };
  void see(const std::shared_ptr<const cluster_view>& view);
  void place(model::shard_id shard, const cluster_view& view);
  void place_all();
  void link_came(node_id who, std::uint64_t process);
  void link_went(node_id who);
  void heard(link_message m);
  void propose(model::shard_id shard, std::variant<proposal, offered_copy> what);
  void run_proposals();
  void carry_out(model::shard_id shard, const proposal& what);
  void carry_out(model::shard_id shard, const offered_copy& what);
  void run_ticks();
  void registered(incarnation_id own);

  member_parts parts_;
  std::shared_ptr<replicas_figures> figures_ = std::make_shared<replicas_figures>();
  std::shared_ptr<cluster::router> router_;
  std::unique_ptr<node_links> links_;
  std::shared_ptr<cluster::replicas> replicas_;
  std::shared_ptr<registrar> registrar_;
  std::shared_ptr<directory> directory_;
  std::shared_ptr<controller> controller_;
  std::shared_ptr<running_controller> turns_;
  std::unique_ptr<registration> registration_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<proposed> proposals_;
  std::set<model::shard_id> served_;
  struct known_peer {
    link_peer peer;
    std::chrono::milliseconds seen{};  // when it was registered last
  };
  std::map<node_id, known_peer> peers_;
  std::map<node_id, std::uint64_t> linked_;  // nodes and the processes that are linked
  node_set stopping_;
  std::map<node_id, std::uint64_t> alive_;  // nodes and their processes, as last seen
  std::set<std::uint64_t> seen_;            // processes that were there once
  bool over_ = false;
  std::atomic<bool> registered_{false}, joined_{false};
  std::atomic<bool> leaving_{false};
  std::thread proposer_, ticker_;
};

}  // namespace orrery::cluster
