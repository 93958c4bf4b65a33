// Readiness of the sockets of one thread. Each is registered once, edge-triggered for both
// directions, and costs no further call of the kernel: on a busy node that is one call less for
// each message than a wait for each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace orrery::net {

/// A service of an io_context: poller::of(context). All members are called on its thread.
class poller final : public boost::asio::execution_context::service {
 public:
  static boost::asio::execution_context::id id;
  explicit poller(boost::asio::execution_context& context);
  ~poller() override;
  static poller& of(boost::asio::io_context& context);

  class watched {
   public:
    /// `readable` also at the end of the peer (`over`: no edge comes after it).
    virtual void on_ready(bool readable, bool writable, bool over) = 0;
    /// The context ends: let go of callbacks, which may hold whoever holds this.
    virtual void on_shutdown() = 0;

   protected:
    ~watched() = default;
  };

  /// Watches a non-blocking socket until `remove`. The handle for it; 0: the kernel refused.
  std::uint64_t add(int socket, watched& who);
  /// No call comes after this one. To be called before the socket is closed.
  void remove(std::uint64_t handle);

 private:
  struct slot {
    watched* who = nullptr;
    int socket = -1;
    std::uint32_t generation = 0;  // events of a slot's earlier owner are known by it
  };
  void shutdown() override;
  void wait();
  void drain();

  int epoll_;
  boost::asio::posix::stream_descriptor descriptor_;
  bool waiting_ = false;
  std::vector<slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace orrery::net
