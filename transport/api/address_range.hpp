// Ranges of IP addresses, as the allow list of an API key has them: "10.0.0.7", "10.0.0.0/8",
// "2001:db8::/32".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace orrery::transport::api {

/// One address, or a network with its prefix length.
bool is_address_range(const std::string& text);
/// True if `address` is in one of `ranges`. An IPv4 address that came over an IPv6 socket
/// (::ffff:10.0.0.7) counts as IPv4.
bool in_ranges(const std::vector<std::string>& ranges, const std::string& address);

}  // namespace orrery::transport::api
