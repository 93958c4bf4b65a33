// Passes questions to the node that holds their shard: to its host here, or over a link to another
// node. What nobody takes at the moment waits for a while.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"
#include "cluster/shard_map.hpp"
#include "cluster/shard_record.hpp"

namespace orrery::cluster {

struct router_options {
  std::uint16_t shard_count = 64;
  std::chrono::milliseconds patience{8000};  // so long a question waits for its shard's node
  std::size_t max_waiting = 100'000;         // questions; more are answered `unavailable`
  std::chrono::milliseconds answer_timeout{10'000};  // of another node
};

/// How it reaches other nodes. Any thread.
struct router_ports {
  std::function<bool(node_id, std::string)> ask;     // false: no link, or it takes no more now
  std::function<bool(node_id, std::string)> answer;  // the same for answers
};

struct router_figures {
  std::atomic<std::uint64_t> sent{0}, served{0}, again{0}, expired{0};
  std::atomic<std::uint64_t> waiting{0}, open{0};
};

/// Thread-safe after the hosts are placed, which the node does before it takes connections.
class router final : public actors::ask_router {
 public:
  using clock = std::chrono::steady_clock;

  explicit router(std::uint16_t shard_count)
      : router{router_options{.shard_count = shard_count}, {}} {}
  router(router_options options, router_ports ports);
  ~router() override;

  /// The host of a shard on this node. On a node that is alone its shard is here.
  void place(model::shard_id shard, actors::host_actor host);
  /// Forgets all hosts: at the end of the node.
  void clear();

  /// In a cluster: this node serves the shard; another one does; nobody is known to.
  void is_here(model::shard_id shard);
  void is_at(model::shard_id shard, node_id who);
  void is_nowhere(model::shard_id shard);
  /// This node is to serve it, and will soon: what other nodes ask waits here.
  void is_coming(model::shard_id shard);

  model::shard_id shard_of(const actors::target& whom) const override;
  void route(actors::ask_batch batch) override;
  /// What its host cannot take: it waits until the shard is somewhere else, or here again.
  void wait(actors::ask_batch batch);

  /// Questions of another node, as its `ask` sent them.
  void serve(node_id from, std::string_view questions);
  /// Answers of another node to what was asked here.
  void answered(node_id from, std::string_view answers);
  void link_up(node_id who);
  /// What was asked there is asked again if that does no harm, else it is answered `unavailable`.
  void link_down(node_id who);
  /// Asks again what waits, and gives up what has waited too long. Every 100 ms or so.
  void tick();

  const router_figures& figures() const { return figures_; }

 private:
  struct slot {
    actors::host_actor host;
    std::atomic<std::int64_t> at{nowhere};
    std::atomic<std::size_t> waiting{0};  // batches; what comes later waits behind them
    // Questions that a node has not answered, and which one: what goes elsewhere waits for them.
    std::atomic<std::size_t> open{0};
    std::atomic<node_id> open_at{0};
  };
  // Else the number of a node.
  static constexpr std::int64_t coming = -2, nowhere = -1, here = 0;
  struct asked {
    node_id to;
    clock::time_point until;    // it is to be answered
    clock::time_point patient;  // so long it may be asked again
    actors::ask what;
    model::shard_id shard;
    std::uint64_t order;  // among all that was asked here
  };
  struct waiting {
    actors::ask_batch batch;
    clock::time_point until;
  };
  class desk;

  slot* find(model::shard_id shard) const;
  void send(node_id to, actors::ask_batch batch, clock::time_point until, std::uint64_t order);
  std::uint64_t next_order(std::size_t asks);
  void put_to_wait(actors::ask_batch batch, clock::time_point until, std::uint64_t order);
  void forget_open(const asked& a);
  void ask_again(asked a);
  static bool may_go(const slot& s, std::int64_t at);
  static void refuse(const actors::ask& one, const model::failure& why);

  router_options options_;
  router_ports ports_;
  std::unordered_map<model::shard_id, std::unique_ptr<slot>> slots_;
  router_figures figures_;

  std::mutex mutex_;
  std::uint64_t numbers_ = 0;
  std::unordered_map<std::uint64_t, asked> open_;
  std::multimap<std::uint64_t, waiting> waiting_;  // by the order in which it was asked first
  std::uint64_t orders_ = 0;
  std::size_t waiting_asks_ = 0;
  std::map<node_id, std::shared_ptr<desk>> desks_;
};

/// True: asked twice it does what it does once, or nothing worse than what a device may repeat.
bool may_be_repeated(const actors::any_command& what);

}  // namespace orrery::cluster
