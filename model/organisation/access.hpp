// Who may do what: permissions, roles and where they hold, and the question whether all that
// somebody has allows one thing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/time.hpp"

namespace orrery::model::organisation {

/// Where a role holds. Without any names: in the whole organisation, and for the organisation
/// itself. Else for whatever one of the lists names, and nothing beside: devices of those products,
/// members of those groups, what hangs on those nodes of asset trees.
struct scope {
  std::vector<std::string> products, groups, tree_nodes;
  bool is_whole() const { return products.empty() && groups.empty() && tree_nodes.empty(); }
  bool operator==(const scope&) const = default;
};
inline constexpr std::size_t max_scope_names = 100;       // of each of its lists
inline constexpr std::size_t max_role_permissions = 100;  // of one role

/// Permissions with a name, which people and applications have by it.
struct role {
  std::string name, description;
  std::vector<std::string> permissions;
  scope within;
  timestamp created_at{}, updated_at{};
  std::string actor;           // who made it
  std::uint64_t revision = 0;  // of the organisation when it was last changed
};

/// What one role, or a key itself, gives somebody.
struct grant {
  std::string role;  // its name; "": the key's own permissions
  std::vector<std::string> permissions;
  scope within;
};
/// All that somebody has: what one of them allows is allowed.
using rights = std::vector<grant>;

/// What is asked for. Without any names: the organisation itself, or all of it.
struct resource {
  std::string product;
  std::vector<std::string> groups, tree_nodes;  // those that it is in
};

/// `why` names the grant that allows it, or what is missing.
struct verdict {
  bool allowed = false;
  std::string why;
};

/// "area:action", "area:*" or "*"; words of a to z, at most 32 letters each.
bool is_permission(std::string_view text);
/// True if one of `permissions` covers `wanted`, which may be one with a star too.
bool permits(const std::vector<std::string>& permissions, std::string_view wanted);

verdict evaluate(const rights& has, std::string_view permission, const resource& what);
/// True if it is allowed somewhere: in the whole organisation, or where a scope says.
bool permits_somewhere(const rights& has, std::string_view permission);
/// A permission in `given` that `giver` does not have himself wherever `given` would hold.
std::optional<std::string> missing_to_give(const rights& giver, const grant& given);

/// Those that every organisation has: "admin", "operator", "viewer".
const std::vector<role>& built_in_roles();
/// Null if no built-in role has that name.
const role* built_in_role(std::string_view name);
/// The permissions of a built-in role; none for others.
const std::vector<std::string>& permissions_of(std::string_view role);

}  // namespace orrery::model::organisation
