// A device with parts that are shown only where somebody asks for them.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <vector>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// Replies with the device and what ?include= names beside: "twin", "firmware" and "tree", each if
/// the caller may read it, and of its places in trees those that he reaches. What is shown anyway
/// may be named too. Fails: `invalid_argument` "validation_failed" for any other word.
void reply_device(const exchange_ptr& e, const found_device& d);

/// How many nodes above a place somebody sees who reaches those nodes and what is below them;
/// nothing: the place is out of his reach. `above`: from its parent up.
std::optional<std::size_t> levels_reached(const model::entity_id& node,
                                          const std::vector<model::entity_id>& above,
                                          const std::set<model::entity_id>& reached);

}  // namespace orrery::transport::api
