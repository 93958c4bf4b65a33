#include <algorithm>

#include "model/ledger/ledger.hpp"
#include "model/topic_message.hpp"

namespace orrery::model::ledger {
namespace {

bool is_counted(const state& s, timestamp now) {
  return s.counting_stamp != 0 && now < s.counting_since + longest_count;
}

result<decision> decide_on(const state& s, const reserve& r, const surroundings& around) {
  if (r.wanted == 0)
    return decision{{}, room{0, s.used, is_counted(s, around.now) ? 0 : s.counts}};
  if (s.stamp == 0 || s.stamp != r.stamp) {
    if (is_counted(s, around.now))
      return failure{errc::unavailable, "quota_counting",
                     "the devices of the organisation are being counted; ask again"};
    return decision{{}, count_first{}};
  }
  const auto left = !r.hard ? r.wanted : *r.hard > s.used ? *r.hard - s.used : 0;
  if (left == 0) {
    if (s.counted_at + least_between_counts <= around.now && !is_counted(s, around.now))
      return decision{{}, count_first{}};
    return failure{errc::too_many_requests, "quota_exceeded",
                   "the organisation may have " + std::to_string(*r.hard) + " devices, and has " +
                       std::to_string(s.used)};
  }
  const auto given = std::min(left, r.wanted);
  return decision{{reserved{around.now, given}}, room{given, s.used + given, s.counts}};
}

result<decision> decide_on(const state& s, const release& r, const surroundings&) {
  auto d = decision{{}, done{}};
  if (s.stamp != 0 && r.count == s.counts && r.devices != 0 && s.used != 0)
    d.events.emplace_back(released{std::min(r.devices, s.used)});
  return d;
}

result<decision> decide_on(const state& s, const begin_count& b, const surroundings& around) {
  if (is_counted(s, around.now))
    return failure{errc::unavailable, "quota_counting",
                   "the devices of the organisation are being counted; ask again"};
  const auto number = s.counts + 1;
  return decision{{count_begun{b.organisation, b.stamp, number, around.now}}, counting{number}};
}

result<decision> decide_on(const state& s, const end_count& e, const surroundings& around) {
  if (!is_counted(s, around.now) || e.number != s.counts)
    return failure{errc::conflict, "state_conflict", "that count is over, or another was begun"};
  auto used = e.devices;
  for (const auto& r : s.recent)
    if (r.at + longest_registration >= s.counting_since)
      used += r.devices;
  if (s.stamp == s.counting_stamp)
    used = std::max(e.devices, std::min(used, s.used));
  return decision{{count_ended{used, around.now}}, done{}};
}

result<decision> decide_on(const state& s, const abandon_count& a, const surroundings&) {
  auto d = decision{{}, done{}};
  if (s.counting_stamp != 0 && a.number == s.counts)
    d.events.emplace_back(count_abandoned{});
  return d;
}

void apply_on(state& s, const reserved& e) {
  s.used += e.devices;
  if (!is_counted(s, e.at))
    s.counting_stamp = 0;  // nobody will end it any more
  const auto from = (s.counting_stamp != 0 ? s.counting_since : e.at) - longest_registration;
  std::erase_if(s.recent, [&](const auto& r) { return r.at < from; });
  // By second, with the later time: so a minute of them is short.
  if (!s.recent.empty() && std::chrono::floor<std::chrono::seconds>(s.recent.back().at) ==
                               std::chrono::floor<std::chrono::seconds>(e.at)) {
    s.recent.back().devices += e.devices;
    s.recent.back().at = std::max(s.recent.back().at, e.at);
  } else {
    s.recent.push_back(e);
  }
}

void apply_on(state& s, const released& e) {
  s.used -= std::min(s.used, e.devices);
}

void apply_on(state& s, const count_begun& e) {
  s.exists = true;
  s.organisation = e.organisation;
  s.counts = e.number;
  s.counting_stamp = e.stamp;
  s.counting_since = e.at;
}

void apply_on(state& s, const count_ended& e) {
  s.used = e.used;
  s.stamp = s.counting_stamp;
  s.counted_at = e.at;
  s.counting_stamp = 0;
}

void apply_on(state& s, const count_abandoned&) {
  s.counting_stamp = 0;
}

}  // namespace

entity_id ledger_id_of(std::string_view organisation, std::uint16_t shard_count) {
  return topic_id_of(organisation, "quota:devices", shard_count);
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::ledger
