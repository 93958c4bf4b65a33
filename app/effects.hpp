// What commits set off on this node, and for the sessions and subscribers of other nodes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <unordered_map>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/feed.hpp"
#include "actors/operation_runner.hpp"
#include "actors/session.hpp"
#include "cluster/member.hpp"

namespace orrery::app {

class node_effects final : public actors::commit_effects {
 public:
  node_effects(std::uint64_t incarnation, std::uint16_t shard_count,
               std::shared_ptr<actors::session_table> sessions, std::shared_ptr<actors::feed> feed,
               std::shared_ptr<actors::catalogue> known)
      : incarnation_{incarnation},
        shard_count_{shard_count},
        sessions_{std::move(sessions)},
        feed_{std::move(feed)},
        known_{std::move(known)} {}

  void run(const model::effect& e, const model::entity_id& entity) override;
  void publish(std::vector<actors::published> group) override;
  void change_catalogue(const actors::catalogue_change& change) override { known_->apply(change); }

  // ---- from other nodes; on the links' thread
  void take_effect(cluster::node_id from, std::string_view bytes);
  void take_published(cluster::node_id from, std::string_view bytes);
  void take_feed_wants(cluster::node_id from, std::string_view bytes);
  void link_up(cluster::node_id who);
  void link_down(cluster::node_id who);

  // Set before the first connection.
  void set_caller(const std::shared_ptr<actors::caller>& ask) { ask_ = ask; }
  /// Who works on operations; null: nobody (any more).
  void set_runner(std::shared_ptr<actors::operation_runner> runner);
  void set_router(const std::shared_ptr<actors::ask_router>& router) { router_ = router; }
  /// Null: the node is alone.
  void set_member(cluster::member* at);
  std::unordered_map<model::shard_id, actors::host_actor> hosts;

 private:
  void run_here(const model::effect& e, const model::entity_id& entity);
  void tell_wanted(bool wanted);
  void route_all(std::vector<actors::ask_batch> batches);
  void publish_will(const model::publish_message& will);
  void leave(const model::leave_group& group);

  std::uint64_t incarnation_;
  std::uint16_t shard_count_;
  std::shared_ptr<actors::session_table> sessions_;
  std::shared_ptr<actors::feed> feed_;
  std::shared_ptr<actors::catalogue> known_;
  std::weak_ptr<actors::caller> ask_;
  std::weak_ptr<actors::ask_router> router_;
  std::shared_ptr<actors::operation_runner> runner_;  // guarded by mutex_
  cluster::member* member_ = nullptr;
  std::atomic<bool> wanted_here_{false};
  std::mutex mutex_;
  cluster::node_set wanting_;  // nodes with subscribers
};

}  // namespace orrery::app
