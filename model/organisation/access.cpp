#include "model/organisation/access.hpp"

#include <algorithm>

namespace orrery::model::organisation {
namespace {

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& name) { return has(b, name); });
}

bool holds_for(const scope& within, const resource& what) {
  return within.is_whole() || (!what.product.empty() && has(within.products, what.product)) ||
         meet(within.groups, what.groups) || meet(within.tree_nodes, what.tree_nodes);
}

std::string name_of(const grant& g) {
  return g.role.empty() ? "a permission of the key" : "the role " + g.role;
}

/// Each part of a scope as the thing that it names; the whole is the organisation.
std::vector<resource> parts_of(const scope& within) {
  auto all = std::vector<resource>{};
  for (const auto& p : within.products)
    all.push_back({p, {}, {}});
  for (const auto& g : within.groups)
    all.push_back({{}, {g}, {}});
  for (const auto& n : within.tree_nodes)
    all.push_back({{}, {}, {n}});
  if (all.empty())
    all.emplace_back();
  return all;
}

role built_in(const char* name, const char* description, std::vector<std::string> permissions) {
  auto r = role{};
  r.name = name;
  r.description = description;
  r.permissions = std::move(permissions);
  return r;
}

}  // namespace

bool is_permission(std::string_view text) {
  const auto is_word = [](std::string_view w) {
    return !w.empty() && w.size() <= 32 &&
           w.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string_view::npos;
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return text == "*";
  const auto action = text.substr(colon + 1);
  return is_word(text.substr(0, colon)) && (action == "*" || is_word(action));
}

bool permits(const std::vector<std::string>& permissions, std::string_view wanted) {
  const auto area = wanted.substr(0, wanted.find(':') + 1);
  return std::any_of(permissions.begin(), permissions.end(), [&](const std::string& p) {
    return p == "*" || p == wanted ||
           (p.size() == area.size() + 1 && p.starts_with(area) && p.back() == '*');
  });
}

verdict evaluate(const rights& has, std::string_view permission, const resource& what) {
  const grant* elsewhere = nullptr;
  for (const auto& g : has) {
    if (!permits(g.permissions, permission))
      continue;
    if (holds_for(g.within, what))
      return {true, name_of(g) + " gives " + std::string{permission}};
    elsewhere = &g;
  }
  if (elsewhere)
    return {false, name_of(*elsewhere) + " gives " + std::string{permission} + ", but not here"};
  return {false, "no role gives " + std::string{permission}};
}

bool permits_somewhere(const rights& has, std::string_view permission) {
  return std::any_of(has.begin(), has.end(),
                     [&](const grant& g) { return permits(g.permissions, permission); });
}

std::optional<std::string> missing_to_give(const rights& giver, const grant& given) {
  for (const auto& p : given.permissions)
    for (const auto& part : parts_of(given.within))
      if (!evaluate(giver, p, part).allowed)
        return p;
  return std::nullopt;
}

const std::vector<role>& built_in_roles() {
  static const auto all = std::vector<role>{
      built_in("admin", "Everything", {"*"}),
      built_in("operator", "Devices, their data, files, commands and upgrades",
               {"model:read", "product:read", "device:*", "topology:*", "group:*", "data:read",
                "data:write", "event:*", "tree:*", "asset:*", "stats:read", "sub:*", "ota:*",
                "file:*", "config:*", "org:read"}),
      built_in("viewer", "Looks at models, products, devices and their data",
               {"model:read", "product:read", "device:read", "topology:read", "group:read",
                "data:read", "tree:read", "asset:read", "stats:read", "sub:read", "ota:read",
                "file:read", "config:read", "org:read"})};
  return all;
}

const role* built_in_role(std::string_view name) {
  const auto& all = built_in_roles();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const role& r) { return r.name == name; });
  return found == all.end() ? nullptr : &*found;
}

const std::vector<std::string>& permissions_of(std::string_view role) {
  static const auto none = std::vector<std::string>{};
  const auto* found = built_in_role(role);
  return found ? found->permissions : none;
}

}  // namespace orrery::model::organisation
