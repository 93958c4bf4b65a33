// What a protocol of devices asks of the bytes of its connection, whatever carries them: TCP, TLS,
// or a WebSocket on either.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/certificate.hpp"

namespace boost::asio {
class io_context;
}

namespace orrery::net {

/// What a read found.
struct read_result {
  std::size_t size = 0;
  bool closed = false;  // the peer is gone, or the handshake failed
};

/// All members are called on the thread of the connection's context, which also runs the callbacks.
class byte_stream {
 public:
  using callback = std::function<void()>;
  byte_stream() = default;
  byte_stream(const byte_stream&) = delete;
  byte_stream& operator=(const byte_stream&) = delete;
  virtual ~byte_stream() = default;

  /// Calls back once when there may be something to read (also: the end). One wait at a time.
  virtual void wait_readable(callback then) = 0;
  /// Reads what is there, at most `size`; 0 and not closed: nothing yet.
  virtual read_result read(char* into, std::size_t size) = 0;
  /// Sends, or keeps what is not taken now.
  virtual void write(std::string_view bytes) = 0;
  /// Bytes kept.
  virtual std::size_t pending() const = 0;
  /// Sends what is pending for at most a second, then closes.
  virtual void finish() = 0;

  virtual const std::string& peer() const = 0;  // address without port
  /// Whether nobody on the way can read it: TLS here, or at a proxy that is trusted.
  virtual bool secure() const = 0;
  /// The certificate that the peer has proved to have, in this handshake or in the one whose
  /// session it resumed; nothing if it showed none, or the handshake is not over.
  virtual std::optional<certificate_facts> peer_certificate() const = 0;
  virtual boost::asio::io_context& context() = 0;
};

}  // namespace orrery::net
