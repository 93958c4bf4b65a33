#include "model/filter/sorting.hpp"

#include <algorithm>

namespace orrery::model::filter {

result<std::vector<sort_key>> parse_sort(std::string_view text, const schema& fields) {
  constexpr auto reason = std::string_view{"bad_sort"};
  const auto listed = parse_paths(text, max_sort_keys, true, reason);
  if (!listed)
    return listed.error();
  auto keys = std::vector<sort_key>{};
  for (const auto& l : *listed) {
    auto where = fields.find(l.names);
    if (!where || !fields[where->number].sortable)
      return failure{errc::invalid_argument, reason,
                     print(l.names) + ": expected one of " + fields.names(true)};
    if (std::any_of(keys.begin(), keys.end(), [&](const auto& k) { return k.where == *where; }))
      return failure{errc::invalid_argument, reason, print(l.names) + ": is there twice"};
    keys.push_back({std::move(*where), l.minus});
  }
  return keys;
}

std::strong_ordering order(std::span<const sort_key> keys, std::span<const datum> a,
                           std::span<const datum> b) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto lacks_a = std::holds_alternative<std::monostate>(a[i]);
    const auto lacks_b = std::holds_alternative<std::monostate>(b[i]);
    if (lacks_a != lacks_b)
      return lacks_a ? std::strong_ordering::greater : std::strong_ordering::less;
    if (const auto by = order(a[i], b[i]); by != 0)
      return keys[i].descending ? 0 <=> by : by;
  }
  return std::strong_ordering::equal;
}

}  // namespace orrery::model::filter
