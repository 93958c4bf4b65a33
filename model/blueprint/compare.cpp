#include <algorithm>

#include "model/blueprint/blueprint.hpp"

namespace orrery::model::blueprint {
namespace {

struct notes {
  std::vector<finding>& out;
  void breaking(std::string where, std::string detail) {
    out.push_back(
        {change_class::breaking, {std::move(where), "breaking_change", std::move(detail)}});
  }
  void risky(std::string where, std::string detail) {
    out.push_back({change_class::risky, {std::move(where), "risky_change", std::move(detail)}});
  }
};

template <class T>
bool is_narrower(const std::optional<T>& before, const std::optional<T>& after, bool upper) {
  if (!after)
    return false;
  return !before || (upper ? *after < *before : *after > *before);
}

void compare_types(const type_spec& before, const type_spec& after, const std::string& where,
                   notes& n) {
  if (before.type != after.type || before.enum_of_strings != after.enum_of_strings) {
    n.breaking(where, "its type changes");
    return;
  }
  if (is_narrower(before.min, after.min, false) || is_narrower(before.max, after.max, true))
    n.risky(where, "its range narrows");
  if (is_narrower(before.max_length, after.max_length, true))
    n.risky(where, "its greatest length falls");
  for (const auto& [key, label] : before.entries)
    if (std::none_of(after.entries.begin(), after.entries.end(),
                     [&, k = std::string_view{key}](const auto& e) { return e.first == k; }))
      n.risky(where, "the enumeration loses the key " + key);
  for (const auto& field : before.fields) {
    const auto same = std::find_if(after.fields.begin(), after.fields.end(),
                                   [&](const auto& f) { return f.id == field.id; });
    if (same == after.fields.end())
      n.breaking(where + "/" + field.id, "the member goes");
    else
      compare_types(field.type, same->type, where + "/" + field.id, n);
  }
  if (before.items && after.items)
    compare_types(*before.items, *after.items, where + "/items", n);
}

void compare_parameters(const std::vector<parameter_spec>& before,
                        const std::vector<parameter_spec>& after, const std::string& where,
                        notes& n) {
  for (const auto& p : before) {
    const auto same =
        std::find_if(after.begin(), after.end(), [&](const auto& x) { return x.id == p.id; });
    if (same == after.end())
      n.breaking(where + "/" + p.id, "the parameter goes");
    else
      compare_types(p.type, same->type, where + "/" + p.id, n);
  }
}

}  // namespace

std::vector<finding> compare(const thing_model& before, const thing_model& after) {
  auto out = std::vector<finding>{};
  auto n = notes{out};
  for (const auto& p : before.points()) {
    const auto where = "measurePoints/" + p.id;
    const auto* same = after.find_point(p.id);
    if (!same) {
      n.breaking(where, "the point goes");
      continue;
    }
    compare_types(p.type, same->type, where, n);
    if (p.has_quality != same->has_quality)
      n.breaking(where, "whether it has a quality changes");
    if (p.signal != same->signal) {
      const auto counts = [](signal_kind s) {
        return s == signal_kind::discrete || s == signal_kind::pulse;
      };
      if (counts(p.signal) || counts(same->signal))
        n.breaking(where, "its signal kind changes");
      else
        n.risky(where, "its signal kind changes");
    }
    if (p.unit != same->unit)
      n.risky(where, "its unit changes");
  }
  for (const auto& a : before.attributes()) {
    const auto where = "attributes/" + a.id;
    const auto* same = after.find_attribute(a.id);
    if (!same) {
      n.breaking(where, "the attribute goes");
      continue;
    }
    compare_types(a.type, same->type, where, n);
    if (!a.required && same->required)
      n.risky(where, "it becomes required");
  }
  for (const auto& s : before.services()) {
    const auto where = "services/" + s.id;
    const auto* same = after.find_service(s.id);
    if (!same) {
      n.breaking(where, "the service goes");
      continue;
    }
    if (s.asynchronous != same->asynchronous)
      n.breaking(where, "its call type changes");
    compare_parameters(s.input, same->input, where + "/input", n);
    compare_parameters(s.output, same->output, where + "/output", n);
  }
  for (const auto& e : before.events()) {
    const auto where = "events/" + e.id;
    const auto* same = after.find_event(e.id);
    if (!same)
      n.breaking(where, "the event goes");
    else
      compare_parameters(e.output, same->output, where + "/output", n);
  }
  return out;
}

}  // namespace orrery::model::blueprint
