#include "transport/tcp_listener.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "observe/log.hpp"
#include "transport/address_range.hpp"
#include "transport/proxied_socket.hpp"

namespace orrery::transport {

namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;

namespace {

address_ranges ranges_of(std::string_view list) {
  auto all = std::vector<std::string>{};
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    auto one = std::string{list.substr(0, comma)};
    std::erase(one, ' ');
    all.push_back(std::move(one));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return address_ranges{all};
}

}  // namespace

struct tcp_listener::impl : std::enable_shared_from_this<impl> {
  impl(net::io_threads& threads, const config::listener& where, std::size_t most,
       net::tls_source context, on_stream f)
      : io{threads},
        is_proxied{where.proxy_protocol == "required"},
        proxies{ranges_of(where.proxy_from)},
        acceptor{threads.context(0)},
        timer{threads.context(0)},
        max_connections{most},
        tls{std::move(context)},
        then{std::move(f)} {}

  void wait() {
    if (!acceptor.is_open())
      return;
    acceptor.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](error_code e) {
      if (e == asio::error::operation_aborted)
        return;
      if (e)
        return self->pause(e);
      self->accept();
    });
  }
  /// Takes what waits, by one call each: Asio's own accept would register every socket with a
  /// reactor that is not the one which watches it later.
  void accept() {
    for (auto left = most_at_once; left > 0 && acceptor.is_open(); --left) {
      auto from = tcp::endpoint{};
      auto size = static_cast<socklen_t>(from.capacity());
      auto socket = net::owned_socket{
          ::accept4(acceptor.native_handle(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!socket) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
          return wait();
        if (errno == EINTR || errno == ECONNABORTED)
          continue;
        return pause({errno, boost::system::system_category()});
      }
      failing = false;
      from.resize(size);
      take(std::move(socket), plain_address(from.address().to_string()));
    }
    asio::post(acceptor.get_executor(), [self = shared_from_this()] { self->accept(); });
  }
  /// No file handle left, most likely: others may end meanwhile.
  void pause(error_code why) {
    if (!std::exchange(failing, true))
      observe::log::warn("transport.listener", "not_accepted",
                         {{"port", port}, {"detail", why.message()}});
    timer.expires_after(std::chrono::milliseconds{100});
    timer.async_wait([self = shared_from_this()](error_code e) {
      if (!e)
        self->accept();
    });
  }
  void take(net::owned_socket socket, std::string peer) {
    if (open->fetch_add(1) >= max_connections) {
      open->fetch_sub(1);
      refused.fetch_add(1, std::memory_order_relaxed);
      return;  // the socket closes
    }
    auto permit = connection_permit{static_cast<void*>(open.get()),
                                    [counter = open](void*) { counter->fetch_sub(1); }};
    auto& lane = io.next();
    asio::post(lane, [self = shared_from_this(), &lane, permit = std::move(permit),
                      held = std::move(socket), from = std::move(peer)]() mutable {
      if (!self->is_proxied)
        return self->serve(lane, std::move(held), std::move(from), false, std::move(permit));
      if (!self->proxies.has(from))
        return self->refuse_proxy(from, "it is none of listeners.proxy_from");
      read_proxy_header(
          lane, std::move(held), header_patience,
          [self, &lane, from, permit = std::move(permit)](net::owned_socket behind,
                                                          const proxied_peer& who) {
            self->serve(lane, std::move(behind), who.address.empty() ? from : who.address,
                        who.secure, permit);
          },
          [self, from](std::string_view why) { self->refuse_proxy(from, why); });
    });
  }
  void serve(asio::io_context& lane, net::owned_socket socket, std::string peer, bool is_secure,
             connection_permit permit) {
    const auto context = tls ? tls() : nullptr;
    auto bytes = net::stream::accept(lane, std::move(socket), std::move(peer), context.get());
    if (is_secure)
      bytes->carried_securely();
    then(std::move(bytes), std::move(permit));
  }
  void refuse_proxy(const std::string& peer, std::string_view why) {
    not_proxied.fetch_add(1, std::memory_order_relaxed);
    observe::log::debug("transport.listener", "no_proxy",
                        {{"port", port}, {"address", peer}, {"detail", why}});
  }

  static constexpr auto header_patience = std::chrono::seconds{5};
  static constexpr auto most_at_once = 64;  // then others have their turn on the thread
  net::io_threads& io;
  const bool is_proxied;
  const address_ranges proxies;
  tcp::acceptor acceptor;
  asio::steady_timer timer;
  std::size_t max_connections;
  net::tls_source tls;
  on_stream then;
  std::uint16_t port = 0;
  bool failing = false;
  std::shared_ptr<std::atomic<std::size_t>> open = std::make_shared<std::atomic<std::size_t>>(0);
  std::atomic<std::uint64_t> refused{0}, not_proxied{0};
};

tcp_listener::tcp_listener(net::io_threads& io, const config::listener& where,
                           std::size_t max_connections, net::tls_source tls, on_stream then)
    : impl_{std::make_shared<impl>(io, where, max_connections, std::move(tls), std::move(then))} {
  try {
    const auto endpoint = tcp::endpoint{asio::ip::make_address(where.host), where.port};
    impl_->acceptor.open(endpoint.protocol());
    impl_->acceptor.set_option(tcp::acceptor::reuse_address{true});
    if (endpoint.protocol() == tcp::v6())
      impl_->acceptor.set_option(asio::ip::v6_only{false});
    impl_->acceptor.bind(endpoint);
    impl_->acceptor.set_option(tcp::no_delay{true});  // connections inherit it
    impl_->acceptor.non_blocking(true);
    impl_->acceptor.listen(4096);
    impl_->port = impl_->acceptor.local_endpoint().port();
  } catch (const boost::system::system_error& e) {
    throw port_taken{where.host + ":" + std::to_string(where.port) + ": " + e.code().message()};
  }
  asio::post(io.context(0), [held = impl_] { held->wait(); });
}

tcp_listener::~tcp_listener() {
  stop();
}

std::uint16_t tcp_listener::port() const {
  return impl_->port;
}

void tcp_listener::stop() {
  asio::post(impl_->io.context(0), [held = impl_] {
    auto ignored = error_code{};
    held->acceptor.close(ignored);
    held->timer.cancel();
  });
}

std::size_t tcp_listener::connections() const {
  return impl_->open->load();
}
std::uint64_t tcp_listener::refused() const {
  return impl_->refused.load(std::memory_order_relaxed);
}
std::uint64_t tcp_listener::not_proxied() const {
  return impl_->not_proxied.load(std::memory_order_relaxed);
}

}  // namespace orrery::transport
