#include "model/organisation/configurations.hpp"

#include <algorithm>
#include <set>

#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "model/organisation/deciding.hpp"
#include "model/organisation/groups.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_name = 64;            // characters
constexpr std::size_t max_description = 1'024;  // bytes
constexpr std::size_t max_label_key = 64, max_label_text = 200;

failure configuration_unknown(const std::string& id) {
  return {errc::not_found, "configuration_unknown", "no configuration " + id};
}

failure invalid(std::string detail) {
  return {errc::invalid_argument, "configuration_invalid", std::move(detail)};
}

std::size_t bytes_of(const object& o) {
  return to_json(value{o}).size();
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

status check_labels(const std::map<std::string, std::string>& labels) {
  if (labels.size() > max_labels)
    return invalid("a configuration has at most 16 labels");
  for (const auto& [key, text] : labels)
    if (!is_valid_key(key) || key.size() > max_label_key || text.size() > max_label_text)
      return invalid(
          "a label has 1 to 64 characters of A-Z a-z 0-9 . _ - and a text of at most 200 bytes");
  return {};
}

/// What it reaches: groups that are there.
status check_target(const state& s, const configuration& c) {
  const auto target = read_target(c.target);
  if (!target)
    return target.error();
  for (const auto& id : groups_named(*target))
    if (!s.find_group(id))
      return invalid("the target names the group " + id + ", which is not there");
  return {};
}

status check_configuration(const state& s, const configuration& c) {
  if (!is_valid_key(c.id))
    return invalid("a configuration's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (const auto length = characters_in(c.name); length == 0 || length > max_name)
    return invalid("a configuration's name has 1 to 64 characters");
  if (c.description.size() > max_description)
    return invalid("a description has at most 1,024 bytes");
  if (c.priority > max_priority)
    return invalid("a priority is 0 to 1,000");
  if (auto ok = check_labels(c.labels); !ok)
    return ok;
  auto together = std::size_t{0};
  for (const auto& other : s.configurations)
    if (other.id != c.id) {
      if (other.name == c.name)
        return failure{errc::already_exists, "configuration_exists",
                       "there is a configuration of the name " + c.name};
      together += bytes_of(other.desired);
    }
  if (auto ok = check_patch(c.desired); !ok)
    return ok;
  if (together + bytes_of(c.desired) > max_desired_together)
    return failure{errc::too_large, "configuration_invalid",
                   "all configurations together ask for at most 262,144 bytes"};
  return check_target(s, c);
}

/// Devices have to take it up again: else their versions would say that they have it.
bool is_the_same_for_devices(const configuration& a, const configuration& b) {
  return a.target == b.target && a.priority == b.priority && a.enabled == b.enabled &&
         a.desired == b.desired;
}

std::string pointer(const std::string& above, const std::string& name) {
  auto p = above + '/';
  for (const auto c : name)
    p += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return p;
}

void find_conflicts(const object& a, const object& b, const std::string& above, std::size_t most,
                    std::vector<std::string>& found) {
  for (const auto& own : a) {
    if (found.size() >= most)
      return;
    const auto other =
        std::find_if(b.begin(), b.end(), [&](const auto& m) { return m.first == own.first; });
    if (other == b.end())
      continue;
    const auto place = pointer(above, own.first);
    if (own.second.is_object() && other->second.is_object())
      find_conflicts(own.second.as_object(), other->second.as_object(), place, most, found);
    else if (!says_the_same(own.second, other->second))
      found.push_back(place);
  }
}

}  // namespace

result<filter::expression> read_target(std::string_view target) {
  auto read = read_rule(target);
  if (!read)
    return invalid("target: " + read.error().detail);
  auto late = std::string{};
  const auto look = [&](const auto& self, const filter::expression& e) -> void {
    // Whatever happens to a device changes it, and no event would say so.
    if (e.what == filter::expression::kind::one && e.test.field.front() == "updatedAt")
      late = filter::print(e.test.field);
    for (const auto& part : e.parts)
      self(self, part);
  };
  look(look, *read);
  if (!late.empty())
    return invalid("target: " + late + " decides about no configuration");
  return read;
}

status check_patch(const object& desired) {
  if (bytes_of(desired) > max_desired_bytes)
    return failure{errc::too_large, "configuration_invalid",
                   "a configuration asks for at most 8,192 bytes"};
  if (depth_of(value{desired}) > max_desired_depth)
    return invalid("desired: at most 8 containers inside each other");
  return {};
}

std::vector<const configuration*> in_order(const std::vector<configuration>& all) {
  auto some = std::vector<const configuration*>{};
  for (const auto& c : all)
    if (c.enabled)
      some.push_back(&c);
  std::stable_sort(some.begin(), some.end(),
                   [](const auto* a, const auto* b) { return a->priority < b->priority; });
  return some;
}

std::vector<std::string> conflicts(const object& a, const object& b, std::size_t most) {
  auto found = std::vector<std::string>{};
  find_conflicts(a, b, {}, most, found);
  return found;
}

result<decision> decide_on(const state& s, const command& c, const put_configuration& p,
                           const surroundings& around) {
  const auto* found = s.find_configuration(p.what.id);
  if (p.is_new && found)
    return refused(errc::already_exists, "configuration_exists",
                   "configuration " + p.what.id + " exists");
  if (!p.is_new && !found)
    return configuration_unknown(p.what.id);
  if (auto ok = found ? check_expected(c, found->revision) : check_room(s, "configurations"); !ok)
    return ok.error();
  if (auto ok = check_configuration(s, p.what); !ok)
    return ok.error();
  auto what = p.what;
  what.version = !found                                  ? 1
                 : is_the_same_for_devices(*found, what) ? found->version
                                                         : found->version + 1;
  what.updated_at = around.now;
  what.created_at = found ? found->created_at : around.now;
  what.actor = found ? found->actor : c.actor;
  return then(s, configuration_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const remove_configuration& r,
                           const surroundings& around) {
  const auto* found = s.find_configuration(r.id);
  if (!found)
    return configuration_unknown(r.id);
  if (auto ok = check_expected(c, found->revision); !ok)
    return ok.error();
  return then(s, configuration_removed{r.id}, around);
}

void apply_on(state& s, const configuration_set& e) {
  auto what = e.what;
  what.revision = s.revision + 1;
  put_into(s.configurations, what, &configuration::id);
}
void apply_on(state& s, const configuration_removed& e) {
  std::erase_if(s.configurations, [&](const configuration& c) { return c.id == e.id; });
}

}  // namespace orrery::model::organisation
