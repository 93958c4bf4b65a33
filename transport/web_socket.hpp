// Turns an HTTP connection into a WebSocket. Only http_server includes this.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "net/stream.hpp"
#include "transport/http_message.hpp"
#include "transport/tcp_listener.hpp"

namespace orrery::transport {

/// Answers the upgrade and hands the socket on; `then` is not called if the peer goes first.
void accept_web_socket(std::shared_ptr<net::stream> bytes, connection_permit permit,
                       const boost::beast::http::request<boost::beast::http::string_body>& request,
                       const std::string& sub_protocol,
                       std::function<void(std::shared_ptr<web_socket>)> then);

/// The same for one whose binary frames are a stream of bytes, however they are cut. A text frame
/// ends it with 1003, a message of more than 4 MiB with 1009.
void accept_byte_socket(
    std::shared_ptr<net::stream> bytes, connection_permit permit,
    const boost::beast::http::request<boost::beast::http::string_body>& request,
    const std::string& sub_protocol,
    std::function<void(std::shared_ptr<net::byte_stream>, connection_permit)> then);

}  // namespace orrery::transport
