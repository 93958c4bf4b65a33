// What a link between two nodes costs: CPU for each message of 220 bytes, in bulk, and the time of
// a round trip with one under way. Both ends in one process, over TLS on the loopback. Prints one
// JSON line.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "cluster/tls_node_link.hpp"
#include "net/tls.hpp"

namespace {

namespace fs = std::filesystem;
using namespace orrery;
using clock_type = std::chrono::steady_clock;

double cpu_seconds() {
  auto t = timespec{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
double seconds_since(clock_type::time_point begin) {
  return std::chrono::duration<double>(clock_type::now() - begin).count();
}

cluster::link_options options(const std::string& folder, cluster::node_id self) {
  const auto name = "node-" + std::to_string(self);
  const auto files = net::issue_node_certificate(folder, name);
  auto o = cluster::link_options{};
  o.self = self;
  o.name = name;
  o.incarnation = self;
  o.host = "127.0.0.1";
  o.ca_file = files.ca;
  o.certificate_file = files.certificate;
  o.key_file = files.key;
  return o;
}

int run(int seconds, std::size_t bytes) {
  const auto folder =
      (fs::temp_directory_path() / ("orrery-links-" + std::to_string(::getpid()))).string();
  net::make_cluster_ca(folder);
  auto up = std::atomic<int>{0};
  auto arrived = std::atomic<std::uint64_t>{0}, answered = std::atomic<std::uint64_t>{0};
  cluster::node_links *first_links = nullptr, *second_links = nullptr;
  auto trips = std::vector<clock_type::time_point>{};
  trips.reserve(static_cast<std::size_t>(seconds) * 10'000);
  const auto count_up = [&](cluster::node_id, std::uint64_t) { ++up; };
  const auto down = [](cluster::node_id, std::uint64_t) { std::cerr << "down\n"; };
  const auto first = cluster::make_tls_node_links(
      options(folder, 1), {count_up, down, [&](const cluster::link_message& m) {
                             if (m.channel == 3) {
                               if (trips.size() < trips.capacity()) {
                                 const auto now = clock_type::now();
                                 trips.push_back(now);
                                 first_links->send(m.from, m.incarnation, 3, m.bytes);
                                 return;
                               }
                             }
                             answered.fetch_add(1);
                             answered.notify_one();
                           }});
  const auto second = cluster::make_tls_node_links(
      options(folder, 2), {count_up, down, [&](const cluster::link_message& m) {
                             if (m.channel == 1)
                               arrived.fetch_add(1, std::memory_order_relaxed);
                             else
                               second_links->send(m.from, m.incarnation, m.channel, m.bytes);
                           }});
  first_links = first.get();
  second_links = second.get();
  const auto peers = std::vector<cluster::link_peer>{{1, "node-1", "127.0.0.1", first->port(), 1},
                                                     {2, "node-2", "127.0.0.1", second->port(), 2}};
  first->set_peers(peers);
  second->set_peers(peers);
  while (up < 2)
    std::this_thread::yield();
  const auto message = std::string(bytes, 'x');

  // In bulk: a sender that waits a little when the queue is full, as a journal would.
  auto begin = clock_type::now();
  auto cpu = cpu_seconds();
  auto sent = std::uint64_t{0};
  while (seconds_since(begin) < seconds) {
    for (auto i = 0; i < 1000; ++i)
      sent += first->send(2, 2, 1, message) ? 1 : 0;
    while (first->figures().queued_bytes > 4u << 20)
      std::this_thread::sleep_for(std::chrono::microseconds{500});
  }
  while (arrived < sent)
    std::this_thread::sleep_for(std::chrono::microseconds{500});
  const auto bulk_rate = static_cast<double>(sent) / seconds_since(begin);
  const auto bulk_cpu = (cpu_seconds() - cpu) / static_cast<double>(sent) / 2 * 1e6;

  // One at a time.
  auto times = std::vector<double>{};
  begin = clock_type::now();
  cpu = cpu_seconds();
  while (seconds_since(begin) < seconds) {
    const auto at = clock_type::now();
    const auto before = answered.load();
    first->send(2, 2, 2, message);
    answered.wait(before);
    times.push_back(seconds_since(at) * 1e6);
  }
  const auto trip_cpu = (cpu_seconds() - cpu) / static_cast<double>(times.size()) / 2 * 1e6;
  std::sort(times.begin(), times.end());
  // The same between the links' own threads alone.
  cpu = cpu_seconds();
  {
    const auto before = answered.load();
    first->send(2, 2, 3, message);
    answered.wait(before);
  }
  const auto inner_cpu = (cpu_seconds() - cpu) / static_cast<double>(trips.size()) / 2 * 1e6;
  auto inner = std::vector<double>{};
  for (std::size_t i = 1; i < trips.size(); ++i)
    inner.push_back(std::chrono::duration<double, std::micro>(trips[i] - trips[i - 1]).count());
  std::sort(inner.begin(), inner.end());
  std::printf(
      "{\"bytes\":%zu,\"messages_per_s\":%.0f,\"cpu_us\":%.3f,\"trip_p50_us\":%.1f,"
      "\"trip_p99_us\":%.1f,\"trip_cpu_us\":%.1f,\"inner_p50_us\":%.1f,"
      "\"inner_p99_us\":%.1f,\"inner_cpu_us\":%.1f}\n",
      bytes, bulk_rate, bulk_cpu, times[times.size() / 2], times[times.size() * 99 / 100], trip_cpu,
      inner[inner.size() / 2], inner[inner.size() * 99 / 100], inner_cpu);
  fs::remove_all(folder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  auto app = CLI::App{"What a link between two nodes costs"};
  auto seconds = 3;
  auto bytes = std::size_t{220};
  app.add_option("--seconds", seconds, "of each measurement");
  app.add_option("--bytes", bytes, "of a message");
  CLI11_PARSE(app, argc, argv);
  return run(seconds, bytes);
}
