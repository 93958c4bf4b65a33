#include <algorithm>

#include "model/client/client.hpp"
#include "model/topic_filter.hpp"

namespace orrery::model::client {
namespace {

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

const member* find_member(const state& s, std::string_view name) {
  const auto found = std::find_if(s.members.begin(), s.members.end(),
                                  [&](const member& m) { return m.name == name; });
  return found == s.members.end() ? nullptr : &*found;
}
member* find_member(state& s, std::string_view name) {
  return const_cast<member*>(find_member(std::as_const(s), name));
}

std::vector<queued>::size_type place_of(const std::deque<queued>& queue, std::uint64_t number) {
  const auto at = std::lower_bound(queue.begin(), queue.end(), number,
                                   [](const queued& q, std::uint64_t n) { return q.number < n; });
  return static_cast<std::size_t>(at - queue.begin());
}

std::size_t size_of(const queued& q) {
  return q.message->topic.size() + q.message->payload.size();
}

topic_message will_of(const last_will& will, timestamp now) {
  auto m = will.message;
  m.sent = now;
  return m;
}

timestamp end_of(const member& m) {
  return m.away_since + std::chrono::seconds{m.expiry};
}
bool runs_out(const member& m) {
  return !m.is_here() && m.expiry != never;
}
/// When a will is due that waits for its delay.
timestamp will_time(const state& s) {
  const auto& self = s.members.front();
  return self.away_since + std::chrono::seconds{std::min(s.will->delay, self.expiry)};
}

/// Everything that is left of it goes.
void end_with(decision& d, const state& s, std::string_view reason) {
  auto gone = filters_changed{};
  for (const auto& [filter, options] : s.filters)
    gone.changes[filter] = std::nullopt;
  if (!gone.changes.empty())
    d.events.emplace_back(std::move(gone));
  auto e = ended{std::string{reason}, {}, !s.queue.all.empty()};
  for (const auto& m : s.members)
    if (m.is_here())
      e.sessions.push_back(m.session);
  d.events.emplace_back(std::move(e));
}

// ---- decide -------------------------------------------------------------------------------------

result<decision> decide_on(const state& s, const attach& a, const surroundings& around) {
  auto granted = attach_granted{around.self, false, s.epoch + 1, {}, {}};
  const auto* before = s.members.empty() ? nullptr : &s.members.front();
  if (s.exists && before && before->is_here() && before->session == a.session) {
    granted.epoch = s.epoch;
    granted.filters = s.filters;
    return decision{{}, std::move(granted)};
  }
  granted.resumed = s.exists && a.resumes && before && before->keeps() &&
                    !(runs_out(*before) && end_of(*before) <= around.now);
  if (granted.resumed && a.waits && before->is_here())
    return decision{{}, attach_later{}, {close_session{before->session, "taken_over"}}};
  auto d = decision{};
  auto e = attached{.as = a,
                    .fresh = !granted.resumed,
                    .ends = {},
                    .will_due = {},
                    .expired = {},
                    .at = around.now};
  e.drops_messages = e.fresh && !s.queue.all.empty();
  if (before && before->is_here())
    e.ends = before->session;
  // A will that waits goes when the session ends; one of a connection that is taken over when
  // nothing says that it is to wait (5.0, 3.1.3.2.2; 3.1.1, 3.1.2.5).
  if (s.will &&
      (e.fresh || (e.ends && s.will->delay == 0) || (s.will_waits && will_time(s) <= around.now)))
    e.will_due = will_of(*s.will, around.now);
  if (granted.resumed) {
    for (const auto& q : s.queue.all)
      if (q.message->is_over(around.now) && !q.sent && !before->is_here())
        e.expired.push_back(q.number);
    granted.filters = s.filters;
    granted.unreleased = s.unreleased;
  } else if (s.exists && !s.filters.empty()) {
    auto gone = filters_changed{};
    for (const auto& [filter, options] : s.filters)
      gone.changes[filter] = std::nullopt;
    d.events.emplace_back(std::move(gone));
  }
  d.events.emplace_back(std::move(e));
  d.answer = std::move(granted);
  return d;
}

/// Those of a group's messages that nobody has.
std::vector<std::uint64_t> waiting_in(const state& s) {
  auto numbers = std::vector<std::uint64_t>{};
  for (const auto& q : s.queue.all)
    if (q.member.empty())
      numbers.push_back(q.number);
  return numbers;
}

result<decision> decide_on(const state& s, const join& j, const surroundings& around) {
  const auto* known = find_member(s, j.member);
  if (known && known->session == j.session && known->options == j.options &&
      known->expiry == j.expiry)
    return decision{{}, done{}};
  auto d = decision{{}, done{}};
  auto given = waiting_in(s);
  if (known)  // what it had and has not acknowledged comes once more
    for (const auto& q : s.queue.all)
      if (q.member == j.member)
        given.push_back(q.number);
  std::sort(given.begin(), given.end());
  const auto fresh = !s.exists;
  d.events.emplace_back(joined{j, std::move(given), around.now});
  if (const auto shared = shared_of(j.name); fresh && shared)
    d.events.emplace_back(filters_changed{{{std::string{shared->filter}, std::uint64_t{2}}}});
  return d;
}

/// To whom the messages of a group's member go: to those that are here, in turn.
std::map<std::uint64_t, std::string> moves_of(const state& s, std::string_view from,
                                              std::uint64_t turn) {
  auto here = std::vector<const member*>{};
  for (const auto& m : s.members)
    if (m.is_here() && m.name != from)
      here.push_back(&m);
  auto moved = std::map<std::uint64_t, std::string>{};
  for (const auto& q : s.queue.all)
    if (q.member == from)
      moved[q.number] = here.empty() ? std::string{} : here[turn++ % here.size()]->name;
  return moved;
}

result<decision> decide_on(const state& s, const leave& l, const surroundings& around) {
  auto d = decision{{}, done{}};
  const auto* known = find_member(s, l.member);
  if (!s.group || !known)
    return d;
  if (s.members.size() == 1)
    end_with(d, s, "unsubscribed");
  else
    d.events.emplace_back(left{l.member, known->session, moves_of(s, l.member, around.turn)});
  return d;
}

result<decision> decide_on(const state& s, const change_filters& c, const surroundings&) {
  auto e = filters_changed{};
  for (const auto& [filter, options] : c.changes) {
    const auto known = s.filters.find(filter);
    const auto same =
        options ? known != s.filters.end() && known->second == *options : known == s.filters.end();
    if (!same)
      e.changes.emplace(filter, options);
  }
  auto d = decision{{}, done{}};
  if (!e.changes.empty())
    d.events.emplace_back(std::move(e));
  return d;
}

/// How a client wants a message; nothing: it does not.
std::optional<std::uint8_t> level_for(const state& s, const topic_message& m) {
  auto best = std::optional<std::uint8_t>{};
  for (const auto& [filter, options] : s.filters) {
    if (is_no_local(options) && m.publisher == s.name)
      continue;
    if ((!best || level_of(options) > *best) && filter_matches(filter, m.topic))
      best = level_of(options);
  }
  return best ? std::optional{std::min(*best, m.level)} : std::nullopt;
}

/// Who it comes from is said when it runs.
deliver delivery_of(const session_ref& to, topic_delivery what) {
  return {to, {{}, {}, std::move(what), false}};
}

bool is_full(const state& s, const surroundings& around, std::size_t bytes) {
  return s.queue.all.size() >= around.max_queued || s.queue.bytes + bytes > around.max_queued_bytes;
}

decision queue_it(const state& s, const surroundings& around, queued q) {
  if (is_full(s, around, size_of(q)))
    return {{}, offered{0, 1}};
  q.number = s.last_number + 1;
  auto d = decision{{}, offered{1, 0}};
  d.events.emplace_back(message_queued{std::move(q)});
  return d;
}

decision offer_to_group(const state& s, const offer& o, const surroundings& around) {
  const auto& m = *o.message;
  auto here = std::vector<const member*>{};
  for (const auto& one : s.members)
    if (one.is_here())
      here.push_back(&one);
  if (m.level == 0) {
    if (here.empty())
      return {{}, offered{}};
    const auto& to = *here[around.turn % here.size()];
    auto d = decision{{}, offered{1, 0}};
    d.effects.emplace_back(
        delivery_of(to.session, {.source = {}, .what = o.message, .options = to.options}));
    return d;
  }
  auto q = queued{};
  q.message = o.message;
  q.level = m.level;
  if (!here.empty()) {
    // Who has the fewest under way; among those in turn.
    const auto load = [&](const member* one) {
      return std::count_if(s.queue.all.begin(), s.queue.all.end(),
                           [&](const queued& k) { return k.member == one->name; });
    };
    std::rotate(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(around.turn % here.size()),
                here.end());
    const auto* to =
        *std::min_element(here.begin(), here.end(),
                          [&](const member* a, const member* b) { return load(a) < load(b); });
    q.member = to->name;
    q.level = std::min(m.level, level_of(to->options));
    q.sent = true;
  }
  return queue_it(s, around, std::move(q));
}

result<decision> decide_on(const state& s, const offer& o, const surroundings& around) {
  if (!o.message || !s.exists || s.members.empty() || o.message->is_over(around.now))
    return decision{{}, offered{}};
  if (s.group)
    return offer_to_group(s, o, around);
  const auto& self = s.members.front();
  const auto level = level_for(s, *o.message);
  if (!level || (!self.is_here() && (*level == 0 || !self.keeps())))
    return decision{{}, offered{}};
  if (*level > 0 && self.keeps()) {
    auto q = queued{};
    q.message = o.message;
    q.level = *level;
    q.sent = self.is_here();
    q.retained = o.retained;
    return queue_it(s, around, std::move(q));
  }
  auto d = decision{{}, offered{1, 0}};
  d.effects.emplace_back(delivery_of(
      self.session, {.source = {}, .what = o.message, .level = *level, .retained = o.retained}));
  return d;
}

result<decision> decide_on(const state& s, const settle& done_with, const surroundings&) {
  auto e = settled{};
  for (const auto number : done_with.over)
    if (find_queued(s, number))
      e.over.push_back(number);
  for (const auto number : done_with.received)
    if (const auto* q = find_queued(s, number); q && !q->received)
      e.received.push_back(number);
  auto d = decision{{}, done{}};
  if (!e.over.empty() || !e.received.empty())
    d.events.emplace_back(std::move(e));
  return d;
}

/// One member's connection is gone. A client that keeps nothing ends with it.
void detach_one(decision& d, const state& s, const member& m, const detach& how,
                const surroundings& around) {
  const auto expiry = how.expiry.value_or(m.expiry);
  if (s.group) {
    auto moved = moves_of(s, m.name, around.turn);
    if (expiry > 0)
      d.events.emplace_back(
          detached{m.name, m.session, how.expiry, {}, std::move(moved), false, around.now});
    else if (s.members.size() == 1)
      end_with(d, s, "connection_closed");
    else
      d.events.emplace_back(left{m.name, m.session, std::move(moved)});
    return;
  }
  const auto has_will = how.with_will && s.will;
  const auto delay = has_will ? std::min(s.will->delay, expiry) : 0;
  d.events.emplace_back(detached{
      m.name, m.session, how.expiry, how.unreleased, {}, has_will && delay > 0, around.now});
  if (has_will && delay == 0)
    d.events.emplace_back(will_due{will_of(*s.will, around.now)});
  if (expiry == 0)
    end_with(d, s, "connection_closed");
}

result<decision> decide_on(const state& s, const detach& how, const surroundings& around) {
  auto d = decision{{}, done{}};
  for (const auto& m : s.members)
    if (m.is_here() && m.session.node_incarnation == how.session.node_incarnation &&
        m.session.number == how.session.number) {
      detach_one(d, s, m, how, around);
      break;
    }
  return d;
}

result<decision> decide_on(const state& s, const session_lost& lost, const surroundings& around) {
  auto d = decision{{}, done{}};
  auto now = s;  // a group may lose several members
  for (const auto& m : s.members) {
    if (!m.is_here() || m.session.node_incarnation != lost.incarnation)
      continue;
    const auto from = d.events.size();
    if (const auto* still = find_member(now, m.name))
      detach_one(d, now, member{*still}, {m.session, true, {}, {}}, around);
    for (auto i = from; i < d.events.size(); ++i)
      client::apply(now, d.events[i]);
  }
  return d;
}

result<decision> decide_on(const state& s, const time_passed&, const surroundings& around) {
  auto d = decision{{}, done{}};
  auto now = s;
  const auto run = [&](std::size_t from) {
    for (auto i = from; i < d.events.size(); ++i)
      client::apply(now, d.events[i]);
  };
  if (s.will && s.will_waits && !s.members.empty() && will_time(s) <= around.now) {
    d.events.emplace_back(will_due{will_of(*s.will, around.now)});
    run(d.events.size() - 1);
  }
  for (const auto& m : s.members) {
    if (!now.exists || !runs_out(m) || end_of(m) > around.now)
      continue;
    const auto from = d.events.size();
    if (now.members.size() == 1)
      end_with(d, now, "session_expired");
    else
      d.events.emplace_back(left{m.name, m.session, moves_of(now, m.name, around.turn)});
    run(from);
  }
  return d;
}

result<decision> decide_on(const state& s, const read_client&, const surroundings& around) {
  auto shown = std::make_shared<state>(s);
  shown->queue.all.clear();
  return decision{{}, client_snapshot{around.self, std::move(shown), s.queue.all.size()}};
}

// ---- apply --------------------------------------------------------------------------------------

void take_away(state& s, std::uint64_t number) {
  const auto at = place_of(s.queue.all, number);
  if (at >= s.queue.all.size() || s.queue.all[at].number != number)
    return;
  s.queue.bytes -= size_of(s.queue.all[at]);
  s.queue.all.erase(s.queue.all.begin() + static_cast<std::ptrdiff_t>(at));
}

queued* queued_in(state& s, std::uint64_t number) {
  return const_cast<queued*>(find_queued(s, number));
}

void give(state& s, std::uint64_t number, const member* to) {
  auto* q = queued_in(s, number);
  if (!q)
    return;
  q->member = to ? to->name : std::string{};
  q->sent = q->sent || to;
  q->received = false;
  q->level = to ? std::min(q->message->level, level_of(to->options)) : q->message->level;
}

void move_all(state& s, const std::map<std::uint64_t, std::string>& moved) {
  for (const auto& [number, to] : moved)
    give(s, number, to.empty() ? nullptr : find_member(std::as_const(s), to));
}

/// What is kept has been sent to the connection that is over.
void note_sent(state& s) {
  for (auto& q : s.queue.all)
    q.sent = true;
}

void apply_on(state& s, const attached& e) {
  s.exists = true;
  s.deleted = false;
  s.organisation = e.as.organisation;
  s.name = e.as.name;
  ++s.epoch;
  if (e.fresh) {
    s.queue.all.clear();
    s.queue.bytes = 0;
  }
  for (const auto number : e.expired)
    take_away(s, number);
  if (e.ends)
    note_sent(s);
  s.members = {{"", e.as.session, 0, e.as.expiry, {}}};
  s.unreleased.clear();  // the connection has them now; with the node they are lost
  s.will = e.as.will;
  s.will_waits = false;
}
void apply_on(state& s, const joined& e) {
  s.exists = s.group = true;
  s.deleted = false;
  s.organisation = e.as.organisation;
  s.name = e.as.name;
  auto* m = find_member(s, e.as.member);
  if (!m)
    m = &s.members.emplace_back();
  *m = {e.as.member, e.as.session, e.as.options, e.as.expiry, {}};
  for (const auto number : e.given)
    give(s, number, m);
}
void apply_on(state& s, const left& e) {
  std::erase_if(s.members, [&](const member& m) { return m.name == e.member; });
  move_all(s, e.moved);
}
void apply_on(state& s, const filters_changed& e) {
  for (const auto& [filter, options] : e.changes)
    if (options)
      s.filters[filter] = *options;
    else
      s.filters.erase(filter);
}
void apply_on(state& s, const message_queued& e) {
  s.last_number = std::max(s.last_number, e.what.number);
  restore(s, e.what);
}
void apply_on(state& s, const settled& e) {
  for (const auto number : e.over)
    take_away(s, number);
  for (const auto number : e.received)
    if (auto* q = queued_in(s, number))
      q->received = true;
}
void apply_on(state& s, const detached& e) {
  if (auto* m = find_member(s, e.member)) {
    m->session = {};
    m->expiry = e.expiry.value_or(m->expiry);
    m->away_since = e.at;
  }
  if (!s.group) {
    note_sent(s);
    s.unreleased = e.unreleased;
    s.will_waits = e.keeps_will;
    if (!e.keeps_will)
      s.will.reset();
  }
  move_all(s, e.moved);
}
void apply_on(state& s, const client::will_due&) {
  s.will.reset();
  s.will_waits = false;
}
void apply_on(state& s, const ended&) {
  const auto epoch = s.epoch, last_number = s.last_number, revision = s.revision;
  auto name = std::move(s.name), organisation = std::move(s.organisation);
  s = {};
  s.deleted = true;
  s.epoch = epoch;
  s.last_number = last_number;
  s.revision = revision;
  s.name = std::move(name);
  s.organisation = std::move(organisation);
}

// ---- effects ------------------------------------------------------------------------------------

deliver delivery_of(const queued& q, const session_ref& to, std::optional<std::uint64_t> options,
                    bool again) {
  auto message = topic_delivery{.source = {},
                                .number = q.number,
                                .what = q.message,
                                .level = q.level,
                                .options = options,
                                .retained = q.retained,
                                .released = q.received};
  return {to, {{}, {}, std::move(message), again}};
}

using effect_list = std::vector<effect>;

void effects_on(effect_list& out, const state& s, const attached& e) {
  if (e.ends)
    out.emplace_back(close_session{*e.ends, "taken_over"});
  if (e.will_due)
    out.emplace_back(publish_message{s.organisation, *e.will_due});
  for (const auto& q : s.queue.all)
    out.emplace_back(delivery_of(q, e.as.session, {}, q.sent));
}
void effects_on(effect_list& out, const state& s, const joined& e) {
  for (const auto number : e.given)
    if (const auto* q = find_queued(s, number))
      out.emplace_back(delivery_of(*q, e.as.session, e.as.options, q->sent));
}
void moved_effects(effect_list& out, const state& s,
                   const std::map<std::uint64_t, std::string>& moved) {
  for (const auto& [number, to] : moved)
    if (const auto* m = to.empty() ? nullptr : find_member(s, to))
      if (const auto* q = find_queued(s, number))
        out.emplace_back(delivery_of(*q, m->session, m->options, true));
}
void effects_on(effect_list& out, const state& s, const left& e) {
  moved_effects(out, s, e.moved);
}
void effects_on(effect_list& out, const state& s, const filters_changed& e) {
  for (const auto& [filter, options] : e.changes) {
    if (!shared_of(filter))
      out.emplace_back(
          index_topic{s.organisation, filter, index_topic::entry::filter, options.has_value()});
    else if (!options)
      out.emplace_back(leave_group{s.organisation, filter, s.name});
  }
}
void effects_on(effect_list& out, const state& s, const message_queued& e) {
  const auto* m =
      s.group ? find_member(s, e.what.member) : (s.members.empty() ? nullptr : &s.members.front());
  if (e.what.sent && m && m->is_here())
    out.emplace_back(
        delivery_of(e.what, m->session, s.group ? std::optional{m->options} : std::nullopt, false));
}
void effects_on(effect_list&, const state&, const settled&) {}
void effects_on(effect_list& out, const state& s, const detached& e) {
  moved_effects(out, s, e.moved);
}
void effects_on(effect_list& out, const state& s, const client::will_due& e) {
  out.emplace_back(publish_message{s.organisation, e.message});
}
void effects_on(effect_list&, const state&, const ended&) {}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  const auto is_start =
      std::holds_alternative<attach>(c.what) || std::holds_alternative<join>(c.what);
  if (!s.exists && !is_start) {
    if (std::holds_alternative<offer>(c.what))
      return decision{{}, offered{}};
    if (std::holds_alternative<change_filters>(c.what) ||
        std::holds_alternative<read_client>(c.what))
      return refused(errc::not_found, "client_unknown", "no client of that name is known");
    return decision{{}, done{}};  // it is over already
  }
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state& s, const event& e) {
  auto out = effect_list{};
  std::visit([&](const auto& what) { effects_on(out, s, what); }, e);
  return out;
}

std::optional<timestamp> next_deadline(const state& s) {
  if (!s.exists)
    return std::nullopt;
  auto next = std::optional<timestamp>{};
  const auto consider = [&](timestamp at) {
    if (!next || at < *next)
      next = at;
  };
  for (const auto& m : s.members)
    if (runs_out(m))
      consider(end_of(m));
  if (s.will && s.will_waits && !s.members.empty())
    consider(will_time(s));
  return next;
}

const queued* find_queued(const state& s, std::uint64_t number) {
  const auto at = place_of(s.queue.all, number);
  return at < s.queue.all.size() && s.queue.all[at].number == number ? &s.queue.all[at] : nullptr;
}

void restore(state& s, queued what) {
  s.queue.bytes += size_of(what);
  s.last_number = std::max(s.last_number, what.number);
  s.queue.all.push_back(std::move(what));
}

}  // namespace orrery::model::client
