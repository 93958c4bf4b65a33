// Filters of devices as callers write them, with the nodes of asset trees that they name.
#pragma once

#include <functional>
#include <string>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// What a filter asks of the index of devices (model/organisation/device_filter.hpp); a failure is
/// the answer to the request. Names of nodes need tree:read; one that the caller does not read has
/// nobody.
void with_device_filter(const exchange_ptr& e, const std::string& text,
                        std::function<void(std::string)> then);

}  // namespace orrery::transport::api
