// Answers of devices to payloads for devices.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/device/device.hpp"
#include "transport/mqtt/operations.hpp"

namespace orrery::transport::mqtt {

/// {"id":..,"code":..,"data":..[,"message":..]}, compact.
std::string write_reply(std::string_view id, int code, const model::value& data,
                        std::string_view message);
/// The data of a successful reply. `ids`: those asked for, as in `request`.
model::value reply_data(operation o, const std::vector<std::string>& ids,
                        const model::device::reply& answer, const model::thing_model* model);

/// What the clock tells, in the form of `sent`: numbers or texts, milliseconds since 1970. The
/// device has the middle of both ways, and from that how far its own clock is off.
model::value clock_data(const model::value& sent, model::timestamp received,
                        model::timestamp answered);

/// tslAttributeMap, tslMeasurepointMap, tslEventMap, tslServiceMap.
model::value describe(const model::thing_model& m);

/// As devices are told of it.
model::value describe_firmware(const model::firmware_image& image);
model::object describe_configuration(std::uint64_t version, const model::object& desired,
                                     model::object delta);

}  // namespace orrery::transport::mqtt
