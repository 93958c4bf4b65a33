#include "transport/api/address_range.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <boost/asio/ip/address.hpp>

namespace orrery::transport::api {
namespace {

namespace ip = boost::asio::ip;

struct range {
  ip::address base;
  unsigned bits;  // of the prefix
};

std::optional<ip::address> parse_address(const std::string& text) {
  auto failed = boost::system::error_code{};
  const auto found = ip::make_address(text, failed);
  if (failed)
    return std::nullopt;
  if (found.is_v6() && found.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, found.to_v6());
  return found;
}

std::optional<range> parse(const std::string& text) {
  const auto slash = text.find('/');
  const auto base = parse_address(text.substr(0, slash));
  if (!base)
    return std::nullopt;
  const auto most = base->is_v4() ? 32u : 128u;
  if (slash == std::string::npos)
    return range{*base, most};
  auto bits = 0u;
  const auto* begin = text.data() + slash + 1;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, bits);
  if (error != std::errc{} || stop != end || bits > most)
    return std::nullopt;
  return range{*base, bits};
}

template <class Bytes>
bool same_prefix(const Bytes& a, const Bytes& b, unsigned bits) {
  for (std::size_t i = 0; i < a.size() && bits > 0; ++i) {
    const auto here = std::min(bits, 8u);
    if (((a[i] ^ b[i]) >> (8 - here)) != 0)
      return false;
    bits -= here;
  }
  return true;
}

}  // namespace

bool is_address_range(const std::string& text) {
  return parse(text).has_value();
}

bool in_ranges(const std::vector<std::string>& ranges, const std::string& address) {
  const auto a = parse_address(address);
  return a && std::any_of(ranges.begin(), ranges.end(), [&](const std::string& text) {
           const auto r = parse(text);
           if (!r || r->base.is_v4() != a->is_v4())
             return false;
           return a->is_v4()
                      ? same_prefix(a->to_v4().to_bytes(), r->base.to_v4().to_bytes(), r->bits)
                      : same_prefix(a->to_v6().to_bytes(), r->base.to_v6().to_bytes(), r->bits);
         });
}

}  // namespace orrery::transport::api
