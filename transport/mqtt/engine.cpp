#include "transport/mqtt/engine.hpp"

#include <algorithm>

namespace orrery::transport::mqtt {
namespace {

constexpr std::uint16_t first_command_id = 32'768;
// Who has not proved himself makes nobody keep a large packet for him.
constexpr std::size_t max_connect_bytes = 32 * 1024;
constexpr std::size_t max_text_bytes = 65'535;  // 1.5.3
constexpr std::size_t max_filter_bytes = 1024;  // no topic of a device is nearly that long

}  // namespace

std::optional<action> engine::step(std::string_view& in, model::timestamp now) {
  while (!in.empty()) {
    auto got = decode(in, connected_ ? limits_.max_packet_bytes
                                     : std::min(limits_.max_packet_bytes, max_connect_bytes));
    if (!got)
      return over{got.error().code == model::errc::too_large ? "packet_too_large"
                                                             : got.error().reason};
    if (!*got)
      return std::nullopt;
    last_seen_ = now;
    const auto size = (*got)->size;
    auto todo = take((*got)->what);
    in.remove_prefix(size);
    if (todo)
      return todo;
  }
  return std::nullopt;
}

std::optional<action> engine::take(const packet& p) {
  if (const auto* c = std::get_if<connect>(&p)) {
    if (connected_)
      return over{"second_connect"};
    connected_ = true;
    if (c->protocol_level != 3 && c->protocol_level != 4) {
      refuse(1);
      return over{"protocol_level"};
    }
    keep_alive_ = c->keep_alive;
    keeps_session_ = !c->clean_session;
    return login_wanted{*c};
  }
  if (!granted_)
    return over{"not_connected"};
  if (const auto* m = std::get_if<publish>(&p))
    return take_publish(*m);
  if (const auto* ack = std::get_if<puback>(&p))
    return take_puback(ack->packet_id);
  if (const auto* rel = std::get_if<pubrel>(&p)) {
    received_.erase(rel->packet_id);
    encode(pubcomp{rel->packet_id}, out_);
    return std::nullopt;
  }
  if (const auto* s = std::get_if<subscribe>(&p))
    return take_subscribe(*s);
  if (const auto* u = std::get_if<unsubscribe>(&p))
    return take_unsubscribe(*u);
  if (std::holds_alternative<pingreq>(p)) {
    encode(pingresp{}, out_);
    return std::nullopt;
  }
  if (std::holds_alternative<disconnect>(p))
    return over{"client"};
  if (std::holds_alternative<pubrec>(p) || std::holds_alternative<pubcomp>(p))
    return std::nullopt;  // nothing is sent with QoS 2
  return over{"unexpected_packet"};
}

std::optional<action> engine::take_publish(const publish& m) {
  if (m.level == qos::at_most_once)
    return message{m, 0};
  if (m.level == qos::exactly_once && !received_.insert(m.packet_id).second) {
    // A repetition: it was taken already. If its PUBREC is still due it will come.
    const auto due = std::any_of(incoming_.begin(), incoming_.end(), [&](const incoming& i) {
      return i.packet_id == m.packet_id && std::holds_alternative<pubrec>(i.answer);
    });
    if (!due)
      encode(pubrec{m.packet_id}, out_);
    return std::nullopt;
  }
  incoming_.push_back(
      {++tickets_, m.packet_id,
       m.level == qos::at_least_once ? packet{puback{m.packet_id}} : packet{pubrec{m.packet_id}}});
  return message{m, tickets_};
}

std::optional<action> engine::take_puback(std::uint16_t id) {
  if (id < first_command_id) {
    if (const auto reply = std::find(replies_.begin(), replies_.end(), id); reply != replies_.end())
      replies_.erase(reply);
    return std::nullopt;
  }
  const auto command = commands_.find(id);
  if (command == commands_.end())
    return std::nullopt;
  const auto number = command->second;
  commands_.erase(command);
  return delivered{number};
}

subscribed engine::take_subscribe(const subscribe& s) {
  auto answer = suback{s.packet_id, {}};
  auto made = subscribed{};
  for (const auto& f : s.filters) {
    const auto known = filters_.find(f.text);
    if (f.text.size() > max_filter_bytes ||
        (known == filters_.end() && filters_.size() >= limits_.max_subscriptions)) {
      answer.codes.push_back(0x80);
      continue;
    }
    const auto granted = std::min(f.level, qos::at_least_once);
    filters_.insert_or_assign(std::string{f.text}, granted);
    answer.codes.push_back(static_cast<std::uint8_t>(granted));
    made.changes[std::string{f.text}] = static_cast<std::uint8_t>(granted);
  }
  acknowledge(std::move(answer), made);
  return made;
}

subscribed engine::take_unsubscribe(const unsubscribe& u) {
  auto made = subscribed{};
  for (const auto f : u.filters)
    if (const auto known = filters_.find(f); known != filters_.end()) {
      filters_.erase(known);
      made.changes[std::string{f}] = std::nullopt;
    }
  acknowledge(unsuback{u.packet_id}, made);
  return made;
}

/// At once, or in its turn when a kept session's change is durable.
void engine::acknowledge(packet answer, subscribed& changes) {
  if (!keeps_session_ || changes.changes.empty())
    return encode(answer, out_);
  changes.ticket = ++tickets_;
  incoming_.push_back({tickets_, 0, std::move(answer)});
}

void engine::grant(model::timestamp now,
                   std::optional<std::map<std::string, std::uint8_t>> resumed) {
  granted_ = true;
  last_seen_ = now;
  encode(connack{resumed.has_value(), 0}, out_);
  if (resumed)
    for (auto& [filter, level] : *resumed)
      filters_.insert_or_assign(filter, static_cast<qos>(level));
}

void engine::refuse(std::uint8_t code) {
  encode(connack{false, code}, out_);
}

void engine::settle(std::uint64_t ticket) {
  if (incoming_.empty() || ticket < incoming_.front().ticket)
    return;
  // Tickets rise by one: a ticket's place follows from the first one's.
  const auto place = ticket - incoming_.front().ticket;
  if (place >= incoming_.size())
    return;
  incoming_[place].settled = true;
  flush_settled();
}

void engine::flush_settled() {
  while (!incoming_.empty() && incoming_.front().settled) {
    encode(incoming_.front().answer, out_);
    incoming_.pop_front();
  }
}

bool engine::send(std::string_view topic, std::string_view payload, qos level) {
  if (topic.size() > max_text_bytes)
    return false;  // the reply to a topic of almost that length
  auto p =
      publish{.topic = topic, .payload = payload, .level = std::min(level, qos::at_least_once)};
  if (p.level == qos::at_least_once) {
    if (replies_.size() >= limits_.max_queued)
      return false;
    do
      last_id_ = last_id_ + 1 == first_command_id ? 1 : static_cast<std::uint16_t>(last_id_ + 1);
    while (std::find(replies_.begin(), replies_.end(), last_id_) != replies_.end());
    replies_.push_back(last_id_);
    p.packet_id = last_id_;
  }
  encode(p, out_);
  return true;
}

std::optional<qos> engine::send_command(std::string_view topic, std::string_view payload,
                                        std::uint64_t number, bool again) {
  if (granted_for(topic) == qos::at_most_once) {
    encode(publish{.topic = topic, .payload = payload}, out_);
    return qos::at_most_once;
  }
  if (commands_.size() >= limits_.max_queued)
    return std::nullopt;
  auto id = static_cast<std::uint16_t>(first_command_id + number % first_command_id);
  while (commands_.contains(id))  // one that was never acknowledged: rare, and any other id will do
    id = id == 65535 ? first_command_id : static_cast<std::uint16_t>(id + 1);
  commands_.emplace(id, number);
  encode(publish{.topic = topic,
                 .payload = payload,
                 .level = qos::at_least_once,
                 .dup = again,
                 .packet_id = id},
         out_);
  return qos::at_least_once;
}

/// The highest QoS of the filters that match; nothing: none does.
std::optional<qos> engine::granted_for(std::string_view topic) const {
  auto highest = std::optional<qos>{};
  for (const auto& [filter, level] : filters_)
    if ((!highest || level > *highest) && filter_matches(filter, topic))
      highest = level;
  return highest;
}

bool engine::listens_to_commands() const {
  return std::any_of(filters_.begin(), filters_.end(), [](const auto& f) {
    return f.first.find("/thing/service/") != std::string::npos && !f.first.ends_with("_reply");
  });
}

std::optional<over> engine::tick(model::timestamp now) const {
  if (granted_ && keep_alive_ != 0 &&
      now - last_seen_ > std::chrono::milliseconds{1500} * keep_alive_)
    return over{"keep_alive"};
  return std::nullopt;
}

}  // namespace orrery::transport::mqtt
