#include "net/web_client.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <openssl/ssl.h>

#include "net/look_up.hpp"
#include "net/openssl.hpp"
#include "net/outbound_address.hpp"

namespace orrery::net {

/// How to end the questions that are there. Thread-safe.
class open_questions {
 public:
  /// False: nothing is asked any more.
  bool add(const void* question, std::function<void()> end) {
    const auto hold = std::lock_guard{mutex_};
    if (stopped_)
      return false;
    endings_.emplace(question, std::move(end));
    return true;
  }
  void remove(const void* question) {
    const auto hold = std::lock_guard{mutex_};
    endings_.erase(question);
  }
  void stop() {
    auto all = decltype(endings_){};
    {
      const auto hold = std::lock_guard{mutex_};
      stopped_ = true;
      all.swap(endings_);
    }
    // Without the mutex: a question whose last owner this is takes itself out.
    for (const auto& [question, end] : all)
      end();
  }

 private:
  std::mutex mutex_;
  bool stopped_ = false;
  std::unordered_map<const void*, std::function<void()>> endings_;
};

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using model::errc;
using model::failure;

constexpr std::size_t max_url_bytes = 2048, max_addresses = 4;

/// One question on its way. All on the context's thread, but for `enlist`.
class question : public std::enable_shared_from_this<question> {
 public:
  question(asio::io_context& context, const tls_context& tls, const web_limits& limits,
           web_request what, web_place place, web_client::then done,
           std::shared_ptr<open_questions> open)
      : context_{context},
        limits_{limits},
        place_{std::move(place)},
        done_{std::move(done)},
        open_{std::move(open)},
        until_{context},
        tls_{take(tls)},
        stream_{context, tls_} {
    request_.method_string(what.method);
    request_.target(place_.target);
    request_.version(11);
    request_.set(http::field::host, place_.authority);
    request_.set(http::field::user_agent, "orrery/" ORRERY_VERSION);
    request_.set(http::field::connection, "close");
    for (const auto& [name, value] : what.headers)
      request_.set(name, value);
    request_.body() = std::move(what.body);
    request_.prepare_payload();
    parser_.body_limit(limits.max_body_bytes);
    parser_.header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
  }

  ~question() { open_->remove(this); }
  question(const question&) = delete;
  question& operator=(const question&) = delete;

  /// False: it is not to begin.
  bool enlist() {
    return open_->add(this, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self)
        return;
      auto& context = self->context_;
      asio::post(context, [self = std::move(self)] { self->give_up(); });
    });
  }
  void give_up() {
    end(failure{errc::unavailable, place_.host + " is not asked any more: the node stops"});
  }

  void begin() {
    if (!done_)
      return;  // it was given up before
    until_.expires_after(limits_.patience);
    until_.async_wait([self = shared_from_this()](error_code failed) {
      if (!failed)
        self->end(failure{errc::timeout, self->place_.host + " takes too long"});
    });
    // A name server may take longer than the context is there; the timer keeps the question.
    look_up(context_, place_.host, place_.port,
            [weak = weak_from_this()](std::vector<tcp::endpoint> found) {
              if (const auto self = weak.lock())
                self->choose(std::move(found));
            });
  }

 private:
  static asio::ssl::context take(const tls_context& tls) {
    SSL_CTX_up_ref(tls.get());
    return asio::ssl::context{tls.get()};
  }

  void choose(std::vector<tcp::endpoint> found) {
    if (!done_)
      return;
    if (found.empty())
      return end(failure{errc::unavailable, "no address of " + place_.host + " is known"});
    if (!limits_.private_addresses)
      std::erase_if(found, [](const auto& e) { return !is_public_address(e.address()); });
    if (!place_.tls)  // what everybody on the way can read stays on this machine
      std::erase_if(found, [](const auto& e) { return !e.address().is_loopback(); });
    if (found.empty())
      return end(failure{errc::forbidden, place_.host + " is at no address that may be asked"});
    found.resize(std::min(found.size(), max_addresses));
    addresses_ = std::move(found);
    dial();
  }

  void dial() {
    auto& socket = beast::get_lowest_layer(stream_).socket();
    auto ignored = error_code{};
    socket.close(ignored);
    socket.async_connect(addresses_[next_++], [self = shared_from_this()](error_code failed) {
      if (!self->done_)
        return;
      if (failed && self->next_ < self->addresses_.size())
        return self->dial();
      if (failed)
        return self->lost("cannot be reached", failed);
      self->place_.tls ? self->shake_hands() : self->send(self->stream_.next_layer());
    });
  }

  void shake_hands() {
    auto failed = error_code{};
    if (asio::ip::make_address(place_.host, failed); failed)
      SSL_set_tlsext_host_name(stream_.native_handle(), place_.host.c_str());
    stream_.set_verify_mode(asio::ssl::verify_peer);
    stream_.set_verify_callback(asio::ssl::host_name_verification{place_.host});
    stream_.async_handshake(asio::ssl::stream_base::client,
                            [self = shared_from_this()](error_code e) {
                              if (!self->done_)
                                return;
                              if (e)
                                return self->lost("has no certificate that is trusted", e);
                              self->send(self->stream_);
                            });
  }

  template <class Stream>
  void send(Stream& stream) {
    http::async_write(stream, request_,
                      [self = shared_from_this(), &stream](error_code failed, std::size_t) {
                        if (!self->done_)
                          return;
                        if (failed)
                          return self->lost("took no question", failed);
                        self->receive(stream);
                      });
  }

  template <class Stream>
  void receive(Stream& stream) {
    http::async_read(
        stream, buffer_, parser_, [self = shared_from_this()](error_code failed, std::size_t) {
          if (!self->done_)
            return;
          if (failed == http::error::body_limit || failed == http::error::header_limit)
            return self->end(failure{errc::too_large, self->place_.host + " says too much"});
          if (failed)
            return self->lost("gave no answer", failed);
          auto message = self->parser_.release();
          self->end(web_reply{static_cast<int>(message.result_int()), std::move(message.body())});
        });
  }

  void lost(const char* what, error_code why) {
    end(failure{errc::unavailable, place_.host + ' ' + what + ": " + why.message()});
  }

  void end(model::result<web_reply> with) {
    if (!done_)
      return;
    const auto done = std::exchange(done_, {});
    until_.cancel();
    auto ignored = error_code{};
    beast::get_lowest_layer(stream_).socket().close(ignored);
    done(std::move(with));
  }

  asio::io_context& context_;
  web_limits limits_;
  web_place place_;
  web_client::then done_;
  std::shared_ptr<open_questions> open_;
  asio::steady_timer until_;
  asio::ssl::context tls_;
  beast::ssl_stream<beast::tcp_stream> stream_;
  std::vector<tcp::endpoint> addresses_;
  std::size_t next_ = 0;
  http::request<http::string_body> request_;
  http::response_parser<http::string_body> parser_;
  beast::flat_buffer buffer_{64 * 1024};
};

}  // namespace

std::optional<web_place> read_url(std::string_view url) {
  auto p = web_place{};
  if (url.size() > max_url_bytes ||
      !std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; }) ||
      url.find('#') != std::string_view::npos)
    return std::nullopt;
  p.tls = url.starts_with("https://");
  if (!p.tls && !url.starts_with("http://"))
    return std::nullopt;
  url.remove_prefix(p.tls ? 8 : 7);
  const auto end = std::min(url.find_first_of("/?"), url.size());
  auto place = url.substr(0, end);
  p.authority = place;
  p.target = url.substr(end);
  if (!p.target.starts_with('/'))
    p.target.insert(0, "/");
  p.port = p.tls ? 443 : 80;
  const auto bracket = place.starts_with('[') ? place.find(']') : std::size_t{0};
  if (bracket == std::string_view::npos || place.find('@') != std::string_view::npos)
    return std::nullopt;
  if (const auto colon = place.find(':', bracket); colon != std::string_view::npos) {
    const auto port = place.substr(colon + 1);
    if (port.empty() || port.size() > 5 ||
        port.find_first_not_of("0123456789") != std::string_view::npos)
      return std::nullopt;
    const auto number = std::stoul(std::string{port});
    if (number == 0 || number > 65'535)
      return std::nullopt;
    p.port = static_cast<std::uint16_t>(number);
    place = place.substr(0, colon);
  }
  if (bracket > 0) {
    if (place.size() != bracket + 1)
      return std::nullopt;
    place = place.substr(1, bracket - 1);
  }
  p.host = place;
  if (p.host.empty())
    return std::nullopt;
  return p;
}

tls_context outbound_context(const std::string& more) {
  auto context = client_context({});
  if (!more.empty() && SSL_CTX_load_verify_locations(context.get(), more.c_str(), nullptr) != 1)
    give_up("identity.ca: cannot read " + more);
  return context;
}

web_client::web_client(asio::io_context& context, tls_context tls, const web_limits& limits)
    : context_{context},
      tls_{std::move(tls)},
      limits_{limits},
      open_{std::make_shared<open_questions>()} {}

void web_client::ask(web_request what, then done) {
  auto place = read_url(what.url);
  auto why = std::optional<failure>{};
  if (!place)
    why = failure{errc::invalid_argument, "no URL of http or https: " + what.url.substr(0, 200)};
  else if (!place->tls && !limits_.private_addresses)
    why = failure{errc::forbidden, place->host + " is to be asked by https"};
  if (why)
    return asio::post(context_, [done = std::move(done), why = *why] { done(why); });
  auto q = std::make_shared<question>(context_, tls_, limits_, std::move(what), std::move(*place),
                                      std::move(done), open_);
  const auto goes = q->enlist();
  asio::post(context_, [q = std::move(q), goes] { goes ? q->begin() : q->give_up(); });
}

void web_client::stop() {
  open_->stop();
}

}  // namespace orrery::net
