// orrery-load: many MQTT devices from one thread, made to cost little, so that what is measured is
// the server. Devices log in with correct signatures (or not at all: --plain), publish 200-byte
// posts with QoS 1 and acknowledge every reply. Prints one JSON line.
//
//   closed loop   --window W               each connection keeps W posts unacknowledged
//   paced         --rate R [--window W]    R posts a second over all connections
//   idle          --hold                   connect, say so, wait for the end of standard input
//   general topics  fan ...                publishers and subscribers of one topic (fan.cpp)
//
// A line of the file of devices may name a host (an IPv4 address): devices of a cluster connect
// there.
#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <netinet/tcp.h>
#include <poll.h>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/fan.hpp"
#include "bench/packets.hpp"
#include "model/credentials.hpp"

namespace {

using steady = std::chrono::steady_clock;
namespace model = orrery::model;
using namespace orrery::bench;

struct options {
  std::string host = "127.0.0.1", devices, record;
  int port = 11883, skip = 0, connections = 0, window = 1, connecting = 50;
  double seconds = 10, warm_up = 2, rate = 0;
  bool plain = false, hold = false;
};

struct totals {
  std::uint64_t sent = 0, acknowledged = 0, replies = 0, refused = 0;
  histogram latency;
  bool counting = false;
};

struct peer {
  int socket = -1;
  std::string product, device, secret, host, topic;
  enum { connecting, logging_in, open, dead } state = connecting;
  std::string in, out;
  std::uint16_t packet_id = 0;
  std::uint64_t posts = 0;
  std::int64_t last_time = 0;  // ms since 1970, of the last post
  std::deque<std::pair<std::uint16_t, std::uint64_t>> in_flight;
  bool writing = false;  // waits for the socket
};

class load {
 public:
  explicit load(options o) : o_{std::move(o)}, epoll_{epoll_create1(EPOLL_CLOEXEC)} {}

  bool read_devices() {
    auto file = std::ifstream{o_.devices};
    auto line = std::string{};
    for (auto skipped = 0;
         std::getline(file, line) &&
         (o_.connections == 0 || peers_.size() < static_cast<std::size_t>(o_.connections));) {
      auto p = peer{};
      auto words = std::istringstream{line};
      if (!(words >> p.product >> p.device >> p.secret))
        break;
      if (!(words >> p.host))
        p.host = o_.host;
      if (skipped < o_.skip) {
        ++skipped;
        continue;
      }
      p.topic = "/sys/" + p.product + "/" + p.device + "/thing/measurepoint/post";
      peers_.push_back(p);
    }
    return !peers_.empty();
  }

  bool connect_all() {
    const auto until = steady::now() + std::chrono::seconds{300};
    while (open_ < peers_.size() && dead_ == 0 && steady::now() < until) {
      while (begun_ < peers_.size() && begun_ - open_ < static_cast<std::size_t>(o_.connecting))
        begin(begun_++);
      turn(10);
    }
    if (open_ < peers_.size())
      std::cerr << "orrery-load: " << open_ << " of " << peers_.size() << " logged in, " << dead_
                << " were closed\n";
    return open_ == peers_.size();
  }

  void run() {
    const auto begin_us = now_us();
    const auto count_from = begin_us + static_cast<std::uint64_t>(o_.warm_up * 1e6);
    const auto end_us = count_from + static_cast<std::uint64_t>(o_.seconds * 1e6);
    if (o_.rate == 0)
      for (auto& p : peers_)
        fill(p);
    auto paced = std::uint64_t{0};
    for (auto now = begin_us; now < end_us && dead_ == 0; now = now_us()) {
      if (!totals_.counting && now >= count_from) {
        totals_.counting = true;
        started_us_ = now;
        std::cerr << "measuring\n";  // whoever reads the server's clock begins here
      }
      if (o_.rate > 0) {
        const auto due =
            static_cast<std::uint64_t>(static_cast<double>(now - begin_us) * 1e-6 * o_.rate);
        for (auto budget = 2000; paced < due && budget > 0; --budget, ++paced) {
          auto& p = peers_[paced % peers_.size()];
          if (p.state == peer::open && p.in_flight.size() < static_cast<std::size_t>(o_.window)) {
            post(p);
            flush(p);
          } else {
            ++skipped_;
          }
        }
      }
      turn(o_.rate > 0 ? 1 : 100);
    }
    ended_us_ = now_us();
    std::cerr << "measured\n";
    totals_.counting = false;
    // What is in flight comes home, so that the next run begins clean.
    draining_ = true;
    const auto until = steady::now() + std::chrono::seconds{10};
    const auto waits = [](const peer& p) { return p.state == peer::open && !p.in_flight.empty(); };
    while (steady::now() < until && std::any_of(peers_.begin(), peers_.end(), waits))
      turn(10);
  }

  void hold() {
    std::cout << "{\"connected\":" << open_ << "}" << std::endl;
    auto input = pollfd{STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, 0) == 0)
      turn(100);
  }

  /// How many posts of each device were acknowledged: they are acknowledged in their order.
  bool record() const {
    auto file = std::ofstream{o_.record};
    for (const auto& p : peers_)
      file << p.device << ' ' << p.posts - p.in_flight.size() << ' ' << p.posts << '\n';
    return file.good();
  }

  void report() const {
    const auto seconds = static_cast<double>(ended_us_ - started_us_) * 1e-6;
    std::printf(
        "{\"connections\":%zu,\"window\":%d,\"seconds\":%.3f,\"acknowledged\":%llu,"
        "\"replies\":%llu,\"refused\":%llu,\"skipped\":%llu,\"dead\":%zu,\"rate\":%.0f,"
        "\"p50_us\":%llu,\"p99_us\":%llu}\n",
        peers_.size(), o_.window, seconds, static_cast<unsigned long long>(totals_.acknowledged),
        static_cast<unsigned long long>(totals_.replies),
        static_cast<unsigned long long>(totals_.refused), static_cast<unsigned long long>(skipped_),
        dead_, static_cast<double>(totals_.acknowledged) / seconds,
        static_cast<unsigned long long>(totals_.latency.quantile(0.5)),
        static_cast<unsigned long long>(totals_.latency.quantile(0.99)));
  }
  bool good() const { return dead_ == 0; }

 private:
  void begin(std::size_t at) {
    auto& p = peers_[at];
    p.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    auto on = 1;
    setsockopt(p.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto to = sockaddr_in{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(o_.port));
    inet_pton(AF_INET, p.host.c_str(), &to.sin_addr);
    const auto begun = ::connect(p.socket, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (p.socket < 0 || (begun != 0 && errno != EINPROGRESS))
      return end(p);
    auto e = epoll_event{.events = EPOLLIN | EPOLLOUT, .data = {.u64 = at}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, p.socket, &e);
    p.writing = true;
  }

  void log_in(peer& p) {
    auto body = std::string{};
    put_text(body, "MQTT");
    body += '\4';
    body += static_cast<char>(o_.plain ? 2 : 2 | 128 | 64);
    body += '\0';
    body += '\0';  // no keep-alive: an idle connection costs nothing
    if (o_.plain) {
      put_text(body, p.device);
    } else {
      const auto stamp = std::string{"1700000000123"};
      put_text(body, p.device + "|securemode=2,signmethod=sha256,timestamp=" + stamp + "|");
      put_text(body, p.device + "&" + p.product);
      put_text(body, model::sign_login({p.product, p.device}, p.device, stamp,
                                       model::sign_method::sha256, p.secret));
    }
    put_packet(p.out, 0x10, body);
    p.state = peer::logging_in;
    flush(p);
  }

  void post(peer& p) {
    char payload[256];
    const auto n = ++p.posts;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
    // No time of a device comes twice: who posts faster than once a millisecond runs ahead.
    p.last_time = std::max<std::int64_t>(p.last_time + 1, ms);
    p.packet_id = static_cast<std::uint16_t>(p.packet_id == 65535 ? 1 : p.packet_id + 1);
    // Six points a post, of ten in all.
    const auto* more = n % 2 == 0 ? "1234" : "7890";
    const auto size = static_cast<std::size_t>(std::snprintf(
        payload, sizeof payload,
        "{\"id\":\"%llu\",\"version\":\"1.0\",\"method\":\"thing.measurepoint.post\",\"params\":{"
        "\"measurepoints\":{\"p%c\":%llu.%llu,\"p%c\":229.%llu,\"p%c\":49.9%llu,\"p%c\":-3.2%llu,"
        "\"p5\":%llu,\"p6\":31.%llu},\"time\":%lld}}",
        static_cast<unsigned long long>(n), more[0], static_cast<unsigned long long>(n % 997),
        static_cast<unsigned long long>(n % 89), more[1], static_cast<unsigned long long>(n % 7),
        more[2], static_cast<unsigned long long>(n % 9), more[3],
        static_cast<unsigned long long>(n % 5), static_cast<unsigned long long>(n),
        static_cast<unsigned long long>(n % 8), static_cast<long long>(p.last_time)));
    const auto rest = 2 + p.topic.size() + 2 + size;
    p.out += '\x32';
    p.out += static_cast<char>(rest % 128 | (rest >= 128 ? 128 : 0));
    if (rest >= 128)
      p.out += static_cast<char>(rest / 128);
    put_text(p.out, p.topic);
    p.out += static_cast<char>(p.packet_id >> 8);
    p.out += static_cast<char>(p.packet_id);
    p.out.append(payload, size);
    p.in_flight.emplace_back(p.packet_id, now_us());
    ++totals_.sent;
  }

  void fill(peer& p) {
    while (p.in_flight.size() < static_cast<std::size_t>(o_.window))
      post(p);
    flush(p);
  }

  void flush(peer& p) {
    while (!p.out.empty() && !p.writing) {
      const auto n = ::send(p.socket, p.out.data(), p.out.size(), MSG_NOSIGNAL);
      if (n > 0) {
        p.out.erase(0, static_cast<std::size_t>(n));
      } else if (errno == EAGAIN) {
        want_write(p, true);
      } else {
        return end(p);
      }
    }
  }

  void want_write(peer& p, bool on) {
    p.writing = on;
    auto e = epoll_event{.events = EPOLLIN | (on ? EPOLLOUT : 0u),
                         .data = {.u64 = static_cast<std::uint64_t>(&p - peers_.data())}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, p.socket, &e);
  }

  void turn(int wait_ms) {
    epoll_event events[256];
    const auto n = epoll_wait(epoll_, events, 256, wait_ms);
    for (auto i = 0; i < n; ++i) {
      auto& p = peers_[events[i].data.u64];
      if (p.state == peer::dead)
        continue;
      if (events[i].events & EPOLLOUT) {
        want_write(p, false);
        if (p.state == peer::connecting)
          log_in(p);
        else
          flush(p);
      }
      if (p.state != peer::dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(p);
    }
  }

  void receive(peer& p) {
    static char buffer[256 * 1024];
    const auto n = ::recv(p.socket, buffer, sizeof buffer, 0);
    if (n <= 0) {
      if (n == 0 || errno != EAGAIN)
        end(p);
      return;
    }
    auto view = std::string_view{buffer, static_cast<std::size_t>(n)};
    auto joined = std::string{};
    if (!p.in.empty()) {
      joined = std::move(p.in);
      joined += view;
      view = joined;
    }
    while (take(p, view)) {
    }
    p.in = std::string{view};
    if (p.state == peer::open && o_.rate == 0 && !draining_ && !o_.hold && running())
      fill(p);
    else
      flush(p);
  }
  bool running() const { return totals_.sent > 0; }

  /// Takes one packet; false: none is whole.
  bool take(peer& p, std::string_view& in) {
    const auto packet = take_packet(in);
    if (!packet)
      return false;
    const auto head = packet->head;
    const auto body = packet->body;
    const auto u16 = [&](std::size_t from) { return u16_at(body, from); };
    switch (head >> 4) {
      case 2:
        if (body[1] != 0) {
          std::cerr << "orrery-load: CONNACK " << int{body[1]} << " for " << p.device << '\n';
          end(p);
          return false;
        }
        p.state = peer::open;
        ++open_;
        break;
      case 3: {  // a reply, with QoS 1: acknowledge it
        const auto topic = u16(0);
        if ((head & 6) == 2) {
          p.out += "\x40\x02";
          p.out += body.substr(2 + topic, 2);
        }
        if (totals_.counting) {
          ++totals_.replies;
          if (body.find("\"code\":200") == std::string_view::npos)
            ++totals_.refused;
        }
        break;
      }
      case 4: {
        const auto id = u16(0);
        const auto found = std::find_if(p.in_flight.begin(), p.in_flight.end(),
                                        [&](const auto& f) { return f.first == id; });
        if (found == p.in_flight.end())
          break;
        if (totals_.counting) {
          ++totals_.acknowledged;
          totals_.latency.add(now_us() - found->second);
        }
        p.in_flight.erase(found);
        break;
      }
      default:
        break;
    }
    return true;
  }

  void end(peer& p) {
    if (p.socket >= 0)
      ::close(p.socket);
    p.state = peer::dead;
    ++dead_;
  }

  options o_;
  int epoll_;
  std::vector<peer> peers_;
  std::size_t begun_ = 0, open_ = 0, dead_ = 0;
  std::uint64_t skipped_ = 0, started_us_ = 0, ended_us_ = 0;
  totals totals_;
  bool draining_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view{argv[1]} == "fan")
    return run_fan(argc - 1, argv + 1);
  auto o = options{};
  auto cli = CLI::App{"MQTT load with little cost of its own"};
  cli.add_option("--host", o.host);
  cli.add_option("--port", o.port);
  cli.add_option("--devices", o.devices,
                 "file: product key, device key, secret and perhaps host a line")
      ->required();
  cli.add_option("--skip", o.skip, "devices of the file that are left out at its head");
  cli.add_option("--connections", o.connections, "of the devices that follow; 0: all");
  cli.add_option("--window", o.window, "posts unacknowledged per connection");
  cli.add_option("--connecting", o.connecting, "logins under way at a time");
  cli.add_option("--seconds", o.seconds);
  cli.add_option("--warm-up", o.warm_up);
  cli.add_option("--rate", o.rate, "posts a second in all; 0: as fast as the windows let");
  cli.add_option("--record", o.record, "file: device key, posts acknowledged, posts sent a line");
  cli.add_flag("--plain", o.plain, "log in without a signature (for brokers)");
  cli.add_flag("--hold", o.hold, "connect and wait for the end of standard input");
  CLI11_PARSE(cli, argc, argv);
  auto l = load{o};
  if (!l.read_devices()) {
    std::cerr << "orrery-load: no devices in " << o.devices << '\n';
    return 2;
  }
  if (!l.connect_all())
    return 1;
  if (o.hold) {
    l.hold();
    return 0;
  }
  l.run();
  l.report();
  if (!o.record.empty() && !l.record()) {
    std::cerr << "orrery-load: cannot write " << o.record << '\n';
    return 2;
  }
  return l.good() ? 0 : 1;
}
