#include "actors/caller.hpp"

#include <chrono>
#include <map>
#include <mutex>
#include <unordered_map>

#include <caf/all.hpp>

namespace orrery::actors {
namespace {

using time_point = caf::actor_clock::time_point;  // monotonic
using tick_atom = caf::atom_constant<caf::atom("tick")>;
constexpr auto tick = std::chrono::milliseconds{250};
using clerk_actor = settler::extend<caf::reacts_to<tick_atom>>;

}  // namespace

/// What waits, by number. Shared by the callers' threads and the clerk actor.
struct caller::desk {
  struct waiting {
    time_point until;
    on_answer then;
    on_command_over over;
  };
  std::shared_ptr<ask_router> router;
  std::uint64_t incarnation = 0;
  model::milliseconds timeout{0};
  const caf::actor_clock* clock = nullptr;  // of the actors: tests turn it by hand
  clerk_actor clerk;

  std::mutex mutex;
  std::uint64_t numbers = 0;
  std::unordered_map<std::uint64_t, waiting> open;

  std::uint64_t add(waiting w) {
    const auto hold = std::lock_guard{mutex};
    open.emplace(++numbers, std::move(w));
    return numbers;
  }
  std::optional<waiting> take(std::uint64_t number) {
    const auto hold = std::lock_guard{mutex};
    const auto found = open.find(number);
    if (found == open.end())
      return std::nullopt;
    auto w = std::move(found->second);
    open.erase(found);
    return w;
  }
  void expire() {
    auto late = std::vector<waiting>{};
    {
      const auto hold = std::lock_guard{mutex};
      for (auto i = open.begin(); i != open.end();)
        if (i->second.until <= clock->now()) {
          late.push_back(std::move(i->second));
          i = open.erase(i);
        } else {
          ++i;
        }
    }
    for (auto& w : late)
      if (w.then)
        w.then(model::failure{model::errc::timeout,
                              "no answer in time; whether it was done is not known"});
      else
        w.over(false);
  }
};

caller::caller(caf::actor_system& system, std::shared_ptr<ask_router> router,
               std::uint64_t node_incarnation, model::milliseconds timeout)
    : desk_{std::make_shared<desk>()} {
  desk_->router = std::move(router);
  desk_->incarnation = node_incarnation;
  desk_->timeout = timeout;
  desk_->clock = &system.clock();
  desk_->clerk = system.spawn(
      [](clerk_actor::pointer self, std::weak_ptr<desk> at) -> clerk_actor::behavior_type {
        self->delayed_send(self, tick, tick_atom::value);
        return {[at](settled_batch& batch) {
                  const auto d = at.lock();
                  if (!d)
                    return;
                  for (auto& item : batch.items)
                    if (auto w = d->take(item.number); w && w->then)
                      w->then(std::move(item.what));
                },
                [self, at](tick_atom) {
                  if (const auto d = at.lock())
                    d->expire();
                  self->delayed_send(self, tick, tick_atom::value);
                }};
      },
      std::weak_ptr<desk>{desk_});
}

caller::~caller() {
  caf::anon_send_exit(desk_->clerk, caf::exit_reason::user_shutdown);
  desk_->clerk = nullptr;
}

void caller::ask(target whom, any_command what, on_answer then) {
  const auto number = desk_->add({desk_->clock->now() + desk_->timeout, std::move(then), {}});
  auto batch = ask_batch{.shard = desk_->router->shard_of(whom), .asks = {}};
  auto& one = batch.asks.emplace_back();
  one.from = caf::actor_cast<settler>(desk_->clerk);
  one.number = number;
  one.whom = std::move(whom);
  one.what = std::move(what);
  desk_->router->route(std::move(batch));
}

model::waiter_ref caller::expect_command(model::milliseconds at_most, on_command_over then) {
  return {desk_->incarnation, desk_->add({desk_->clock->now() + at_most, {}, std::move(then)})};
}

void caller::command_over(const model::waiter_ref& waiter) {
  if (waiter.node_incarnation != desk_->incarnation)
    return;
  if (auto w = desk_->take(waiter.number); w && w->over)
    w->over(true);
}

void caller::forget(const model::waiter_ref& waiter) {
  if (waiter.node_incarnation == desk_->incarnation)
    desk_->take(waiter.number);
}

model::shard_id caller::shard_of(const target& whom) const {
  return desk_->router->shard_of(whom);
}

}  // namespace orrery::actors
