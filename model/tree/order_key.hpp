// Where a node stands among its siblings: texts that sort as the nodes do, and between any two of
// which there is room for another, so that to put one somewhere changes no other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace orrery::model::tree {

/// Longer ones are not kept: the siblings are given new ones.
inline constexpr std::size_t max_order_key = 100;

/// A key behind `lower` and before `upper`; empty: there is none on that side. `lower` < `upper`,
/// and neither ends in '0' (no key that was made here does).
std::string key_between(std::string_view lower, std::string_view upper);

/// `count` keys in their order between those two, about evenly.
std::vector<std::string> keys_between(std::string_view lower, std::string_view upper,
                                      std::size_t count);

}  // namespace orrery::model::tree
