#include "app/effects.hpp"

#include <caf/all.hpp>

#include "actors/name_settling.hpp"
#include "actors/topic_space.hpp"
#include "actors/wire.hpp"
#include "observe/log.hpp"

namespace orrery::app {
namespace {

constexpr std::size_t published_at_once = 256;  // events of one message to another node

/// The process that an effect is for; nothing: for this one.
std::optional<std::uint64_t> process_of(const model::effect& e) {
  if (const auto* message = std::get_if<model::deliver>(&e))
    return message->session.node_incarnation;
  if (const auto* end = std::get_if<model::close_session>(&e))
    return end->session.node_incarnation;
  if (const auto* waiter = std::get_if<model::settle_waiter>(&e))
    return waiter->waiter.node_incarnation;
  return std::nullopt;
}

void not_read(cluster::node_id from, const model::failure& why) {
  observe::log::warn("cluster", "message_not_read", {{"node", from}, {"detail", why.detail}});
}

}  // namespace

void node_effects::set_member(cluster::member* at) {
  member_ = at;
  feed_->on_wanted([this](bool wanted) { tell_wanted(wanted); });
}

void node_effects::set_runner(std::shared_ptr<actors::operation_runner> runner) {
  const auto hold = std::lock_guard{mutex_};
  runner_.swap(runner);  // one that goes ends while nobody waits for the lock
}

void node_effects::run(const model::effect& e, const model::entity_id& entity) {
  const auto process = process_of(e);
  if (!member_ || !process || *process == incarnation_)
    return run_here(e, entity);
  // Lost if that process is gone: the state holds what must still happen.
  (void)member_->send_to_process(*process, cluster::link_channel::effect,
                                 actors::encode_effect(e, entity));
}

void node_effects::run_here(const model::effect& e, const model::entity_id& entity) {
  if (const auto* message = std::get_if<model::deliver>(&e)) {
    if (const auto session = sessions_->find(message->session)) {
      auto downlink = message->message;
      if (auto* delivery = std::get_if<model::topic_delivery>(&downlink.what))
        delivery->source = entity;
      caf::anon_send(session, actors::session_deliver{std::move(downlink)});
    }
  } else if (const auto* end = std::get_if<model::close_session>(&e)) {
    if (const auto session = sessions_->find(end->session))
      caf::anon_send(session, actors::session_end{entity, end->reason});
  } else if (const auto* waiter = std::get_if<model::settle_waiter>(&e)) {
    if (const auto ask = ask_.lock())
      ask->command_over(waiter->waiter);
  } else if (const auto* later = std::get_if<model::remind>(&e)) {
    if (const auto host = hosts.find(entity.shard); host != hosts.end())
      caf::anon_send(host->second, actors::reminder{entity, later->kind, later->at});
  } else if (const auto* note = std::get_if<model::index_topic>(&e)) {
    if (const auto host = hosts.find(entity.shard); host != hosts.end())
      caf::anon_send(host->second, actors::topic_note{entity, *note});
  } else if (const auto* will = std::get_if<model::publish_message>(&e)) {
    publish_will(*will);
  } else if (const auto* group = std::get_if<model::leave_group>(&e)) {
    leave(*group);
  } else if (std::holds_alternative<model::run_operation>(e)) {
    const auto hold = std::lock_guard{mutex_};
    if (runner_)
      runner_->offer(entity);
  } else if (const auto* doubt = std::get_if<model::look_for_name>(&e)) {
    actors::settle_name(ask_, {entity, doubt->device, doubt->renames}, [](const model::status&) {});
  } else if (auto question = actors::order_of(e, entity)) {
    if (const auto router = router_.lock())
      router->route(std::move(*question));
  }
}

void node_effects::route_all(std::vector<actors::ask_batch> batches) {
  if (const auto router = router_.lock())
    for (auto& batch : batches)
      router->route(std::move(batch));
}

/// Nobody waits for what becomes of it: its client is gone.
void node_effects::publish_will(const model::publish_message& will) {
  const auto known = known_->current();
  const auto* organisation = known->organisation(will.organisation);
  if (organisation)
    route_all(actors::publishing(*organisation->state,
                                 std::make_shared<const model::topic_message>(will.what),
                                 shard_count_));
}

void node_effects::leave(const model::leave_group& group) {
  const auto id = model::client_id_of(group.organisation, group.filter, shard_count_);
  auto batch = actors::ask_batch{.shard = id.shard, .asks = {}};
  auto& one = batch.asks.emplace_back();
  one.whom = id;
  one.what = model::client::command{model::client::leave{group.member}, "service", {}};
  route_all({std::move(batch)});
}

void node_effects::publish(std::vector<actors::published> group) {
  feed_->publish(group);
  if (!member_)
    return;
  auto to = cluster::node_set{};
  {
    const auto hold = std::lock_guard{mutex_};
    to = wanting_;
  }
  if (to.empty())
    return;
  for (auto rest = std::span<const actors::published>{group}; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), published_at_once));
    rest = rest.subspan(some.size());
    const auto bytes = actors::encode_published(some);
    for (const auto who : to)
      (void)member_->send(who, cluster::link_channel::published, bytes);
  }
}

void node_effects::tell_wanted(bool wanted) {
  wanted_here_ = wanted;
  member_->send_to_all(cluster::link_channel::feed_wants, actors::encode_feed_wants({wanted}));
}

void node_effects::take_effect(cluster::node_id from, std::string_view bytes) {
  auto got = actors::decode_effect(bytes);
  if (!got)
    return not_read(from, got.error());
  run_here(got->what, got->entity);
}

void node_effects::take_published(cluster::node_id from, std::string_view bytes) {
  auto got = actors::decode_published(bytes);
  if (!got)
    return not_read(from, got.error());
  feed_->publish(*got);
}

void node_effects::take_feed_wants(cluster::node_id from, std::string_view bytes) {
  const auto got = actors::decode_feed_wants(bytes);
  if (!got)
    return not_read(from, got.error());
  const auto hold = std::lock_guard{mutex_};
  if (got->wanted)
    wanting_.insert(from);
  else
    wanting_.erase(from);
  feed_->set_wanted_elsewhere(!wanting_.empty());
}

void node_effects::link_up(cluster::node_id who) {
  if (wanted_here_)
    (void)member_->send(who, cluster::link_channel::feed_wants, actors::encode_feed_wants({true}));
}

void node_effects::link_down(cluster::node_id who) {
  const auto hold = std::lock_guard{mutex_};
  wanting_.erase(who);
  feed_->set_wanted_elsewhere(!wanting_.empty());
}

}  // namespace orrery::app
