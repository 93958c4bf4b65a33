// A request and its response as handlers see them, and the WebSocket that a request may become.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/byte_stream.hpp"

namespace orrery::transport {

/// Takes a request's body piece by piece, so that none has to be in memory whole. The members are
/// called on the connection's thread.
class body_sink {
 public:
  virtual ~body_sink() = default;
  /// False: the body is not read. The handler answers at once, and then the connection ends.
  virtual bool wanted() const = 0;
  /// More than that is refused with 413.
  virtual std::uint64_t most() const = 0;
  /// `next` is to be called once, from any thread: nothing is read until then. `next(false)`: no
  /// more is wanted, as above.
  virtual void take(std::string bytes, std::function<void(bool more)> next) = 0;
  /// What tells two bodies apart, of all that was taken; "": it cannot say.
  virtual std::string digest() const { return {}; }
};

struct http_request {
  std::string method;                                        // "GET"
  std::string target;                                        // as sent
  std::vector<std::string> path;                             // segments, percent-decoded
  std::vector<std::pair<std::string, std::string>> query;    // decoded, in order
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string peer;  // address without port
  bool secure = false;
  bool wants_web_socket = false;
  std::shared_ptr<body_sink> sink = {};  // what has taken the body, if anything did

  /// The first of that name (lower case), or "".
  std::string_view header(std::string_view name) const;
  /// The first of that name, or null.
  const std::string* parameter(std::string_view name) const;
};

/// An accepted WebSocket (RFC 6455). All members are called on its own thread; `post` is for
/// others.
class web_socket {
 public:
  struct events {
    std::function<void(std::string_view text)> on_text;
    std::function<void()> on_drained;  // nothing is pending any more
    std::function<void()> on_closed;   // once, last of all
  };
  virtual ~web_socket() = default;
  virtual void start(events what) = 0;
  virtual void send(std::string text) = 0;
  /// Bytes sent and not taken by the socket.
  virtual std::size_t pending() const = 0;
  virtual void close(std::uint16_t code, std::string_view reason) = 0;
  virtual void post(std::function<void()> work) = 0;
  /// Runs `work` after that many milliseconds unless the socket is closed by then.
  virtual void after(std::uint64_t ms, std::function<void()> work) = 0;
};

struct http_response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string content_type;  // empty: no body
  /// Set: the request becomes a WebSocket of that sub-protocol; the rest does not count.
  std::function<void(std::shared_ptr<web_socket>)> upgrade;
  std::string sub_protocol;
  /// Set: the request becomes a WebSocket whose binary frames are a stream of bytes; text ends it.
  /// What is given beside it counts the connection as long as it is held.
  std::function<void(std::shared_ptr<net::byte_stream>, std::shared_ptr<void>)> upgrade_to_bytes =
      {};
  /// Set: gives the body, of `source_size` bytes, piece by piece, and `body` does not count. It is
  /// called on the connection's thread, and calls back once, from any: with some bytes, or with
  /// nothing if there is trouble, which ends the connection. Of a body whose size is not known an
  /// empty piece is the end.
  using piece_taker = std::function<void(std::optional<std::string>)>;
  std::function<void(piece_taker)> source = {};
  static constexpr auto unknown_size = ~std::uint64_t{0};
  std::uint64_t source_size = 0;
};

/// True if a list of sub-protocols (RFC 6455, 4.1) has that name.
bool offers(std::string_view list, std::string_view name);

/// Answers one request, once, from any thread. If all copies go without an answer the client gets
/// 500.
class responder {
 public:
  using sink = std::function<void(http_response)>;
  explicit responder(sink to);
  void operator()(http_response response) const;

 private:
  struct once;
  std::shared_ptr<once> once_;
};

using http_handler = std::function<void(std::shared_ptr<const http_request>, responder)>;
/// Looks at the head of a request before its body is read; null: the body goes into the request.
using body_taker = std::function<std::shared_ptr<body_sink>(const http_request& head)>;

/// Splits a request's target into path and query, decoded. A slash at the end counts for nothing.
/// False if it has no path, an escape is wrong, or a NUL is in it.
bool split_target(std::string_view target, http_request& into);

}  // namespace orrery::transport
