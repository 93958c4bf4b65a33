#include "transport/mqtt/engine.hpp"

#include <algorithm>

namespace orrery::transport::mqtt {

std::optional<action> engine::step(std::string_view& in, model::timestamp now) {
  while (!in.empty()) {
    auto got = decode(in, limits_.max_packet_bytes);
    if (!got)
      return over{got.error().code == model::errc::too_large ? "packet_too_large" : "malformed"};
    if (!*got)
      return std::nullopt;
    last_seen_ = now;
    const auto size = (*got)->size;
    auto todo = take((*got)->what, in, size);
    in.remove_prefix(size);
    if (todo)
      return todo;
  }
  return std::nullopt;
}

std::optional<action> engine::take(const packet& p, std::string_view&, std::size_t) {
  if (const auto* c = std::get_if<connect>(&p)) {
    if (connected_)
      return over{"second_connect"};
    connected_ = true;
    if (c->protocol_level != 3 && c->protocol_level != 4) {
      refuse(1);
      return over{"protocol_level"};
    }
    keep_alive_ = c->keep_alive;
    return login_wanted{*c};
  }
  if (!granted_)
    return over{"not_connected"};
  if (const auto* m = std::get_if<publish>(&p)) {
    if (m->level == qos::at_most_once)
      return message{*m, 0};
    if (m->level == qos::exactly_once && !received_.insert(m->packet_id).second) {
      // A repetition: it was taken already. If its PUBREC is still due it will come.
      const auto due = std::any_of(incoming_.begin(), incoming_.end(),
                                   [&](const incoming& i) { return i.packet_id == m->packet_id; });
      if (!due)
        encode(pubrec{m->packet_id}, out_);
      return std::nullopt;
    }
    incoming_.push_back({++tickets_, m->packet_id, m->level});
    return message{*m, tickets_};
  }
  if (const auto* rel = std::get_if<pubrel>(&p)) {
    received_.erase(rel->packet_id);
    encode(pubcomp{rel->packet_id}, out_);
    return std::nullopt;
  }
  if (const auto* ack = std::get_if<puback>(&p)) {
    sent_.erase(ack->packet_id);
    return std::nullopt;
  }
  if (const auto* s = std::get_if<subscribe>(&p)) {
    auto answer = suback{s->packet_id, {}};
    for (const auto& f : s->filters) {
      const auto known = filters_.find(f.text);
      if (known == filters_.end() && filters_.size() >= limits_.max_subscriptions) {
        answer.codes.push_back(0x80);
        continue;
      }
      const auto granted = std::min(f.level, qos::at_least_once);
      filters_.insert_or_assign(std::string{f.text}, granted);
      answer.codes.push_back(static_cast<std::uint8_t>(granted));
    }
    encode(answer, out_);
    return subscribed{};
  }
  if (const auto* u = std::get_if<unsubscribe>(&p)) {
    for (const auto f : u->filters)
      if (const auto known = filters_.find(f); known != filters_.end())
        filters_.erase(known);
    encode(unsuback{u->packet_id}, out_);
    return std::nullopt;
  }
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

void engine::grant(model::timestamp now) {
  granted_ = true;
  last_seen_ = now;
  encode(connack{false, 0}, out_);
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
    const auto& i = incoming_.front();
    if (i.level == qos::at_least_once)
      encode(puback{i.packet_id}, out_);
    else
      encode(pubrec{i.packet_id}, out_);
    incoming_.pop_front();
  }
}

bool engine::send(std::string_view topic, std::string_view payload, qos level) {
  auto p =
      publish{.topic = topic, .payload = payload, .level = std::min(level, qos::at_least_once)};
  if (p.level == qos::at_least_once) {
    if (sent_.size() >= limits_.max_queued)
      return false;
    do
      ++last_id_;
    while (last_id_ == 0 || sent_.contains(last_id_));
    sent_.insert(last_id_);
    p.packet_id = last_id_;
  }
  encode(p, out_);
  return true;
}

bool engine::listens_to(std::string_view topic) const {
  return std::any_of(filters_.begin(), filters_.end(),
                     [&](const auto& f) { return filter_matches(f.first, topic); });
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
