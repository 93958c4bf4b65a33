// Filters of devices by their names in the API: see model/organisation/device_filter.hpp.
#pragma once

#include "model/organisation/device_filter.hpp"

namespace orrery::transport::api {

using model::organisation::any_of;
using model::organisation::both;
using model::organisation::device_filter;
using model::organisation::equals;
using model::organisation::facts_of;
using model::organisation::group_facts;
using model::organisation::max_rules_named;
using model::organisation::mentions;
using model::organisation::one_of;
using model::organisation::product_facts;
using model::organisation::rule_filter;

}  // namespace orrery::transport::api
