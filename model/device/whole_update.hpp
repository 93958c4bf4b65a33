// A change that leaves a device with what is said, and nothing else. Pure; any thread.
#pragma once

#include "model/device/device.hpp"

namespace orrery::model::device {

/// `wanted`, with all that takes away what it does not say: tags, and attributes that the cloud may
/// write; an attribute that the model gives a value by itself gets that. No name is the device's
/// key. `model`: of the device's product; null if it has none. Fails: `invalid_argument`
/// "model_validate_failed" with each attribute that is required and not there.
result<update_device> whole_update(const state& s, update_device wanted, const thing_model* model);

}  // namespace orrery::model::device
