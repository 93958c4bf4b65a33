// What the rules of an organisation share: refusals, and a decision with the state that follows.
// For rules.cpp, people.cpp, providers.cpp and groups.cpp.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

inline result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

inline status check_expected(const command& c, std::uint64_t revision) {
  if (c.expected_revision && *c.expected_revision != revision)
    return failure{errc::conflict, "etag_mismatch", "it has changed meanwhile"};
  return {};
}

/// Whether one more of what the organisation counts itself may come.
inline status check_room(const state& s, std::string_view item) {
  return check_quota(s, item, used_of(s, item).value_or(0));
}

template <class T>
void put_into(std::vector<T>& all, const T& what, std::string T::*id) {
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const T& other) { return other.*id == what.*id; });
  if (at == all.end())
    all.push_back(what);
  else
    *at = what;
}

inline decision then(const state& s, std::vector<event> events, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  for (const auto& e : events)
    organisation::apply(*after, e);
  return {std::move(events), organisation_snapshot{around.self, std::move(after)}};
}
inline decision then(const state& s, event e, const surroundings& around) {
  auto events = std::vector<event>{};
  events.push_back(std::move(e));
  return then(s, std::move(events), around);
}

}  // namespace orrery::model::organisation
