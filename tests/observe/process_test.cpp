#include "observe/process.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

namespace orrery::observe {
namespace {

std::map<std::string, double> read() {
  auto m = metrics{};
  add_process_metrics(m);
  auto lines = std::istringstream{m.text()};
  auto out = std::map<std::string, double>{};
  for (auto line = std::string{}; std::getline(lines, line);)
    if (!line.starts_with("#"))
      out[line.substr(0, line.find(' '))] = std::stod(line.substr(line.find(' ') + 1));
  return out;
}

TEST(Process, CountsOpenFiles) {
  const auto before = read().at("process_open_fds");
  auto one = std::ifstream{"/proc/self/stat"}, two = std::ifstream{"/proc/self/stat"};
  EXPECT_EQ(read().at("process_open_fds"), before + 2);
  EXPECT_GE(read().at("process_max_fds"), before);
}

TEST(Process, SeesItsMemoryGrow) {
  const auto before = read().at("process_resident_memory_bytes");
  auto block = std::vector<char>(64 << 20, 'x');
  EXPECT_GE(read().at("process_resident_memory_bytes"), before + (32 << 20));
  EXPECT_EQ(block.back(), 'x');
}

TEST(Process, SeesItsTime) {
  const auto now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const auto started = read().at("process_start_time_seconds");
  EXPECT_LE(started, now + 1);
  EXPECT_GE(started, now - 3600);
  auto spent = read().at("process_cpu_seconds_total");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (read().at("process_cpu_seconds_total") <= spent &&
         std::chrono::steady_clock::now() < until) {
  }
  EXPECT_GT(read().at("process_cpu_seconds_total"), spent);
}

}  // namespace
}  // namespace orrery::observe
