// Takes the header of a proxy from the front of a connection, before anything else reads it.
#pragma once

#include <chrono>
#include <functional>

#include <boost/asio/io_context.hpp>

#include "net/stream.hpp"
#include "transport/proxy_header.hpp"

namespace orrery::transport {

/// Waits for the header on a socket that must not block, on the context's thread, and gives socket
/// and header on; closes it if something else comes, or nothing in time, and says why.
void read_proxy_header(boost::asio::io_context& context, net::owned_socket socket,
                       std::chrono::milliseconds patience,
                       std::function<void(net::owned_socket, proxied_peer)> then,
                       std::function<void(std::string_view why)> refused);

}  // namespace orrery::transport
