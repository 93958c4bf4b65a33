// Counters, gauges and histograms, shown as Prometheus text. Names: orrery_<layer>_<what>_<unit>.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace orrery::observe {

/// Only rises. Any thread.
class counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Counts values by fixed upper bounds. Any thread.
class histogram {
 public:
  explicit histogram(std::vector<double> bounds);
  void observe(double v);
  void write(const std::string& name, const std::string& labels, std::string& out) const;

 private:
  std::vector<double> bounds_;
  std::deque<std::atomic<std::uint64_t>> counts_;  // one more than bounds
  std::atomic<double> sum_{0};
};

/// Labels in their order, e.g. {{"kind", "points"}}: few values each, never ids of devices.
using labels = std::vector<std::pair<std::string, std::string>>;

/// All series of a node. Objects live as long as the registry; asking for the same series again
/// gives the same object. Thread-safe.
class metrics {
 public:
  counter& count(const std::string& name, const std::string& help, const labels& with = {});
  histogram& distribution(const std::string& name, const std::string& help,
                          std::vector<double> bounds, const labels& with = {});
  /// A value read when the page is asked for; `read` must be thread-safe.
  void gauge(const std::string& name, const std::string& help, std::function<double()> read,
             const labels& with = {});
  /// A counter that its owner keeps, read like a gauge; it never falls while the node runs.
  void count(const std::string& name, const std::string& help, std::function<double()> read,
             const labels& with = {});
  /// Several gauges of one prefix whose names are known only when they are read.
  void gauges(const std::string& prefix,
              std::function<std::vector<std::pair<std::string, double>>()> read);

  /// The exposition text, version 0.0.4.
  std::string text() const;

 private:
  void read_from(const std::string& name, const std::string& help, const char* type,
                 std::function<double()> read, const labels& with);

  struct family {
    std::string help, type;
    std::map<std::string, counter> counters;
    std::map<std::string, histogram> histograms;
    std::map<std::string, std::function<double()>> readings;
  };
  mutable std::mutex mutex_;
  std::map<std::string, family> families_;
  std::map<std::string, std::function<std::vector<std::pair<std::string, double>>()>> groups_;
};

}  // namespace orrery::observe
