#include "net/stream.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls.hpp"
#include "observe/log.hpp"

namespace orrery::net {

namespace asio = boost::asio;
using error_code = boost::system::error_code;

namespace {

constexpr unsigned name_flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS;

}  // namespace

void stream::ssl_free::operator()(void* ssl) const {
  SSL_free(static_cast<SSL*>(ssl));
}

owned_socket::~owned_socket() {
  if (socket_ >= 0)
    ::close(socket_);
}

std::shared_ptr<stream> stream::accept(asio::io_context& context, owned_socket socket,
                                       std::string peer, SSL_CTX* tls) {
  auto made = std::shared_ptr<stream>{new stream{context, socket.release(), std::move(peer)}};
  made->open(tls, nullptr);
  return made;
}

std::shared_ptr<stream> stream::connect(asio::io_context& context, owned_socket socket,
                                        std::string peer, SSL_CTX* tls, const std::string& name) {
  auto made = std::shared_ptr<stream>{new stream{context, socket.release(), std::move(peer)}};
  made->open(tls, &name);
  return made;
}

stream::stream(asio::io_context& context, int socket, std::string peer)
    : context_{context}, socket_{socket}, peer_{std::move(peer)} {}

void stream::open(SSL_CTX* tls, const std::string* name) {
  watch_ = poller::of(context_).add(socket_, *this);
  if (watch_ == 0)
    return close();
  if (tls) {
    auto* ssl = SSL_new(tls);
    ssl_.reset(ssl);
    if (!ssl)
      return close();
    SSL_set_fd(ssl, socket_);
    if (!name)
      return SSL_set_accept_state(ssl);
    SSL_set_connect_state(ssl);
    SSL_set_hostflags(ssl, name_flags);
    // An empty name or one that begins with a dot would let many in.
    if (!certifiable(*name) || SSL_set1_host(ssl, name->c_str()) != 1)
      close();
  }
}

bool stream::proves(const std::string& name) const {
  auto* ssl = static_cast<SSL*>(ssl_.get());
  if (!ssl || SSL_is_init_finished(ssl) != 1 || SSL_get_verify_result(ssl) != X509_V_OK ||
      !certifiable(name))
    return false;
  auto* shown = SSL_get0_peer_certificate(ssl);
  return shown && X509_check_host(shown, name.data(), name.size(), name_flags, nullptr) == 1;
}

std::optional<certificate_facts> stream::peer_certificate() const {
  auto* ssl = static_cast<SSL*>(ssl_.get());
  if (!ssl || SSL_is_init_finished(ssl) != 1 || SSL_get_verify_result(ssl) != X509_V_OK)
    return std::nullopt;
  auto* shown = SSL_get0_peer_certificate(ssl);
  return shown ? std::optional{facts_of(*shown)} : std::nullopt;
}

/// Every text here lives as long as the program.
void stream::note_trouble(int why, int system_error) {
  auto* ssl = static_cast<SSL*>(ssl_.get());
  const char* text = nullptr;
  if (const auto verdict = SSL_get_verify_result(ssl); verdict != X509_V_OK)
    text = X509_verify_cert_error_string(verdict);
  else if (const auto code = ERR_peek_last_error(); why == SSL_ERROR_SSL && code != 0)
    text = ERR_reason_error_string(code);
  else if (why == SSL_ERROR_SYSCALL && system_error != 0)
    text = strerrordesc_np(system_error);
  trouble_ = text ? text : "";
}

stream::~stream() {
  close();
}

void stream::on_ready(bool readable, bool writable, bool over) {
  const auto self = shared_from_this();
  over_ = over_ || over;
  if (readable || (writable && read_wants_write_)) {
    readable_ = true;
    call_reader();
  }
  if (writable && is_open() && pending() > 0)
    on_writable();
}

void stream::on_shutdown() {
  const auto self = weak_from_this().lock();
  const auto reader = std::exchange(reader_, nullptr), drained = std::exchange(drained_, nullptr);
}

void stream::call_reader() {
  if (auto then = std::exchange(reader_, nullptr))
    then();
}

void stream::wait_readable(callback then) {
  reader_ = std::move(then);
  if (!is_open() || readable_)
    asio::post(context_, [self = shared_from_this()] { self->call_reader(); });
}

read_result stream::read(char* into, std::size_t size) {
  if (!is_open() || dead_)
    return {0, true};
  if (!ssl_) {
    const auto n = ::recv(socket_, into, size, 0);
    if (n > 0) {
      // Less than asked for: the socket is empty, and the next byte makes an edge.
      readable_ = over_ || static_cast<std::size_t>(n) == size;
      return {static_cast<std::size_t>(n), false};
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
      readable_ = errno == EINTR;
      return {};
    }
    return {0, true};
  }
  auto* ssl = static_cast<SSL*>(ssl_.get());
  read_wants_write_ = false;
  ERR_clear_error();
  errno = 0;
  auto n = std::size_t{0};
  const auto ok = SSL_read_ex(ssl, into, size, &n);
  if (ok == 1)
    return {n, false};
  const auto system_error = errno;
  const auto why = SSL_get_error(ssl, ok);
  switch (why) {
    case SSL_ERROR_WANT_READ:
      if (over_)
        return {0, true};  // the peer went in the middle of a record
      readable_ = false;
      return {};
    case SSL_ERROR_WANT_WRITE:
      read_wants_write_ = true;
      readable_ = false;
      return {};
    default:
      note_trouble(why, system_error);
      if (SSL_in_init(ssl) == 1 && SSL_is_server(ssl) == 1 && !trouble().empty())
        observe::log::info("net.stream", "handshake_failed",
                           {{"address", peer_}, {"detail", trouble()}});
      ERR_clear_error();
      return {0, true};
  }
}

std::size_t stream::send_some(const char* data, std::size_t size, bool& dead) {
  if (!ssl_) {
    const auto n = ::send(socket_, data, size, MSG_NOSIGNAL);
    if (n >= 0)
      return static_cast<std::size_t>(n);
    dead = !(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return 0;
  }
  auto* ssl = static_cast<SSL*>(ssl_.get());
  ERR_clear_error();
  errno = 0;
  auto n = std::size_t{0};
  const auto ok = SSL_write_ex(ssl, data, size, &n);
  if (ok == 1) {
    if (rekey_every_ > 0 && ++records_ >= rekey_every_) {
      records_ = 0;
      SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);  // said with the next record
    }
    return n;
  }
  const auto system_error = errno;
  const auto why = SSL_get_error(ssl, ok);
  dead = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
  if (dead)
    note_trouble(why, system_error);
  ERR_clear_error();
  return 0;
}

void stream::write(std::string_view bytes) {
  if (!is_open() || dead_)
    return;
  // An edge comes when the socket takes more after it was full: TLS, which sends one record at a
  // time, must have met that.
  while (pending() == 0 && !bytes.empty()) {
    const auto sent = send_some(bytes.data(), bytes.size(), dead_);
    bytes.remove_prefix(sent);
    if (sent == 0)
      break;
  }
  if (!dead_)
    out_.append(bytes);
  else if (reader_)  // it may have met the end before the reader could
    asio::post(context_, [self = shared_from_this()] { self->call_reader(); });
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
    return;
  }
  out_ = {};
  out_begin_ = 0;
  if (finishing_)
    close();
  else if (dead_)
    call_reader();
  if (auto told = std::exchange(drained_, nullptr))
    told();
}

void stream::wait_drained(callback then) {
  if (pending() == 0 || !is_open() || dead_)
    asio::post(context_, std::move(then));
  else
    drained_ = std::move(then);
}

void stream::finish() {
  if (pending() == 0 || dead_)
    return close();
  finishing_ = true;
  auto timer = std::make_shared<asio::steady_timer>(context_, std::chrono::seconds{1});
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
  poller::of(context_).remove(watch_);
  ::shutdown(socket_, SHUT_RDWR);
  ::close(std::exchange(socket_, -1));
  for (auto* waiting : {&reader_, &drained_})
    if (auto then = std::exchange(*waiting, nullptr))
      asio::post(context_, std::move(then));
}

}  // namespace orrery::net
