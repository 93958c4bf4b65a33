// What questions about devices need to know of the products of whoever asks.
#pragma once

#include <vector>

#include "transport/api/device_filter.hpp"
#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// The products of the caller's organisation.
std::vector<product_facts> product_facts_of(const exchange& e);

}  // namespace orrery::transport::api
