// Which addresses a node may be sent to by what somebody typed: those of the internet alone, so
// that nobody reaches what is behind the node through it.
#pragma once

#include <boost/asio/ip/address.hpp>

namespace orrery::net {

/// False for this machine, the networks of one site or one link, what is for documentation, tests
/// and several hosts, and what wraps one of these (IANA's registries of special addresses).
bool is_public_address(const boost::asio::ip::address& address);

}  // namespace orrery::net
