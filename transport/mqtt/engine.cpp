#include "transport/mqtt/engine.hpp"

#include <algorithm>

#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

// Who has not proved himself makes nobody keep a large packet for him.
constexpr std::size_t max_connect_bytes = 32 * 1024;
constexpr std::size_t max_filter_bytes = 1024;  // no topic of a device is nearly that long

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

std::optional<action> action_of(news n) {
  return std::visit(overloaded{[](std::monostate) -> std::optional<action> { return std::nullopt; },
                               [](wrong_acknowledgement) -> std::optional<action> {
                                 return over{"protocol_error"};
                               },
                               [](auto&& known) -> std::optional<action> { return action{known}; }},
                    n);
}

}  // namespace

std::uint64_t subscription::packed() const {
  return static_cast<std::uint64_t>(level) | (no_local ? 4u : 0u) |
         (retain_as_published ? 8u : 0u) | static_cast<std::uint64_t>(retain_handling) << 4 |
         static_cast<std::uint64_t>(id) << 8;
}

subscription subscription::unpacked(std::uint64_t bits) {
  return {.level = static_cast<qos>(std::min<std::uint64_t>(bits & 3, 2)),
          .no_local = (bits & 4) != 0,
          .retain_as_published = (bits & 8) != 0,
          .retain_handling = static_cast<std::uint8_t>(bits >> 4 & 3),
          .id = static_cast<std::uint32_t>(bits >> 8)};
}

std::optional<action> engine::step(std::string_view& in, model::timestamp now) {
  if (const auto dropped = outbox_.take_dropped())
    return *dropped;
  while (!in.empty()) {
    auto got = decode(in,
                      connected_ ? limits_.max_packet_bytes
                                 : std::min(limits_.max_packet_bytes, max_connect_bytes),
                      version());
    if (!got) {
      const auto too_large = got.error().code == model::errc::too_large;
      if (!connected_) {
        const auto five = names_version_5(in);
        if (too_large && !five)
          return std::nullopt;  // its version decides whether it is told
        if (five.value_or(false))
          outbox_.open(protocol::v5, {});
      }
      return over{too_large ? "packet_too_large" : got.error().reason};
    }
    if (!*got)
      return std::nullopt;
    last_seen_ = now;
    const auto size = (*got)->size;
    auto todo = take((*got)->what, now);
    in.remove_prefix(size);
    if (todo)
      return todo;
    if (const auto dropped = outbox_.take_dropped())
      return *dropped;
  }
  return std::nullopt;
}

std::optional<action> engine::take(const packet& p, model::timestamp now) {
  if (const auto* c = std::get_if<connect>(&p))
    return take_connect(*c);
  if (!granted_)
    return over{"not_connected"};
  if (const auto* m = std::get_if<publish>(&p))
    return take_publish(*m);
  if (const auto* ack = std::get_if<puback>(&p))
    return action_of(outbox_.take(*ack, now));
  if (const auto* rec = std::get_if<pubrec>(&p))
    return action_of(outbox_.take(*rec, now));
  if (const auto* comp = std::get_if<pubcomp>(&p))
    return action_of(outbox_.take(*comp, now));
  if (const auto* rel = std::get_if<pubrel>(&p))
    return take_pubrel(*rel);
  if (const auto* s = std::get_if<subscribe>(&p))
    return take_subscribe(*s);
  if (const auto* u = std::get_if<unsubscribe>(&p))
    return take_unsubscribe(*u);
  if (std::holds_alternative<pingreq>(p)) {
    outbox_.put(pingresp{});
    return std::nullopt;
  }
  if (const auto* d = std::get_if<disconnect>(&p))
    return take_disconnect(*d);
  return over{"unexpected_packet"};
}

std::optional<action> engine::take_connect(const connect& c) {
  if (connected_)
    return over{"second_connect"};
  connected_ = true;
  const auto level = c.protocol_level;
  if (level < 3 || level > 5) {
    refuse(1);
    return over{"protocol_level"};
  }
  outbox_.open(static_cast<protocol>(level), *c.with);
  keep_alive_ = c.keep_alive;
  if (!is_five()) {
    keeps_session_ = !c.clean_session;
    return login_wanted{c, keeps_session_, keeps_session_};
  }
  tells_problems_ = c.with->request_problems.value_or(1) == 1;
  wants_response_info_ = c.with->request_response_info.value_or(0) == 1;
  keeps_session_ = c.with->session_expiry.value_or(0) > 0;
  if (c.with->auth_method) {
    refuse(0x8c, "auth_method_unknown");
    return over{"auth_method_unknown"};
  }
  if (c.last_will && c.last_will->retain && !limits_.retain) {
    refuse(0x9a, "retain_not_supported");
    return over{"retain_not_supported"};
  }
  if (c.last_will && c.last_will->level > limits_.max_published) {
    refuse(0x9b, "qos_not_supported");
    return over{"qos_not_supported"};
  }
  return login_wanted{c, !c.clean_session, keeps_session_};
}

std::optional<action> engine::take_publish(const publish& m) {
  auto taken = message{m, 0};
  if (is_five())
    if (auto wrong = resolve(taken.packet))
      return *wrong;
  if (m.level == qos::at_most_once)
    return taken;
  if (m.level == qos::exactly_once && !received_.insert(m.packet_id).second) {
    // A repetition: it was taken already. If its PUBREC is still due it will come.
    const auto due = std::any_of(incoming_.begin(), incoming_.end(), [&](const incoming& i) {
      return i.packet_id == m.packet_id && i.twice;
    });
    if (!due)
      outbox_.put(pubrec{m.packet_id});
    return std::nullopt;
  }
  if (++publishes_ > limits_.receive_maximum && is_five())
    return over{"receive_maximum_exceeded"};
  taken.ticket = ++tickets_;
  incoming_.push_back({tickets_, m.packet_id, m.level == qos::exactly_once});
  return taken;
}

/// What version 5 adds to a PUBLISH of a client: topic aliases (3.3.2.3.4), and what it may not
/// have.
std::optional<over> engine::resolve(publish& m) {
  if (!m.with->subscription_ids.empty())
    return over{"protocol_error"};
  if (m.retain && !limits_.retain)
    return over{"retain_not_supported"};
  if (m.level > limits_.max_published)
    return over{"qos_not_supported"};
  if (!m.with->topic_alias)
    return std::nullopt;
  const auto alias = *m.with->topic_alias;
  if (alias > limits_.topic_aliases)
    return over{"topic_alias_invalid"};
  if (!m.topic.empty()) {
    if (aliases_.size() < alias)
      aliases_.resize(alias);
    aliases_[alias - 1] = m.topic;
    return std::nullopt;
  }
  if (aliases_.size() < alias || aliases_[alias - 1].empty())
    return over{"protocol_error"};
  m.topic = aliases_[alias - 1];
  return std::nullopt;
}

std::optional<over> engine::take_pubrel(const pubrel& rel) {
  const auto known = received_.erase(rel.packet_id) != 0;
  if (known)
    --publishes_;
  outbox_.put(pubcomp{rel.packet_id, static_cast<std::uint8_t>(known || !is_five() ? 0 : 0x92)});
  return std::nullopt;
}

over engine::take_disconnect(const disconnect& d) {
  const auto expiry = d.with->session_expiry;
  if (expiry.value_or(0) > 0 && !keeps_session_)
    return over{"protocol_error"};  // 3.14.2.2.2
  return {"client", d.code != 0, expiry};
}

subscribed engine::take_subscribe(const subscribe& s) {
  auto answer = suback{s.packet_id, {}, {}};
  auto made = subscribed{};
  const auto id = s.with->subscription_ids.empty() ? 0 : s.with->subscription_ids.front();
  for (const auto& f : s.filters)
    answer.codes.push_back(add_filter(f, id, made));
  acknowledge(answer, made);
  return made;
}

std::uint8_t engine::add_filter(const filter& f, std::uint32_t id, subscribed& made) {
  const auto known = filters_.find(f.text);
  const auto is_new = known == filters_.end();
  if (is_five() && !limits_.shared_subscriptions && !judge_ && shared_of(f.text))
    return 0x9e;
  if (f.text.size() > max_filter_bytes || (is_new && filters_.size() >= limits_.max_subscriptions))
    return is_five() ? 0x97 : 0x80;
  const auto most = judge_ ? (*judge_)(f.text, f.level)
                           : static_cast<std::uint8_t>(std::min(f.level, limits_.max_granted));
  if (most >= 0x80)
    return is_five() ? most : 0x80;
  const auto one = subscription{.level = static_cast<qos>(most),
                                .no_local = f.no_local,
                                .retain_as_published = f.retain_as_published,
                                .retain_handling = f.retain_handling,
                                .id = id};
  if (!is_new && known->second.id != 0)
    --numbered_filters_;
  numbered_filters_ += id != 0 ? 1 : 0;
  auto text = std::string{f.text};
  left_.erase(text);
  if (f.retain_handling == 0 || (f.retain_handling == 1 && is_new))
    if (!shared_of(text))
      made.wants_retained.push_back(text);
  filters_.insert_or_assign(text, one);
  made.changes[std::move(text)] = one.packed();
  return static_cast<std::uint8_t>(one.level);
}

subscribed engine::take_unsubscribe(const unsubscribe& u) {
  auto answer = unsuback{u.packet_id, {}, {}};
  auto made = subscribed{};
  for (const auto f : u.filters) {
    if (f.ends_with("_reply") && is_topic_name(f) && f.size() <= max_filter_bytes &&
        left_.size() < limits_.max_subscriptions)
      left_.emplace(f);
    const auto known = filters_.find(f);
    answer.codes.push_back(known == filters_.end() ? 0x11 : 0);
    if (known == filters_.end())
      continue;
    numbered_filters_ -= known->second.id != 0 ? 1 : 0;
    filters_.erase(known);
    made.changes[std::string{f}] = std::nullopt;
  }
  acknowledge(answer, made);
  return made;
}

/// At once, or in its turn when a kept session's change is durable.
void engine::acknowledge(const packet& answer, subscribed& changes) {
  if ((!keeps_session_ && !judge_) || changes.changes.empty()) {
    outbox_.put(answer);
    return;
  }
  changes.ticket = ++tickets_;
  auto bytes = std::string{};
  encode(answer, bytes, version());
  incoming_.push_back({tickets_, 0, false, false, 0, std::move(bytes)});
}

void engine::grant(model::timestamp now, std::optional<kept_session> resumed, const terms& told) {
  granted_ = answered_ = true;
  last_seen_ = now;
  auto c = connack{resumed.has_value(), 0, {}};
  if (is_five()) {
    auto& with = c.with.edit();
    with.session_expiry = told.session_expiry;
    with.receive_maximum = limits_.receive_maximum;
    with.maximum_packet_size = static_cast<std::uint32_t>(limits_.max_packet_bytes);
    with.topic_alias_maximum = limits_.topic_aliases;
    with.server_keep_alive = told.keep_alive;
    if (limits_.max_published != qos::exactly_once)
      with.maximum_qos = static_cast<std::uint8_t>(limits_.max_published);
    if (!limits_.retain)
      with.retain_available = 0;
    if (!limits_.shared_subscriptions && !judge_)
      with.shared_available = 0;
    if (!told.assigned_client_id.empty())
      with.assigned_client_id = told.assigned_client_id;
    if (wants_response_info_ && !told.response_info.empty())
      with.response_info = told.response_info;
    keep_alive_ = told.keep_alive.value_or(keep_alive_);
  }
  cannot_tell_ = !outbox_.put(c);
  if (!resumed)
    return;
  for (auto& [filter, bits] : resumed->filters) {
    const auto one = subscription::unpacked(bits);
    numbered_filters_ += one.id != 0 ? 1 : 0;
    filters_.insert_or_assign(filter, one);
  }
  received_ = std::move(resumed->received);
  publishes_ = received_.size();
}

void engine::refuse(std::uint8_t code, std::string_view why, std::string_view server_reference) {
  answered_ = true;
  auto c = connack{false, code, {}};
  tell(c.with, why);
  if (!server_reference.empty())
    c.with.edit().server_reference = server_reference;
  if (!outbox_.put(c))
    outbox_.put(connack{false, code, {}});
}

void engine::end(std::string_view reason, std::string_view server_reference) {
  if (std::exchange(ended_, true) || !is_five() || reason == "client" || reason == "socket")
    return;
  const auto code = disconnect_code(reason);
  if (cannot_tell_)
    return;  // nothing may come before its CONNACK (3.14)
  if (granted_) {
    auto d = disconnect{code, {}};
    tell(d.with, reason);
    if (!server_reference.empty())
      d.with.edit().server_reference = server_reference;
    if (!outbox_.put(d))
      outbox_.put(disconnect{code, {}});
  } else if (!answered_) {
    const auto client_fault = code == 0x81 || code == 0x82 || code == 0x95;
    tells_problems_ = tells_problems_ || !connected_;
    refuse(client_fault ? code : 0x88, reason);
  }
}

/// A text for persons, if the client wants it.
void engine::tell(shared_properties& with, std::string_view why) const {
  if (is_five() && tells_problems_ && !why.empty())
    with.edit().reason = why;
}

void engine::settle(std::uint64_t ticket, std::uint8_t code, std::string_view why) {
  if (incoming_.empty() || ticket < incoming_.front().ticket)
    return;
  // Tickets rise by one: a ticket's place follows from the first one's.
  const auto place = ticket - incoming_.front().ticket;
  if (place >= incoming_.size())
    return;
  auto& one = incoming_[place];
  if (one.packet_id != 0 && !one.settled) {
    one.code = is_five() ? code : std::uint8_t{0};
    one.answer = taken_answer(one.packet_id, one.twice, one.code, why);
  }
  one.settled = true;
  flush_settled();
}

std::string engine::taken_answer(std::uint16_t id, bool twice, std::uint8_t code,
                                 std::string_view why) {
  auto with = shared_properties{};
  tell(with, why);
  auto bytes = std::string{};
  if (twice)
    encode(pubrec{id, code, std::move(with)}, bytes, version());
  else
    encode(puback{id, code, std::move(with)}, bytes, version());
  if (!outbox_.fits(bytes.size()) && !why.empty())
    return taken_answer(id, twice, code, {});
  return bytes;
}

void engine::flush_settled() {
  while (!incoming_.empty() && incoming_.front().settled) {
    auto& first = incoming_.front();
    if (outbox_.fits(first.answer.size()))
      outbox_.out() += first.answer;
    if (first.packet_id != 0 && (!first.twice || first.code >= 0x80)) {
      --publishes_;  // PUBREC with a refusal ends the flow too (4.3.3)
      if (first.twice)
        received_.erase(first.packet_id);
    }
    incoming_.pop_front();
  }
}

bool engine::publishes_once() const {
  return std::any_of(incoming_.begin(), incoming_.end(),
                     [](const incoming& i) { return i.twice && !i.settled; });
}

std::set<std::uint16_t> engine::unreleased() const {
  auto all = received_;
  for (const auto& i : incoming_)
    if (i.twice && (!i.settled || i.code >= 0x80))
      all.erase(i.packet_id);
  return all;
}

/// A message of the server's own, with the identifiers of the subscriptions that it is for.
bool engine::put(publish p, origin from, std::uint64_t number) {
  if (is_five() && numbered_filters_ > 0)
    if (const auto w = wants(p.topic))
      p.with.edit().subscription_ids = w->ids;
  return static_cast<bool>(outbox_.send(std::move(p), from, number, last_seen_));
}

bool engine::send(std::string_view topic, std::string_view payload, qos level) {
  return put({.topic = topic, .payload = payload, .level = std::min(level, qos::at_least_once)},
             origin::reply, 0);
}

std::optional<qos> engine::send_command(std::string_view topic, std::string_view payload,
                                        std::uint64_t number, bool again) {
  if (granted_for(topic) == qos::at_most_once) {
    put({.topic = topic, .payload = payload}, origin::command, number);
    return qos::at_most_once;
  }
  const auto sent =
      put({.topic = topic, .payload = payload, .level = qos::at_least_once, .dup = again},
          origin::command, number);
  return sent ? std::optional{qos::at_least_once} : std::nullopt;
}

sending engine::send(publish what, std::uint64_t key, model::timestamp now) {
  if (is_five() && numbered_filters_ > 0 && what.with->subscription_ids.empty())
    if (const auto w = wants(what.topic))
      what.with.edit().subscription_ids = w->ids;
  return outbox_.send(std::move(what), origin::general, key, now);
}

std::optional<engine::wanted> engine::wants(std::string_view topic, bool of_itself) const {
  auto found = std::optional<wanted>{};
  for (const auto& [filter, how] : filters_) {
    if ((of_itself && how.no_local) || !filter_matches(filter, topic))
      continue;
    if (!found)
      found.emplace();
    found->level = std::max(found->level, how.level);
    found->retain_as_published = found->retain_as_published || how.retain_as_published;
    if (how.id != 0)
      found->ids.push_back(how.id);
  }
  return found;
}

/// The highest QoS of the filters that match; nothing: none does.
std::optional<qos> engine::granted_for(std::string_view topic) const {
  auto highest = std::optional<qos>{};
  for (const auto& [filter, how] : filters_)
    if ((!highest || how.level > *highest) && filter_matches(filter, topic))
      highest = how.level;
  return highest;
}

bool engine::has_left(std::string_view topic) const {
  return left_.contains(topic) && !listens_to(topic);
}

bool engine::listens_to_commands() const {
  return std::any_of(filters_.begin(), filters_.end(), [](const auto& f) {
    return f.first.find("/thing/service/") != std::string::npos && !f.first.ends_with("_reply");
  });
}

std::optional<over> engine::tick(model::timestamp now) const {
  if (cannot_tell_)
    return over{"packet_too_large"};
  if (granted_ && keep_alive_ != 0 &&
      now - last_seen_ > std::chrono::milliseconds{1500} * keep_alive_)
    return over{"keep_alive"};
  return std::nullopt;
}

}  // namespace orrery::transport::mqtt
