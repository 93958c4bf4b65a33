// HTTP/1.1 ports (RFC 9112) on Beast's parser: limits, keep-alive, one request of a connection at a
// time, and the way to a WebSocket.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "transport/http_message.hpp"
#include "transport/tcp_listener.hpp"

namespace orrery::transport {

struct http_limits {
  std::size_t max_header_bytes = 16 * 1024;
  std::size_t max_body_bytes = 8 * 1024 * 1024;
  std::uint64_t max_sunk_bytes = 0;                // of a body that goes elsewhere piece by piece
  std::size_t max_held_bytes = 128 * 1024 * 1024;  // bodies of all connections together
  std::chrono::seconds request_timeout{30};        // from the first byte to the last of a request;
                                                   // from piece to piece where it goes in pieces
  std::chrono::seconds idle_timeout{75};           // between requests
};

class http_server {
 public:
  /// Binds at once; `handler` and `taker` run on the connection's thread. Throws port_taken.
  http_server(net::io_threads& io, const config::listener& where, std::size_t max_connections,
              net::tls_source tls, http_limits limits, http_handler handler, body_taker taker = {});
  ~http_server();

  std::uint16_t port() const;
  std::size_t connections() const;
  std::uint64_t refused() const;  // connections beyond the limit
  /// Accepts no more. Connections that wait for a request end now, others with their answer. Any
  /// thread.
  void stop();
  /// Requests whose answer is not on its way yet.
  std::size_t under_way() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::transport
