// Filters of devices that name nodes of asset trees: `underNode = 'id'`. Who is there has to be
// looked for before the filter is read. Pure; any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/organisation/device_filter.hpp"

namespace orrery::model::organisation {

inline constexpr std::string_view node_field = "underNode";

/// The assetIds of the devices on a node or below it, by the node's id.
using node_facts = std::map<std::string, std::set<std::string>, std::less<>>;

/// The nodes that a filter names; none for a text that is no filter.
std::set<std::string> nodes_in(std::string_view filter);
/// `device_filter` where nodes may be named, compared by =, != and in. One that is not among
/// `nodes` has nobody.
model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products,
                                         const group_facts& groups, const node_facts& nodes);

}  // namespace orrery::model::organisation
