#include "cluster/link_listener.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include "observe/log.hpp"

namespace orrery::cluster {

namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

constexpr auto accepts_in_a_turn = 16;
constexpr auto pause_length = std::chrono::milliseconds{100};

}  // namespace

link_listener::link_listener(asio::io_context& io, const std::string& host, std::uint16_t port,
                             taker take)
    : acceptor_{io, {asio::ip::make_address(host), port}},
      port_{acceptor_.local_endpoint().port()},
      timer_{io},
      take_{std::move(take)} {
  acceptor_.non_blocking(true);
}

void link_listener::stop() {
  auto ignored = error_code{};
  acceptor_.close(ignored);
  timer_.cancel();
}

void link_listener::wait() {
  if (!acceptor_.is_open())
    return;
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](error_code e) {
    if (!e)
      accept();
    else if (e != asio::error::operation_aborted)
      pause(e.value());
  });
}

void link_listener::accept() {
  for (auto left = accepts_in_a_turn; left > 0 && acceptor_.is_open(); --left) {
    auto from = tcp::endpoint{};
    auto size = static_cast<socklen_t>(from.capacity());
    const auto fd =
        ::accept4(acceptor_.native_handle(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK)
        return wait();
      if (errno == EINTR || errno == ECONNABORTED)
        continue;
      return pause(errno);
    }
    failing_ = false;
    const auto on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    from.resize(size);
    take_(net::owned_socket{fd}, from.address().to_string());
  }
  asio::post(acceptor_.get_executor(), [this] { accept(); });
}

/// No file handle left, most likely: others may end meanwhile.
void link_listener::pause(int why) {
  if (!std::exchange(failing_, true))
    observe::log::warn("cluster.link", "not_accepted",
                       {{"port", port_}, {"reason", ::strerrordesc_np(why)}});
  timer_.expires_after(pause_length);
  timer_.async_wait([this](error_code e) {
    if (!e)
      accept();
  });
}

}  // namespace orrery::cluster
