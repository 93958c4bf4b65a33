#include "cluster/topic_questions.hpp"

#include <utility>
#include <vector>

#include "model/topic_filter.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace keys = storage::keys;

/// Adds what one of them has answered.
void add_answer(actors::answer& sum, actors::answer& one) {
  if (!sum)
    return;
  if (!one) {
    sum = one.error();
    return;
  }
  if (const auto* client = std::get_if<model::client::reply>(&one->answer)) {
    const auto* more = std::get_if<model::client::offered>(client);
    auto* all = std::get_if<model::client::reply>(&sum->answer);
    auto* had = all ? std::get_if<model::client::offered>(all) : nullptr;
    if (more && had) {
      had->taken += more->taken;
      had->dropped += more->dropped;
    }
  } else if (auto* topic = std::get_if<model::topic::reply>(&one->answer)) {
    auto* more = std::get_if<model::topic::retained_messages>(topic);
    auto* all = std::get_if<model::topic::reply>(&sum->answer);
    auto* had = all ? std::get_if<model::topic::retained_messages>(all) : nullptr;
    if (more && had)
      std::move(more->messages.begin(), more->messages.end(), std::back_inserter(had->messages));
  }
}

actors::answer empty_sum(const actors::ask& one) {
  auto sum = actors::outcome{};
  if (std::holds_alternative<model::topic::command>(one.what))
    sum.answer = model::topic::reply{model::topic::retained_messages{}};
  else
    sum.answer = model::client::reply{model::client::offered{}};
  return sum;
}

}  // namespace

model::status topic_questions::load(const storage::entity_store& store) {
  using entry = model::index_topic::entry;
  index_ = {};
  attached_.clear();
  auto ok = model::status{};
  for (const auto& [index, sort] :
       {std::pair{"filter", entry::filter}, {"retained", entry::retained}})
    if (ok)
      ok = store.scan(storage::family::index, keys::index_prefix(shard_, index), {}, false,
                      [this, of = sort](auto key, auto) {
                        const auto id = keys::entity_of(key);
                        const auto value = keys::index_value_of(key);
                        const auto end = value ? value->find('\x1f') : std::string_view::npos;
                        if (id && end != std::string_view::npos)
                          note(*id, {std::string{value->substr(0, end)},
                                     std::string{value->substr(end + 1)}, of, true});
                        return true;
                      });
  return ok;
}

void topic_questions::note(const model::entity_id& id, const model::index_topic& what) {
  if (what.sort == model::index_topic::entry::filter)
    index_.put_filter(what.organisation, what.text, id, what.present);
  else
    index_.put_retained(what.organisation, what.text, id, what.present);
}

void topic_questions::see(const model::entity_id& client, const actors::ask& one) {
  const auto* command = std::get_if<model::client::command>(&one.what);
  if (!command)
    return;
  if (const auto* attach = std::get_if<model::client::attach>(&command->what)) {
    attached_[client] = {attach->organisation, attach->session};
  } else if (const auto* detach = std::get_if<model::client::detach>(&command->what)) {
    const auto of = attached_.find(client);
    if (of != attached_.end() && of->second.by.number == detach->session.number &&
        of->second.by.node_incarnation == detach->session.node_incarnation)
      attached_.erase(of);
  } else if (const auto* more = std::get_if<model::client::change_filters>(&command->what)) {
    const auto of = attached_.find(client);
    if (of == attached_.end())
      return;
    for (const auto& [filter, options] : more->changes)
      if (options && !model::shared_of(filter))
        index_.put_filter(of->second.organisation, filter, client, true);
  }
}

model::status topic_questions::admit(const actors::ask& one) const {
  const auto* topic = std::get_if<model::topic::command>(&one.what);
  const auto* retain = topic ? std::get_if<model::topic::retain>(&topic->what) : nullptr;
  if (!retain || !retain->message || retain->message->payload.empty() ||
      index_.count_retained(retain->organisation) < max_retained_ ||
      index_.is_retained(retain->organisation, retain->message->topic))
    return {};
  return model::failure{model::errc::too_many_requests, "too_many_retained",
                        "the organisation keeps as many retained messages as it may"};
}

std::optional<actors::ask_batch> topic_questions::spread(actors::ask& one,
                                                         const actors::asker& answers) {
  auto whom = std::vector<model::entity_id>{};
  if (const auto* listeners = std::get_if<actors::topic_listeners>(&one.whom))
    whom = index_.listeners(listeners->organisation, listeners->topic);
  else if (const auto* topics = std::get_if<actors::retained_topics>(&one.whom))
    whom = index_.retained(topics->organisation, topics->filter);
  else
    return std::nullopt;
  auto batch = actors::ask_batch{.shard = shard_, .asks = {}};
  const auto waits = one.from && one.number != 0;
  if (whom.empty()) {
    if (waits)
      one.from.settle({{one.number, empty_sum(one)}});
    return batch;
  }
  const auto number = waits ? ++last_number_ : 0;
  for (const auto& id : whom) {
    auto& q = batch.asks.emplace_back();
    if (waits) {
      q.from = answers;
      q.number = number;
    }
    q.whom = id;
    q.what = one.what;
  }
  if (waits) {
    auto sum = empty_sum(one);
    gatherings_.emplace(number, gathering{std::move(one), whom.size(), std::move(sum)});
  }
  return batch;
}

void topic_questions::take(actors::settled& item) {
  const auto at = gatherings_.find(item.number);
  if (at == gatherings_.end())
    return;
  auto& g = at->second;
  add_answer(g.sum, item.what);
  if (--g.missing > 0)
    return;
  g.of.from.settle({{g.of.number, std::move(g.sum)}});
  gatherings_.erase(at);
}

}  // namespace orrery::cluster
