#include "tests/support/relay.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace orrery::tests {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  auto a = sockaddr_in{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  return a;
}

int listen_anywhere(int backlog, std::uint16_t& port) {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto a = loopback(0);
  auto size = socklen_t{sizeof a};
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&a), size) != 0 || ::listen(fd, backlog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) != 0)
    throw std::runtime_error{"cannot listen"};
  port = ntohs(a.sin_port);
  return fd;
}

/// False: one of both has ended.
bool pass(int from, int to) {
  auto bytes = std::array<char, 65'536>{};
  const auto n = ::recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (n < 0)
    return errno == EAGAIN;
  for (auto at = ssize_t{0}; at < n;) {
    const auto sent = ::send(to, bytes.data() + at, static_cast<std::size_t>(n - at), MSG_NOSIGNAL);
    if (sent <= 0)
      return false;
    at += sent;
  }
  return n > 0;
}

}  // namespace

relay::relay(std::uint16_t port)
    : to_{port}, listening_{listen_anywhere(64, port_)}, thread_{[this] { run(); }} {}

relay::~relay() {
  over_ = true;
  thread_.join();
  for (const auto& p : pairs_) {
    if (p.dialer >= 0)
      ::close(p.dialer);
    ::close(p.dialed);
  }
  ::close(listening_);
}

void relay::go_silent() {
  const auto hold = std::lock_guard{mutex_};
  for (auto& p : pairs_)
    p.silent = true;
}

void relay::end_for_dialers() {
  const auto hold = std::lock_guard{mutex_};
  for (auto& p : pairs_) {
    p.silent = true;
    if (p.dialer >= 0)
      ::close(std::exchange(p.dialer, -1));
  }
}

void relay::run() {
  while (!over_) {
    auto watched = std::vector<pollfd>{{listening_, POLLIN, 0}};
    {
      const auto hold = std::lock_guard{mutex_};
      for (const auto& p : pairs_)
        if (!p.silent)
          for (const auto fd : {p.dialer, p.dialed})
            watched.push_back({fd, POLLIN, 0});
    }
    if (::poll(watched.data(), watched.size(), 10) <= 0)
      continue;
    const auto hold = std::lock_guard{mutex_};
    if (watched[0].revents != 0) {
      const auto from = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      const auto on = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const auto a = loopback(to_);
      if (::connect(on, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0)
        pairs_.push_back({from, on});
      else
        ::close(from), ::close(on);
    }
    for (auto p = pairs_.begin(); p != pairs_.end();) {
      if (p->silent || (pass(p->dialer, p->dialed) && pass(p->dialed, p->dialer))) {
        ++p;
        continue;
      }
      ::close(p->dialer);
      ::close(p->dialed);
      p = pairs_.erase(p);
    }
  }
}

go_between::go_between(std::uint16_t port, net::tls_context own)
    : to_{port}, own_{std::move(own)}, listening_{listen_anywhere(64, port_)}, thread_{[this] {
        run();
      }} {}

go_between::~go_between() {
  over_ = true;
  thread_.join();
  ::close(listening_);
}

void go_between::run() {
  while (!over_) {
    auto waiting = pollfd{listening_, POLLIN, 0};
    if (::poll(&waiting, 1, 10) > 0)
      pass_on(::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
}

/// One pair at a time, until one of both ends it.
void go_between::pass_on(int dialer) {
  const auto on = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto a = loopback(to_);
  static_cast<void>(::connect(on, reinterpret_cast<const sockaddr*>(&a), sizeof a));
  ::fcntl(on, F_SETFL, O_NONBLOCK);
  auto* server = SSL_new(own_.get());
  auto* client = SSL_new(own_.get());
  SSL_set_fd(server, dialer);
  SSL_set_accept_state(server);
  SSL_set_fd(client, on);
  SSL_set_connect_state(client);
  ++met_;
  auto bytes = std::array<char, 65'536>{};
  const auto moves = [&](SSL* from, SSL* to) {
    ERR_clear_error();
    const auto n = SSL_read(from, bytes.data(), static_cast<int>(bytes.size()));
    if (n <= 0) {
      const auto why = SSL_get_error(from, n);
      return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    }
    auto sent = -1;
    for (auto turns = 0; sent <= 0 && turns < 1000 && !over_; ++turns) {
      ERR_clear_error();
      sent = SSL_write(to, bytes.data(), n);
      if (sent <= 0)
        ::poll(nullptr, 0, 1);
    }
    return sent == n;
  };
  while (!over_ && moves(server, client) && moves(client, server)) {
    auto both = std::array<pollfd, 2>{pollfd{dialer, POLLIN, 0}, pollfd{on, POLLIN, 0}};
    ::poll(both.data(), both.size(), 1);
  }
  SSL_free(server);
  SSL_free(client);
  ::close(dialer);
  ::close(on);
}

black_hole::black_hole() : listening_{listen_anywhere(0, port_)} {
  for (auto i = 0; i < 8; ++i) {  // one or two fill it; the others hang
    const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const auto a = loopback(port_);
    static_cast<void>(::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a));
    fillers_.push_back(fd);
  }
}

black_hole::~black_hole() {
  for (const auto fd : fillers_)
    ::close(fd);
  ::close(listening_);
}

mute_listener::mute_listener() : listening_{listen_anywhere(64, port_)} {}

mute_listener::~mute_listener() {
  ::close(listening_);
}

}  // namespace orrery::tests
