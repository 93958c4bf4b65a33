// A way between two ends of TCP that can be made to fail as networks do: silently, or for one end
// alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

#include "net/tls.hpp"

namespace orrery::tests {

/// Listens on the loopback, passes everything to and from `port` there.
class relay {
 public:
  explicit relay(std::uint16_t port);
  ~relay();
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  std::uint16_t port() const { return port_; }
  /// Connections of now pass nothing any more, and nobody is told. New ones work.
  void go_silent();
  /// The same, but who has dialed sees the end.
  void end_for_dialers();

 private:
  struct pair {
    int dialer, dialed;
    bool silent = false;
  };
  void run();

  std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listening_;  // sets the port
  std::mutex mutex_;
  std::list<pair> pairs_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// One of the cluster who says it is another: ends TLS on both sides with a certificate of its own,
/// and passes on whatever both say to each other.
class go_between {
 public:
  go_between(std::uint16_t port, net::tls_context own);
  ~go_between();
  go_between(const go_between&) = delete;
  go_between& operator=(const go_between&) = delete;
  std::uint16_t port() const { return port_; }
  /// Dialers that it has met.
  int met() const { return met_; }

 private:
  void run();
  void pass_on(int dialer);

  std::uint16_t to_;
  net::tls_context own_;
  std::uint16_t port_ = 0;
  int listening_;
  std::atomic<int> met_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// A port whose dialers get no answer at all: its backlog is full.
class black_hole {
 public:
  black_hole();
  ~black_hole();
  black_hole(const black_hole&) = delete;
  black_hole& operator=(const black_hole&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  int listening_;  // sets the port
  std::list<int> fillers_;
};

/// A port that takes connections, as a kernel does for a process that stands still, and no more.
class mute_listener {
 public:
  mute_listener();
  ~mute_listener();
  mute_listener(const mute_listener&) = delete;
  mute_listener& operator=(const mute_listener&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  int listening_;
};

}  // namespace orrery::tests
