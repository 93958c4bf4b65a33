#include "transport/address_range.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <boost/asio/ip/address.hpp>

namespace orrery::transport {
namespace {

namespace ip = boost::asio::ip;

std::optional<ip::address> parse_address(const std::string& text) {
  auto failed = boost::system::error_code{};
  const auto found = ip::make_address(text, failed);
  if (failed)
    return std::nullopt;
  if (found.is_v6() && found.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, found.to_v6());
  return found;
}

std::array<unsigned char, 16> bytes_of(const ip::address& a) {
  auto out = std::array<unsigned char, 16>{};
  if (a.is_v4()) {
    const auto bytes = a.to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), out.begin());
  } else {
    const auto bytes = a.to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.end(), out.begin());
  }
  return out;
}

bool same_prefix(const std::array<unsigned char, 16>& a, const std::array<unsigned char, 16>& b,
                 unsigned bits) {
  for (std::size_t i = 0; i < a.size() && bits > 0; ++i) {
    const auto here = std::min(bits, 8u);
    if (((a[i] ^ b[i]) >> (8 - here)) != 0)
      return false;
    bits -= here;
  }
  return true;
}

}  // namespace

bool address_ranges::read(const std::string& text, range& into) {
  const auto slash = text.find('/');
  const auto base = parse_address(text.substr(0, slash));
  if (!base)
    return false;
  const auto most = base->is_v4() ? 32u : 128u;
  into = {bytes_of(*base), base->is_v4(), most};
  if (slash == std::string::npos)
    return true;
  const auto* begin = text.data() + slash + 1;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, into.bits);
  return error == std::errc{} && stop == end && into.bits <= most;
}

address_ranges::address_ranges(const std::vector<std::string>& ranges) {
  for (const auto& text : ranges)
    if (auto one = range{}; read(text, one))
      all_.push_back(one);
}

bool address_ranges::has(const std::string& address) const {
  if (all_.empty())
    return false;
  const auto a = parse_address(address);
  if (!a)
    return false;
  const auto bytes = bytes_of(*a);
  return std::any_of(all_.begin(), all_.end(), [&](const range& r) {
    return r.is_v4 == a->is_v4() && same_prefix(bytes, r.base, r.bits);
  });
}

bool is_address_range(const std::string& text) {
  auto ignored = address_ranges::range{};
  return address_ranges::read(text, ignored);
}

bool in_ranges(const std::vector<std::string>& ranges, const std::string& address) {
  return address_ranges{ranges}.has(address);
}

std::string plain_address(const std::string& address) {
  const auto found = parse_address(address);
  if (!found)
    return address;
  if (found->is_v4())
    return found->to_string();
  auto without_zone = found->to_v6();
  without_zone.scope_id(0);
  return without_zone.to_string();
}

std::string address_group(const std::string& address) {
  const auto found = parse_address(address);
  if (!found)
    return address;
  if (found->is_v4())
    return found->to_string();
  auto bytes = found->to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return ip::make_address_v6(bytes).to_string() + "/64";
}

}  // namespace orrery::transport
