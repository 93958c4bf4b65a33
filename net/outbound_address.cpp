#include "net/outbound_address.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace orrery::net {
namespace {

namespace ip = boost::asio::ip;

struct network {
  std::uint32_t base;
  unsigned bits;
};
constexpr std::uint32_t v4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}
constexpr network not_public[] = {
    {v4(0, 0, 0, 0), 8},        // this network
    {v4(10, 0, 0, 0), 8},       // private
    {v4(100, 64, 0, 0), 10},    // behind carriers
    {v4(127, 0, 0, 0), 8},      // this machine
    {v4(169, 254, 0, 0), 16},   // this link; machines of clouds learn their keys there
    {v4(172, 16, 0, 0), 12},    // private
    {v4(192, 0, 0, 0), 24},     // protocols
    {v4(192, 0, 2, 0), 24},     // documentation
    {v4(192, 88, 99, 0), 24},   // relays of 6to4
    {v4(192, 168, 0, 0), 16},   // private
    {v4(198, 18, 0, 0), 15},    // benchmarks
    {v4(198, 51, 100, 0), 24},  // documentation
    {v4(203, 0, 113, 0), 24},   // documentation
    {v4(224, 0, 0, 0), 3},      // multicast, and what is kept back
};

bool is_public(std::uint32_t address) {
  return std::none_of(std::begin(not_public), std::end(not_public),
                      [&](const network& n) { return (address ^ n.base) >> (32 - n.bits) == 0; });
}

std::uint32_t four_at(const ip::address_v6::bytes_type& b, std::size_t at) {
  return v4(b[at], b[at + 1], b[at + 2], b[at + 3]);
}

bool is_public(const ip::address_v6& address) {
  const auto b = address.to_bytes();
  if (address.is_v4_mapped())
    return is_public(four_at(b, 12));
  if (four_at(b, 0) == 0x0064ff9b)  // translated: 64:ff9b::/96; 64:ff9b:1::/48 is private
    return std::all_of(b.begin() + 4, b.begin() + 12, [](auto x) { return x == 0; }) &&
           is_public(four_at(b, 12));
  if (b[0] == 0x20 && b[1] == 0x02)  // 6to4
    return is_public(four_at(b, 2));
  if ((b[0] & 0xe0) != 0x20)  // 2000::/3 is all that is given out
    return false;
  const auto head = four_at(b, 0);
  return head != 0x20010db8 && head >> 9 != 0x20010000 >> 9 && head >> 12 != 0x3fff0000 >> 12;
}

}  // namespace

bool is_public_address(const ip::address& address) {
  return address.is_v4() ? is_public(address.to_v4().to_uint()) : is_public(address.to_v6());
}

}  // namespace orrery::net
