// The port of a node's links: takes whoever comes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/stream.hpp"

namespace orrery::cluster {

/// Everything but `port` is called on the context's thread.
class link_listener {
 public:
  using taker = std::function<void(net::owned_socket, std::string address)>;

  /// Throws if the address cannot be listened at.
  link_listener(boost::asio::io_context& io, const std::string& host, std::uint16_t port,
                taker take);

  std::uint16_t port() const { return port_; }
  void start() { wait(); }
  void stop();

 private:
  void wait();
  void accept();
  void pause(int why);

  boost::asio::ip::tcp::acceptor acceptor_;
  const std::uint16_t port_;
  boost::asio::steady_timer timer_;
  taker take_;
  bool failing_ = false;
};

}  // namespace orrery::cluster
