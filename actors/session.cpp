#include "actors/session.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

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

namespace device = model::device;

// No question of the connection has a number from here on.
constexpr auto first_goodbye = std::uint64_t{1} << 63;
constexpr auto goodbye_pause = std::chrono::seconds{1};  // before it is said again

struct granted_login {
  model::entity_id id;
  model::session_ref ref;
};
struct goodbye {
  model::entity_id whom;
  any_command what;
};

/// What few sessions have: sub-devices, general topics; and all at their end.
struct session_extras {
  // A gateway's sub-devices: those that are logged in, and logins by the number of the question.
  std::unordered_map<model::device_name, granted_login> subs;
  std::unordered_map<std::uint64_t, model::device_name> sub_logins;
  // Clients and groups of general topics that take messages by it, or are asked to.
  std::unordered_set<model::entity_id> clients;
  std::optional<model::entity_id> client;       // its own one
  std::unordered_set<std::uint64_t> attaching;  // questions that are not answered
  model::client::detach client_end;
  std::unordered_map<std::uint64_t, goodbye> goodbyes;  // said and not answered
  std::uint64_t next_goodbye = first_goodbye;
};

struct session_state {
  session_state() = default;
  /// Made when it is wanted: sessions are many, and most are silent devices.
  session_extras& more() {
    if (!extras)
      extras = std::make_unique<session_extras>();
    return *extras;
  }
  model::session_ref ref;
  std::optional<model::entity_id> id;     // once logged in
  std::uint64_t login_number = 0;         // of the question that is to be granted
  std::optional<std::string_view> taken;  // its right ended before the login's answer was here
  std::string actor;                      // whose word its questions to others are
  bool channel = false;                   // it has no device of its own
  bool closing = false;
  std::string_view reason;  // of the end
  // Past the host, once the entity has said how. Not while answers to questions that went by the
  // host are out: the order of questions is kept.
  std::shared_ptr<const doorway> way;
  std::size_t by_host = 0;
  bool repeats = false;  // goodbyes will be said again
  std::unique_ptr<session_extras> extras;
};

using pointer = session_actor::stateful_pointer<session_state>;

void refuse(const std::weak_ptr<session_port>& port, const std::vector<session_ask>& asked) {
  const auto to = port.lock();
  if (!to || asked.empty())
    return;
  auto answers = std::vector<settled>{};
  for (const auto& one : asked)
    answers.push_back({one.number, model::failure{model::errc::unauthenticated, "not logged in"}});
  to->settle(std::move(answers));
}

const device::connection_granted* grant_in(const settled& item) {
  const auto* reply = item.what ? std::get_if<device::reply>(&item.what->answer) : nullptr;
  return reply ? std::get_if<device::connection_granted>(reply) : nullptr;
}

void leave_if_done(pointer self, const session_parts& parts) {
  const auto& s = self->state;
  const auto* more = s.extras.get();
  if (!s.closing || s.id || s.login_number != 0 ||
      (more && !(more->goodbyes.empty() && more->sub_logins.empty() && more->attaching.empty())))
    return;
  parts.table->remove(s.ref.number);
  self->quit();
}

any_command goodbye_of(const granted_login& login, std::string_view reason) {
  return device::command{device::disconnect{reason}, login.ref, {}, {}, {}};
}

/// Tells all that speak through it that it ends. It is gone with the last answer.
void say_goodbyes(pointer self, const session_parts& parts) {
  auto& s = self->state;
  auto& more = s.more();
  for (const auto& [name, login] : std::exchange(more.subs, {}))
    more.goodbyes[more.next_goodbye++] = {login.id, goodbye_of(login, "gateway_offline")};
  if (s.id)
    more.goodbyes[more.next_goodbye++] = {*s.id, goodbye_of({*s.id, s.ref}, s.reason)};
  s.id.reset();
  more.client_end.session = s.ref;
  for (const auto& id : std::exchange(more.clients, {})) {
    auto end = more.client_end;
    if (id != more.client)
      end.unreleased.clear();
    more.goodbyes[more.next_goodbye++] = {id,
                                          model::client::command{std::move(end), "session", {}}};
  }
  auto batches = std::unordered_map<model::shard_id, ask_batch>{};
  for (const auto& [number, last] : more.goodbyes) {
    auto& batch = batches[last.whom.shard];
    batch.shard = last.whom.shard;
    auto& out = batch.asks.emplace_back();
    out.from = caf::actor_cast<settler>(self);
    out.number = number;
    out.whom = last.whom;
    out.what = last.what;
  }
  for (auto& [shard, batch] : batches)
    parts.router->route(std::move(batch));
  leave_if_done(self, parts);
}

void take_goodbye(pointer self, const session_parts& parts, const settled& item) {
  auto& s = self->state;
  // A device must not stay on-line because a write of its end was lost.
  if (!item.what && item.what.error().code == model::errc::unavailable) {
    if (!std::exchange(s.repeats, true))
      self->delayed_send(self, goodbye_pause, session_closed{s.reason, s.more().client_end});
    return;
  }
  s.more().goodbyes.erase(item.number);
  leave_if_done(self, parts);
}

/// True if it was the answer to a sub-device's login.
bool take_sub_login(session_state& s, const settled& item) {
  if (!s.extras)
    return false;
  auto& more = *s.extras;
  const auto asked = more.sub_logins.find(item.number);
  if (asked == more.sub_logins.end())
    return false;
  if (const auto* granted = grant_in(item))
    more.subs[asked->second] = {granted->id,
                                {s.ref.node_incarnation, s.ref.number, granted->epoch}};
  more.sub_logins.erase(asked);
  return true;
}

void take_login(session_state& s, const settled& item) {
  s.login_number = 0;
  if (const auto* granted = grant_in(item)) {
    s.id = granted->id;
    s.ref.epoch = granted->epoch;
  }
}

/// Answers to what went by the host: logins, goodbyes, questions without a way.
void take_answers(pointer self, const session_parts& parts, const std::weak_ptr<session_port>& port,
                  std::vector<settled>& items) {
  auto& s = self->state;
  auto was_login = false, was_sub_login = false;  // of a device, or a client
  auto for_port = std::vector<settled>{};
  for (auto& item : items) {
    // Its connection is gone, and cannot tell what it would have been given.
    const auto* client =
        s.closing && item.what ? std::get_if<model::client::reply>(&item.what->answer) : nullptr;
    if (const auto* granted = client ? std::get_if<model::client::attach_granted>(client) : nullptr)
      s.more().client_end.unreleased = granted->unreleased;
    if (item.number >= first_goodbye) {
      take_goodbye(self, parts, item);
      continue;
    }
    if (take_sub_login(s, item) || (s.extras && s.extras->attaching.erase(item.number) > 0)) {
      was_sub_login = true;
    } else {
      if (item.what && item.what->way)
        s.way = std::move(item.what->way);
      if (s.login_number != 0 && item.number == s.login_number) {
        take_login(s, item);
        was_login = true;
      } else {
        --s.by_host;
      }
    }
    for_port.push_back(std::move(item));
  }
  if (s.closing) {
    if (was_login || was_sub_login)  // it went while a login was granted, or refused
      say_goodbyes(self, parts);
    return;
  }
  if (const auto to = port.lock(); to && !for_port.empty()) {
    to->settle(std::move(for_port));
    if (s.taken && was_login)
      to->close(*s.taken);
  }
}

void ask_own(pointer self, const session_parts& parts, const std::weak_ptr<session_port>& port,
             std::vector<session_ask> asked) {
  auto& s = self->state;
  const auto direct = s.way && s.by_host == 0;
  const auto from = direct ? asker{port.lock()} : asker{caf::actor_cast<settler>(self)};
  auto batch = ask_batch{.shard = s.id->shard, .asks = {}};
  batch.asks.reserve(asked.size());
  for (auto& one : asked) {
    auto& out = batch.asks.emplace_back();
    out.from = from;
    out.number = one.number;
    out.whom = *s.id;
    out.what = device::command{std::move(one.what), s.ref, {}, {}, {}};
  }
  if (direct && s.way->send(batch))
    return;
  s.way.reset();
  for (auto& out : batch.asks) {
    out.from = caf::actor_cast<settler>(self);
    out.wants_way = true;
  }
  s.by_host += batch.asks.size();
  parts.router->route(std::move(batch));
}

/// The order as the gateway gives it to that sub-device.
device::command for_sub_device(session_state& s, const target& whom, device::order what) {
  auto order = device::command{std::move(what), s.ref, {}, {}, s.id};
  const auto* name = std::get_if<model::device_name>(&whom);
  if (auto* login = std::get_if<device::connect>(&order.what))
    login->session = {s.ref.node_incarnation, s.ref.number, 0};
  if (name && std::holds_alternative<device::disconnect>(order.what))
    s.more().subs.erase(*name);
  return order;
}

/// Questions for other devices, by the shards that these are in.
void ask_others(pointer self, const session_parts& parts, const std::weak_ptr<session_port>& port,
                std::vector<session_ask> asked) {
  auto& s = self->state;
  auto batches = std::unordered_map<model::shard_id, ask_batch>{};
  const auto to_port = asker{std::shared_ptr<answer_port>{port.lock()}};
  for (auto& one : asked) {
    const auto shard = parts.router->shard_of(*one.whom);
    auto& batch = batches[shard];
    batch.shard = shard;
    auto& out = batch.asks.emplace_back();
    out.number = one.number;
    out.from = to_port;
    if (one.as == session_ask::right::service) {
      out.what = device::command{std::move(one.what), {}, s.actor, {}, {}};
    } else {
      if (std::holds_alternative<device::connect>(one.what)) {
        out.from = caf::actor_cast<settler>(self);
        s.more().sub_logins[one.number] = std::get<model::device_name>(*one.whom);
      }
      out.what = for_sub_device(s, *one.whom, std::move(one.what));
    }
    out.whom = std::move(*one.whom);
  }
  for (auto& [shard, batch] : batches)
    parts.router->route(std::move(batch));
}

void take_questions(pointer self, const session_parts& parts,
                    const std::weak_ptr<session_port>& port, std::vector<session_ask> items) {
  auto& s = self->state;
  if (!s.id && !s.channel)
    return refuse(port, items);
  auto others = std::vector<session_ask>{};
  const auto first_other = std::stable_partition(
      items.begin(), items.end(), [](const session_ask& one) { return !one.whom.has_value(); });
  std::move(first_other, items.end(), std::back_inserter(others));
  items.erase(first_other, items.end());
  if (!items.empty() && s.id)
    ask_own(self, parts, port, std::move(items));
  else
    refuse(port, items);
  if (!others.empty())
    ask_others(self, parts, port, std::move(others));
}

session_actor::behavior_type session(pointer self, session_parts parts,
                                     std::weak_ptr<session_port> port) {
  auto& s = self->state;
  s.ref = {parts.table->incarnation(), parts.table->next_number(), 0};
  parts.table->add(s.ref.number, self);
  return {
      [self, parts, port](settled_batch& batch) { take_answers(self, parts, port, batch.items); },
      [self, parts, port](session_asks& asked) {
        take_questions(self, parts, port, std::move(asked.items));
      },
      [self, parts](session_login& login) {
        auto& state = self->state;
        state.login_number = login.number;
        state.actor = "device:" + login.who.product_key + '/' + login.who.device_key;
        auto how = std::move(login.how);
        how.session = state.ref;
        auto batch = ask_batch{.shard = parts.router->shard_of(login.who), .asks = {}};
        auto& out = batch.asks.emplace_back();
        out.from = caf::actor_cast<settler>(self);
        out.wants_way = true;
        out.number = login.number;
        out.whom = std::move(login.who);
        out.what = device::command{std::move(how), {}, {}, {}, {}};
        parts.router->route(std::move(batch));
      },
      [self](session_channel& as) {
        self->state.actor = std::move(as.actor);
        self->state.channel = true;
      },
      [port](session_deliver& d) {
        if (const auto to = port.lock())
          to->deliver(std::move(d.message));
      },
      [self, port](const session_end& e) {
        auto& state = self->state;
        const auto to = port.lock();
        auto own_client = false;
        if (auto* more = state.extras.get()) {
          const auto sub = std::find_if(more->subs.begin(), more->subs.end(),
                                        [&](const auto& one) { return one.second.id == e.device; });
          if (sub != more->subs.end()) {
            if (to)
              to->sub_device_gone(sub->first);
            more->subs.erase(sub);
            return;
          }
          own_client = more->client == e.device;
        }
        if (state.login_number != 0)  // its answer is of the same commit: first that
          state.taken = e.reason;
        else if (to && (state.id == e.device || own_client))
          to->close(e.reason);
      },
      [self, parts](session_attach& a) {
        auto& state = self->state;
        auto& more = state.more();
        if (auto* own = std::get_if<model::client::attach>(&a.how)) {
          own->session = state.ref;
          more.client = a.whom;
        } else if (auto* group = std::get_if<model::client::join>(&a.how)) {
          group->session = state.ref;
        }
        more.clients.insert(a.whom);
        more.attaching.insert(a.number);
        auto batch = ask_batch{.shard = a.whom.shard, .asks = {}};
        auto& out = batch.asks.emplace_back();
        out.from = caf::actor_cast<settler>(self);
        out.number = a.number;
        out.whom = a.whom;
        out.what = model::client::command{std::move(a.how), "session", {}};
        parts.router->route(std::move(batch));
      },
      [self](const session_leave& l) { self->state.more().clients.erase(l.whom); },
      [self, parts](const session_closed& closed) {
        auto& state = self->state;
        if (!std::exchange(state.closing, true)) {
          state.reason = closed.reason;
          state.more().client_end = closed.client;
        }
        state.repeats = false;
        if (state.login_number == 0 && state.more().attaching.empty())
          say_goodbyes(self, parts);
        // Else the login's answer decides.
      }};
}

}  // namespace

session_actor spawn_session(caf::actor_system& system, session_parts parts,
                            std::weak_ptr<session_port> port) {
  return system.spawn(session, std::move(parts), std::move(port));
}

}  // namespace orrery::actors
