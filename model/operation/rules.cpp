#include <algorithm>
#include <array>

#include "model/operation/operation.hpp"

namespace orrery::model::operation {
namespace {

constexpr std::string_view kinds[] = {"deviceImport", "deviceBulk", "deviceExport",
                                      "deviceProvision"};
constexpr std::string_view states[] = {"receiving", "queued", "running",
                                       "succeeded", "failed", "cancelled"};

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

decision then(const state& s, std::vector<event> events, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  for (const auto& e : events)
    operation::apply(*after, e);
  return {std::move(events), operation_snapshot{around.self, std::move(after)}};
}
decision then(const state& s, event e, const surroundings& around) {
  auto events = std::vector<event>{};
  events.push_back(std::move(e));
  return then(s, std::move(events), around);
}
decision as_it_is(const state& s, const surroundings& around) {
  return then(s, std::vector<event>{}, around);
}

ended cancelled_at(timestamp now) {
  return {state_code::cancelled, "", "", now};
}

/// Fails unless that attempt is the one that works on it. One whose lease is over may go on as long
/// as no other one has begun.
status check_attempt(const state& s, std::uint32_t attempt) {
  if ((s.phase == state_code::running || s.phase == state_code::queued) && attempt > 0 &&
      s.attempt == attempt)
    return {};
  return failure{errc::conflict, "operation_taken",
                 "attempt " + std::to_string(attempt) + " does not work on it (any more)"};
}

result<decision> decide_on(const state& s, const create_operation& c, const std::string& actor,
                           const surroundings& around) {
  if (s.exists || s.deleted)
    return refused(errc::already_exists, "operation_exists", "there is such an operation");
  if (c.request.size() > max_request_bytes)
    return refused(errc::too_large, "too_large", "what an operation is to do has at most 512 KiB");
  if (around.open >= c.max_open)
    return refused(errc::too_many_requests, "too_many_operations",
                   std::to_string(around.open) +
                       " operations of the organisation are not over yet: wait, or cancel one");
  return then(s, created{c, actor, around.now}, around);
}

result<decision> decide_on(const state& s, const add_input& a, const std::string&,
                           const surroundings& around) {
  if (s.phase != state_code::receiving)
    return refused(errc::conflict, "operation_submitted", "its input is complete");
  if (a.number < s.input_pieces)
    return as_it_is(s, around);  // it came before, and the answer was lost
  if (a.number > s.input_pieces || s.input_bytes != a.number * input_piece_bytes)
    return refused(errc::invalid_argument, "input_out_of_order",
                   "piece " + std::to_string(a.number) + " does not follow what is there");
  if (a.bytes.empty() || a.bytes.size() > input_piece_bytes)
    return refused(errc::invalid_argument, "too_large", "a piece of input has 1 to 65,536 bytes");
  return then(s, input_added{a.number, a.bytes.size(), around.now, a.bytes}, around);
}

result<decision> decide_on(const state& s, const submit_operation&, const std::string&,
                           const surroundings& around) {
  if (s.phase != state_code::receiving)
    return as_it_is(s, around);
  return then(s, submitted{around.now}, around);
}

result<decision> decide_on(const state& s, const take_operation&, const std::string&,
                           const surroundings& around) {
  if (s.phase == state_code::running && around.now < s.due)
    return refused(errc::conflict, "operation_taken", "somebody works on it");
  if (s.phase != state_code::queued && s.phase != state_code::running)
    return refused(errc::conflict, "operation_over", "there is nothing to do");
  if (s.cancel_wanted)
    return then(s, cancelled_at(around.now), around);
  if (s.idle_attempts >= max_idle_attempts)
    return then(s,
                ended{state_code::failed, "operation_stuck",
                      "it was begun " + std::to_string(s.idle_attempts) +
                          " times and got nowhere; the log of the nodes says why",
                      around.now},
                around);
  return then(s, taken{around.now}, around);
}

result<decision> decide_on(const state& s, const advance& a, const std::string&,
                           const surroundings& around) {
  if (auto ok = check_attempt(s, a.attempt); !ok)
    return ok.error();
  if (a.from != s.position)
    return a.position == s.position
               ? result<decision>{as_it_is(s, around)}  // it came before, and the answer was lost
               : refused(errc::conflict, "operation_taken", "it has come to another place");
  if (a.result.size() > max_result_piece_bytes)
    return refused(errc::too_large, "too_large", "a piece of a result has at most 1 MiB");
  return then(
      s, advanced{a.position, a.more, a.total, a.result.size(), a.lets_go, around.now, a.result},
      around);
}

result<decision> decide_on(const state& s, const finish_operation& f, const std::string&,
                           const surroundings& around) {
  if (auto ok = check_attempt(s, f.attempt); !ok)
    return ok.error();
  const auto how = !f.reason.empty() ? state_code::failed
                   : s.cancel_wanted ? state_code::cancelled
                                     : state_code::succeeded;
  return then(s, ended{how, f.reason, f.detail, around.now}, around);
}

result<decision> decide_on(const state& s, const cancel_operation&, const std::string&,
                           const surroundings& around) {
  if (is_over(s.phase))
    return refused(errc::conflict, "operation_over",
                   "it is over: " + std::string{name_of(s.phase)});
  if (s.phase == state_code::receiving)
    return then(s, removed{around.now}, around);
  if (s.phase == state_code::queued)
    return then(s, cancelled_at(around.now), around);
  if (s.cancel_wanted)
    return as_it_is(s, around);
  return then(s, cancel_asked{around.now}, around);
}

result<decision> decide_on(const state& s, const show_secrets&, const std::string&,
                           const surroundings& around) {
  if (!is_over(s.phase))
    return refused(errc::conflict, "operation_not_over", "it is not over yet");
  if (!s.wants_secrets)
    return refused(errc::conflict, "secrets_not_kept",
                   "secrets were not asked for when it began, so none were kept");
  if (s.secrets_shown_at && around.now > *s.secrets_shown_at + secrets_patience)
    return refused(errc::conflict, "secrets_shown", "its secrets have been shown");
  if (s.secrets_shown_at)
    return as_it_is(s, around);
  return then(s, secrets_shown{around.now}, around);
}

result<decision> decide_on(const state& s, const time_passed&, const std::string&,
                           const surroundings& around) {
  const auto due = operation::next_deadline(s);
  if (!due || around.now < *due)
    return decision{{}, done{}};
  if (s.phase == state_code::receiving || is_over(s.phase))
    return then(s, removed{around.now}, around);
  if (s.cancel_wanted)  // whoever was to see it is gone
    return then(s, cancelled_at(around.now), around);
  return then(s, offered{around.now}, around);
}

result<decision> decide_on(const state& s, const remove_operation&, const std::string&,
                           const surroundings& around) {
  if (!is_over(s.phase))
    return refused(errc::conflict, "operation_not_over", "it is not over yet: cancel it first");
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const read_operation&, const std::string&,
                           const surroundings& around) {
  return as_it_is(s, around);
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.organisation = e.as.organisation;
  s.request = e.as.request;
  s.actor = e.actor;
  s.kind = e.as.kind;
  s.products = e.as.products;
  s.phase = e.as.receives ? state_code::receiving : state_code::queued;
  s.total = e.as.total;
  s.form = e.as.form;
  s.wants_secrets = e.as.wants_secrets;
  s.seed = e.as.seed;
  s.retention = e.as.retention;
  s.created_at = s.updated_at = e.at;
  s.due = e.at + (e.as.receives ? input_patience : offer_interval);
}
void apply_on(state& s, const input_added& e) {
  ++s.input_pieces;
  s.input_bytes += e.size;
  s.updated_at = e.at;
  s.due = e.at + input_patience;
}
void apply_on(state& s, const submitted& e) {
  s.phase = state_code::queued;
  s.updated_at = e.at;
  s.due = e.at + offer_interval;
}
void apply_on(state& s, const offered& e) {
  s.due = e.at + offer_interval;
  if (s.phase == state_code::running)
    s.phase = state_code::queued;  // whoever worked on it is gone
}
void apply_on(state& s, const taken& e) {
  s.phase = state_code::running;
  ++s.attempt;
  ++s.idle_attempts;
  if (s.started_at == timestamp{})
    s.started_at = e.at;
  s.updated_at = e.at;
  s.due = e.at + lease;
}
void apply_on(state& s, const advanced& e) {
  const auto goes_on = e.position != s.position;
  s.position = e.position;
  s.counts.ok += e.more.ok;
  s.counts.failed += e.more.failed;
  s.counts.skipped += e.more.skipped;
  if (e.total)
    s.total = e.total;
  if (e.result_size > 0) {
    ++s.result_pieces;
    s.result_bytes += e.result_size;
  }
  s.updated_at = e.at;
  s.phase = state_code::running;
  s.due = e.at + lease;
  if (goes_on)
    s.idle_attempts = 0;
  if (e.lets_go) {
    s.phase = state_code::queued;
    s.due = e.at;
  }
}
void apply_on(state& s, const cancel_asked& e) {
  s.cancel_wanted = true;
  s.updated_at = e.at;
}
void apply_on(state& s, const ended& e) {
  s.phase = e.how;
  s.reason = e.reason;
  s.detail = e.detail;
  s.ended_at = s.updated_at = e.at;
  if (!s.wants_secrets)
    s.seed = {};
}
void apply_on(state& s, const secrets_shown& e) {
  s.secrets_shown_at = e.at;
}
void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}

}  // namespace

std::string_view name_of(work_kind k) {
  return kinds[static_cast<std::size_t>(k)];
}
std::string_view name_of(state_code s) {
  return states[static_cast<std::size_t>(s)];
}
std::optional<work_kind> parse_work_kind(std::string_view name) {
  const auto* at = std::find(std::begin(kinds), std::end(kinds), name);
  if (at == std::end(kinds))
    return std::nullopt;
  return static_cast<work_kind>(at - std::begin(kinds));
}
std::optional<state_code> parse_state(std::string_view name) {
  const auto* at = std::find(std::begin(states), std::end(states), name);
  if (at == std::end(states))
    return std::nullopt;
  return static_cast<state_code>(at - std::begin(states));
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  const auto hidden = s.exists && !c.organisation.empty() && c.organisation != s.organisation;
  if (hidden || (!s.exists && !std::holds_alternative<create_operation>(c.what)))
    return refused(errc::not_found, "operation_unknown", "no such operation");
  return std::visit([&](const auto& what) { return decide_on(s, what, c.actor, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state& s, const event& e) {
  const auto waits = s.phase == state_code::queued &&
                     (std::holds_alternative<created>(e) || std::holds_alternative<submitted>(e) ||
                      std::holds_alternative<offered>(e));
  auto all = std::vector<effect>{};
  if (waits)
    all.emplace_back(run_operation{});
  return all;
}

std::optional<timestamp> next_deadline(const state& s) {
  if (!s.exists)
    return std::nullopt;
  return is_over(s.phase) ? s.ended_at + s.retention : s.due;
}

std::string secret_of(std::string_view seed, const device_name& name) {
  auto text = std::string{seed};
  text += '\n' + name.product_key + '\n' + name.device_key;
  return sha256_hex(text).substr(0, 32);
}

std::string seed_owner(const entity_id& id) {
  return "operation:" + to_string(id);
}

entity_id row_id(const entity_id& operation, timestamp created_at, shard_id shard,
                 std::uint64_t index) {
  const auto hex = sha256_hex(to_string(operation) + '\n' + std::to_string(index));
  const auto digit = [&](std::size_t at) {
    return hex[at] <= '9' ? hex[at] - '0' : hex[at] - 'a' + 10;
  };
  auto entropy = std::array<std::uint8_t, 10>{};
  for (std::size_t i = 0; i < entropy.size(); ++i)
    entropy[i] = static_cast<std::uint8_t>(digit(2 * i) << 4 | digit(2 * i + 1));
  return make_entity_id(shard, created_at, entropy);
}

}  // namespace orrery::model::operation
