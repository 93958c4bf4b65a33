// A whole node in miniature under the test scheduler: journal, shard hosts, router, catalogue,
// feed, sessions, over a store in memory that outlives a crash.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/feed.hpp"
#include "actors/journal.hpp"
#include "actors/session.hpp"
#include "cluster/router.hpp"
#include "cluster/shard_host.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/recording.hpp"
#include "tests/support/stage.hpp"

namespace orrery::tests {

class small_node {
 public:
  struct options {
    std::uint16_t shards = 2;
    cluster::host_options hosts{};
    std::size_t unsaved_points_max = 4096;
    bool filled = true;  // with organisation, model and product
  };

  explicit small_node(options wanted);
  small_node() : small_node(options{}) {}
  ~small_node();
  small_node(const small_node&) = delete;
  small_node& operator=(const small_node&) = delete;

  /// Ends everything at once: what the journal had not written is lost.
  void crash();
  /// A new incarnation over what the store holds.
  void start();
  void restart() {
    crash();
    start();
  }

  void run() { stage_.run(); }
  void pass(model::milliseconds time) { stage_.pass(time); }
  model::timestamp now() const { return stage_.clock.now(); }
  caf::actor_system& system() { return stage_.system(); }
  stage& where() { return stage_; }

  /// Asks and runs until it is answered. A test failure (and `internal`) if nobody answers.
  actors::answer ask(const actors::target& whom, actors::any_command what);
  /// Only sends the question; the answer comes to `asker()` under the number given back.
  std::uint64_t send(const actors::target& whom, actors::any_command what);
  /// Several questions in one message.
  std::vector<std::uint64_t> send(const actors::target& whom,
                                  std::vector<actors::any_command> what);
  const recorder& asker() const { return *asker_; }

  /// Registers a device of the product with the secret "secret" and gives its id.
  model::entity_id add_device(const std::string& key);
  /// Newest value of one point; nothing if there is none.
  std::optional<model::value> latest(const model::entity_id& device, const std::string& point);
  model::device::state state_of(const model::entity_id& device);

  /// A session behind a port that records; the port lives as long as the node.
  struct connection {
    actors::session_actor session;
    std::shared_ptr<recording_port> port;
  };
  connection connect();
  /// Connects and logs in.
  connection login(const std::string& key);
  std::size_t awake() const { return static_cast<std::size_t>(awake_->load()); }
  /// Tells a shard's host what this node is to it; who serves begins a new generation.
  void change_role(model::shard_id shard, actors::shard_role::what role);
  const actors::host_actor& host(model::shard_id shard) const { return hosts_.at(shard); }
  model::shard_id shard_of(const std::string& device_key) const;

  std::shared_ptr<memory_store> store = std::make_shared<memory_store>();
  std::uint64_t incarnation = 0;
  bool starts_writable = true;  // else as in a cluster where too few replicas are there
  /// How each shard's opening ended, of this incarnation.
  std::vector<model::status> opened;
  /// Questions that came to a host whose shard has gone.
  std::vector<actors::ask_batch> given_back;
  std::function<void(model::shard_id)> on_left = [](model::shard_id) {};

  // Of this incarnation; none after a crash.
  std::shared_ptr<actors::catalogue> known;
  std::shared_ptr<actors::feed> feed;
  std::shared_ptr<actors::session_table> sessions;
  std::shared_ptr<actors::journal_figures> figures;
  std::shared_ptr<actors::shard_table> shards;
  std::shared_ptr<cluster::router> router;
  std::shared_ptr<recording_effects> effects;
  std::shared_ptr<actors::caller> caller;
  actors::journal_actor journal;

 private:
  options options_;
  stage stage_;
  std::map<model::shard_id, actors::host_actor> hosts_;
  std::unique_ptr<recorder> asker_;
  std::vector<connection> connections_;
  std::uint64_t numbers_ = 0;
  std::shared_ptr<std::atomic<std::int64_t>> awake_;
};

}  // namespace orrery::tests
