// The HTTP ports of devices: what is served there is found by the first part of its path.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "observe/metrics.hpp"
#include "transport/http_server.hpp"

namespace orrery::transport {

/// By the first part of the path: {"mqtt", ...} serves /mqtt and all below it.
using device_routes = std::map<std::string, http_handler>;

/// A handler for all of them; 404 for anything else.
http_handler route(device_routes routes);

/// Requests whose bodies may be long.
struct long_bodies {
  body_taker taker;
  std::uint64_t max_bytes = 0;
};

class device_ports {
 public:
  /// Opens those that are enabled. Throws port_taken.
  device_ports(net::io_threads& io, const config::settings::listeners_section& ports,
               net::tls_source tls, device_routes routes, observe::metrics& metrics,
               long_bodies bodies = {});
  ~device_ports();

  std::uint16_t port() const;      // 0: off
  std::uint16_t tls_port() const;  // 0: off
  void stop();

 private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace orrery::transport
