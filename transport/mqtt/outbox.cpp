#include "transport/mqtt/outbox.hpp"

#include <algorithm>
#include <utility>

namespace orrery::transport::mqtt {
namespace {

constexpr std::uint16_t first_command_id = 32'768;
constexpr std::size_t max_text_bytes = 65'535;  // 1.5.3, 1.5.4

}  // namespace

void outbox::open(protocol by, const properties& asked) {
  by_ = by;
  if (by != protocol::v5)
    return;
  max_packet_bytes_ = asked.maximum_packet_size.value_or(~std::uint32_t{0});
  window_ = asked.receive_maximum.value_or(65'535);
  max_aliases_ = std::min(asked.topic_alias_maximum.value_or(0), limits_.topic_aliases);
}

sending outbox::send(publish what, origin from, std::uint64_t key, model::timestamp now) {
  if (what.topic.size() > max_text_bytes)
    return {taken::too_large};  // the reply to a topic of almost that length
  if (what.with->topic_alias)
    what.with.edit().topic_alias.reset();
  if (what.level == qos::at_most_once)
    return {write(what) ? taken::yes : taken::too_large};
  if (open_of(from) >= limits_.max_queued || (what.packet_id != 0 && is_used(what.packet_id)))
    return {taken::queue_full};
  if (what.packet_id == 0)
    what.packet_id = free_id(from, key);
  const auto id = what.packet_id;
  const auto one = flight{id, from, what.level == qos::exactly_once, false, key};
  if (waiting_.empty() && flights_.size() < window_) {
    if (!write(what))
      return {taken::too_large};
    flights_.push_back(one);
  } else {
    auto bytes = std::string{};
    encode(what, bytes, protocol::v5);
    if (!fits(bytes.size()))
      return {taken::too_large};
    if (waiting_bytes_ + bytes.size() > limits_.max_queued_bytes)
      return {taken::queue_full};
    waiting_bytes_ += bytes.size();
    waiting_.push_back({std::move(bytes), now, one});
  }
  ++open_of(from);
  return {taken::yes, id};
}

bool outbox::release(std::uint16_t packet_id, std::uint64_t key) {
  if (is_used(packet_id))
    return false;
  flights_.push_back({packet_id, origin::general, true, true, key});
  ++open_of(origin::general);
  put(pubrel{packet_id});
  return true;
}

/// Writes a PUBLISH, a topic that comes again by its alias. False: it is too large for the client.
bool outbox::write(publish& p) {
  auto fresh = false;
  const auto topic = p.topic;
  if (max_aliases_ != 0) {
    if (!aliases_)
      aliases_ = std::make_unique<aliases>();
    auto& known = aliases_->known;
    if (const auto alias = known.find(topic); alias != known.end()) {
      p.with.edit().topic_alias = alias->second;
      p.topic = {};
    } else if (known.size() < max_aliases_ && repeats(topic)) {
      fresh = true;
      p.with.edit().topic_alias = static_cast<std::uint16_t>(known.size() + 1);
    }
  }
  if (put(p)) {
    if (fresh)
      aliases_->known.emplace(topic, *p.with->topic_alias);
    return true;
  }
  if (!fresh)
    return false;
  p.with.edit().topic_alias.reset();
  return put(p);
}

/// True if the topic was among the last ones. A hash that two topics share wastes an alias, no
/// more.
bool outbox::repeats(std::string_view topic) {
  auto& seen = aliases_->seen;
  const auto hash = std::hash<std::string_view>{}(topic);
  if (std::find(seen.begin(), seen.end(), hash) != seen.end())
    return true;
  seen[aliases_->next++ % seen.size()] = hash;
  return false;
}

std::vector<outbox::flight>::iterator outbox::find(std::uint16_t id) {
  return std::find_if(flights_.begin(), flights_.end(),
                      [id](const flight& f) { return f.packet_id == id; });
}

bool outbox::is_used(std::uint16_t id) const {
  return std::any_of(flights_.begin(), flights_.end(),
                     [id](const flight& f) { return f.packet_id == id; }) ||
         std::any_of(waiting_.begin(), waiting_.end(),
                     [id](const waiter& w) { return w.what.packet_id == id; });
}

std::uint16_t outbox::free_id(origin from, std::uint64_t number) {
  if (from != origin::command) {
    do
      last_id_ = last_id_ + 1 == first_command_id ? 1 : static_cast<std::uint16_t>(last_id_ + 1);
    while (is_used(last_id_));
    return last_id_;
  }
  auto id = static_cast<std::uint16_t>(first_command_id + number % first_command_id);
  while (is_used(id))  // one that was never acknowledged: rare, and any other id will do
    id = id == 65535 ? first_command_id : static_cast<std::uint16_t>(id + 1);
  return id;
}

news outbox::take(const puback& p, model::timestamp now) {
  const auto at = find(p.packet_id);
  if (at == flights_.end())
    return {};
  if (at->twice)
    return wrong_acknowledgement{};
  return finish(at, p.code, now);
}

news outbox::take(const pubrec& p, model::timestamp now) {
  const auto at = find(p.packet_id);
  if (at == flights_.end()) {
    if (by_ != protocol::v5)
      put(pubrel{p.packet_id});  // it waits for that (3.1.1, 4.3.3)
    else if (p.code < 0x80)
      put(pubrel{p.packet_id, 0x92});
    return {};
  }
  if (!at->twice)
    return wrong_acknowledgement{};
  if (p.code >= 0x80)
    return finish(at, p.code, now);
  const auto before = std::exchange(at->released, true);
  put(pubrel{p.packet_id});
  if (before || at->from != origin::general)
    return {};
  return received{at->key};
}

news outbox::take(const pubcomp& p, model::timestamp now) {
  const auto at = find(p.packet_id);
  if (at == flights_.end())
    return {};
  if (!at->released)
    return wrong_acknowledgement{};
  return finish(at, 0, now);
}

news outbox::finish(std::vector<flight>::iterator at, std::uint8_t code, model::timestamp now) {
  const auto over = *at;
  flights_.erase(at);
  --open_of(over.from);
  launch(now);
  switch (over.from) {
    case origin::reply:
      return {};
    case origin::command:
      return delivered{over.key};
    case origin::general:
      return completed{over.key, code};
  }
  return {};
}

/// Sends what may go now, in order.
void outbox::launch(model::timestamp now) {
  while (!waiting_.empty() && flights_.size() < window_) {
    auto first = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= first.bytes.size();
    const auto got = decode(first.bytes, first.bytes.size(), protocol::v5);
    auto p = std::get<publish>((*got)->what);
    auto in_time = true;
    if (const auto left = p.with->message_expiry) {
      const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - first.since);
      in_time = waited.count() < *left;
      if (in_time)
        p.with.edit().message_expiry = *left - static_cast<std::uint32_t>(waited.count());
    }
    if (in_time && write(p)) {
      flights_.push_back(first.what);
      continue;
    }
    --open_of(first.what.from);
    if (first.what.from == origin::general)
      dropped_.push_back({first.what.key, 0, true});
  }
}

std::optional<completed> outbox::take_dropped() {
  if (dropped_.empty())
    return std::nullopt;
  const auto one = dropped_.front();
  dropped_.pop_front();
  return one;
}

}  // namespace orrery::transport::mqtt
