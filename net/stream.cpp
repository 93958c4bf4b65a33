#include "net/stream.hpp"

#include <cerrno>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace orrery::net {

namespace asio = boost::asio;
using error_code = boost::system::error_code;

void stream::ssl_free::operator()(void* ssl) const {
  SSL_free(static_cast<SSL*>(ssl));
}

std::shared_ptr<stream> stream::accept(asio::ip::tcp::socket socket, SSL_CTX* tls) {
  return std::shared_ptr<stream>{new stream{std::move(socket), tls}};
}

stream::stream(asio::ip::tcp::socket socket, SSL_CTX* tls) : socket_{std::move(socket)} {
  auto ignored = error_code{};
  socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
  socket_.non_blocking(true, ignored);
  if (const auto from = socket_.remote_endpoint(ignored); !ignored)
    peer_ = from.address().to_string();
  if (tls) {
    auto* ssl = SSL_new(tls);
    ssl_.reset(ssl);
    if (ssl) {
      SSL_set_fd(ssl, static_cast<int>(socket_.native_handle()));
      SSL_set_accept_state(ssl);
    } else {
      close();
    }
  }
}

stream::~stream() = default;

void stream::wait_readable(callback then) {
  if (!is_open() ||
      (ssl_ && SSL_has_pending(static_cast<SSL*>(ssl_.get())) && !read_wants_write_)) {
    asio::post(executor(), std::move(then));
    return;
  }
  socket_.async_wait(
      read_wants_write_ ? asio::socket_base::wait_write : asio::socket_base::wait_read,
      [then = std::move(then), self = shared_from_this()](error_code) { then(); });
}

read_result stream::read(char* into, std::size_t size) {
  if (!is_open() || dead_)
    return {0, true};
  if (!ssl_) {
    const auto n = ::recv(socket_.native_handle(), into, size, 0);
    if (n > 0)
      return {static_cast<std::size_t>(n), false};
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return {};
    return {0, true};
  }
  auto* ssl = static_cast<SSL*>(ssl_.get());
  read_wants_write_ = false;
  ERR_clear_error();
  auto n = std::size_t{0};
  const auto ok = SSL_read_ex(ssl, into, size, &n);
  if (ok == 1)
    return {n, false};
  switch (SSL_get_error(ssl, ok)) {
    case SSL_ERROR_WANT_READ:
      return {};
    case SSL_ERROR_WANT_WRITE:
      read_wants_write_ = true;
      return {};
    default:
      ERR_clear_error();
      return {0, true};
  }
}

std::size_t stream::send_some(const char* data, std::size_t size, bool& dead) {
  if (!ssl_) {
    const auto n = ::send(socket_.native_handle(), data, size, MSG_NOSIGNAL);
    if (n >= 0)
      return static_cast<std::size_t>(n);
    dead = !(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return 0;
  }
  auto* ssl = static_cast<SSL*>(ssl_.get());
  ERR_clear_error();
  auto n = std::size_t{0};
  const auto ok = SSL_write_ex(ssl, data, size, &n);
  if (ok == 1)
    return n;
  const auto why = SSL_get_error(ssl, ok);
  dead = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
  ERR_clear_error();
  return 0;
}

void stream::write(std::string_view bytes) {
  if (!is_open() || dead_)
    return;
  if (pending() == 0) {
    const auto sent = send_some(bytes.data(), bytes.size(), dead_);
    bytes.remove_prefix(sent);
    if (bytes.empty() || dead_)
      return;
  }
  out_.append(bytes);
  flush();
}

void stream::flush() {
  if (writing_ || !is_open())
    return;
  writing_ = true;
  socket_.async_wait(asio::socket_base::wait_write, [self = shared_from_this()](error_code e) {
    self->writing_ = false;
    if (!e)
      self->on_writable();
    else if (auto told = std::exchange(self->drained_, nullptr))
      told();
  });
}

void stream::on_writable() {
  while (pending() > 0 && !dead_) {
    const auto sent = send_some(out_.data() + out_begin_, pending(), dead_);
    if (sent == 0)
      break;
    out_begin_ += sent;
  }
  if (pending() > 0 && !dead_) {
    if (out_begin_ > out_.size() / 2) {
      out_.erase(0, out_begin_);
      out_begin_ = 0;
    }
    return flush();
  }
  out_ = {};
  out_begin_ = 0;
  if (finishing_)
    close();
  if (auto told = std::exchange(drained_, nullptr))
    told();
}

void stream::wait_drained(callback then) {
  if (pending() == 0 || !is_open() || dead_)
    asio::post(executor(), std::move(then));
  else
    drained_ = std::move(then);
}

void stream::finish() {
  if (pending() == 0 || dead_)
    return close();
  finishing_ = true;
  auto timer = std::make_shared<asio::steady_timer>(executor(), std::chrono::seconds{1});
  timer->async_wait([self = shared_from_this(), timer](error_code) { self->close(); });
}

void stream::close() {
  if (!is_open())
    return;
  if (ssl_ && !dead_ && SSL_is_init_finished(static_cast<SSL*>(ssl_.get())) == 1) {
    ERR_clear_error();
    SSL_shutdown(static_cast<SSL*>(ssl_.get()));
    ERR_clear_error();
  }
  auto ignored = error_code{};
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

}  // namespace orrery::net
