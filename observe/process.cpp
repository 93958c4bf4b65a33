#include "observe/process.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>
#include <vector>

/// jemalloc's (manual: mallctl); absent where another allocator serves, as under sanitizers.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, std::size_t* old_size,
                                             void* fresh, std::size_t fresh_size);

namespace orrery::observe {
namespace {

constexpr auto unknown = std::numeric_limits<double>::quiet_NaN();

/// Field `number` of /proc/self/stat, counted from 1 as proc(5) does; 3 or more.
double stat_field(std::size_t number) {
  auto file = std::ifstream{"/proc/self/stat"};
  auto text = std::string{};
  std::getline(file, text);
  const auto name_end = text.rfind(')');  // the program's name may hold anything
  if (name_end == std::string::npos)
    return unknown;
  auto rest = std::istringstream{text.substr(name_end + 1)};
  auto word = std::string{};
  for (auto i = std::size_t{3}; i < number; ++i)
    rest >> word;
  auto value = unknown;
  rest >> value;
  return value;
}

double seconds_of(double ticks) {
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// Seconds since 1970 at which the machine started.
double boot_time() {
  auto file = std::ifstream{"/proc/stat"};
  for (auto line = std::string{}; std::getline(file, line);)
    if (line.starts_with("btime "))
      return std::stod(line.substr(6));
  return unknown;
}

double open_files() {
  auto error = std::error_code{};
  auto count = 0.0;
  for (auto at = std::filesystem::directory_iterator{"/proc/self/fd", error};
       !error && at != std::filesystem::directory_iterator{}; at.increment(error))
    ++count;
  return error ? unknown : count - 1;  // the directory's own
}

double max_files() {
  auto limit = rlimit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : unknown;
}

/// A statistic of jemalloc in bytes, as of now.
double allocator_bytes(const char* name) {
  auto epoch = std::uint64_t{1};
  auto size = sizeof epoch;
  if (mallctl("epoch", &epoch, &size, &epoch, sizeof epoch) != 0)
    return unknown;
  auto bytes = std::size_t{0};
  size = sizeof bytes;
  return mallctl(name, &bytes, &size, nullptr, 0) == 0 ? static_cast<double>(bytes) : unknown;
}

}  // namespace

void add_process_metrics(metrics& to) {
  to.count("process_cpu_seconds_total", "CPU time, user and system",
           [] { return seconds_of(stat_field(14) + stat_field(15)); });
  to.gauge("process_resident_memory_bytes", "Memory in RAM",
           [] { return stat_field(24) * static_cast<double>(sysconf(_SC_PAGESIZE)); });
  to.gauge("process_start_time_seconds", "When it started, seconds since 1970",
           [] { return boot_time() + seconds_of(stat_field(22)); });
  to.gauge("process_open_fds", "Open files and sockets", open_files);
  to.gauge("process_max_fds", "The limit of them", max_files);
  if (mallctl == nullptr)
    return;
  to.gauge("orrery_memory_allocated_bytes", "Memory in use, by the allocator",
           [] { return allocator_bytes("stats.allocated"); });
  to.gauge("orrery_memory_resident_bytes", "Memory that the allocator holds in RAM",
           [] { return allocator_bytes("stats.resident"); });
}

}  // namespace orrery::observe
