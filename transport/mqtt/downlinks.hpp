// What the service sends to devices by itself: commands, notices, offers.
#pragma once

#include <string>
#include <string_view>

#include "model/device/device.hpp"

namespace orrery::transport::mqtt {

struct outgoing {
  std::string topic, payload;
};
/// `sub_device_alone`: a client that takes a notice's sub-device as an object, not in a list.
outgoing write_downlink(const model::downlink& d, bool sub_device_alone = false);
/// What a device is told that has proved itself by its product's secret. `id`: decimal.
outgoing write_activation(const model::device_name& device, const model::entity_id& asset,
                          std::string_view secret, std::string_view id);

}  // namespace orrery::transport::mqtt
