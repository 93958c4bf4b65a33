#include "model/organisation/groups.hpp"

#include <algorithm>

#include "model/organisation/deciding.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_description = 1'024;  // bytes
constexpr std::size_t max_rule_depth = 4;

failure group_unknown(const std::string& id) {
  return {errc::not_found, "group_unknown", "no group " + id};
}

failure bad_rule(std::string detail) {
  return {errc::invalid_argument, "group_rule_invalid", std::move(detail)};
}

template <class F>
void each_condition(const filter::expression& e, const F& f) {
  if (e.what == filter::expression::kind::one)
    f(e.test);
  for (const auto& part : e.parts)
    each_condition(part, f);
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

/// A rule names fixed groups alone: so it is read once, and never leads back to itself.
status check_rule(const state& s, const device_group& g) {
  const auto by_rule = g.what == device_group::kind::by_rule;
  if (by_rule && g.rule.empty())
    return bad_rule("a group by rule needs a rule: a filter of devices");
  if (!by_rule && !g.rule.empty())
    return bad_rule("devices are put into a group of that type: it has no rule");
  if (!by_rule)
    return {};
  const auto rule = read_rule(g.rule);
  if (!rule)
    return rule.error();
  for (const auto& id : groups_named(*rule)) {
    const auto* named = s.find_group(id);
    if (!named)
      return bad_rule("the rule names the group " + id + ", which is not there");
    if (named->what == device_group::kind::by_rule)
      return failure{errc::invalid_argument, "group_nested",
                     "the rule names the group " + id +
                         ", which has a rule itself: write its conditions into this one"};
  }
  return {};
}

status check_group(const state& s, const device_group& g) {
  const auto wrong = [](const char* detail) {
    return failure{errc::invalid_argument, "group_invalid", detail};
  };
  if (!is_valid_key(g.id))
    return wrong("a group's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (const auto length = characters_in(g.name); length == 0 || length > max_group_name)
    return wrong("a group's name has 1 to 64 characters");
  if (g.description.size() > max_description)
    return wrong("a description has at most 1,024 bytes");
  if (std::any_of(s.groups.begin(), s.groups.end(), [&](const device_group& other) {
        return other.id != g.id && other.name == g.name;
      }))
    return failure{errc::already_exists, "group_exists", "there is a group of the name " + g.name};
  return check_rule(s, g);
}

/// Who needs the group; "" if nobody does.
std::string user_of(const state& s, const std::string& id) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), id) != names.end();
  };
  for (const auto& r : s.roles)
    if (has(r.within.groups))
      return "the scope of the role " + r.name;
  for (const auto& g : s.groups)
    if (g.what == device_group::kind::by_rule)
      if (const auto rule = read_rule(g.rule); rule && has(groups_named(*rule)))
        return "the rule of the group " + g.id;
  for (const auto& c : s.configurations)
    if (const auto target = read_rule(c.target); target && has(groups_named(*target)))
      return "the target of the configuration " + c.id;
  return {};
}

}  // namespace

std::vector<std::string> groups_named(const filter::expression& e) {
  auto all = std::vector<std::string>{};
  each_condition(e, [&](const filter::condition& c) {
    if (c.field.size() == 1 && c.field.front() == group_field)
      for (const auto& v : c.values)
        if (const auto* id = std::get_if<std::string>(&v))
          all.push_back(*id);
  });
  return all;
}

std::vector<role> roles_reached_by(const state& s, const std::string& id, bool by_leaving) {
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  auto groups = std::vector<std::string>{};
  if (!by_leaving)
    groups.push_back(id);
  for (const auto& g : s.groups)
    if (g.what == device_group::kind::by_rule && g.id != id)
      if (const auto rule = read_rule(g.rule); rule && has(groups_named(*rule), id))
        groups.push_back(g.id);
  auto all = std::vector<role>{};
  for (const auto& r : s.roles)
    if (std::any_of(groups.begin(), groups.end(),
                    [&](const std::string& g) { return has(r.within.groups, g); }))
      all.push_back(r);
  return all;
}

result<filter::expression> read_rule(std::string_view rule) {
  auto limits = filter::expression_limits{};
  limits.max_bytes = max_group_rule;
  limits.max_conditions = max_rule_conditions;
  limits.max_depth = max_rule_depth;
  auto read = filter::parse(rule, limits);
  if (!read)
    return bad_rule(read.error().detail);
  auto late = std::string{}, circle = std::string{};
  each_condition(*read, [&](const filter::condition& c) {
    if (c.field.front() == "points" || c.field.front() == "lastDataAt")
      late = filter::print(c.field);
    if (c.field.front() == configuration_field)
      circle = filter::print(c.field);
  });
  if (!circle.empty())
    return bad_rule(circle + " decides about no group: groups decide about configurations");
  if (!late.empty())
    return bad_rule(late +
                    " decides about no group: telemetry is written later than what a device "
                    "is");
  return read;
}

result<decision> decide_on(const state& s, const command& c, const put_group& p,
                           const surroundings& around) {
  const auto* found = s.find_group(p.what.id);
  if (p.is_new && found)
    return refused(errc::already_exists, "group_exists", "group " + p.what.id + " exists");
  if (!p.is_new && !found)
    return group_unknown(p.what.id);
  if (auto ok = found ? check_expected(c, found->revision) : check_room(s, "groups"); !ok)
    return ok.error();
  auto what = p.what;
  if (found)
    what.what = found->what;
  if (auto ok = check_group(s, what); !ok)
    return ok.error();
  what.updated_at = around.now;
  what.created_at = found ? found->created_at : around.now;
  what.actor = found ? found->actor : c.actor;
  return then(s, group_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const remove_group& r,
                           const surroundings& around) {
  const auto* found = s.find_group(r.id);
  if (!found)
    return group_unknown(r.id);
  if (auto ok = check_expected(c, found->revision); !ok)
    return ok.error();
  if (const auto user = user_of(s, r.id); !user.empty())
    return refused(errc::conflict, "group_in_use", user + " names the group " + r.id);
  return then(s, group_removed{r.id}, around);
}

void apply_on(state& s, const group_set& e) {
  auto what = e.what;
  what.revision = s.revision + 1;
  put_into(s.groups, what, &device_group::id);
}
void apply_on(state& s, const group_removed& e) {
  std::erase_if(s.groups, [&](const device_group& g) { return g.id == e.id; });
}

}  // namespace orrery::model::organisation
