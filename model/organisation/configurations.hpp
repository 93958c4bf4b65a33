// The rules about configurations of the fleet. For rules.cpp; their order also for whoever lays
// them on devices.
#pragma once

#include <vector>

#include "model/filter/expression.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

/// The target of a configuration: a rule that may name every sort of group. Fails:
/// `invalid_argument` "configuration_invalid".
result<filter::expression> read_target(std::string_view target);
/// Whether that can be asked for. Fails: `too_large` or `invalid_argument` "configuration_invalid".
status check_patch(const object& desired);
/// Those that are enabled, in the order in which they are laid: a later one wins.
std::vector<const configuration*> in_order(const std::vector<configuration>& all);

/// What two patches ask for otherwise, as JSON pointers, at most `most` of them: of equal priority
/// it is chance which one counts.
std::vector<std::string> conflicts(const object& a, const object& b, std::size_t most);

result<decision> decide_on(const state&, const command&, const put_configuration&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_configuration&,
                           const surroundings&);

void apply_on(state& s, const configuration_set& e);
void apply_on(state& s, const configuration_removed& e);

}  // namespace orrery::model::organisation
