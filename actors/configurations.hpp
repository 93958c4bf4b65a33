// Configurations of an organisation as its devices need them: targets read, with what stands in
// products and groups put in. Pure; any thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/device/layers.hpp"
#include "model/organisation/device_filter.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::actors {

/// A target that cannot be read any more is for nobody. `products` is asked once, if it is needed.
std::shared_ptr<const model::device::configuration_set> compile_configurations(
    const model::organisation::state& of,
    const std::function<std::vector<model::organisation::product_facts>()>& products);

/// The target as the index of devices reads it; "bad_filter" if it cannot be read.
model::result<std::string> target_filter(
    std::string_view target, const std::vector<model::organisation::product_facts>& products,
    const model::organisation::group_facts& groups);

}  // namespace orrery::actors
