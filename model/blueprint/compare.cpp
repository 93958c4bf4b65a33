#include <algorithm>
#include <map>
#include <set>

#include "model/blueprint/blueprint.hpp"
#include "model/blueprint/inheritance.hpp"
#include "model/merge_patch.hpp"

namespace orrery::model::blueprint {
namespace {

constexpr std::size_t default_max_length = 1024;

struct notes {
  std::vector<finding>& out;
  void breaking(std::string where, std::string detail) {
    out.push_back(
        {change_class::breaking, {std::move(where), "breaking_change", std::move(detail)}});
  }
  void risky(std::string where, std::string detail) {
    out.push_back({change_class::risky, {std::move(where), "risky_change", std::move(detail)}});
  }
  void compatible(std::string where, std::string detail) {
    out.push_back(
        {change_class::compatible, {std::move(where), "compatible_change", std::move(detail)}});
  }
  void between(std::string where, bool narrower, bool wider, const std::string& what) {
    if (narrower)
      risky(std::move(where), what + " narrows");
    else if (wider)
      compatible(std::move(where), what + " widens");
  }
};

struct bound {
  std::optional<double> at;
  bool excluded = false;
};

/// `sign` 1: lower bounds.
bool is_tighter(const bound& before, const bound& after, int sign) {
  if (!after.at)
    return false;
  if (!before.at)
    return true;
  if (*before.at == *after.at)
    return after.excluded && !before.excluded;
  return sign * *after.at > sign * *before.at;
}

void compare_types(const type_spec& before, const type_spec& after, const std::string& where,
                   notes& n) {
  if (before.type != after.type || before.enum_of_strings != after.enum_of_strings) {
    n.breaking(where, "its type changes");
    return;
  }
  const auto low = bound{before.min, before.exclusive_min},
             high = bound{before.max, before.exclusive_max},
             low_after = bound{after.min, after.exclusive_min},
             high_after = bound{after.max, after.exclusive_max};
  n.between(where, is_tighter(low, low_after, 1) || is_tighter(high, high_after, -1),
            is_tighter(low_after, low, 1) || is_tighter(high_after, high, -1), "its range");
  if (before.step != after.step)
    n.between(where, after.step.has_value(), !after.step, "its step");
  const auto most = before.max_length.value_or(default_max_length),
             most_after = after.max_length.value_or(default_max_length);
  n.between(where, most_after<most, most_after> most, "its greatest length");
  const auto least = before.min_length.value_or(0), least_after = after.min_length.value_or(0);
  n.between(where, least_after > least, least_after < least, "its least length");
  if (before.pattern != after.pattern)
    n.between(where, !after.pattern.empty(), after.pattern.empty(), "its pattern");
  n.between(where, after.max_items < before.max_items || after.min_items > before.min_items,
            after.max_items > before.max_items || after.min_items < before.min_items,
            "the number of items");
  const auto lacks = [](const auto& entries, std::string_view key) {
    return std::none_of(entries.begin(), entries.end(),
                        [&](const auto& e) { return e.first == key; });
  };
  for (const auto& [key, label] : before.entries)
    if (lacks(after.entries, key))
      n.risky(where, "the enumeration loses the key " + key);
  for (const auto& [key, label] : after.entries)
    if (lacks(before.entries, key))
      n.compatible(where, "the enumeration gains the key " + key);
  if (before.drop_unknown_fields != after.drop_unknown_fields)
    n.between(where, before.drop_unknown_fields, after.drop_unknown_fields, "its set of members");
  for (const auto& field : before.fields) {
    const auto at = where + "/" + field.id;
    const auto same = std::find_if(after.fields.begin(), after.fields.end(),
                                   [&](const auto& f) { return f.id == field.id; });
    if (same == after.fields.end()) {
      n.breaking(at, "the member goes");
      continue;
    }
    compare_types(field.type, same->type, at, n);
    if (field.required != same->required)
      n.between(at, same->required, field.required, "whether it may be missing");
  }
  for (const auto& field : after.fields)
    if (std::none_of(before.fields.begin(), before.fields.end(),
                     [&](const auto& f) { return f.id == field.id; }))
      n.between(where + "/" + field.id, field.required, !field.required,
                "a member is new: what is taken");
  if (before.items && after.items)
    compare_types(*before.items, *after.items, where + "/items", n);
}

void compare_parameters(const std::vector<parameter_spec>& before,
                        const std::vector<parameter_spec>& after, const std::string& where,
                        notes& n) {
  for (const auto& p : before) {
    const auto at = where + "/" + p.id;
    const auto same =
        std::find_if(after.begin(), after.end(), [&](const auto& x) { return x.id == p.id; });
    if (same == after.end()) {
      n.breaking(at, "the parameter goes");
      continue;
    }
    compare_types(p.type, same->type, at, n);
    if (p.required != same->required)
      n.between(at, same->required, p.required, "whether it may be missing");
  }
  for (const auto& p : after)
    if (std::none_of(before.begin(), before.end(), [&](const auto& x) { return x.id == p.id; })) {
      const auto needed = p.required && !p.default_value;
      n.between(where + "/" + p.id, needed, !needed, "a parameter is new: what is taken");
    }
}

void compare_points(const point_spec& p, const point_spec& after, const std::string& where,
                    notes& n) {
  compare_types(p.type, after.type, where, n);
  if (p.has_quality != after.has_quality)
    n.breaking(where, "whether it has a quality changes");
  if (p.signal != after.signal) {
    const auto counts = [](signal_kind s) {
      return s == signal_kind::discrete || s == signal_kind::pulse;
    };
    if (counts(p.signal) || counts(after.signal))
      n.breaking(where, "its signal kind changes");
    else
      n.risky(where, "its signal kind changes");
  }
  if (p.unit != after.unit)
    n.risky(where, "its unit changes");
  if (p.writable != after.writable)
    n.between(where, p.writable, after.writable, "who may set it");
}

void compare_attributes(const attribute_spec& a, const attribute_spec& after,
                        const std::string& where, notes& n) {
  compare_types(a.type, after.type, where, n);
  if (!a.required && after.required)
    n.risky(where, "it becomes required");
  else if (a.required && !after.required)
    n.compatible(where, "it may be missing");
  if (a.unit != after.unit)
    n.risky(where, "its unit changes");
  if (a.access != after.access)
    n.between(where, after.access != attribute_spec::access_mode::read_write,
              after.access == attribute_spec::access_mode::read_write, "who may write it");
}

void compare_services(const service_spec& s, const service_spec& after, const std::string& where,
                      notes& n) {
  if (s.asynchronous != after.asynchronous)
    n.breaking(where, "its call type changes");
  compare_parameters(s.input, after.input, where + "/input", n);
  compare_parameters(s.output, after.output, where + "/output", n);
}

/// Goes through one kind: `same` compares an element that both have.
template <class List, class Same>
void compare_lists(const std::string& kind, const List& before, const List& after, notes& n,
                   Same same) {
  const auto find = [](const List& in, const std::string& id) {
    return std::find_if(in.begin(), in.end(), [&](const auto& e) { return e.id == id; });
  };
  for (const auto& e : before) {
    const auto where = kind + "/" + e.id;
    if (const auto found = find(after, e.id); found == after.end())
      n.breaking(where, "the element goes");
    else
      same(e, *found, where);
  }
  auto had = std::set<std::string_view>{};
  for (const auto& e : before)
    had.insert(e.id);
  for (const auto& e : after)
    if (!had.contains(e.id))
      n.compatible(kind + "/" + e.id, "the element is new");
}

/// Elements whose documents differ although nothing else was found: texts, tags, defaults.
void compare_texts(const value& before, const value& after, std::vector<finding>& out) {
  auto found = std::set<std::string>{};
  for (const auto& f : out) {
    const auto second = f.what.where.find('/', f.what.where.find('/') + 1);
    found.insert(f.what.where.substr(0, second));
  }
  auto n = notes{out};
  for (const auto kind : element_kinds) {
    const auto* old_list = before.find(kind);
    const auto* new_list = after.find(kind);
    if (!old_list || !new_list || !old_list->is_array() || !new_list->is_array())
      continue;
    auto by_id = std::map<std::string, const value*>{};
    for (const auto& e : new_list->as_array())
      if (const auto* id = e.find("id"); id && id->is_string())
        by_id.emplace(id->as_string(), &e);
    for (const auto& e : old_list->as_array()) {
      const auto* id = e.find("id");
      const auto same = id && id->is_string() ? by_id.find(id->as_string()) : by_id.end();
      if (same == by_id.end() || says_the_same(e, *same->second))
        continue;
      if (auto where = std::string{kind} + "/" + id->as_string(); !found.contains(where))
        n.compatible(std::move(where), "its texts, tags or defaults change");
    }
  }
  for (const auto key : {"name", "description", "category", "tags"}) {
    const auto* a = before.find(key);
    const auto* b = after.find(key);
    if ((a == nullptr) != (b == nullptr) || (a && !says_the_same(*a, *b)))
      n.compatible(key, "it changes");
  }
}

}  // namespace

std::vector<finding> compare(const thing_model& before, const thing_model& after) {
  auto out = std::vector<finding>{};
  auto n = notes{out};
  compare_lists("measurePoints", before.points(), after.points(), n,
                [&](const auto& a, const auto& b, const auto& at) { compare_points(a, b, at, n); });
  compare_lists(
      "attributes", before.attributes(), after.attributes(), n,
      [&](const auto& a, const auto& b, const auto& at) { compare_attributes(a, b, at, n); });
  compare_lists(
      "services", before.services(), after.services(), n,
      [&](const auto& a, const auto& b, const auto& at) { compare_services(a, b, at, n); });
  compare_lists("events", before.events(), after.events(), n,
                [&](const auto& a, const auto& b, const auto& at) {
                  if (a.level != b.level)
                    n.compatible(at, "its level changes");
                  compare_parameters(a.output, b.output, at + "/output", n);
                });
  if (before.mode() != after.mode())
    n.between("validate", after.mode() == validation::strict, after.mode() != validation::strict,
              "what is taken from devices");
  return out;
}

std::vector<finding> compare(const value& before, const value& after) {
  const auto a = thing_model::compile(before), b = thing_model::compile(after);
  if (!a || !b)
    return {};
  auto out = compare(*a, *b);
  compare_texts(before, after, out);
  return out;
}

}  // namespace orrery::model::blueprint
