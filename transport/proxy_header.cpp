#include "transport/proxy_header.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "transport/address_range.hpp"

namespace orrery::transport {
namespace {

namespace ip = boost::asio::ip;
using model::errc;
using model::failure;
using outcome = model::result<std::optional<decoded_proxy_header>>;

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view word = "PROXY ";
constexpr std::size_t max_line = 107, head_size = 16;

failure malformed(const char* what) {
  return {errc::invalid_argument, std::string{"no PROXY header: "} + what};
}
outcome more_needed() {
  return std::optional<decoded_proxy_header>{};
}

unsigned byte_at(std::string_view in, std::size_t at) {
  return static_cast<unsigned char>(in[at]);
}
unsigned number_at(std::string_view in, std::size_t at) {
  return byte_at(in, at) << 8 | byte_at(in, at + 1);
}

std::optional<std::uint16_t> port_in(std::string_view text) {
  auto port = std::uint16_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return port;
}

std::optional<std::string> address_in(std::string_view text, bool v4) {
  auto failed = boost::system::error_code{};
  const auto found = ip::make_address(std::string{text}, failed);
  if (failed || found.is_v4() != v4)
    return std::nullopt;
  return plain_address(found.to_string());
}

//  "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP port SP port CRLF | "PROXY UNKNOWN" ...
//  CRLF
outcome decode_line(std::string_view in) {
  const auto end = in.substr(0, max_line).find("\r\n");
  if (end == std::string_view::npos)
    return in.size() >= max_line ? outcome{malformed("the line does not end")} : more_needed();
  auto fields = std::vector<std::string_view>{};
  for (auto rest = in.substr(word.size(), end - word.size());;) {
    const auto blank = rest.find(' ');
    fields.push_back(rest.substr(0, blank));
    if (blank == std::string_view::npos)
      break;
    rest.remove_prefix(blank + 1);
  }
  auto out = decoded_proxy_header{};
  out.size = end + 2;
  if (fields[0] == "UNKNOWN")
    return std::optional{out};
  const auto v4 = fields[0] == "TCP4";
  if ((!v4 && fields[0] != "TCP6") || fields.size() != 5)
    return malformed("not TCP4 or TCP6 with two addresses and two ports");
  const auto from = address_in(fields[1], v4), to = address_in(fields[2], v4);
  const auto port = port_in(fields[3]), port_to = port_in(fields[4]);
  if (!from || !to || !port || !port_to)
    return malformed("an address or a port is none");
  out.peer.address = *from;
  out.peer.port = *port;
  return std::optional{out};
}

/// Whether the client speaks TLS with the proxy, by the values behind the addresses.
///   type u8 | size u16 | value
model::result<bool> read_values(std::string_view in) {
  constexpr auto type_ssl = 0x20u, client_ssl = 1u;
  constexpr std::size_t least_ssl = 5;  // flags u8 | verified u32 | values
  auto secure = false;
  while (!in.empty()) {
    if (in.size() < 3 || in.size() - 3 < number_at(in, 1))
      return malformed("a value goes over its end");
    const auto size = number_at(in, 1);
    const auto value = in.substr(3, size);
    if (byte_at(in, 0) == type_ssl) {
      if (value.size() < least_ssl)
        return malformed("the value on TLS is too short");
      secure = (byte_at(value, 0) & client_ssl) != 0;
    }
    in.remove_prefix(3 + size);
  }
  return secure;
}

//  signature 12 | version and command u8 | family and protocol u8 | size u16 | addresses | values
outcome decode_binary(std::string_view in) {
  if (in.size() < head_size)
    return more_needed();
  const auto version = byte_at(in, 12) >> 4, command = byte_at(in, 12) & 15;
  const auto family = byte_at(in, 13);
  const auto size = number_at(in, 14);
  if (version != 2 || command > 1)
    return malformed("another version or command");
  if (head_size + size > max_proxy_header)
    return failure{errc::too_large, "a PROXY header has at most 2048 bytes"};
  if (in.size() < head_size + size)
    return more_needed();
  auto out = decoded_proxy_header{};
  out.size = head_size + size;
  if (command == 0)  // the proxy looks whether this port lives
    return std::optional{out};
  auto rest = in.substr(head_size, size);
  constexpr auto unspecified = 0x00u, tcp4 = 0x11u, tcp6 = 0x21u, local = 0x31u;
  if (family == unspecified || family == local)
    return std::optional{out};
  if (family != tcp4 && family != tcp6)
    return malformed("not TCP");
  const auto length = family == tcp4 ? std::size_t{4} : std::size_t{16};
  if (rest.size() < 2 * length + 4)
    return malformed("too short for its addresses");
  if (family == tcp4) {
    auto bytes = ip::address_v4::bytes_type{};
    std::copy_n(rest.begin(), length, bytes.begin());
    out.peer.address = ip::make_address_v4(bytes).to_string();
  } else {
    auto bytes = ip::address_v6::bytes_type{};
    std::copy_n(rest.begin(), length, bytes.begin());
    out.peer.address = plain_address(ip::make_address_v6(bytes).to_string());
  }
  out.peer.port = static_cast<std::uint16_t>(number_at(rest, 2 * length));
  auto secure = read_values(rest.substr(2 * length + 4));
  if (!secure)
    return secure.error();
  out.peer.secure = *secure;
  return std::optional{out};
}

}  // namespace

outcome decode_proxy_header(std::string_view in) {
  const auto begins = [&](std::string_view with) {
    const auto shared = std::min(in.size(), with.size());
    return in.substr(0, shared) == with.substr(0, shared);
  };
  if (begins(signature))
    return in.size() < signature.size() ? more_needed() : decode_binary(in);
  if (begins(word))
    return in.size() < word.size() ? more_needed() : decode_line(in);
  return malformed("it begins otherwise");
}

}  // namespace orrery::transport
