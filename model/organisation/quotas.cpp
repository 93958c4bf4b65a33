// How much of everything an organisation may have.
#include <algorithm>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

const std::vector<quota_item>& quota_items() {
  static const auto all = std::vector<quota_item>{
      {"devices", {}},  {"products", {}}, {"models", {}},
      {"users", 1000},  {"apps", 1000},   {"keys", 1000},
      {"roles", 100},   {"groups", 200},  {"configurations", max_configurations},
      {"fileBytes", {}}};
  return all;
}

status check_quota(const state& s, std::string_view item, std::uint64_t used) {
  const auto& items = quota_items();
  const auto known =
      std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.name == item; });
  auto most = known == items.end() ? std::optional<std::uint64_t>{} : known->most;
  if (const auto* set = s.find_quota(item); set && set->hard)
    most = most ? std::min(*most, *set->hard) : *set->hard;
  if (!most || used < *most)
    return {};
  return failure{
      errc::too_many_requests, "quota_exceeded",
      "the organisation may have " + std::to_string(*most) + " " + std::string{item} + ", no more"};
}

std::optional<std::uint64_t> used_of(const state& s, std::string_view item) {
  if (item == "users")
    return s.users.size();
  if (item == "apps")
    return s.applications.size();
  if (item == "keys")
    return s.keys.size();
  if (item == "roles")
    return s.roles.size();
  if (item == "groups")
    return s.groups.size();
  if (item == "configurations")
    return s.configurations.size();
  return std::nullopt;
}

}  // namespace orrery::model::organisation
