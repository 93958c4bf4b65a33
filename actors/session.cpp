#include "actors/session.hpp"

#include <caf/all.hpp>

#include "actors/doorway.hpp"

namespace orrery::actors {

void session_table::add(std::uint64_t number, session_actor who) {
  const auto hold = std::lock_guard{mutex_};
  sessions_[number] = std::move(who);
}

void session_table::remove(std::uint64_t number) {
  const auto hold = std::lock_guard{mutex_};
  sessions_.erase(number);
}

session_actor session_table::find(const model::session_ref& ref) const {
  if (ref.node_incarnation != incarnation_)
    return {};
  const auto hold = std::lock_guard{mutex_};
  const auto found = sessions_.find(ref.number);
  return found == sessions_.end() ? session_actor{} : found->second;
}

std::size_t session_table::size() const {
  const auto hold = std::lock_guard{mutex_};
  return sessions_.size();
}

namespace {

constexpr std::uint64_t goodbye_number = ~std::uint64_t{0};  // no question of the connection has it
constexpr auto goodbye_pause = std::chrono::seconds{1};      // before it is said again

struct session_state {
  session_state() = default;
  model::session_ref ref;
  std::optional<model::entity_id> id;     // once logged in
  std::uint64_t login_number = 0;         // of the question that is to be granted
  std::optional<std::string_view> taken;  // its right ended before the login's answer was here
  bool closing = false;
  std::string_view reason;  // of the end
  // Past the host, once the entity has said how. Not while answers to questions that went by the
  // host are out: the order of questions is kept.
  std::shared_ptr<const doorway> way;
  std::size_t by_host = 0;
};

using pointer = session_actor::stateful_pointer<session_state>;

void refuse(const std::weak_ptr<session_port>& port, const session_asks& asked) {
  const auto to = port.lock();
  if (!to)
    return;
  auto answers = std::vector<settled>{};
  for (const auto& one : asked.items)
    answers.push_back({one.number, model::failure{model::errc::unauthenticated, "not logged in"}});
  to->settle(std::move(answers));
}

session_actor::behavior_type session(pointer self, session_parts parts,
                                     std::weak_ptr<session_port> port) {
  auto& s = self->state;
  s.ref = {parts.table->incarnation(), parts.table->next_number(), 0};
  parts.table->add(s.ref.number, self);
  const auto leave = [self, parts] {
    parts.table->remove(self->state.ref.number);
    self->quit();
  };
  const auto say_goodbye = [self, parts] {
    const auto& state = self->state;
    auto batch = ask_batch{.shard = state.id->shard, .asks = {}};
    auto& out = batch.asks.emplace_back();
    out.from = caf::actor_cast<settler>(self);
    out.number = goodbye_number;
    out.whom = *state.id;
    out.what = model::device::command{model::device::disconnect{state.reason}, state.ref, {}, {}};
    parts.router->route(std::move(batch));
  };
  return {[self, port, leave, say_goodbye](settled_batch& batch) {
            // Answers to what went by the host: the login, the goodbye, questions without a way.
            auto& state = self->state;
            auto was_login = false;
            for (auto& item : batch.items) {
              if (item.number == goodbye_number) {
                // The device must not stay on-line because a write of its end was lost.
                if (!item.what && item.what.error().code == model::errc::unavailable) {
                  self->delayed_send(self, goodbye_pause, session_closed{state.reason});
                  return;
                }
                return leave();
              }
              if (item.what && item.what->way)
                state.way = std::move(item.what->way);
              if (item.number != state.login_number || state.login_number == 0) {
                --state.by_host;
                continue;
              }
              state.login_number = 0;
              was_login = true;
              if (item.what)
                if (const auto* reply = std::get_if<model::device::reply>(&item.what->answer))
                  if (const auto* granted = std::get_if<model::device::connection_granted>(reply)) {
                    state.id = granted->id;
                    state.ref.epoch = granted->epoch;
                  }
            }
            if (state.closing && !state.id)
              return leave();  // the connection went while its login was refused
            if (state.closing) {
              if (was_login)
                say_goodbye();  // it went while its login was granted
              return;
            }
            if (const auto to = port.lock()) {
              to->settle(std::move(batch.items));
              if (state.taken && was_login)
                to->close(*state.taken);
            }
          },
          [self, parts, port](session_asks& asked) {
            auto& state = self->state;
            if (!state.id)
              return refuse(port, asked);
            const auto direct = state.way && state.by_host == 0;
            const auto from = direct ? asker{port.lock()} : asker{caf::actor_cast<settler>(self)};
            auto batch = ask_batch{.shard = state.id->shard, .asks = {}};
            batch.asks.reserve(asked.items.size());
            for (auto& one : asked.items) {
              auto& out = batch.asks.emplace_back();
              out.from = from;
              out.number = one.number;
              out.whom = *state.id;
              out.what = model::device::command{std::move(one.what), state.ref, {}, {}};
            }
            if (direct && state.way->send(batch))
              return;
            state.way.reset();
            for (auto& out : batch.asks) {
              out.from = caf::actor_cast<settler>(self);
              out.wants_way = true;
            }
            state.by_host += batch.asks.size();
            parts.router->route(std::move(batch));
          },
          [self, parts](session_login& login) {
            auto& state = self->state;
            state.login_number = login.number;
            auto how = std::move(login.how);
            how.session = state.ref;
            auto batch = ask_batch{.shard = parts.router->shard_of(login.who), .asks = {}};
            auto& out = batch.asks.emplace_back();
            out.from = caf::actor_cast<settler>(self);
            out.wants_way = true;
            out.number = login.number;
            out.whom = std::move(login.who);
            out.what = model::device::command{std::move(how), {}, {}, {}};
            parts.router->route(std::move(batch));
          },
          [port](session_deliver& d) {
            if (const auto to = port.lock())
              to->deliver(std::move(d.message));
          },
          [self, port](const session_end& e) {
            if (self->state.login_number != 0)  // its answer is of the same commit: first that
              self->state.taken = e.reason;
            else if (const auto to = port.lock())
              to->close(e.reason);
          },
          [self, leave, say_goodbye](const session_closed& closed) {
            auto& state = self->state;
            state.closing = true;
            state.reason = closed.reason;
            if (state.id)
              say_goodbye();
            else if (state.login_number == 0)
              leave();
            // Else the login's answer decides.
          }};
}

}  // namespace

session_actor spawn_session(caf::actor_system& system, session_parts parts,
                            std::weak_ptr<session_port> port) {
  return system.spawn(session, std::move(parts), std::move(port));
}

}  // namespace orrery::actors
