// A device that goes over to another organisation: what it is and what it has measured goes with
// it, and nothing else of the organisation that it was in.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

/// What others of its organisation have to do with it has to be ended by them.
status stands_alone(const state& s) {
  const auto in_use = [&](const char* why) {
    return failure{errc::conflict, "device_in_use", label(s) + ' ' + why};
  };
  if (!s.gateway().empty())
    return in_use("is a sub-device: unbind it first");
  if (!s.sub_devices().empty())
    return in_use("has sub-devices: unbind them first");
  return {};
}

}  // namespace

result<decision> decide_on(const state& s, const emigrate_device& e, const surroundings& around) {
  if (auto ok = stands_alone(s); !ok)
    return ok.error();
  // As another thing would take its place: nothing of what it proved itself by goes on.
  auto to = e.to;
  to.replaces = true;
  auto d = decide_on(s, to, around);
  if (!d || d->events.empty())
    return d;
  std::erase_if(d->events,
                [](const event& one) { return std::holds_alternative<command_finished>(one); });
  auto before = std::vector<event>{};
  for (const auto& c : *s.commands)
    before.push_back(finish(c, command_record::state_code::cancelled, around.now,
                            "the device went to another organisation"));
  if (const auto& task = s.firmware().task; task && task->is_unfinished())
    before.push_back(upgrade_ended{
        upgrade_task::state_code::cancelled, upgrade_task::reason_code::none, {}, {}, around.now});
  if (!s.groups().empty())
    before.push_back(groups_changed{{}, around.now});
  if (!s.shown().empty())
    before.push_back(override_ended{around.now});
  d->events.insert(d->events.begin(), std::make_move_iterator(before.begin()),
                   std::make_move_iterator(before.end()));
  d->events.back() =
      emigrated{std::get<renamed>(std::move(d->events.back())), e.organisation, s.organisation()};
  return d;
}

}  // namespace orrery::model::device
