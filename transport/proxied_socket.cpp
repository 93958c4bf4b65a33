#include "transport/proxied_socket.hpp"

#include <cerrno>
#include <memory>
#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>

#include "net/poller.hpp"

namespace orrery::transport {

namespace asio = boost::asio;
using error_code = boost::system::error_code;

namespace {

class header_wait final : public net::poller::watched,
                          public std::enable_shared_from_this<header_wait> {
 public:
  header_wait(asio::io_context& context, net::owned_socket socket,
              std::function<void(net::owned_socket, proxied_peer)> then,
              std::function<void(std::string_view)> refused)
      : context_{context},
        handle_{socket.release()},
        timer_{context},
        then_{std::move(then)},
        refused_{std::move(refused)} {}
  header_wait(const header_wait&) = delete;
  header_wait& operator=(const header_wait&) = delete;
  ~header_wait() {
    unwatch();
    (void)net::owned_socket{handle_};
  }

  void start(std::chrono::milliseconds patience) {
    self_ = shared_from_this();
    timer_.expires_after(patience);
    timer_.async_wait([weak = weak_from_this()](error_code e) {
      if (const auto self = weak.lock(); self && !e)
        self->give_up("no header in time");
    });
    watch_ = net::poller::of(context_).add(handle_, *this);
    if (watch_ == 0)
      return give_up("it cannot be watched");
    look();
  }

 private:
  void on_ready(bool readable, bool /*writable*/, bool over) override {
    if (readable)
      look();
    if (over)  // no more will come, and what is there was not enough
      give_up("it ended before its header");
  }
  void on_shutdown() override {
    watch_ = 0;
    const auto last = std::move(self_);
  }

  void look() {
    if (!self_)
      return;
    // Bytes stay in the socket until the end of the header is known: what is behind it may be TLS,
    // which reads for itself.
    char seen[max_proxy_header];
    const auto n = ::recv(handle_, seen, sizeof seen, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return;
    if (n <= 0)
      return give_up("it ended before its header");
    const auto header = decode_proxy_header({seen, static_cast<std::size_t>(n)});
    if (!header)
      return give_up(header.error().detail);
    if (!*header)
      return;
    if (::recv(handle_, seen, (*header)->size, 0) != static_cast<ssize_t>((*header)->size))
      return give_up("its header cannot be read");
    const auto last = std::move(self_);
    timer_.cancel();
    unwatch();
    const auto then = std::move(then_);
    then(net::owned_socket{std::exchange(handle_, -1)}, (*header)->peer);
  }

  void give_up(std::string_view why) {
    const auto last = std::move(self_);
    if (!last)
      return;
    timer_.cancel();
    unwatch();
    refused_(why);
    (void)net::owned_socket{std::exchange(handle_, -1)};
    then_ = nullptr;
  }

  void unwatch() {
    if (watch_ != 0)
      net::poller::of(context_).remove(std::exchange(watch_, 0));
  }

  asio::io_context& context_;
  int handle_;
  std::uint64_t watch_ = 0;
  asio::steady_timer timer_;
  std::function<void(net::owned_socket, proxied_peer)> then_;
  std::function<void(std::string_view)> refused_;
  std::shared_ptr<header_wait> self_;  // until it is over
};

}  // namespace

void read_proxy_header(asio::io_context& context, net::owned_socket socket,
                       std::chrono::milliseconds patience,
                       std::function<void(net::owned_socket, proxied_peer)> then,
                       std::function<void(std::string_view)> refused) {
  std::make_shared<header_wait>(context, std::move(socket), std::move(then), std::move(refused))
      ->start(patience);
}

}  // namespace orrery::transport
