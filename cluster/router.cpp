#include "cluster/router.hpp"

#include <caf/all.hpp>

#include "actors/wire.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

namespace device = model::device;

template <class... Ts>
constexpr bool holds_one_of(const device::order& o) {
  return (std::holds_alternative<Ts>(o) || ...);
}

model::failure no_node() {
  return {model::errc::unavailable, "shard_unavailable",
          "no node serves its shard at the moment; ask again"};
}

}  // namespace

bool may_be_repeated(const actors::any_command& what) {
  // A message that comes twice is what QoS 1 allows; all else of them is the same done twice.
  if (std::holds_alternative<model::client::command>(what) ||
      std::holds_alternative<model::topic::command>(what))
    return true;
  const auto* command = std::get_if<device::command>(&what);
  if (!command || command->expected_revision)
    return false;
  return holds_one_of<device::connect, device::disconnect, device::session_lost,
                      device::report_points, device::report_event, device::change_attributes,
                      device::complete_command, device::time_passed, device::read_device,
                      device::read_latest, device::read_samples, device::change_subscriptions,
                      device::note_delivered, device::review_layers>(command->what);
}

/// Takes the answers to another node's questions and sends them back.
class router::desk final : public actors::answer_port {
 public:
  desk(router& at, node_id to) : at_{at}, to_{to} {}
  void settle(std::vector<actors::settled> answers) override {
    if (!at_.ports_.answer(to_, actors::encode_answers(answers)))
      observe::log::warn("cluster", "answers_lost", {{"node", to_}, {"answers", answers.size()}});
  }

 private:
  router& at_;
  node_id to_;
};

router::router(router_options options, router_ports ports)
    : options_{options}, ports_{std::move(ports)} {}
router::~router() = default;

router::slot* router::find(model::shard_id shard) const {
  const auto found = slots_.find(shard);
  return found == slots_.end() ? nullptr : found->second.get();
}

void router::place(model::shard_id shard, actors::host_actor host) {
  auto& s = slots_[shard];
  s = std::make_unique<slot>();
  s->host = std::move(host);
  s->at = ports_.ask ? nowhere : here;
}

void router::clear() {
  for (auto& [shard, s] : slots_)
    s->at = nowhere;
  const auto hold = std::lock_guard{mutex_};
  for (auto& [shard, s] : slots_)
    s->host = nullptr;
  open_.clear();
  waiting_.clear();
  desks_.clear();
}

void router::is_here(model::shard_id shard) {
  if (auto* s = find(shard))
    s->at.store(here, std::memory_order_release);
}
void router::is_at(model::shard_id shard, node_id who) {
  if (auto* s = find(shard))
    s->at.store(who, std::memory_order_release);
}
void router::is_nowhere(model::shard_id shard) {
  if (auto* s = find(shard))
    s->at.store(nowhere, std::memory_order_release);
}

void router::is_coming(model::shard_id shard) {
  if (auto* s = find(shard))
    s->at.store(coming, std::memory_order_release);
}

/// What was asked elsewhere is answered first: questions of one asker keep their order.
bool router::may_go(const slot& s, std::int64_t at) {
  return at >= here && (s.open.load(std::memory_order_acquire) == 0 ||
                        s.open_at.load(std::memory_order_acquire) == at);
}

std::uint64_t router::next_order(std::size_t asks) {
  const auto hold = std::lock_guard{mutex_};
  orders_ += asks;
  return orders_ - asks + 1;
}

/// With the lock held.
void router::forget_open(const asked& a) {
  if (auto* s = find(a.shard))
    s->open.fetch_sub(1, std::memory_order_acq_rel);
}

model::shard_id router::shard_of(const actors::target& whom) const {
  if (const auto* id = std::get_if<model::entity_id>(&whom))
    return id->shard;
  if (const auto* listeners = std::get_if<actors::topic_listeners>(&whom))
    return listeners->shard;
  if (const auto* topics = std::get_if<actors::retained_topics>(&whom))
    return topics->shard;
  return cluster::shard_of(std::get<model::device_name>(whom), options_.shard_count);
}

void router::refuse(const actors::ask& one, const model::failure& why) {
  if (one.from && one.number != 0)
    one.from.settle({{one.number, why}});
}

void router::route(actors::ask_batch batch) {
  const auto* s = find(batch.shard);
  if (!s) {
    for (const auto& one : batch.asks)
      refuse(one, {model::errc::not_found, "no shard " + std::to_string(batch.shard)});
    return;
  }
  const auto at = s->at.load(std::memory_order_acquire);
  if (batch.forwarded || (s->waiting.load(std::memory_order_acquire) == 0 && may_go(*s, at))) {
    if (at == here && s->host)
      return caf::anon_send(s->host, std::move(batch));
    if (at > here && !batch.forwarded) {
      const auto order = next_order(batch.asks.size());
      return send(static_cast<node_id>(at), std::move(batch), clock::now() + options_.patience,
                  order);
    }
  }
  wait(std::move(batch));
}

void router::wait(actors::ask_batch batch) {
  const auto* s = find(batch.shard);
  // Whoever sent it on asks again where it believes the shard to be by then.
  if (batch.forwarded && (!s || s->at.load(std::memory_order_acquire) != coming)) {
    for (const auto& one : batch.asks)
      refuse(one, {model::errc::wrong_node, "shard_moved", "its shard is not on this node"});
    return;
  }
  if (!ports_.ask) {
    for (const auto& one : batch.asks)
      refuse(one, no_node());
    return;
  }
  const auto order = next_order(batch.asks.size());
  put_to_wait(std::move(batch), clock::now() + options_.patience, order);
}

void router::put_to_wait(actors::ask_batch batch, clock::time_point until, std::uint64_t order) {
  {
    const auto hold = std::lock_guard{mutex_};
    if (waiting_asks_ + batch.asks.size() <= options_.max_waiting) {
      waiting_asks_ += batch.asks.size();
      figures_.waiting = waiting_asks_;
      if (auto* s = find(batch.shard))
        s->waiting.fetch_add(1, std::memory_order_acq_rel);
      waiting_.emplace(order, waiting{std::move(batch), until});
      return;
    }
  }
  for (const auto& one : batch.asks)
    refuse(one, no_node());
}

void router::send(node_id to, actors::ask_batch batch, clock::time_point until,
                  std::uint64_t order) {
  auto numbers = std::vector<std::uint64_t>{};
  {
    // The numbers of the askers are theirs; on the way each has one of this node's.
    const auto hold = std::lock_guard{mutex_};
    for (auto& one : batch.asks) {
      numbers.push_back(one.number);
      one.number = one.from && one.number != 0 ? ++numbers_ : 0;
    }
  }
  auto bytes = actors::encode_asks(batch);
  {
    const auto hold = std::lock_guard{mutex_};
    auto* s = find(batch.shard);
    for (std::size_t i = 0; i < batch.asks.size(); ++i) {
      auto& one = batch.asks[i];
      const auto number = std::exchange(one.number, numbers[i]);
      if (number != 0) {
        open_.emplace(number, asked{to, clock::now() + options_.answer_timeout, until,
                                    std::move(one), batch.shard, order + i});
        s->open_at.store(to, std::memory_order_release);
        s->open.fetch_add(1, std::memory_order_acq_rel);
      }
      numbers[i] = number;
    }
    figures_.open = open_.size();
  }
  if (ports_.ask(to, std::move(bytes))) {
    figures_.sent.fetch_add(batch.asks.size(), std::memory_order_relaxed);
    return;
  }
  auto back = actors::ask_batch{.shard = batch.shard, .asks = {}};
  {
    const auto hold = std::lock_guard{mutex_};
    for (std::size_t i = 0; i < batch.asks.size(); ++i)
      if (numbers[i] == 0) {
        back.asks.push_back(std::move(batch.asks[i]));
      } else if (const auto found = open_.find(numbers[i]); found != open_.end()) {
        back.asks.push_back(std::move(found->second.what));
        forget_open(found->second);
        open_.erase(found);
      }
    figures_.open = open_.size();
  }
  if (!back.asks.empty())
    put_to_wait(std::move(back), until, order);
}

void router::serve(node_id from, std::string_view questions) {
  auto batch = actors::decode_asks(questions);
  if (!batch) {
    observe::log::warn("cluster", "questions_not_read",
                       {{"node", from}, {"detail", batch.error().detail}});
    return;
  }
  auto to = std::shared_ptr<desk>{};
  {
    const auto hold = std::lock_guard{mutex_};
    auto& d = desks_[from];
    if (!d)
      d = std::make_shared<desk>(*this, from);
    to = d;
  }
  batch->forwarded = true;
  for (auto& one : batch->asks)
    one.from = std::shared_ptr<actors::answer_port>{to};
  figures_.served.fetch_add(batch->asks.size(), std::memory_order_relaxed);
  const auto* s = find(batch->shard);
  if (s && s->at.load(std::memory_order_acquire) == here && s->host)
    caf::anon_send(s->host, std::move(*batch));
  else
    wait(std::move(*batch));
}

void router::answered(node_id from, std::string_view answers) {
  auto got = actors::decode_answers(answers);
  if (!got) {
    observe::log::warn("cluster", "answers_not_read",
                       {{"node", from}, {"detail", got.error().detail}});
    return;
  }
  auto again = std::vector<asked>{};
  auto to = actors::asker{};
  auto together = std::vector<actors::settled>{};
  for (auto& a : *got) {
    auto found = std::optional<asked>{};
    {
      const auto hold = std::lock_guard{mutex_};
      const auto at = open_.find(a.number);
      if (at == open_.end() || at->second.to != from)
        continue;
      found = std::move(at->second);
      // One that is asked again stays open until it waits: nothing gets before it.
      if (a.what || a.what.error().code != model::errc::wrong_node)
        forget_open(*found);
      open_.erase(at);
      figures_.open = open_.size();
    }
    if (!a.what && a.what.error().code == model::errc::wrong_node) {
      again.push_back(std::move(*found));
      continue;
    }
    if (!(found->what.from == to)) {
      if (!together.empty())
        to.settle(std::exchange(together, {}));
      to = found->what.from;
    }
    together.push_back({found->what.number, std::move(a.what)});
  }
  if (!together.empty())
    to.settle(std::move(together));
  for (auto& a : again)
    ask_again(std::move(a));
}

/// Puts it to wait at its place, and only then lets others go.
void router::ask_again(asked a) {
  figures_.again.fetch_add(1, std::memory_order_relaxed);
  auto batch = actors::ask_batch{.shard = a.shard, .asks = {}};
  batch.asks.push_back(std::move(a.what));
  put_to_wait(std::move(batch), a.patient, a.order);
  const auto hold = std::lock_guard{mutex_};
  forget_open(a);
}

void router::link_up(node_id) {
  tick();
}

void router::link_down(node_id who) {
  auto lost = std::vector<asked>{};
  {
    const auto hold = std::lock_guard{mutex_};
    desks_.erase(who);
    for (auto i = open_.begin(); i != open_.end();)
      if (i->second.to == who) {
        lost.push_back(std::move(i->second));
        i = open_.erase(i);
      } else {
        ++i;
      }
    figures_.open = open_.size();
  }
  for (auto& a : lost) {
    if (may_be_repeated(a.what.what)) {
      ask_again(std::move(a));
      continue;
    }
    {
      const auto hold = std::lock_guard{mutex_};
      forget_open(a);
    }
    refuse(a.what, {model::errc::unavailable, "node_lost",
                    "the node of its shard is gone; whether it was done is not known"});
  }
}

void router::tick() {
  const auto now = clock::now();
  auto batches = std::multimap<std::uint64_t, waiting>{};
  auto late = std::vector<asked>{};
  {
    const auto hold = std::lock_guard{mutex_};
    batches.swap(waiting_);
    waiting_asks_ = 0;
    figures_.waiting = 0;
    for (auto i = open_.begin(); i != open_.end();)
      if (i->second.until <= now) {
        forget_open(i->second);
        late.push_back(std::move(i->second));
        i = open_.erase(i);
      } else {
        ++i;
      }
    figures_.open = open_.size();
  }
  for (const auto& a : late) {
    figures_.expired.fetch_add(1, std::memory_order_relaxed);
    refuse(a.what, {model::errc::unavailable, "no_answer",
                    "the node of its shard did not answer; whether it was done is not known"});
  }
  for (auto& [order, w] : batches) {
    auto* s = find(w.batch.shard);
    const auto at = s ? s->at.load(std::memory_order_acquire) : nowhere;
    const auto goes = s && may_go(*s, at);
    if (goes && at == here && s->host) {
      caf::anon_send(s->host, std::move(w.batch));
    } else if (w.until <= now) {
      figures_.expired.fetch_add(w.batch.asks.size(), std::memory_order_relaxed);
      for (const auto& one : w.batch.asks)
        refuse(one, no_node());
    } else if (w.batch.forwarded && at != coming) {
      wait(std::move(w.batch));  // it is refused
    } else if (goes && at > here) {
      send(static_cast<node_id>(at), std::move(w.batch), w.until, order);
    } else {
      put_to_wait(std::move(w.batch), w.until, order);
    }
    // Only now: what comes meanwhile waits behind it.
    if (s)
      s->waiting.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace orrery::cluster
