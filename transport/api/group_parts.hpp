// What calls beside those about groups need of them.
#pragma once

#include <optional>
#include <string>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// Whoever says who is in a group that a role holds for says whom that role reaches: what it gives
/// he has himself, as whoever changes the role. Else why not. `by_leaving`: somebody goes out of
/// it.
std::optional<model::failure> beyond_roles(const exchange& e, const std::string& group,
                                           bool by_leaving);

}  // namespace orrery::transport::api
