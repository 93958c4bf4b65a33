#include "net/http_client.hpp"

#include <algorithm>
#include <poll.h>
#include <sys/socket.h>
#include <variant>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

namespace orrery::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

constexpr auto agent = "orrery/" ORRERY_VERSION;
constexpr std::size_t max_reply_bytes = 256u * 1024 * 1024;
constexpr std::size_t max_line_bytes = 16u * 1024 * 1024;
constexpr auto line_interval = std::chrono::milliseconds{200};

/// A socket whose calls give up when nothing moves for a while: Asio's own wait for ever.
class plain {
 public:
  using executor_type = tcp::socket::executor_type;
  using lowest_layer_type = tcp::socket::lowest_layer_type;
  plain(asio::io_context& io, std::chrono::milliseconds patience)
      : socket_{io}, patience_{patience} {}

  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
  void be_patient(std::chrono::milliseconds patience) { patience_ = patience; }
  tcp::socket& socket() { return socket_; }

  void connect(const tcp::endpoint& to, error_code& failed) {
    auto ignored = error_code{};
    socket_.close(ignored);
    socket_.open(to.protocol(), failed);
    if (failed)
      return;
    socket_.non_blocking(true, ignored);
    auto error = 0;  // Asio's own connect waits for ever
    if (::connect(socket_.native_handle(), to.data(), static_cast<socklen_t>(to.size())) != 0)
      error = errno;
    if (error == EINPROGRESS && moves(POLLOUT, failed)) {
      auto size = socklen_t{sizeof error};
      ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (!failed)
      failed = {error, boost::system::system_category()};
    socket_.non_blocking(false, ignored);
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& into, error_code& failed) {
    return moves(POLLIN, failed) ? socket_.read_some(into, failed) : 0;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& from, error_code& failed) {
    return moves(POLLOUT, failed) ? socket_.write_some(from, failed) : 0;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& into) {
    return or_throw([&](error_code& failed) { return read_some(into, failed); });
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& from) {
    return or_throw([&](error_code& failed) { return write_some(from, failed); });
  }

 private:
  template <class F>
  static std::size_t or_throw(F call) {
    auto failed = error_code{};
    const auto n = call(failed);
    if (failed)
      throw boost::system::system_error{failed};
    return n;
  }
  bool moves(short what, error_code& failed) {
    auto waited = pollfd{socket_.native_handle(), what, 0};
    auto n = 0;
    do
      n = ::poll(&waited, 1, static_cast<int>(patience_.count()));
    while (n < 0 && errno == EINTR);
    if (n > 0)
      return true;
    failed = n == 0 ? error_code{asio::error::timed_out}
                    : error_code{errno, boost::system::system_category()};
    return false;
  }

  tcp::socket socket_;
  std::chrono::milliseconds patience_;
};
using secure = beast::ssl_stream<plain>;

/// How Beast ends a WebSocket on it: the goodbyes are said, there is nothing to wait for.
void teardown(beast::role_type, plain& s, error_code& failed) {
  s.socket().close(failed);
}

std::string lower(beast::string_view text) {
  auto out = std::string{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

struct http_client::impl {
  bool tls = false;
  std::string host, port, authority, ca_file;
  std::chrono::milliseconds patience{};
  asio::io_context io{1};
  asio::ssl::context context{asio::ssl::context::tls_client};
  std::unique_ptr<plain> socket;
  std::unique_ptr<secure> tls_socket;
  beast::flat_buffer buffer;

  /// To the first of the host's addresses that answers in time.
  void connect(plain& s) {
    auto resolver = tcp::resolver{io};
    auto failed = error_code{asio::error::host_not_found};
    for (const auto& address : resolver.resolve(host, port)) {
      s.connect(address.endpoint(), failed);
      if (!failed)
        break;
    }
    if (failed)
      throw boost::system::system_error{failed};
    s.socket().set_option(tcp::no_delay{true});
  }
  void prepare_tls() {
    context.set_verify_mode(asio::ssl::verify_peer);
    if (ca_file.empty())
      context.set_default_verify_paths();
    else
      context.load_verify_file(ca_file);
  }
  template <class Stream>
  void handshake(Stream& s) {
    SSL_set_tlsext_host_name(s.native_handle(), host.c_str());
    s.set_verify_callback(asio::ssl::host_name_verification{host});
    s.handshake(asio::ssl::stream_base::client);
  }

  http::request<http::string_body> request(std::string_view method, std::string_view target,
                                           const headers& more, std::string_view body) const {
    auto r = http::request<http::string_body>{
        http::string_to_verb({method.data(), method.size()}), {target.data(), target.size()}, 11};
    r.set(http::field::host, authority);
    r.set(http::field::user_agent, agent);
    for (const auto& [name, value] : more)
      r.set(name, value);
    r.body() = std::string{body};
    r.prepare_payload();
    return r;
  }

  bool open() const { return socket || tls_socket; }
  /// A kept connection on which something came unasked: its end, most likely.
  bool is_stale() {
    auto& s = tls ? tls_socket->next_layer() : *socket;
    auto looked = pollfd{s.socket().native_handle(), POLLIN, 0};
    return ::poll(&looked, 1, 0) != 0;
  }
  void reset() {
    socket.reset();
    tls_socket.reset();
    buffer.clear();
  }
  void dial() {
    if (tls) {
      prepare_tls();
      tls_socket = std::make_unique<secure>(plain{io, patience}, context);
      connect(tls_socket->next_layer());
      handshake(*tls_socket);
    } else {
      socket = std::make_unique<plain>(io, patience);
      connect(*socket);
    }
  }

  template <class Stream>
  http_reply exchange(Stream& s, http::request<http::string_body>& request) {
    http::write(s, request);
    auto parser = http::response_parser<http::string_body>{};
    parser.body_limit(max_reply_bytes);
    parser.skip(request.method() == http::verb::head);
    http::read(s, buffer, parser);
    auto message = parser.release();
    auto reply = http_reply{.status = static_cast<int>(message.result_int()),
                            .headers = {},
                            .body = std::move(message.body())};
    for (const auto& field : message)
      reply.headers.emplace_back(lower(field.name_string()), std::string{field.value()});
    if (!message.keep_alive())
      reset();
    return reply;
  }

  template <class Stream>
  void lines(Stream& s, plain& below, http::request<http::string_body>& request,
             const std::function<bool(std::string_view)>& on_line,
             const std::function<bool()>& goes_on) {
    http::write(s, request);
    auto parser = http::response_parser<http::string_body>{};
    parser.body_limit(boost::none);
    auto received = beast::flat_buffer{};
    http::read_header(s, received, parser);
    auto& text = parser.get().body();
    if (parser.get().result() != http::status::ok) {
      http::read(s, received, parser);
      throw not_reached{authority + " refuses: " + std::to_string(parser.get().result_int()) + " " +
                        text.substr(0, 200)};
    }
    below.be_patient(line_interval);
    for (auto failed = error_code{};;) {
      auto at = std::size_t{0};
      for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', at)) {
        if (!on_line(std::string_view{text}.substr(at, end - at)))
          return;
        at = end + 1;
      }
      text.erase(0, at);
      if (text.size() > max_line_bytes)
        throw not_reached{authority + " sends a line of more than 16 MiB"};
      if (parser.is_done())
        return;
      http::read_some(s, received, parser, failed);
      if (failed == asio::error::timed_out ? !goes_on() : failed == http::error::end_of_stream)
        return;
      if (failed && failed != asio::error::timed_out)
        throw boost::system::system_error{failed};
    }
  }

  template <class Socket>
  void watch(websocket::stream<Socket>& ws, std::string_view target, const headers& more,
             std::string_view sub_protocol, const std::vector<std::string>& first,
             const std::function<bool(std::string_view)>& on_text) {
    ws.set_option(websocket::stream_base::decorator([&](websocket::request_type& r) {
      for (const auto& [name, value] : more)
        r.set(name, value);
      r.set(http::field::user_agent, agent);
      r.set(http::field::sec_websocket_protocol,
            beast::string_view{sub_protocol.data(), sub_protocol.size()});
    }));
    auto answer = websocket::response_type{};
    auto failed = error_code{};
    ws.handshake(answer, authority, std::string{target}, failed);
    if (failed)
      throw not_reached{"the stream was refused: " +
                        (answer.result_int() != 0
                             ? std::to_string(answer.result_int()) + " " + answer.body()
                             : failed.message())};
    for (const auto& text : first)
      ws.write(asio::buffer(text));
    auto message = beast::flat_buffer{};
    for (;;) {
      message.clear();
      ws.read(message, failed);
      if (failed == websocket::error::closed)
        return;
      if (failed)
        throw not_reached{"the stream broke: " + failed.message()};
      if (!on_text({static_cast<const char*>(message.data().data()), message.data().size()})) {
        ws.close(websocket::close_code::normal, failed);
        return;
      }
    }
  }
};

http_client::http_client(const std::string& url, std::string ca_file,
                         std::chrono::milliseconds patience)
    : impl_{std::make_unique<impl>()} {
  auto rest = std::string_view{url};
  if (rest.starts_with("https://"))
    impl_->tls = true;
  else if (!rest.starts_with("http://"))
    throw std::invalid_argument{url + ": expected http://host:port or https://host:port"};
  rest.remove_prefix(impl_->tls ? 8 : 7);
  rest = rest.substr(0, rest.find('/'));
  // An IPv6 address stands in brackets: its colons are not the port's.
  const auto bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  impl_->host = std::string{bracket == std::string_view::npos ? rest.substr(0, colon)
                                                              : rest.substr(1, bracket - 1)};
  impl_->port = colon == std::string_view::npos ? (impl_->tls ? "443" : "80")
                                                : std::string{rest.substr(colon + 1)};
  if (impl_->host.empty() || impl_->host.starts_with('['))
    throw std::invalid_argument{url + ": names no host"};
  impl_->authority = std::string{rest.substr(0, colon)} + ':' + impl_->port;
  impl_->ca_file = std::move(ca_file);
  impl_->patience = patience;
}

http_client::~http_client() = default;

const std::string& http_client::host() const {
  return impl_->host;
}

http_reply http_client::request(std::string_view method, std::string_view target,
                                const headers& more, std::string_view body) {
  auto& c = *impl_;
  auto request = c.request(method, target, more, body);
  if (c.open() && c.is_stale())
    c.reset();
  try {
    for (const auto kept = c.open();;) {
      try {
        if (!c.open())
          c.dial();
        return c.tls ? c.exchange(*c.tls_socket, request) : c.exchange(*c.socket, request);
      } catch (const boost::system::system_error&) {
        c.reset();
        if (!kept || request.method() == http::verb::post)
          throw;
      }
    }
  } catch (const boost::system::system_error& e) {
    throw not_reached{"cannot reach " + c.authority + ": " + e.code().message()};
  }
}

void http_client::lines(std::string_view method, std::string_view target, const headers& more,
                        std::string_view body, const std::function<bool(std::string_view)>& on_line,
                        const std::function<bool()>& goes_on) {
  auto& c = *impl_;
  auto request = c.request(method, target, more, body);
  try {
    if (c.tls) {
      c.prepare_tls();
      auto s = secure{plain{c.io, c.patience}, c.context};
      c.connect(s.next_layer());
      c.handshake(s);
      c.lines(s, s.next_layer(), request, on_line, goes_on);
    } else {
      auto s = plain{c.io, c.patience};
      c.connect(s);
      c.lines(s, s, request, on_line, goes_on);
    }
  } catch (const boost::system::system_error& e) {
    throw not_reached{"cannot reach " + c.authority + ": " + e.code().message()};
  }
}

void http_client::watch(std::string_view target, const headers& more, std::string_view sub_protocol,
                        const std::vector<std::string>& first,
                        const std::function<bool(std::string_view)>& on_text) {
  auto& c = *impl_;
  try {
    if (c.tls) {
      c.prepare_tls();
      auto ws = websocket::stream<secure>{plain{c.io, c.patience}, c.context};
      c.connect(ws.next_layer().next_layer());
      c.handshake(ws.next_layer());
      c.watch(ws, target, more, sub_protocol, first, on_text);
    } else {
      auto ws = websocket::stream<plain>{c.io, c.patience};
      c.connect(ws.next_layer());
      c.watch(ws, target, more, sub_protocol, first, on_text);
    }
  } catch (const boost::system::system_error& e) {
    throw not_reached{"cannot reach " + c.authority + ": " + e.code().message()};
  }
}

}  // namespace orrery::net
