#include "model/blueprint/inheritance.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

namespace orrery::model::blueprint {
namespace {

constexpr std::size_t max_problems = 200, default_max_length = 1024;

/// Where elements of a document with all that it inherits come from: the place in the child's own
/// list, or nothing for those that it inherits as they are.
using origins = std::vector<std::optional<std::size_t>>;

std::string id_of(const value& element) {
  const auto* id = element.find("id");
  return id && id->is_string() ? id->as_string() : std::string{};
}

const array& list_of(const value& document, std::string_view kind) {
  static const auto none = array{};
  const auto* found = document.find(kind);
  return found && found->is_array() ? found->as_array() : none;
}

bool retypes(const value& before, const value& type) {
  const auto* was = before.find("t");
  const auto* is = type.find("t");
  return is && (!was || !(*was == *is));
}

/// The parent's element with what the child says of it.
value narrowed(const value& inherited, const value& own) {
  auto merged = inherited.as_object();
  for (const auto& [name, v] : own.as_object()) {
    const auto* before = inherited.find(name);
    if (name == "type" && before && before->is_object() && v.is_object() && !retypes(*before, v)) {
      auto type = before->as_object();
      for (const auto& [key, constraint] : v.as_object())
        set_member(type, key, constraint);
      set_member(merged, name, std::move(type));
    } else {
      set_member(merged, name, v);
    }
  }
  return merged;
}

/// Notes what is not narrower than what it stands for.
class narrowing {
 public:
  explicit narrowing(std::vector<problem>& out) : out_{out} {}

  void at(std::string where) { where_ = std::move(where); }
  void same(bool is, std::string_view what) {
    if (!is)
      note("inheritance_changed", std::string{what} + " is inherited and stays as it is");
  }
  void no_weaker(bool is, std::string_view what) {
    if (!is)
      note("inheritance_widened",
           std::string{what} + " may only be narrower than what is inherited");
  }

  void type(const type_spec& parent, const type_spec& child) {
    if (parent.type != child.type || parent.enum_of_strings != child.enum_of_strings)
      return note("inheritance_retyped", "an inherited element keeps its type");
    no_weaker(is_bounded(parent.min, parent.exclusive_min, child.min, child.exclusive_min, 1),
              "the least value");
    no_weaker(is_bounded(parent.max, parent.exclusive_max, child.max, child.exclusive_max, -1),
              "the greatest value");
    no_weaker(is_multiple(parent.step, child.step), "the step");
    no_weaker(child.min_length.value_or(0) >= parent.min_length.value_or(0), "the least length");
    no_weaker(child.max_length.value_or(default_max_length) <=
                  parent.max_length.value_or(default_max_length),
              "the greatest length");
    no_weaker(parent.pattern.empty() || parent.pattern == child.pattern, "the pattern");
    no_weaker(child.min_items >= parent.min_items && child.max_items <= parent.max_items,
              "the number of items");
    for (const auto& [key, label] : child.entries)
      no_weaker(
          std::any_of(parent.entries.begin(), parent.entries.end(),
                      [name = std::string_view{key}](const auto& e) { return e.first == name; }),
          "the enumeration");
    same(parent.drop_unknown_fields == child.drop_unknown_fields, "what unknown members come to");
    members(parent.fields, child.fields);
    if (parent.items && child.items)
      type(*parent.items, *child.items);
  }

  void parameters(const std::vector<parameter_spec>& parent,
                  const std::vector<parameter_spec>& child) {
    members(parent, child);
  }

 private:
  template <class T>
  void members(const std::vector<T>& parent, const std::vector<T>& child) {
    same(parent.size() == child.size() &&
             std::equal(parent.begin(), parent.end(), child.begin(),
                        [](const auto& a, const auto& b) { return a.id == b.id; }),
         "the list of members or parameters");
    for (const auto& before : parent) {
      const auto found = std::find_if(child.begin(), child.end(),
                                      [&](const auto& x) { return x.id == before.id; });
      if (found == child.end())
        continue;
      no_weaker(!before.required || found->required, "`required`");
      type(before.type, found->type);
    }
  }

  /// `sign` 1: a lower bound.
  static bool is_bounded(const std::optional<double>& parent, bool parent_excludes,
                         const std::optional<double>& child, bool child_excludes, int sign) {
    if (!parent)
      return true;
    if (!child)
      return false;
    if (*child == *parent)
      return child_excludes || !parent_excludes;
    return sign * *child > sign * *parent;
  }
  static bool is_multiple(const std::optional<double>& parent, const std::optional<double>& child) {
    if (!parent)
      return true;
    if (!child)
      return false;
    const auto times = *child / *parent;
    return times >= 0.5 && std::abs(times - std::round(times)) < 1e-6;
  }
  void note(std::string_view code, std::string detail) {
    const auto again = problem{where_, code, std::move(detail)};
    if (out_.size() < max_problems && (out_.empty() || !(out_.back() == again)))
      out_.push_back(again);
  }

  std::vector<problem>& out_;
  std::string where_;
};

/// Calls `f` with the parent's and the child's element of each id that both have and the child
/// says something of.
template <class List, class Find, class F>
void each_own(const List& inherited, const origins& from, Find find, F f) {
  for (std::size_t i = 0; i < inherited.size() && i < from.size(); ++i)
    if (from[i])
      if (const auto* child = find(inherited[i].id))
        f(inherited[i], *child, std::to_string(*from[i]));
}

std::vector<problem> widened(const thing_model& parent, const thing_model& child,
                             const std::map<std::string_view, origins>& from) {
  auto out = std::vector<problem>{};
  auto n = narrowing{out};
  each_own(
      parent.attributes(), from.at("attributes"),
      [&](auto& id) { return child.find_attribute(id); },
      [&](const attribute_spec& before, const attribute_spec& after, const std::string& place) {
        n.at("/attributes/" + place);
        n.type(before.type, after.type);
        n.same(before.access == after.access, "`access`");
        n.same(before.unit == after.unit, "the unit");
        n.no_weaker(!before.required || after.required, "`required`");
      });
  each_own(
      parent.points(), from.at("measurePoints"), [&](auto& id) { return child.find_point(id); },
      [&](const point_spec& before, const point_spec& after, const std::string& place) {
        n.at("/measurePoints/" + place);
        n.type(before.type, after.type);
        n.same(before.signal == after.signal, "`signal`");
        n.same(before.has_quality == after.has_quality, "`hasQuality`");
        n.same(before.writable == after.writable, "`writable`");
        n.same(before.unit == after.unit, "the unit");
      });
  each_own(
      parent.services(), from.at("services"), [&](auto& id) { return child.find_service(id); },
      [&](const service_spec& before, const service_spec& after, const std::string& place) {
        n.at("/services/" + place);
        n.same(before.asynchronous == after.asynchronous, "`callType`");
        n.parameters(before.input, after.input);
        n.parameters(before.output, after.output);
      });
  each_own(
      parent.events(), from.at("events"), [&](auto& id) { return child.find_event(id); },
      [&](const event_spec& before, const event_spec& after, const std::string& place) {
        n.at("/events/" + place);
        n.same(before.level == after.level, "`level`");
        n.parameters(before.output, after.output);
      });
  return out;
}

/// A place in the whole document as one in the child's own.
std::string place_in_own(std::string_view where, const std::map<std::string_view, origins>& from) {
  if (!where.starts_with('/'))
    return std::string{where};
  const auto kind = where.substr(1, where.find('/', 1) - 1);
  const auto found = from.find(kind);
  if (found == from.end() || where.size() <= kind.size() + 2)
    return std::string{where};
  const auto rest = where.substr(kind.size() + 2);
  auto at = std::size_t{0};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), at);
  if (error != std::errc{} || at >= found->second.size())
    return std::string{where};
  const auto& own = found->second[at];
  if (!own)
    return "/extends";
  return '/' + std::string{kind} + '/' + std::to_string(*own) +
         std::string{rest.substr(static_cast<std::size_t>(end - rest.data()))};
}

failure conflict(std::vector<problem> problems) {
  auto text = "what is inherited may only be narrowed: " + problems.front().where + ": " +
              problems.front().detail;
  return {errc::invalid_argument, "inheritance_conflict", std::move(text), std::move(problems)};
}

}  // namespace

std::string parent_of(const value& document) {
  const auto* parent = document.find("extends");
  return parent && parent->is_string() ? parent->as_string() : std::string{};
}

std::string key_of(std::string_view organisation, std::string_view reference) {
  if (reference.find('/') != std::string_view::npos)
    return std::string{reference};
  return std::string{organisation} + '/' + std::string{reference};
}

result<resolved> resolve(const value& own) {
  auto compiled = thing_model::compile(own);
  if (!compiled)
    return compiled.error();
  return resolved{own, std::make_shared<const thing_model>(std::move(*compiled))};
}

result<resolved> resolve(const value& own, const value& parent_document,
                         const thing_model& parent) {
  if (!own.is_object())
    return resolve(own);
  auto whole = own.as_object();
  auto from = std::map<std::string_view, origins>{};
  for (const auto kind : element_kinds) {
    auto& of_kind = from[kind];
    const auto* given = own.find(kind);
    if (given && !given->is_null() && !given->is_array())
      continue;  // left as it is: it does not compile
    const auto& mine = list_of(own, kind);
    auto place_of = std::map<std::string, std::size_t>{};
    for (std::size_t i = 0; i < mine.size(); ++i)
      if (const auto id = id_of(mine[i]); !id.empty())
        place_of.emplace(id, i);
    auto all = array{};
    auto used = std::vector<bool>(mine.size());
    for (const auto& inherited : list_of(parent_document, kind)) {
      const auto found = place_of.find(id_of(inherited));
      if (found == place_of.end()) {
        all.push_back(inherited);
        of_kind.emplace_back();
      } else {
        used[found->second] = true;
        all.push_back(narrowed(inherited, mine[found->second]));
        of_kind.emplace_back(found->second);
      }
    }
    for (std::size_t i = 0; i < mine.size(); ++i)
      if (!used[i]) {
        all.push_back(mine[i]);
        of_kind.emplace_back(i);
      }
    if (!all.empty() || given)
      set_member(whole, kind, std::move(all));
  }
  if (const auto* mode = parent_document.find("validate"); mode && !own.find("validate"))
    set_member(whole, "validate", *mode);
  auto document = value{std::move(whole)};
  auto compiled = thing_model::compile(document);
  if (!compiled) {
    auto why = std::move(compiled.error());
    for (auto& p : why.problems)
      p.where = place_in_own(p.where, from);
    if (!why.problems.empty())
      why.detail = "the model has faults, the first: " + why.problems.front().where + ": " +
                   why.problems.front().detail;
    return why;
  }
  if (auto problems = widened(parent, *compiled, from); !problems.empty())
    return conflict(std::move(problems));
  return resolved{std::move(document), std::make_shared<const thing_model>(std::move(*compiled))};
}

}  // namespace orrery::model::blueprint
