// What the calls about firmwares and upgrades share.
#pragma once

#include <string_view>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// In the order of upgrade_task::state_code.
inline constexpr std::string_view upgrade_states[] = {"pending",   "published", "upgrading",
                                                      "succeeded", "failed",    "cancelled"};

/// Without its job and version.
model::object show_upgrade(const exchange& e, const model::device::upgrade_task& t);

/// Which version a device has, and its newest upgrade.
model::object show_firmware(const exchange& e, const model::device::state& s);

}  // namespace orrery::transport::api
