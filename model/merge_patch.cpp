#include "model/merge_patch.hpp"

#include <algorithm>
#include <map>

namespace orrery::model {
namespace {

using member_map = std::map<std::string_view, const value*>;

member_map members_of(const object& o) {
  auto out = member_map{};
  for (const auto& [name, v] : o)
    out[name] = &v;
  return out;
}

}  // namespace

value merge_patch(const value& target, const value& patch) {
  if (!patch.is_object())
    return patch;
  auto merged = std::map<std::string, value>{};
  if (target.is_object())
    for (const auto& [name, v] : target.as_object())
      merged[name] = v;
  for (const auto& [name, change] : patch.as_object())
    if (change.is_null())
      merged.erase(name);
    else
      merged[name] = merge_patch(merged[name], change);
  return object{merged.begin(), merged.end()};
}

bool says_the_same(const value& a, const value& b) {
  if (a.is_object() && b.is_object()) {
    const auto ours = members_of(a.as_object()), theirs = members_of(b.as_object());
    return std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                      [](const auto& x, const auto& y) {
                        return x.first == y.first && says_the_same(*x.second, *y.second);
                      });
  }
  if (a.is_array() && b.is_array())
    return std::equal(a.as_array().begin(), a.as_array().end(), b.as_array().begin(),
                      b.as_array().end(), says_the_same);
  if (a.is_number() && b.is_number() && a.is_int() != b.is_int())
    return a.as_double() == b.as_double();
  return a == b;
}

object missing_from(const object& has, const object& wanted) {
  const auto known = members_of(has);
  auto out = object{};
  for (const auto& [name, v] : wanted) {
    const auto found = known.find(name);
    if (found == known.end()) {
      out.emplace_back(name, v);
    } else if (v.is_object() && found->second->is_object()) {
      auto more = missing_from(found->second->as_object(), v.as_object());
      if (!more.empty())
        out.emplace_back(name, std::move(more));
    } else if (!says_the_same(*found->second, v)) {
      out.emplace_back(name, v);
    }
  }
  return out;
}

std::size_t depth_of(const value& v) {
  auto deepest = std::size_t{0};
  if (v.is_array())
    for (const auto& one : v.as_array())
      deepest = std::max(deepest, depth_of(one));
  else if (v.is_object())
    for (const auto& [name, one] : v.as_object())
      deepest = std::max(deepest, depth_of(one));
  else
    return 0;
  return deepest + 1;
}

}  // namespace orrery::model
