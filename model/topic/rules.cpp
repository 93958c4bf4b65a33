#include "model/topic/topic.hpp"

namespace orrery::model::topic {
namespace {

result<decision> decide_on(const state& s, const retain& r, const surroundings&) {
  auto d = decision{{}, done{}};
  if (!r.message)
    return failure{errc::invalid_argument, "message_missing", "there is no message to retain"};
  if (!r.message->payload.empty())
    d.events.emplace_back(retained{r.organisation, r.message});
  else if (s.exists)
    d.events.emplace_back(cleared{});
  return d;
}

result<decision> decide_on(const state& s, const time_passed&, const surroundings& around) {
  auto d = decision{{}, done{}};
  if (s.exists && s.message->is_over(around.now))
    d.events.emplace_back(cleared{true});
  return d;
}

result<decision> decide_on(const state& s, const read_retained&, const surroundings& around) {
  auto found = retained_messages{};
  if (s.exists && !s.message->is_over(around.now))
    found.messages.push_back(s.message);
  return decision{{}, std::move(found)};
}

void apply_on(state& s, const retained& e) {
  s.exists = true;
  s.deleted = false;
  s.organisation = e.organisation;
  s.name = e.message->topic;
  s.message = e.message;
}
void apply_on(state& s, const cleared&) {
  s.exists = false;
  s.deleted = true;
  s.message = nullptr;
}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state& s, const event& e) {
  return {index_topic{s.organisation, s.name, index_topic::entry::retained,
                      std::holds_alternative<retained>(e)}};
}

std::optional<timestamp> next_deadline(const state& s) {
  if (!s.exists || !s.message->expiry)
    return std::nullopt;
  return s.message->sent + std::chrono::seconds{*s.message->expiry};
}

}  // namespace orrery::model::topic
