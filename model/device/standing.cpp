// Where a device stands in the eyes of people: the groups that it is in, the status that it is
// shown with, and that somebody ends its session.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::string_view name_of(status_override::status_code s) {
  switch (s) {
    case status_override::status_code::inactive:
      return "inactive";
    case status_override::status_code::online:
      return "online";
    case status_override::status_code::offline:
      return "offline";
  }
  return "inactive";
}

std::optional<timestamp> override_deadline(const state& s) {
  if (s.shown().empty())
    return std::nullopt;
  return s.shown().until;
}

result<decision> decide_on(const state& s, const change_groups& c, const surroundings& around) {
  auto groups = s.groups();
  for (const auto& id : c.add) {
    if (!is_valid_key(id))
      return refused(errc::invalid_argument, "group_invalid",
                     "a group's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
    if (!has(groups, id))
      groups.push_back(id);
  }
  std::erase_if(groups, [&](const std::string& id) { return has(c.remove, id); });
  if (groups.size() > max_groups)
    return refused(
        errc::conflict, "group_limit",
        label(s) + " would be in " + std::to_string(groups.size()) + " groups; the most are 32");
  std::sort(groups.begin(), groups.end());
  if (groups == s.groups())
    return decision{};
  return only(groups_changed{std::move(groups), around.now});
}

result<decision> decide_on(const state& s, const kick_device&, const surroundings& around) {
  if (!s.connection.online)
    return refused(errc::conflict, "not_connected", label(s) + " is not connected");
  return leave(s, "kicked", around.now);
}

result<decision> decide_on(const state& s, const override_status& o, const std::string& actor,
                           const surroundings& around) {
  if (o.until <= around.now || o.until > around.now + longest_override)
    return refused(errc::invalid_argument, "override_invalid",
                   label(s) + ": a status is shown until a time in the next 30 days");
  return only(status_overridden{{o.as, o.until, actor, around.now}});
}

result<decision> decide_on(const state& s, const end_override&, const surroundings& around) {
  if (s.shown().empty())
    return refused(errc::not_found, "override_unknown", label(s) + " is shown as it is");
  return only(override_ended{around.now});
}

}  // namespace orrery::model::device
