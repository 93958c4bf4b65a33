// Live subscriptions on a WebSocket: sub-protocol orrery.v1.json.
#pragma once

#include <memory>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// Serves one accepted socket until it closes. `still_valid`: the caller's credential still counts.
void serve_stream(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                  identity who, std::function<bool()> still_valid);

}  // namespace orrery::transport::api
