// The end of a log-in by an identity provider: a port of this machine that the browser comes back
// to (RFC 8252, 7.3).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::app::cli {

/// What a browser brought.
struct brought {
  std::string code, state, issuer;
};

/// What stands in the first line of a browser's request; `other`: it is not about the log-in.
/// Throws refused with what the provider says instead of a code.
enum class visit : unsigned char { other, back };
visit read_visit(std::string_view request, brought& into);

/// Listens on 127.0.0.1, on a port of its own.
class loopback_port {
 public:
  loopback_port();  // throws refused
  ~loopback_port();
  loopback_port(const loopback_port&) = delete;
  loopback_port& operator=(const loopback_port&) = delete;

  /// "http://127.0.0.1:PORT/"
  std::string uri() const;
  /// Waits for the browser with that state. Throws refused when the time is over, or with what the
  /// provider says instead of a code.
  brought wait(const std::string& state, std::chrono::seconds patience) const;

 private:
  int socket_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace orrery::app::cli
