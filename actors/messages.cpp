#include "actors/messages.hpp"

#include <limits>

#include <caf/all.hpp>

namespace orrery::actors {

void asker::settle(std::vector<settled> answers) const {
  if (actor_)
    caf::anon_send(actor_, settled_batch{std::move(answers)});
  else if (const auto port = port_.lock())
    port->settle(std::move(answers));
}

std::optional<ask_batch> order_of(const model::effect& e, const model::entity_id& entity) {
  auto whom = model::entity_id{};
  auto order = model::device::command{};
  if (const auto* told = std::get_if<model::tell_gateway>(&e)) {
    whom = told->gateway;
    order.what = model::device::note_sub_device{told->sub, told->what};
  } else if (const auto* released = std::get_if<model::release_sub_device>(&e)) {
    whom = released->sub;
    order.what = model::device::unbind_gateway{.gateway = entity, .while_online = true};
  } else if (const auto* called = std::get_if<model::tell_gateway_name>(&e)) {
    whom = called->sub;
    order.what = model::device::bind_gateway{
        {entity, called->name}, called->organisation, std::nullopt, false};
  } else if (const auto* name = std::get_if<model::release_name>(&e)) {
    whom = name->alias;
    order.what = model::device::settle_name{
        .device = entity, .renames = std::numeric_limits<std::uint64_t>::max(), .held = false};
  } else if (const auto* left = std::get_if<model::leave_mirror>(&e)) {
    whom = left->source;
    order.what = model::device::unlink_mirror{entity};
  } else {
    return std::nullopt;
  }
  order.actor = "service";
  auto batch = ask_batch{.shard = whom.shard, .asks = {}};
  auto& question = batch.asks.emplace_back();
  question.whom = whom;
  question.what = std::move(order);
  return batch;
}

}  // namespace orrery::actors
