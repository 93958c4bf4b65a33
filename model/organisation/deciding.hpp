// What the rules of an organisation share: refusals, and a decision with the state that follows.
// For rules.cpp and people.cpp.
#pragma once

#include <utility>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

inline result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
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
