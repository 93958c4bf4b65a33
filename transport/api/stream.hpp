// Live subscriptions on a WebSocket: sub-protocol orrery.v1.json.
#pragma once

#include <memory>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// What the upgrade request proved, and with what, so that it can be looked at again.
struct stream_credential {
  identity who;
  std::string authorization;  // the header's value
  std::string peer;
};

/// Serves one accepted socket until it closes, or the credential counts no more.
void serve_stream(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                  stream_credential credential);

}  // namespace orrery::transport::api
