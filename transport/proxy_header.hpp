// The header that a proxy puts in front of a connection, to say whom it speaks for: PROXY protocol,
// versions 1 and 2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace orrery::transport {

struct proxied_peer {
  /// Empty: the proxy speaks for itself, or does not know.
  std::string address;
  std::uint16_t port = 0;
  bool secure = false;  // the client's end at the proxy is TLS (version 2, type SSL)
  bool operator==(const proxied_peer&) const = default;
};

struct decoded_proxy_header {
  std::size_t size = 0;  // the connection's own bytes begin behind them
  proxied_peer peer;
};

/// The longest header that is read.
constexpr std::size_t max_proxy_header = 2048;

/// Reads the header at the front of `in`; nullopt: more bytes are needed. Fails:
/// `invalid_argument` for what is none, or of another transport than TCP; `too_large`.
model::result<std::optional<decoded_proxy_header>> decode_proxy_header(std::string_view in);

}  // namespace orrery::transport
