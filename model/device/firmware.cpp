// What a device runs and what it is to install. A push is claimed by an event before it is sent, so
// that no attempt is sent twice; one that is lost then is ended by its deadline. Only a report of
// the version makes a success.
#include <charconv>
#include <cmath>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

using state_code = upgrade_task::state_code;
using reason_code = upgrade_task::reason_code;

constexpr auto heard_within = std::chrono::hours{24};       // of being told
constexpr auto rebooted_within = std::chrono::minutes{15};  // of reporting another version
constexpr auto least_timeout = milliseconds{std::chrono::seconds{300}};
constexpr auto longest_timeout = milliseconds{std::chrono::seconds{172'800}};
constexpr std::size_t max_job_bytes = 64, max_step_bytes = 64, max_note_bytes = 256;

const upgrade_task* task_of(const state& s, std::string_view job) {
  const auto& task = s.firmware().task;
  return task && task->job == job ? &*task : nullptr;
}

failure no_task(const state& s, std::string_view job) {
  return {errc::not_found, "task_unknown", label(s) + " has no task of job " + std::string{job}};
}

bool is_pushed(delivery d) {
  return d != delivery::pull;
}
bool is_asked_for(delivery d) {
  return d != delivery::push;
}

/// What a step says: how far it is, or why it went wrong.
struct progress_word {
  std::uint8_t percent = 0;
  reason_code wrong = reason_code::none;
};

result<progress_word> read_step(std::string_view text) {
  auto number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
    return progress_word{0, reason_code::unknown};
  if (number > 100)
    return failure{errc::invalid_argument, "format_error", "step: progress is at most 100"};
  if (number >= 0)
    return progress_word{static_cast<std::uint8_t>(number), reason_code::none};
  constexpr std::pair<double, reason_code> reasons[] = {{-2, reason_code::download},
                                                        {-3, reason_code::verify},
                                                        {-4, reason_code::write},
                                                        {-5, reason_code::declined}};
  for (const auto& [code, reason] : reasons)
    if (number == code)
      return progress_word{0, reason};
  return progress_word{0, reason_code::unknown};
}

}  // namespace

state outlook(const state& s, const std::vector<event>& events) {
  auto ahead = state{};
  ahead.connection = s.connection;
  ahead.commands = s.commands;
  ahead.timed_out = s.timed_out;
  ahead.downlinks = s.downlinks;
  ahead.family = s.family;
  for (const auto& e : events)
    device::apply(ahead, e);
  return ahead;
}

void publish_after(const state& s, timestamp now, std::vector<event>& events) {
  const auto ahead = outlook(s, events);
  const auto& task = ahead.firmware().task;
  if (ahead.connection.online && task && task->state == state_code::pending &&
      is_pushed(task->deliver))
    events.push_back(upgrade_published{next_downlink_id(ahead, now), now});
}

std::optional<timestamp> upgrade_deadline(const state& s) {
  const auto& task = s.firmware().task;
  if (!task)
    return std::nullopt;
  if (task->state == state_code::published)
    return task->published_at + heard_within;
  if (task->state != state_code::upgrading)
    return std::nullopt;
  const auto over = task->upgrading_at + task->timeout;
  return task->wrong_since == timestamp{} ? over
                                          : std::min(over, task->wrong_since + rebooted_within);
}

void end_late_upgrade(const state& s, timestamp now, std::vector<event>& events) {
  const auto deadline = upgrade_deadline(s);
  if (!deadline || *deadline > now)
    return;
  const auto& task = *s.firmware().task;
  const auto over = task.state == state_code::published || task.upgrading_at + task.timeout <= now;
  events.push_back(upgrade_ended{
      state_code::failed, over ? reason_code::timeout : reason_code::wrong_version, {}, {}, now});
}

result<decision> decide_on(const state& s, const offer_upgrade& o, const surroundings& around) {
  const auto& known = s.firmware();
  if (task_of(s, o.job))
    return decision{};  // it has it already
  if (o.job.empty() || o.job.size() > max_job_bytes)
    return refused(errc::invalid_argument, "job_unknown", "a job has an id of 1 to 64 characters");
  if (auto good = check(o.image); !good)
    return good.error();
  if (o.timeout < least_timeout || o.timeout > longest_timeout)
    return refused(errc::invalid_argument, "below_min", "an upgrade has 300 to 172800 seconds");
  if (known.version == o.image.version)
    return refused(errc::conflict, "version_current",
                   label(s) + " has version " + o.image.version + " already");
  if (known.version.empty() && !o.unknown_version)
    return refused(errc::conflict, "version_unknown",
                   label(s) + " has never reported which version it has");
  if (known.task && known.task->is_unfinished())
    return refused(errc::conflict, "upgrade_running",
                   label(s) + " has an unfinished task of job " + known.task->job);
  auto task = upgrade_task{};
  task.job = o.job;
  task.image = o.image;
  task.deliver = o.deliver;
  task.timeout = o.timeout;
  task.offered_at = around.now;
  auto d = only(upgrade_offered{std::move(task)});
  publish_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state& s, const cancel_upgrade& c, const surroundings& around) {
  const auto* task = task_of(s, c.job);
  if (!task)
    return no_task(s, c.job);
  if (task->state == state_code::cancelled)
    return decision{};
  if (task->state != state_code::pending && task->state != state_code::published)
    return refused(errc::conflict, "task_not_cancellable",
                   label(s) + " has begun, or has ended: it cannot be called off");
  return only(upgrade_ended{state_code::cancelled, reason_code::none, {}, {}, around.now});
}

result<decision> decide_on(const state& s, const retry_upgrade& r, const surroundings& around) {
  const auto* task = task_of(s, r.job);
  if (!task)
    return no_task(s, r.job);
  if (task->state != state_code::failed)
    return refused(errc::conflict, "task_not_failed", label(s) + ": its task has not failed");
  auto d = only(upgrade_retried{around.now});
  publish_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state& s, const report_version& r, const surroundings& around) {
  if (r.version.empty() || r.version.size() > max_version_bytes)
    return refused(errc::invalid_argument, "format_error", "a version is 1 to 64 characters");
  auto d = only(version_reported{r.version, s.firmware().version, around.now});
  const auto& task = s.firmware().task;
  const auto may_succeed = task && (task->is_unfinished() || task->state == state_code::failed);
  if (may_succeed && task->image.version == r.version)
    d.events.push_back(upgrade_ended{state_code::succeeded, reason_code::none, {}, {}, around.now});
  return d;
}

result<decision> decide_on(const state& s, const report_progress& r, const surroundings& around) {
  if (r.step.empty() || r.step.size() > max_step_bytes || r.note.size() > max_note_bytes)
    return refused(errc::invalid_argument, "format_error",
                   "a step is 1 to 64 characters, its description at most 256");
  const auto word = read_step(r.step);
  if (!word)
    return word.error();
  const auto& task = s.firmware().task;
  if (task && task->state == state_code::cancelled)
    return refused(errc::conflict, "job_not_running",
                   label(s) + ": its task of job " + task->job + " was cancelled");
  if (!task || !task->is_unfinished())
    return refused(errc::not_found, "task_unknown", label(s) + " has no unfinished task");
  if (word->wrong != reason_code::none)
    return only(upgrade_ended{state_code::failed, word->wrong, r.step, r.note, around.now});
  if (task->state == state_code::upgrading && task->step == r.step && task->note == r.note)
    return decision{};
  return only(upgrade_progressed{word->percent, r.step, r.note, around.now});
}

result<decision> decide_on(const state& s, const ask_upgrade&, const surroundings& around) {
  auto d = decision{{}, upgrades_offered{}};
  const auto& task = s.firmware().task;
  if (!task || !task->is_unfinished() || !is_asked_for(task->deliver))
    return d;
  d.answer = upgrades_offered{{task->image}};
  if (task->state == state_code::pending)
    d.events.push_back(upgrade_published{{}, around.now});
  return d;
}

result<decision> decide_on(const state& s, const read_firmware&, const surroundings&) {
  return decision{{}, firmware_status{s.name(), s.firmware()}};
}

}  // namespace orrery::model::device
