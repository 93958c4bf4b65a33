// Names of hosts to addresses, each on a thread of its own: a name server that does not answer
// keeps nobody else waiting, and not the end of the program either.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace orrery::net {

/// Calls back once on the context's thread with all addresses, none if the name is unknown; never
/// inside the call, and not at all once the context has gone.
void look_up(boost::asio::io_context& context, std::string host, std::uint16_t port,
             std::function<void(std::vector<boost::asio::ip::tcp::endpoint>)> then);

}  // namespace orrery::net
