// The rules about groups of devices. For rules.cpp; what a rule names also for whoever reads one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/filter/expression.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

/// The field of a filter that asks for groups.
inline constexpr std::string_view group_field = "group";
/// The field that asks for configurations.
inline constexpr std::string_view configuration_field = "configuration";
/// The ids of groups that a filter names.
std::vector<std::string> groups_named(const filter::expression& e);
/// The rule of a group. Fails: `invalid_argument` "group_rule_invalid".
result<filter::expression> read_rule(std::string_view rule);

/// The roles whose scope names the group or one whose rule names it: who is in it decides whom they
/// reach. To be taken out of the group itself gives nobody anything (`by_leaving`).
std::vector<role> roles_reached_by(const state& s, const std::string& id, bool by_leaving = false);

result<decision> decide_on(const state&, const command&, const put_group&, const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_group&, const surroundings&);

void apply_on(state& s, const group_set& e);
void apply_on(state& s, const group_removed& e);

}  // namespace orrery::model::organisation
