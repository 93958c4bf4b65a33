// Payloads of devices to orders.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/device/device.hpp"
#include "model/result.hpp"
#include "transport/group_request.hpp"
#include "transport/mqtt/operations.hpp"

namespace orrery::transport::mqtt {

/// A certificate that a device asks for.
struct certificate_wish {
  std::string csr;  // PEM; of a renewal it may be empty
  std::int64_t days = 730;
  std::optional<bool> rsa;  // the authority's keys
  std::string sn;           // of the one that is renewed: handle or serial number
};

/// A request as read from its payload.
struct request {
  std::string id;                            // "" if it could not be read
  model::result<model::device::order> what;  // or why not
  std::vector<std::string> ids;              // attributes or tags asked for; empty: all
  group_ptr group = {};                      // it concerns several devices: instead of `what`
  std::optional<certificate_wish> certificate = {};  // instead of `what`
  std::optional<model::value> clock = {};            // instead of `what`: when the device sent it
  bool subscribes_to_replies = false;                // its client does, where it waits for them
};
/// Asked only where a request concerns several devices: most do not.
using world_source = std::function<group_world()>;

/// Reads the JSON payload of a request that is not an answer to a command. `self`: who sends it.
request read_request(const classified& topic, std::string_view payload, const group_self& self,
                     const world_source& world);

/// A device's answer to a command. Fails: `invalid_argument`.
model::result<model::device::complete_command> read_command_reply(std::string_view payload);

/// A device's answer to the call with that id, whatever bytes it is.
model::device::complete_command read_rrpc_response(std::string_view id, std::string_view payload);

}  // namespace orrery::transport::mqtt
