#include "model/thing_model.hpp"

#include <algorithm>

#include "model/json.hpp"

namespace orrery::model {
namespace {

constexpr std::size_t max_problems = 50;

template <class Positions, class List>
auto* find_in(const Positions& at, const List& list, std::string_view id) {
  const auto found = at.find(id);
  return found == at.end() ? nullptr : &list[found->second];
}

void note(std::vector<problem>& problems, problem p) {
  if (problems.size() < max_problems)
    problems.push_back(std::move(p));
  else if (problems.size() == max_problems)
    problems.push_back({"", "more", "and more of the kind"});
}

void note_all(std::vector<problem>& problems, const failure& f) {
  for (const auto& p : f.problems)
    note(problems, p);
}

failure refused(std::vector<problem> problems) {
  auto text = problems.front().where + ": " + problems.front().detail;
  return {errc::invalid_argument, "model_validate_failed", std::move(text), std::move(problems)};
}

bool is_out_of_range(std::string_view code) {
  return code == "below_min" || code == "above_max" || code == "not_on_step" ||
         code == "too_long" || code == "too_short" || code == "pattern" || code == "array_size";
}

/// Posted as {value, quality}: by the model, not by shape, for a struct is an object too.
struct unwrapped {
  const value* v;
  std::int8_t quality = -1;
};

bool is_wrapper(const point_spec* spec, const value& posted) {
  if (!posted.is_object() || !posted.find("value"))
    return false;
  const auto& members = posted.as_object();
  if (members.size() > 2 || (members.size() == 2 && !posted.find("quality")))
    return false;
  if (spec && spec->type.type == data_type::structure)
    return spec->has_quality && std::none_of(spec->type.fields.begin(), spec->type.fields.end(),
                                             [](const auto& f) { return f.id == "value"; });
  return true;
}

/// 0 to 9, also as 7.0 and "7": clients write it in all these ways.
std::optional<std::int8_t> read_quality(const value& q) {
  constexpr auto most = 9;
  if (q.is_string()) {
    const auto& text = q.as_string();
    if (text.size() != 1 || text[0] < '0' || text[0] > '9')
      return std::nullopt;
    return static_cast<std::int8_t>(text[0] - '0');
  }
  if (!q.is_number())
    return std::nullopt;
  for (auto i = 0; i <= most; ++i)
    if (q.as_double() == i)
      return static_cast<std::int8_t>(i);
  return std::nullopt;
}

/// Checks the parameters of a service or event.
result<object> check_parameters(const std::vector<parameter_spec>& specs, const object& given,
                                bool drop_bad, bool fill_defaults) {
  auto problems = std::vector<problem>{};
  auto out = object{};
  for (const auto& [id, v] : given)
    if (std::none_of(specs.begin(), specs.end(),
                     [&, name = std::string_view{id}](const auto& s) { return s.id == name; }))
      note(problems, {id, "element_unknown", "no such parameter"});
  for (const auto& spec : specs) {
    const auto found =
        std::find_if(given.begin(), given.end(), [&](const auto& m) { return m.first == spec.id; });
    if (found == given.end() || found->second.is_null()) {
      if (fill_defaults && spec.default_value)
        out.emplace_back(spec.id, *spec.default_value);
      else if (fill_defaults && spec.required)
        note(problems, {spec.id, "required_missing", "the parameter is required"});
      continue;
    }
    auto checked = check_value(spec.type, found->second, validation::strict, spec.id);
    if (checked)
      out.emplace_back(spec.id, std::move(*checked));
    else
      note_all(problems, checked.error());
  }
  if (!problems.empty() && !drop_bad)
    return refused(std::move(problems));
  return out;
}

}  // namespace

const point_spec* thing_model::find_point(std::string_view id) const {
  return find_in(point_at_, points_, id);
}
const attribute_spec* thing_model::find_attribute(std::string_view id) const {
  return find_in(attribute_at_, attributes_, id);
}
const service_spec* thing_model::find_service(std::string_view id) const {
  return find_in(service_at_, services_, id);
}
const event_spec* thing_model::find_event(std::string_view id) const {
  return find_in(event_at_, events_, id);
}

result<checked_points> thing_model::check_points(std::vector<posted_point> posted,
                                                 validation mode) const {
  auto out = checked_points{};
  out.taken.reserve(posted.size());
  for (auto& p : posted) {
    const auto* spec = find_point(p.id);
    if (!spec && mode != validation::off) {
      note(out.dropped, {p.id, "element_unknown", "the model " + id_ + " has no such point"});
      continue;
    }
    auto content = p.posted;
    auto quality = std::int8_t{-1};
    if (is_wrapper(spec, p.posted)) {
      const auto* q = p.posted.find("quality");
      content = *p.posted.find("value");
      if (q && !q->is_null()) {
        if (mode == validation::strict && spec && !spec->has_quality) {
          note(out.dropped, {p.id, "quality_not_supported", "the point has no quality"});
          continue;
        }
        const auto read = read_quality(*q);
        if (!read) {
          note(out.dropped, {p.id, "type_mismatch",
                             "a quality is a whole number from 0 to 9, got " + to_json(*q)});
          continue;
        }
        quality = *read;
      } else if (mode == validation::strict && spec && !spec->has_quality) {
        note(out.dropped, {p.id, "quality_not_supported", "the point has no quality"});
        continue;
      }
    }
    if (mode == validation::off) {
      if (!content.is_null())
        out.taken.push_back({std::move(p.id), std::move(content), quality});
      continue;
    }
    auto checked = check_value(spec->type, content, mode, p.id);
    if (checked) {
      if (!(*checked == content))
        ++out.coerced;
      out.taken.push_back({std::move(p.id), std::move(*checked), quality});
      continue;
    }
    constexpr std::int8_t out_of_range = 5;
    if (mode == validation::mark && is_out_of_range(checked.error().reason))
      out.taken.push_back({std::move(p.id), std::move(content), out_of_range});
    note_all(out.dropped, checked.error());
  }
  if (mode == validation::strict && !out.dropped.empty())
    return refused(std::move(out.dropped));
  return out;
}

result<object> thing_model::check_attributes(const object& posted, side writer) const {
  using access = attribute_spec::access_mode;
  auto problems = std::vector<problem>{};
  auto out = object{};
  for (const auto& [id, v] : posted) {
    const auto* spec = find_attribute(id);
    if (!spec) {
      note(problems, {id, "element_unknown", "the model " + id_ + " has no such attribute"});
      continue;
    }
    const auto allowed = writer == side::registration || spec->access == access::read_write ||
                         (writer == side::cloud && spec->access == access::cloud) ||
                         (writer == side::device && spec->access == access::device);
    if (!allowed) {
      note(problems, {id, "access_denied",
                      writer == side::device ? "a device may not write this attribute"
                                             : "only the device writes this attribute"});
      continue;
    }
    if (v.is_null()) {
      out.emplace_back(id, v);
      continue;
    }
    auto checked = check_value(spec->type, v, validation::strict, id);
    if (checked)
      out.emplace_back(id, std::move(*checked));
    else
      note_all(problems, checked.error());
  }
  if (!problems.empty())
    return refused(std::move(problems));
  return out;
}

result<object> thing_model::complete_attributes(object posted) const {
  auto checked = check_attributes(posted, side::registration);
  if (!checked)
    return checked;
  auto problems = std::vector<problem>{};
  std::erase_if(*checked, [](const auto& m) { return m.second.is_null(); });
  for (const auto& spec : attributes_) {
    if (std::any_of(checked->begin(), checked->end(),
                    [&](const auto& m) { return m.first == spec.id; }))
      continue;
    if (spec.default_value)
      checked->emplace_back(spec.id, *spec.default_value);
    else if (spec.required)
      note(problems, {spec.id, "required_missing", "the attribute is required at registration"});
  }
  if (!problems.empty())
    return refused(std::move(problems));
  return checked;
}

result<object> thing_model::check_event(std::string_view event_id, const object& output,
                                        validation mode) const {
  const auto* spec = find_event(event_id);
  if (mode == validation::off)
    return output;
  if (!spec)
    return refused(
        {{std::string{event_id}, "element_unknown", "the model " + id_ + " has no such event"}});
  return check_parameters(spec->output, output, mode != validation::strict, false);
}

result<object> thing_model::check_input(std::string_view service_id, const object& input) const {
  const auto* spec = find_service(service_id);
  if (!spec)
    return failure{errc::not_found, "element_unknown",
                   "the model " + id_ + " has no service " + std::string{service_id}};
  return check_parameters(spec->input, input, false, true);
}

std::vector<problem> thing_model::check_output(std::string_view service_id,
                                               const object& output) const {
  const auto* spec = find_service(service_id);
  if (!spec)
    return {};
  auto checked = check_parameters(spec->output, output, false, false);
  return checked ? std::vector<problem>{} : checked.error().problems;
}

result<object> thing_model::check_writes(const object& points) const {
  auto problems = std::vector<problem>{};
  auto out = object{};
  for (const auto& [id, v] : points) {
    const auto* spec = find_point(id);
    if (!spec) {
      note(problems, {id, "element_unknown", "the model " + id_ + " has no such point"});
    } else if (!spec->writable) {
      return failure{errc::conflict, "not_writable", "the point " + id + " may not be set"};
    } else if (auto checked = check_value(spec->type, v, validation::strict, id)) {
      out.emplace_back(id, std::move(*checked));
    } else {
      note_all(problems, checked.error());
    }
  }
  if (points.empty())
    note(problems, {"", "required_missing", "no point is given"});
  if (!problems.empty())
    return refused(std::move(problems));
  return out;
}

}  // namespace orrery::model
