#include "transport/http_server.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "transport/web_socket.hpp"

namespace orrery::transport {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using error_code = boost::system::error_code;

namespace {

struct server_parts {
  http_limits limits;
  http_handler handler;
  body_taker taker;
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> held{0};  // bytes of bodies in memory
  std::shared_ptr<std::atomic<std::size_t>> under_way =
      std::make_shared<std::atomic<std::size_t>>(0);  // requests
  // Connections; each takes itself out when it ends.
  std::mutex mutex;
  std::unordered_map<const void*, std::function<void()>> endings;
};

/// A request, from its last byte until its answer is on its way.
std::shared_ptr<void> count_under_way(const server_parts& parts) {
  parts.under_way->fetch_add(1);
  return {static_cast<void*>(parts.under_way.get()),
          [counter = parts.under_way](void*) { counter->fetch_sub(1); }};
}

/// A connection's part of the bodies in memory.
class held_bytes {
 public:
  explicit held_bytes(std::shared_ptr<server_parts> parts) : parts_{std::move(parts)} {}
  ~held_bytes() { set(0); }
  held_bytes(const held_bytes&) = delete;
  held_bytes& operator=(const held_bytes&) = delete;
  /// False if that is more than all connections together may hold.
  bool set(std::size_t now) {
    const auto before = std::exchange(mine_, now);
    if (now <= before) {
      parts_->held.fetch_sub(before - now);
      return true;
    }
    return parts_->held.fetch_add(now - before) + (now - before) <= parts_->limits.max_held_bytes;
  }

 private:
  std::shared_ptr<server_parts> parts_;
  std::size_t mine_ = 0;
};

std::string lower(beast::string_view text) {
  auto out = std::string{text.data(), text.size()};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(std::shared_ptr<server_parts> parts, std::shared_ptr<net::stream> bytes,
             connection_permit permit)
      : parts_{std::move(parts)},
        bytes_{std::move(bytes)},
        permit_{std::move(permit)},
        timer_{bytes_->executor()},
        held_{parts_} {}
  ~connection() {
    const auto hold = std::lock_guard{parts_->mutex};
    parts_->endings.erase(this);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void start() {
    {
      const auto hold = std::lock_guard{parts_->mutex};
      parts_->endings.emplace(this, [weak = weak_from_this()] {
        if (const auto self = weak.lock())
          asio::post(self->bytes_->executor(), [self] { self->end_if_idle(); });
      });
    }
    if (parts_->stopping.load())
      return end();
    begin();
    wait();
  }

 private:
  using parser = http::request_parser<http::string_body>;

  void begin() {
    parser_.emplace();
    // Of the two limits that which the parser has to know is the larger one: which of them counts
    // is known with the head.
    parser_->body_limit(
        std::max<std::uint64_t>(parts_->limits.max_body_bytes, parts_->limits.max_sunk_bytes));
    parser_->eager(false);  // it stops behind the head, and then the limit is known
    held_.set(0);
    head_used_ = 0;
    sink_.reset();
    source_ = nullptr;
    sunk_ = 0;
    continued_ = started_ = looked_ = false;
    deadline(parts_->limits.idle_timeout);
  }

  void deadline(std::chrono::seconds after) {
    timer_.expires_after(after);
    timer_.async_wait([weak = weak_from_this()](error_code e) {
      if (const auto self = weak.lock(); self && !e && !self->answering_)
        self->give_up();
    });
  }

  void give_up() {
    if (started_)
      refuse(408);
    else
      bytes_->close();
  }

  void wait() {
    bytes_->wait_readable([self = shared_from_this()] { self->read(); });
  }

  void read() {
    char buffer[16 * 1024];
    const auto got = bytes_->read(buffer, sizeof buffer);
    if (got.size > 0) {
      if (!started_) {
        started_ = true;
        deadline(parts_->limits.request_timeout);
      }
      in_.append(buffer, got.size);
      if (!parse())
        return;
    }
    if (got.closed)
      return end();
    wait();
  }

  /// True if more bytes are wanted.
  bool parse() {
    auto e = error_code{};
    // Empty lines before a request count for nothing (RFC 9112, 2.2).
    const auto between = head_used_ == 0 && !parser_->is_header_done();
    while (between && in_.starts_with("\r\n"))
      in_.erase(0, 2);
    if (between && in_ == "\r")
      return true;
    while (!in_.empty() && !parser_->is_done()) {
      // Beast's limit is for what it is shown at once, and it takes field by field: this one is for
      // the whole head.
      if (!parser_->is_header_done())
        parser_->header_limit(static_cast<std::uint32_t>(
            std::max<std::size_t>(parts_->limits.max_header_bytes - head_used_, 1)));
      const auto used = parser_->put(asio::buffer(in_), e);
      in_.erase(0, used);
      if (!e && parser_->is_header_done() && !look_at_head())
        return false;
      if (!parser_->is_header_done())
        head_used_ = std::min(head_used_ + used, parts_->limits.max_header_bytes);
      if (e == http::error::need_more) {
        e = {};
        if (parser_->is_header_done() || head_used_ + in_.size() < parts_->limits.max_header_bytes)
          break;
        e = http::error::header_limit;
      }
      if (e) {
        if (e == http::error::body_limit)
          refuse(413);
        else if (e == http::error::header_limit || e == http::error::buffer_overflow)
          refuse(431);
        else
          refuse(400);
        return false;
      }
    }
    if (parser_->is_header_done() && !look_at_head())
      return false;
    if (!held_.set(parser_->get().body().size())) {
      refuse(503);
      return false;
    }
    if (parser_->is_header_done() && !parser_->is_done() && !continued_) {
      continued_ = true;
      const auto& head = parser_->get();
      if (beast::iequals(head[http::field::expect], "100-continue") && head.version() >= 11)
        bytes_->write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (sink_ && !parser_->get().body().empty()) {
      sink();
      return false;
    }
    if (!parser_->is_done())
      return true;
    answer();
    return false;
  }

  /// What of the head can be known is in it.
  std::shared_ptr<http_request> describe(const http::request<http::string_body>& from) const {
    auto request = std::make_shared<http_request>();
    request->method = std::string{from.method_string()};
    request->target = std::string{from.target()};
    request->peer = bytes_->peer();
    request->secure = bytes_->secure();
    for (const auto& field : from)
      request->headers.emplace_back(lower(field.name_string()), std::string{field.value()});
    request->wants_web_socket = beast::websocket::is_upgrade(from);
    return request;
  }

  /// Where the body goes, and whether it may be that long. False: an answer is on its way.
  bool look_at_head() {
    const auto& head = parser_->get();
    if (!looked_) {
      looked_ = true;
      const auto request = parts_->taker ? describe(head) : nullptr;
      if (request && split_target(request->target, *request))
        sink_ = parts_->taker(*request);
      if (sink_ && !sink_->wanted()) {
        end_with_answer();
        return false;
      }
    }
    const auto most = sink_ ? sink_->most() : parts_->limits.max_body_bytes;
    if (!parser_->eager()) {
      parser_->body_limit(most);
      parser_->eager(true);
    }
    if (parser_->content_length().value_or(0) <= most && sunk_ + head.body().size() <= most)
      return true;
    refuse(413);
    return false;
  }

  /// Gives away what has come, and reads on when that is dealt with.
  void sink() {
    answering_ = true;
    timer_.cancel();
    auto piece = std::exchange(parser_->get().body(), {});
    held_.set(0);
    sunk_ += piece.size();
    sink_->take(std::move(piece), [self = shared_from_this()](bool more) {
      asio::post(self->bytes_->executor(), [self, more] { self->sunk(more); });
    });
  }
  void sunk(bool more) {
    if (!bytes_->is_open())
      return end();
    if (!more)
      return end_with_answer();
    if (parser_->is_done())
      return answer();
    answering_ = false;
    deadline(parts_->limits.request_timeout);
    if (!in_.empty() && !parse())
      return;
    wait();
  }
  /// The rest of the body is read by nobody.
  void end_with_answer() {
    refused_ = true;
    answer();
  }

  void end_if_idle() {
    if (!started_ && !answering_ && !is_upgraded_)
      end();
  }

  void answer() {
    answering_ = true;
    // Whoever answers may keep the connection for longer than its context is there.
    timer_.cancel();
    under_way_ = count_under_way(*parts_);
    request_ = parser_->release();
    keep_alive_ = !refused_ && request_.keep_alive() && !parts_->stopping.load();
    head_ = request_.method() == http::verb::head;
    auto request = describe(request_);
    request->sink = std::move(sink_);
    request->body = std::move(request_.body());
    if (request_.version() >= 11 && request_.count(http::field::host) != 1)
      return refuse(400);
    if (request_.version() != 11 && request_.version() != 10)
      return refuse(505);
    if (!split_target(request->target, *request))
      return refuse(400);
    parts_->handler(
        std::move(request), responder{[self = shared_from_this()](http_response response) {
          asio::post(self->bytes_->executor(), [self, response = std::move(response)]() mutable {
            self->respond(std::move(response));
          });
        }});
  }

  void respond(http_response response) {
    if (response.upgrade || response.upgrade_to_bytes)
      return upgrade(std::move(response));
    auto message =
        http::response<http::string_body>{static_cast<http::status>(response.status), 11};
    for (const auto& [name, value] : response.headers)
      message.insert(name, value);
    if (!response.content_type.empty())
      message.set(http::field::content_type, response.content_type);
    keep_alive_ = keep_alive_ && !parts_->stopping.load();
    message.keep_alive(keep_alive_);
    message.body() = std::move(response.body);
    // To a peer that knows no chunks the end of the connection is the end of the body.
    const auto endless = response.source && response.source_size == http_response::unknown_size;
    chunked_ = endless && request_.version() >= 11;
    if (endless && !chunked_) {
      keep_alive_ = false;
      message.keep_alive(false);
    }
    if (chunked_)
      message.chunked(true);
    else if (response.source && !endless)
      message.content_length(response.source_size);
    else if (response.status != 204 && response.status != 304 && response.status / 100 != 1 &&
             !endless)
      message.content_length(message.body().size());
    if (head_ || response.status == 204 || response.status == 304)
      message.body().clear();
    auto text = std::string{};
    auto serializer = http::response_serializer<http::string_body>{message};
    serializer.split(chunked_);
    auto e = error_code{};
    while (!serializer.is_done() && !e)
      serializer.next(e, [&](error_code&, const auto& buffers) {
        for (auto i = asio::buffer_sequence_begin(buffers); i != asio::buffer_sequence_end(buffers);
             ++i) {
          const auto part = asio::const_buffer{*i};
          text.append(static_cast<const char*>(part.data()), part.size());
        }
        serializer.consume(asio::buffer_size(buffers));
        if ((head_ || chunked_) && serializer.is_header_done())
          e = http::error::end_of_stream;
      });
    bytes_->write(text);
    if (response.source && !head_) {
      source_ = std::move(response.source);
      return pump(response.source_size);
    }
    end_of_answer();
  }

  /// The rest of an answer, piece by piece: the next one is asked for when the last is on its way.
  void pump(std::uint64_t left) {
    if (!bytes_->is_open())
      return end();
    if (left == 0)
      return end_of_answer();
    source_([self = shared_from_this(), left](std::optional<std::string> piece) {
      asio::post(self->bytes_->executor(),
                 [self, left, piece = std::move(piece)] { self->send_piece(left, piece); });
    });
  }
  void send_piece(std::uint64_t left, const std::optional<std::string>& piece) {
    const auto endless = left == http_response::unknown_size;
    // Less than was promised: that can only be told by an early end.
    if (!piece || (piece->empty() && !endless) || piece->size() > left || !bytes_->is_open())
      return end();
    if (endless && piece->empty()) {
      if (chunked_)
        bytes_->write("0\r\n\r\n");
      return end_of_answer();
    }
    if (chunked_) {
      char size[20];
      bytes_->write({size, static_cast<std::size_t>(
                               std::snprintf(size, sizeof size, "%zx\r\n", piece->size()))});
    }
    bytes_->write(*piece);
    if (chunked_)
      bytes_->write("\r\n");
    timer_.expires_after(parts_->limits.request_timeout);
    timer_.async_wait([weak = weak_from_this()](error_code e) {
      if (const auto self = weak.lock(); self && !e)
        self->end();
    });
    bytes_->wait_drained([self = shared_from_this(), left = endless ? left : left - piece->size()] {
      self->timer_.cancel();
      self->pump(left);
    });
  }

  void end_of_answer() {
    source_ = nullptr;
    if (refused_)
      return drain();
    if (!keep_alive_) {
      timer_.cancel();
      bytes_->wait_drained([self = shared_from_this()] { self->under_way_ = nullptr; });
      return bytes_->finish();
    }
    // The next request is read when this answer is on its way: a peer that does not read waits.
    bytes_->wait_drained([self = shared_from_this()] { self->next(); });
  }

  void next() {
    answering_ = false;
    under_way_ = nullptr;
    if (!bytes_->is_open() || parts_->stopping.load())
      return end();
    begin();
    if (!in_.empty()) {
      started_ = true;
      deadline(parts_->limits.request_timeout);
      if (!parse())
        return;
    }
    wait();
  }

  void upgrade(http_response response) {
    timer_.cancel();
    is_upgraded_ = true;
    under_way_ = nullptr;
    if (response.upgrade_to_bytes)
      accept_byte_socket(bytes_, permit_, request_, response.sub_protocol,
                         std::move(response.upgrade_to_bytes));
    else
      accept_web_socket(bytes_, permit_, request_, response.sub_protocol,
                        std::move(response.upgrade));
  }

  /// Code and words for what could not be read.
  std::pair<std::string, std::string> explain(int status) const {
    const auto& l = parts_->limits;
    switch (status) {
      case 408:
        return {"request_timeout", "a request must be complete " +
                                       std::to_string(l.request_timeout.count()) +
                                       " s after its first byte"};
      case 413:
        return {"too_large", "a body has at most " +
                                 std::to_string(sink_ ? sink_->most() : l.max_body_bytes) +
                                 " bytes"};
      case 431:
        return {"header_too_large",
                "a request's head has at most " + std::to_string(l.max_header_bytes) + " bytes"};
      case 503:
        return {"unavailable", "too many request bodies are being read: come back later"};
      case 505:
        return {"http_version_not_supported", "HTTP/1.1 or HTTP/1.0 is spoken here"};
      default:
        return {"malformed",
                "that is no HTTP request, or has no Host, or a target that cannot be "
                "decoded"};
    }
  }

  /// An answer to what could not be read: then the connection ends.
  void refuse(int status) {
    answering_ = refused_ = true;
    keep_alive_ = false;
    auto response = http_response{};
    response.status = status;
    response.content_type = "application/problem+json";
    const auto [code, detail] = explain(status);
    response.body = R"({"type":"about:blank","title":")" +
                    std::string{http::obsolete_reason(static_cast<http::status>(status))} +
                    R"(","status":)" + std::to_string(status) + R"(,"code":")" + code +
                    R"(","detail":")" + detail + R"("})";
    if (status == 503)
      response.headers.emplace_back("Retry-After", "1");
    respond(std::move(response));
  }

  /// Reads what the peer still sends for a moment, so that it gets the answer and no reset.
  void drain() {
    in_ = {};
    timer_.expires_after(std::chrono::seconds{1});
    timer_.async_wait([self = shared_from_this()](error_code e) {
      if (!e)
        self->bytes_->close();
    });
    discard();
  }
  void discard() {
    bytes_->wait_readable([self = shared_from_this()] {
      char buffer[16 * 1024];
      if (self->bytes_->read(buffer, sizeof buffer).closed)
        self->end();
      else
        self->discard();
    });
  }

  void end() {
    timer_.cancel();
    bytes_->close();
  }

  std::shared_ptr<server_parts> parts_;
  std::shared_ptr<net::stream> bytes_;
  connection_permit permit_;
  asio::steady_timer timer_;
  held_bytes held_;
  std::optional<parser> parser_;
  http::request<http::string_body> request_;
  std::string in_;
  std::size_t head_used_ = 0;  // bytes of the head that the parser has taken
  std::shared_ptr<body_sink> sink_;
  std::uint64_t sunk_ = 0;  // bytes that it has taken
  std::function<void(http_response::piece_taker)> source_;
  bool looked_ = false;  // at the head
  std::shared_ptr<void> under_way_;
  bool chunked_ = false;  // the answer
  bool is_upgraded_ = false;
  bool continued_ = false, started_ = false, answering_ = false, keep_alive_ = true, head_ = false,
       refused_ = false;
};

}  // namespace

struct http_server::impl {
  std::shared_ptr<server_parts> parts = std::make_shared<server_parts>();
  std::unique_ptr<tcp_listener> port;
};

http_server::http_server(net::io_threads& io, const config::listener& where,
                         std::size_t max_connections, net::tls_source tls, http_limits limits,
                         http_handler handler, body_taker taker)
    : impl_{std::make_unique<impl>()} {
  impl_->parts->limits = limits;
  impl_->parts->handler = std::move(handler);
  impl_->parts->taker = std::move(taker);
  impl_->port = std::make_unique<tcp_listener>(
      io, where, max_connections, tls,
      [parts = impl_->parts](std::shared_ptr<net::stream> bytes, connection_permit permit) {
        std::make_shared<connection>(parts, std::move(bytes), std::move(permit))->start();
      });
}

http_server::~http_server() = default;
std::uint16_t http_server::port() const {
  return impl_->port->port();
}
std::size_t http_server::connections() const {
  return impl_->port->connections();
}
std::uint64_t http_server::refused() const {
  return impl_->port->refused();
}
void http_server::stop() {
  impl_->parts->stopping.store(true);
  impl_->port->stop();
  auto all = decltype(impl_->parts->endings){};
  {
    const auto hold = std::lock_guard{impl_->parts->mutex};
    all = impl_->parts->endings;
  }
  // Without the mutex: a connection whose last owner this is takes itself out.
  for (const auto& [connection, end] : all)
    end();
}
std::size_t http_server::under_way() const {
  return impl_->parts->under_way->load();
}

}  // namespace orrery::transport
