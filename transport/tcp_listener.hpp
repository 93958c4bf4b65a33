// The accept loop of every TCP port: limits, and sockets spread over the threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>

#include "config/settings.hpp"
#include "net/io_threads.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"

namespace orrery::transport {

/// A port cannot be had: ends the start of the node.
class port_taken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Held by a connection as long as it lives: counts it for its listener's limit.
using connection_permit = std::shared_ptr<void>;

class tcp_listener {
 public:
  /// Runs on the thread that will serve the stream. Its peer is written in the usual form of
  /// addresses, IPv4 over IPv6 as IPv4, and is the one that a proxy speaks for.
  using on_stream = std::function<void(std::shared_ptr<net::stream>, connection_permit)>;

  /// Binds and accepts at once; "::" takes IPv4 too. Throws port_taken, which names the address.
  tcp_listener(net::io_threads& io, const config::listener& where, std::size_t max_connections,
               net::tls_source tls, on_stream then);
  ~tcp_listener();

  std::uint16_t port() const;
  /// No more connections after this; those that are there go on. Any thread.
  void stop();
  std::size_t connections() const;
  std::uint64_t refused() const;
  /// Those that did not come from a proxy where that is required, or without its header.
  std::uint64_t not_proxied() const;

 private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace orrery::transport
