#include <algorithm>

#include "model/audit/audit.hpp"
#include "model/audit/chain.hpp"
#include "model/credentials.hpp"
#include "model/json.hpp"

namespace orrery::model::audit {
namespace {

constexpr std::size_t record_overhead = 128;  // key, hash and time
constexpr auto limits = json_limits{.max_bytes = 2 * max_entry_bytes, .max_depth = 60};

/// What was hashed can never be mended: so nothing is that a reader would stumble over.
status check_entry(const append_record& a) {
  const auto& entry = a.entry;
  if (entry.size() > max_entry_bytes)
    return failure{errc::too_large, "too_large",
                   "a record of the audit log has at most " + std::to_string(max_entry_bytes) +
                       " bytes, not " + std::to_string(entry.size())};
  const auto invalid = [](const std::string& what) {
    return failure{errc::invalid_argument, "audit_invalid",
                   "an entry is a JSON object with members: " + what};
  };
  if (entry.size() < 3 || entry.front() != '{' || entry.back() != '}')
    return invalid("it has no braces, or nothing between them");
  const auto read = parse_json(entry, limits);
  if (!read)
    return invalid(read.error().detail);
  if (!read->is_object() || read->as_object().empty())
    return invalid("it has none");
  auto log = std::string{};
  write_json_string(a.organisation, log);
  if (a.organisation.empty() || !parse_json(log, limits))
    return invalid("whose log it is for is not told in UTF-8");
  for (const auto* own : {"number", "log", "previous", "time"})
    if (read->find(own))
      return invalid(std::string{"the log itself gives it its "} + own);
  return {};
}

std::uint64_t size_of(const record& r) {
  return r.text.size() + record_overhead;
}

/// To whole days, so that what is due changes once a day and not with each record.
timestamp due_of(timestamp first, milliseconds retention) {
  return std::chrono::ceil<std::chrono::days>(first + retention);
}

/// Lets the oldest go that are too old or too many, some at a time.
status prune(const state& s, const surroundings& around, std::vector<event>& events) {
  const auto too_old = s.due && *s.due <= around.now;
  if (s.first >= s.next || (!too_old && s.bytes <= around.max_bytes))
    return {};
  auto left = pruned{s.first, s.first_time, s.anchor, s.bytes, s.due};
  for (std::size_t gone = 0; left.first < s.next; ++gone) {
    const auto oldest = around.records.find(left.first);
    if (!oldest)
      return oldest.error();
    if (!*oldest)
      break;  // on its way to the disk: the next time
    left.first_time = (*oldest)->time;
    const auto goes = (*oldest)->time + around.retention <= around.now ||
                      (left.bytes > around.max_bytes && left.first + 1 < s.next);
    if (gone == pruned_at_once || !goes)
      break;
    left.anchor = (*oldest)->hash;
    left.bytes -= std::min(left.bytes, size_of(**oldest));
    ++left.first;
  }
  if (left.first == s.next)
    left.due.reset();
  else if (left.first_time + around.retention <= around.now)
    left.due = around.now + std::chrono::seconds{1};  // there are more
  else
    left.due = due_of(left.first_time, around.retention);
  if (left.first != s.first || left.due != s.due)
    events.emplace_back(std::move(left));
  return {};
}

result<decision> decide_on(const state& s, const append_record& a, const surroundings& around) {
  if (auto ok = check_entry(a); !ok)
    return ok.error();
  if (a.again) {
    const auto there = around.records.has_request(a.request);
    if (!there)
      return there.error();
    if (*there)
      return decision{{}, noted{}};
  }
  // Never earlier than the one before: so the order of numbers is that of times.
  auto made = chained(s.next, a.organisation, s.next == 1 ? no_hash() : s.hash,
                      s.next == 1 ? around.now : std::max(s.time, around.now), a.entry);
  auto d = decision{{}, noted{made.number}};
  auto due = s.due;
  if (s.first == s.next)
    due = due_of(made.time, around.retention);
  d.events.emplace_back(appended{a.organisation, std::move(made), due});
  auto after = s;
  audit::apply(after, d.events.front());
  if (auto ok = prune(after, around, d.events); !ok)
    return ok.error();
  return d;
}

result<decision> decide_on(const state& s, const time_passed&, const surroundings& around) {
  auto d = decision{{}, noted{}};
  if (auto ok = prune(s, around, d.events); !ok)
    return ok.error();
  return d;
}

result<decision> decide_on(const state& s, const read_head&, const surroundings&) {
  return decision{{}, head_of(s)};
}

void apply_on(state& s, const appended& e) {
  s.exists = true;
  if (s.first == s.next)
    s.first_time = e.what.time;
  if (s.next == 1)
    s.anchor = no_hash();
  s.organisation = e.organisation;
  s.next = e.what.number + 1;
  s.hash = e.what.hash;
  s.time = e.what.time;
  s.bytes += size_of(e.what);
  s.due = e.due;
}

void apply_on(state& s, const pruned& e) {
  s.bytes = e.bytes;
  s.first = e.first;
  s.first_time = e.first_time;
  s.anchor = e.anchor;
  s.due = e.due;
}

}  // namespace

entity_id log_id_of(std::string_view organisation, std::uint16_t shard_count) {
  const auto digest = sha256_hex(std::string{"audit:"}.append(organisation));
  const auto number_of = [&](std::size_t at) {
    const auto digit = [&](std::size_t i) {
      return static_cast<unsigned>(digest[i] <= '9' ? digest[i] - '0' : digest[i] - 'a' + 10);
    };
    return digit(at) << 4 | digit(at + 1);
  };
  auto id = entity_id{};
  for (std::size_t i = 0; i < id.ulid.size(); ++i)
    id.ulid[i] = static_cast<std::uint8_t>(number_of(2 * i));
  id.shard = static_cast<shard_id>((number_of(40) << 16 | number_of(42) << 8 | number_of(44)) %
                                   shard_count);
  return id;
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

std::optional<timestamp> next_deadline(const state& s) {
  return s.due;
}

std::string request_of(std::string_view text) {
  const auto read = parse_json(text, {.max_bytes = 2 * max_entry_bytes, .max_depth = 64});
  const auto* found = read ? read->find("requestId") : nullptr;
  return found && found->is_string() ? found->as_string() : std::string{};
}

head head_of(const state& s) {
  return {s.organisation, s.next - 1, s.next == 1 ? std::string{no_hash()} : s.hash,
          s.time,         s.first,    s.next == 1 ? std::string{no_hash()} : s.anchor};
}

}  // namespace orrery::model::audit
