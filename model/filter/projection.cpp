#include "model/filter/projection.hpp"

#include <algorithm>

#include "model/filter/expression.hpp"

namespace orrery::model::filter {

result<projection> projection::parse(std::string_view text) {
  const auto listed = parse_paths(text, max_projected, false, "bad_fields");
  if (!listed)
    return listed.error();
  auto p = projection{};
  for (const auto& l : *listed) {
    auto* at = &p.root_;
    for (const auto& name : l.names) {
      const auto known = std::find_if(at->below.begin(), at->below.end(),
                                      [&](const branch& b) { return b.name == name; });
      at = known != at->below.end() ? &*known : &at->below.emplace_back(branch{name, false, {}});
    }
    at->whole = true;
  }
  return p;
}

value projection::of(const value& from) const {
  return part(from, root_);
}

value projection::part(const value& from, const branch& wanted) {
  if (wanted.whole)
    return from;
  if (from.is_array()) {
    auto all = array{};
    for (const auto& element : from.as_array())
      all.push_back(part(element, wanted));
    return all;
  }
  auto out = object{};
  if (from.is_object())
    for (const auto& [name, v] : from.as_object())
      for (const auto& below : wanted.below)
        if (name == below.name && (below.whole || v.is_object() || v.is_array()))
          out.emplace_back(name, part(v, below));
  return out;
}

}  // namespace orrery::model::filter
