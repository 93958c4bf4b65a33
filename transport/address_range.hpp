// Ranges of IP addresses, as allow lists and bans have them: "10.0.0.7", "10.0.0.0/8",
// "2001:db8::/32".
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::transport {

/// One address, or a network with its prefix length.
bool is_address_range(const std::string& text);
/// True if `address` is in one of `ranges`. An IPv4 address that came over an IPv6 socket
/// (::ffff:10.0.0.7) counts as IPv4.
bool in_ranges(const std::vector<std::string>& ranges, const std::string& address);

/// Ranges that are read once and asked often.
class address_ranges {
 public:
  address_ranges() = default;
  /// What is no range holds nothing.
  explicit address_ranges(const std::vector<std::string>& ranges);
  bool has(const std::string& address) const;
  bool empty() const { return all_.empty(); }

 private:
  friend bool is_address_range(const std::string& text);
  struct range {
    std::array<unsigned char, 16> base;  // IPv4: the first four
    bool is_v4;
    unsigned bits;  // of the prefix
  };
  static bool read(const std::string& text, range& into);
  std::vector<range> all_;
};

/// An address in its usual form: lower case and short, IPv4 over an IPv6 socket as IPv4, without a
/// zone. What is no address stays as it is.
std::string plain_address(const std::string& address);
/// Who is counted as one: an IPv4 address, or the network of 64 bits that an IPv6 address is of.
std::string address_group(const std::string& address);

}  // namespace orrery::transport
