#include "transport/web_socket.hpp"

#include <deque>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

namespace orrery::transport {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using error_code = boost::system::error_code;

namespace {

/// net::stream in the shape Beast asks for (AsyncStream).
class beast_layer {
 public:
  using executor_type = asio::io_context::executor_type;
  explicit beast_layer(std::shared_ptr<net::stream> s) : bytes{std::move(s)} {}
  executor_type get_executor() { return bytes->executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, std::shared_ptr<net::stream> s, const Buffers& into) {
          read_into(std::make_shared<decltype(handler)>(std::move(handler)), std::move(s), into);
        },
        token, bytes, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, std::shared_ptr<net::stream> s, const Buffers& from) {
          auto size = std::size_t{0};
          for (auto i = asio::buffer_sequence_begin(from); i != asio::buffer_sequence_end(from);
               ++i) {
            const auto part = asio::const_buffer{*i};
            s->write({static_cast<const char*>(part.data()), part.size()});
            size += part.size();
          }
          auto held = std::make_shared<decltype(handler)>(std::move(handler));
          s->wait_drained([s, held, size] {
            std::move (*held)(
                s->is_open() ? error_code{} : make_error_code(asio::error::connection_reset),
                s->is_open() ? size : 0);
          });
        },
        token, bytes, buffers);
  }

  std::shared_ptr<net::stream> bytes;

 private:
  template <class Handler, class Buffers>
  static void read_into(std::shared_ptr<Handler> handler, std::shared_ptr<net::stream> s,
                        const Buffers& into) {
    auto* stream = s.get();
    stream->wait_readable([handler, s = std::move(s), into]() mutable {
      auto total = std::size_t{0};
      auto closed = false;
      for (auto i = asio::buffer_sequence_begin(into); i != asio::buffer_sequence_end(into); ++i) {
        const auto part = asio::mutable_buffer{*i};
        if (part.size() == 0)
          continue;
        const auto got = s->read(static_cast<char*>(part.data()), part.size());
        total += got.size;
        closed = got.closed;
        if (closed || got.size < part.size())
          break;
      }
      if (total == 0 && !closed)
        return read_into(std::move(handler), std::move(s), into);
      std::move (*handler)(total > 0 ? error_code{} : make_error_code(asio::error::eof), total);
    });
  }
};

// What Beast asks of a stream it does not know.
void beast_close_socket(beast_layer& layer) {
  layer.bytes->close();
}
[[maybe_unused]] void teardown(beast::role_type, beast_layer& layer, error_code& e) {
  layer.bytes->finish();
  e = {};
}
template <class Handler>
void async_teardown(beast::role_type, beast_layer& layer, Handler&& handler) {
  layer.bytes->finish();
  asio::post(layer.get_executor(),
             [h = std::forward<Handler>(handler)]() mutable { std::move(h)(error_code{}); });
}

constexpr std::size_t max_text_bytes = 256 * 1024;
constexpr auto close_patience = std::chrono::seconds{5};

class beast_socket final : public web_socket, public std::enable_shared_from_this<beast_socket> {
 public:
  beast_socket(std::shared_ptr<net::stream> bytes, connection_permit permit)
      : stream_{beast_layer{std::move(bytes)}}, permit_{std::move(permit)} {
    auto limits = websocket::stream_base::timeout{};
    limits.handshake_timeout = std::chrono::seconds{10};
    limits.idle_timeout = std::chrono::seconds{50};  // a ping after 25 s, the end after 50
    limits.keep_alive_pings = true;
    stream_.set_option(limits);
    stream_.read_message_max(max_text_bytes);
    auto deflate = websocket::permessage_deflate{};
    deflate.server_enable = false;
    stream_.set_option(deflate);
  }

  template <class Request, class Then>
  void accept(const Request& request, const std::string& sub_protocol, Then then) {
    if (!sub_protocol.empty())
      stream_.set_option(
          websocket::stream_base::decorator([sub_protocol](websocket::response_type& r) {
            r.set(beast::http::field::sec_websocket_protocol, sub_protocol);
          }));
    stream_.async_accept(request,
                         [self = shared_from_this(), then = std::move(then)](error_code e) {
                           if (!e)
                             then(self);
                         });
  }

  void start(events what) override {
    events_ = std::move(what);
    read();
  }

  void send(std::string text) override {
    if (closed_ || closing_)
      return;
    pending_ += text.size();
    queue_.push_back(std::move(text));
    if (queue_.size() == 1)
      write();
  }

  std::size_t pending() const override { return pending_; }

  void close(std::uint16_t code, std::string_view reason) override {
    if (closed_ || closing_)
      return;
    closing_ = true;
    close_reason_.code = code;
    close_reason_.reason =
        beast::string_view{reason.data(), std::min<std::size_t>(reason.size(), 120)};
    if (queue_.empty())
      send_close();
    // A peer that takes nothing any more does not keep its socket by that.
    auto timer = std::make_shared<asio::steady_timer>(stream_.get_executor(), close_patience);
    timer->async_wait([weak = weak_from_this(), timer](error_code) {
      if (const auto self = weak.lock())
        self->over();
    });
  }

  void post(std::function<void()> work) override {
    asio::post(stream_.get_executor(), std::move(work));
  }

  void after(std::uint64_t ms, std::function<void()> work) override {
    auto timer =
        std::make_shared<asio::steady_timer>(stream_.get_executor(), std::chrono::milliseconds{ms});
    timer->async_wait([self = shared_from_this(), timer, work = std::move(work)](error_code e) {
      if (!e && !self->closed_)
        work();
    });
  }

 private:
  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](error_code e, std::size_t) {
      if (e)
        return self->over();
      if (!self->stream_.got_text()) {
        self->buffer_.consume(self->buffer_.size());
        self->close(4400, "text frames only");
      } else if (!self->closing_) {
        const auto part = self->buffer_.data();
        self->events_.on_text({static_cast<const char*>(part.data()), part.size()});
        self->buffer_.consume(self->buffer_.size());
      } else {
        self->buffer_.consume(self->buffer_.size());
      }
      self->read();
    });
  }

  void write() {
    stream_.text(true);
    stream_.async_write(asio::buffer(queue_.front()),
                        [self = shared_from_this()](error_code e, std::size_t) {
                          self->pending_ -= self->queue_.front().size();
                          self->queue_.pop_front();
                          if (e)
                            return;  // the read ends too
                          if (!self->queue_.empty())
                            return self->write();
                          if (self->closing_)
                            return self->send_close();
                          if (self->events_.on_drained)
                            self->events_.on_drained();
                        });
  }

  void send_close() {
    stream_.async_close(close_reason_, [self = shared_from_this()](error_code) { self->over(); });
  }

  void over() {
    if (std::exchange(closed_, true))
      return;
    stream_.next_layer().bytes->close();
    auto told = std::move(events_.on_closed);
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->events_ = {}; });
    if (told)
      told();
  }

  websocket::stream<beast_layer> stream_;
  connection_permit permit_;
  beast::flat_buffer buffer_;
  events events_;
  std::deque<std::string> queue_;
  std::size_t pending_ = 0;
  websocket::close_reason close_reason_;
  bool closing_ = false, closed_ = false;
};

constexpr std::size_t max_message_bytes = 4 * 1024 * 1024;
constexpr std::size_t little = 512, much = 16 * 1024;  // read at once

/// Bytes in binary frames. It reads only while somebody waits, and as little as it can while it is
/// idle: Beast reserves what it is to read.
class beast_bytes final : public net::byte_stream,
                          public std::enable_shared_from_this<beast_bytes> {
 public:
  explicit beast_bytes(std::shared_ptr<net::stream> bytes)
      : stream_{beast_layer{std::move(bytes)}} {
    auto limits = websocket::stream_base::timeout{};
    limits.handshake_timeout = std::chrono::seconds{10};
    limits.idle_timeout = websocket::stream_base::none();  // whoever reads has limits of his own
    limits.keep_alive_pings = false;
    stream_.set_option(limits);
    stream_.read_message_max(max_message_bytes);
    stream_.binary(true);
    auto deflate = websocket::permessage_deflate{};
    deflate.server_enable = false;
    stream_.set_option(deflate);
  }

  template <class Request, class Then>
  void accept(const Request& request, const std::string& sub_protocol, Then then) {
    stream_.set_option(
        websocket::stream_base::decorator([sub_protocol](websocket::response_type& r) {
          r.set(beast::http::field::sec_websocket_protocol, sub_protocol);
        }));
    stream_.async_accept(request,
                         [self = shared_from_this(), then = std::move(then)](error_code e) {
                           if (!e)
                             then(self);
                         });
  }

  void wait_readable(callback then) override {
    reader_ = std::move(then);
    if (in_.size() > 0 || over_)
      asio::post(stream_.get_executor(), [self = shared_from_this()] { self->call_reader(); });
    else
      fill();
  }

  net::read_result read(char* into, std::size_t size) override {
    if (in_.size() == 0)
      return {0, over_};
    const auto taken = asio::buffer_copy(asio::buffer(into, size), in_.data());
    in_.consume(taken);
    if (in_.size() == 0 && !filling_)
      in_.shrink_to_fit();
    return {taken, false};
  }

  void write(std::string_view bytes) override {
    if (over_ || finishing_)
      return;
    waiting_.append(bytes);
    if (sent_.empty())
      send();
  }

  std::size_t pending() const override { return waiting_.size() + sent_.size(); }

  void finish() override {
    if (std::exchange(finishing_, true))
      return;
    if (sent_.empty())
      say_goodbye(websocket::close_code::normal);
    auto timer =
        std::make_shared<asio::steady_timer>(stream_.get_executor(), std::chrono::seconds{1});
    timer->async_wait([self = shared_from_this(), timer](error_code) { self->end(); });
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->call_reader(); });
  }

  const std::string& peer() const override { return bytes().peer(); }
  bool secure() const override { return bytes().secure(); }
  std::optional<net::certificate_facts> peer_certificate() const override {
    return bytes().peer_certificate();
  }
  asio::io_context& context() override { return stream_.next_layer().bytes->context(); }

 private:
  const net::stream& bytes() const { return *stream_.next_layer().bytes; }

  void call_reader() {
    if (auto then = std::exchange(reader_, nullptr))
      then();
  }

  void fill() {
    if (std::exchange(filling_, true))
      return;
    stream_.async_read_some(in_, at_once_,
                            [self = shared_from_this()](error_code e, std::size_t size) {
                              self->filling_ = false;
                              self->filled(e, size);
                            });
  }
  void filled(error_code e, std::size_t size) {
    at_once_ = size >= at_once_ ? much : little;
    if (e) {
      end();
    } else if (size > 0 && !stream_.got_binary()) {
      in_.consume(in_.size());
      over_ = true;
      say_goodbye(websocket::close_code::unknown_data);
    } else if (size == 0) {
      return fill();  // an empty frame
    }
    call_reader();
  }

  void send() {
    sent_.swap(waiting_);
    stream_.async_write(asio::buffer(sent_),
                        [self = shared_from_this()](error_code e, std::size_t) {
                          self->sent_ = {};
                          if (e)
                            return;  // the read ends too
                          if (!self->waiting_.empty())
                            self->send();
                          else if (self->finishing_)
                            self->say_goodbye(websocket::close_code::normal);
                        });
  }

  void say_goodbye(websocket::close_code why) {
    if (std::exchange(said_goodbye_, true))
      return;
    stream_.async_close(why, [self = shared_from_this()](error_code) { self->end(); });
  }

  void end() {
    over_ = true;
    stream_.next_layer().bytes->close();
  }

  websocket::stream<beast_layer> stream_;
  beast::flat_buffer in_;
  std::string waiting_, sent_;
  callback reader_;
  std::size_t at_once_ = little;
  bool filling_ = false, over_ = false, finishing_ = false, said_goodbye_ = false;
};

}  // namespace

void accept_byte_socket(
    std::shared_ptr<net::stream> bytes, connection_permit permit,
    const beast::http::request<beast::http::string_body>& request, const std::string& sub_protocol,
    std::function<void(std::shared_ptr<net::byte_stream>, connection_permit)> then) {
  std::make_shared<beast_bytes>(std::move(bytes))
      ->accept(request, sub_protocol,
               [permit = std::move(permit), then = std::move(then)](
                   const std::shared_ptr<beast_bytes>& socket) { then(socket, permit); });
}

void accept_web_socket(std::shared_ptr<net::stream> bytes, connection_permit permit,
                       const beast::http::request<beast::http::string_body>& request,
                       const std::string& sub_protocol,
                       std::function<void(std::shared_ptr<web_socket>)> then) {
  std::make_shared<beast_socket>(std::move(bytes), std::move(permit))
      ->accept(request, sub_protocol, std::move(then));
}

}  // namespace orrery::transport
