// Parameters of the requests that concern several devices: a gateway's and a channel's.
#pragma once

#include "transport/group_request.hpp"
#include "transport/mqtt/operations.hpp"

namespace orrery::transport::mqtt {

/// Reads the parameters of a request of operation `topic.what`, one of device_register to
/// channel_attributes. Fails: `format_error`, `sign_method_unknown`, `device_key_missing`,
/// `too_large`.
model::result<group_ptr> read_group(const classified& topic, const model::value& params,
                                    const group_self& self, const group_world& world);

}  // namespace orrery::transport::mqtt
