// A message is under way until every subscriber has it and, with QoS 1, its publisher has PUBACK;
// a publisher keeps a window of those. So no queue of the server grows beyond the window, and what
// is measured is what it delivers.
#include "bench/fan.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <iostream>
#include <netinet/tcp.h>
#include <span>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <CLI/CLI.hpp>

#include "bench/packets.hpp"

namespace orrery::bench {

namespace {

constexpr std::size_t serial_digits = 8;

struct options {
  std::string name = "fan";
  int port = 1883, publishers = 1, subscribers = 1, qos = 0, window = 10;
  std::size_t payload = 200;
  double seconds = 10, warm_up = 1, rate = 0;
  bool kept = false;
};

struct client {
  int socket = -1;
  std::string in, out;
  int under_way = 0;     // messages of this publisher
  bool waiting = false;  // for room in the socket
};

struct message {
  int missing = 0;  // deliveries and PUBACK
  std::size_t publisher = 0;
  std::uint64_t sent_us = 0;
};

class fan {
 public:
  explicit fan(options o)
      : o_{std::move(o)},
        topic_{"bench/" + o_.name},
        epoll_{epoll_create1(EPOLL_CLOEXEC)},
        clients_(static_cast<std::size_t>(o_.publishers + o_.subscribers)) {}
  fan(const fan&) = delete;
  fan& operator=(const fan&) = delete;
  ~fan() {
    for (const auto& c : clients_)
      ::close(c.socket);
    ::close(epoll_);
  }

  /// Logs everybody in, one after the other; false, with a word on standard error: one was not let.
  bool open() {
    for (std::size_t at = 0; at < clients_.size(); ++at)
      if (!open(at)) {
        std::cerr << "orrery-load: client " << at << " was not let in\n";
        return false;
      }
    return true;
  }

  void run() {
    const auto begin = now_us();
    const auto count_from = begin + static_cast<std::uint64_t>(o_.warm_up * 1e6);
    const auto end = count_from + static_cast<std::uint64_t>(o_.seconds * 1e6);
    if (o_.rate == 0)
      for (std::size_t at = 0; at < publishers(); ++at)
        fill(at);
    auto due_done = std::uint64_t{0};
    for (auto now = begin; now < end && !broken_; now = now_us()) {
      if (!counting_ && now >= count_from) {
        counting_ = true;
        started_us_ = now;
        std::cerr << "measuring\n";  // whoever reads the server's clock begins here
      }
      if (o_.rate > 0) {
        const auto due =
            static_cast<std::uint64_t>(static_cast<double>(now - begin) * 1e-6 * o_.rate);
        for (; due_done < due; ++due_done) {
          const auto at = due_done % publishers();
          if (clients_[at].under_way < o_.window)
            publish(at);
          else
            ++skipped_;
        }
      }
      turn(o_.rate > 0 ? 1 : 100);
    }
    seconds_ = static_cast<double>(now_us() - started_us_) * 1e-6;
    std::cerr << "measured\n";
    counting_ = false;
    draining_ = true;
    for (const auto until = now_us() + 5'000'000; left() > 0 && now_us() < until && !broken_;)
      turn(10);
  }

  void report() const {
    std::printf(
        "{\"seconds\":%.3f,\"acknowledged\":%llu,\"rate\":%.0f,\"p50_us\":%llu,\"p99_us\":%llu,"
        "\"skipped\":%llu,\"lost\":%d}\n",
        seconds_, static_cast<unsigned long long>(delivered_),
        static_cast<double>(delivered_) / seconds_,
        static_cast<unsigned long long>(latency_.quantile(0.5)),
        static_cast<unsigned long long>(latency_.quantile(0.99)),
        static_cast<unsigned long long>(skipped_), left());
  }
  bool good() const { return !broken_; }

 private:
  std::size_t publishers() const { return static_cast<std::size_t>(o_.publishers); }
  bool listens(std::size_t at) const { return at >= publishers(); }
  /// Messages under way.
  int left() const {
    auto all = 0;
    for (const auto& c : clients_)
      all += c.under_way;
    return all;
  }

  bool open(std::size_t at) {
    auto& c = clients_[at];
    c.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto on = 1;
    const auto patience = timeval{20, 0};
    setsockopt(c.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c.socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    auto to = sockaddr_in{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(o_.port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(c.socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      return false;
    auto body = std::string{};
    put_text(body, "MQTT");
    body += '\4';
    body += static_cast<char>(o_.kept && listens(at) ? 0 : 2);
    put_u16(body, 0);  // no keep-alive
    put_text(body, o_.name + "-" + std::to_string(at));
    put_packet(c.out, 0x10, body);
    if (ask(c, 2) != 0)
      return false;
    if (listens(at)) {
      body.clear();
      put_u16(body, 1);
      put_text(body, topic_);
      body += static_cast<char>(o_.qos);
      put_packet(c.out, 0x82, body);
      if (ask(c, 9) != o_.qos)
        return false;
    }
    fcntl(c.socket, F_SETFL, O_NONBLOCK);
    auto e = epoll_event{.events = EPOLLIN, .data = {.u64 = at}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.socket, &e);
    return true;
  }

  /// Sends what is to be sent and waits for a packet of that type; gives its last byte, or -1.
  static int ask(client& c, unsigned type) {
    ::send(c.socket, c.out.data(), c.out.size(), MSG_NOSIGNAL);
    c.out.clear();
    auto buffer = std::array<char, 4096>{};
    for (auto got = std::string{};;) {
      const auto n = ::recv(c.socket, buffer.data(), buffer.size(), 0);
      if (n <= 0)
        return -1;
      got.append(buffer.data(), static_cast<std::size_t>(n));
      auto rest = std::string_view{got};
      while (const auto p = take_packet(rest))
        if (p->type() == type)
          return static_cast<unsigned char>(p->body.back());
    }
  }

  void publish(std::size_t at) {
    // The serial number is the packet identifier, too: 0 is none.
    if (++serial_ == 0)
      ++serial_;
    auto& m = messages_[serial_];
    m = {o_.subscribers + (o_.qos > 0 ? 1 : 0), at, now_us()};
    auto& c = clients_[at];
    put_head(c.out, static_cast<unsigned char>(0x30 | o_.qos << 1),
             2 + topic_.size() + (o_.qos > 0 ? 2 : 0) + o_.payload);
    put_text(c.out, topic_);
    if (o_.qos > 0)
      put_u16(c.out, serial_);
    auto digits = std::array<char, serial_digits + 1>{};
    std::snprintf(digits.data(), digits.size(), "%08x", unsigned{serial_});
    c.out.append(digits.data(), serial_digits);
    c.out.append(o_.payload - serial_digits, 'x');
    ++c.under_way;
  }

  void fill(std::size_t at) {
    while (clients_[at].under_way < o_.window)
      publish(at);
  }

  void settle(std::size_t serial) {
    auto& m = messages_[serial];
    if (m.missing == 0 || --m.missing > 0)
      return;
    --clients_[m.publisher].under_way;
    if (o_.rate == 0 && !draining_)
      fill(m.publisher);
  }

  void take(client& c, const packet& p, std::uint64_t now) {
    if (p.type() == 4)
      return settle(u16_at(p.body, 0));
    if (p.type() != 3)
      return;
    auto at = std::size_t{2} + u16_at(p.body, 0);
    if ((p.head & 6) != 0) {
      put_packet(c.out, 0x40, p.body.substr(at, 2));
      at += 2;
    }
    const auto serial =
        std::stoul(std::string{p.body.substr(at, serial_digits)}, nullptr, 16) & 0xffff;
    if (counting_) {
      ++delivered_;
      latency_.add(now - messages_[serial].sent_us);
    }
    settle(serial);
  }

  void turn(int wait_ms) {
    for (std::size_t at = 0; at < publishers(); ++at)
      flush(at);
    auto events = std::array<epoll_event, 256>{};
    const auto n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms);
    for (const auto& e : std::span{events}.first(static_cast<std::size_t>(std::max(n, 0)))) {
      if ((e.events & EPOLLOUT) != 0)
        watch(e.data.u64, false);
      if ((e.events & ~EPOLLOUT) != 0)
        receive(e.data.u64);
      flush(e.data.u64);
    }
  }

  void receive(std::size_t at) {
    auto& c = clients_[at];
    const auto n = ::recv(c.socket, buffer_.data(), buffer_.size(), 0);
    if (n <= 0) {
      broken_ = broken_ || n == 0 || errno != EAGAIN;
      return;
    }
    auto view = std::string_view{buffer_.data(), static_cast<std::size_t>(n)};
    auto joined = std::string{};
    if (!c.in.empty()) {
      joined = std::exchange(c.in, {}).append(view);
      view = joined;
    }
    const auto now = now_us();
    while (const auto p = take_packet(view))
      take(c, *p, now);
    c.in = view;
  }

  void flush(std::size_t at) {
    auto& c = clients_[at];
    if (c.out.empty() || c.waiting)
      return;
    const auto n = ::send(c.socket, c.out.data(), c.out.size(), MSG_NOSIGNAL);
    if (n > 0)
      c.out.erase(0, static_cast<std::size_t>(n));
    else if (errno != EAGAIN)
      broken_ = true;
    if (!c.out.empty())
      watch(at, true);
  }

  void watch(std::size_t at, bool room) {
    clients_[at].waiting = room;
    auto e = epoll_event{.events = EPOLLIN | (room ? EPOLLOUT : 0u), .data = {.u64 = at}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, clients_[at].socket, &e);
  }

  options o_;
  std::string topic_;
  int epoll_;
  std::vector<client> clients_;  // publishers, then subscribers
  std::vector<message> messages_ = std::vector<message>(65'536);
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} * 1024);
  std::uint16_t serial_ = 0;
  bool counting_ = false, draining_ = false, broken_ = false;
  std::uint64_t started_us_ = 0, delivered_ = 0, skipped_ = 0;
  double seconds_ = 0;
  histogram latency_;
};

}  // namespace

int run_fan(int argc, char** argv) {
  auto o = options{};
  auto cli = CLI::App{"Publishers and subscribers of one topic"};
  cli.add_option("--port", o.port);
  cli.add_option("--name", o.name, "of the topic and of the clients, its own for each run");
  cli.add_option("--publishers", o.publishers)->check(CLI::Range(1, 1000));
  cli.add_option("--subscribers", o.subscribers)->check(CLI::Range(1, 10'000));
  cli.add_option("--qos", o.qos)->check(CLI::Range(0, 1));
  cli.add_option("--window", o.window, "messages under way of each publisher")
      ->check(CLI::Range(1, 50));
  cli.add_option("--payload", o.payload, "bytes")->check(CLI::Range(8, 100'000));
  cli.add_option("--seconds", o.seconds);
  cli.add_option("--warm-up", o.warm_up);
  cli.add_option("--rate", o.rate, "messages a second in all; 0: as fast as the windows let");
  cli.add_flag("--kept", o.kept, "subscribers keep their sessions");
  CLI11_PARSE(cli, argc, argv);
  auto f = fan{o};
  if (!f.open())
    return 1;
  f.run();
  f.report();
  return f.good() ? 0 : 1;
}

}  // namespace orrery::bench
