#include "model/blueprint/library.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "model/blueprint/inheritance.hpp"
#include "model/ids.hpp"
#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "model/thing_model.hpp"

namespace orrery::model::blueprint {
namespace {

constexpr std::size_t max_problems = 50, max_element_bytes = 32 * 1024;
constexpr std::array<std::string_view, 4> types{"attribute", "measurePoint", "service", "event"};

void note(std::vector<problem>& out, std::string where, std::string_view code, std::string detail) {
  if (out.size() < max_problems)
    out.push_back({std::move(where), code, std::move(detail)});
}

bool may_be(const value& element, std::string_view type) {
  const auto* all = element.find("elementTypes");
  return all && all->is_array() &&
         std::any_of(all->as_array().begin(), all->as_array().end(),
                     [&](const value& v) { return v.is_string() && v.as_string() == type; });
}

void check_element(const std::string& id, const value& element, std::vector<problem>& out) {
  if (!is_valid_key(id, 1, 128))
    note(out, id, "type_mismatch", "an identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -");
  if (!element.is_object())
    return note(out, id, "type_mismatch", "expected an object");
  if (to_json(element).size() > max_element_bytes)
    return note(out, id, "too_long",
                "an element has at most " + std::to_string(max_element_bytes) + " bytes");
  const auto* kinds = element.find("elementTypes");
  if (!kinds || !kinds->is_array() || kinds->as_array().empty())
    return note(out, id + "/elementTypes", "required_missing",
                "expected a list of attribute, measurePoint, service, event");
  for (const auto& kind : kinds->as_array())
    if (!kind.is_string() || std::find(types.begin(), types.end(), kind.as_string()) == types.end())
      note(out, id + "/elementTypes", "enum_unknown",
           "expected attribute, measurePoint, service, event");
  // As an element of a model: what that refuses is refused here.
  auto as_attribute = object{{"id", "element"}};
  const auto is_data = may_be(element, "attribute") || may_be(element, "measurePoint");
  for (const auto& [name, v] : element.as_object())
    if (name == "type" && !is_data)
      note(out, id + "/type", "type_mismatch", "only attributes and measure points have a type");
    else if (name != "elementTypes" && name != "category" && name != "version")
      set_member(as_attribute, name, v);
  if (!is_data)
    set_member(as_attribute, "type", object{{"t", "bool"}});
  const auto compiled = thing_model::compile(
      object{{"format", "tm/1"}, {"id", "m"}, {"attributes", array{std::move(as_attribute)}}});
  if (!compiled)
    for (const auto& p : compiled.error().problems)
      note(out,
           id + p.where.substr(std::min(p.where.size(), std::string_view{"/attributes/0"}.size())),
           p.code, p.detail);
}

const value* element_of(const value& document, std::string_view kind, std::string_view id) {
  const auto* all = document.find(kind);
  if (all && all->is_array())
    for (const auto& e : all->as_array())
      if (const auto* named = e.find("id"); named && named->is_string() && named->as_string() == id)
        return &e;
  return nullptr;
}

}  // namespace

status check_library(const object& elements) {
  auto problems = std::vector<problem>{};
  for (const auto& [id, element] : elements)
    if (!element.is_null())
      check_element(id, element, problems);
  if (problems.empty())
    return {};
  auto text = problems.front().where + ": " + problems.front().detail;
  return failure{errc::invalid_argument, "library_invalid", std::move(text), std::move(problems)};
}

status check_standards(const value& own, const value& effective, const value& library) {
  if (!library.is_object() || library.as_object().empty())
    return {};
  auto problems = std::vector<problem>{};
  for (std::size_t k = 0; k < types.size(); ++k) {
    const auto kind = element_kinds[k];
    const auto* all = own.find(kind);
    if (!all || !all->is_array())
      continue;
    for (std::size_t i = 0; i < all->as_array().size(); ++i) {
      const auto& element = all->as_array()[i];
      const auto* standard = element.find("standardRef");
      if (!standard || standard->is_null())
        continue;
      const auto where = '/' + std::string{kind} + '/' + std::to_string(i) + "/standardRef";
      const auto* known = standard->is_string() ? library.find(standard->as_string()) : nullptr;
      if (!known) {
        note(problems, where, "standard_unknown", "the library has no such element");
        continue;
      }
      if (!may_be(*known, types[k]))
        note(problems, where, "standard_mismatch", "the library does not offer it for this kind");
      const auto* id = element.find("id");
      const auto* whole =
          id && id->is_string() ? element_of(effective, kind, id->as_string()) : nullptr;
      if (!whole || k >= 2)
        continue;
      const auto* here = whole->find("type");
      const auto* there = known->find("type");
      const auto* type_here = here ? here->find("t") : nullptr;
      const auto* type_there = there ? there->find("t") : nullptr;
      if (!type_here || !type_there || !(*type_here == *type_there))
        note(problems, where, "standard_mismatch", "the library says another type");
      if (const auto* unit = known->find("unit"); unit && !unit->is_null())
        if (const auto* used = whole->find("unit"); !used || !says_the_same(*used, *unit))
          note(problems, where, "standard_mismatch", "the library says another unit");
    }
  }
  if (problems.empty())
    return {};
  auto text = problems.front().where + ": " + problems.front().detail;
  return failure{errc::invalid_argument, "standard_mismatch", std::move(text), std::move(problems)};
}

}  // namespace orrery::model::blueprint
