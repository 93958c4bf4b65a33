// Where the clients of a node that is being emptied are sent (MQTT 5.0, 4.11).
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::transport::mqtt {

struct redirection {
  bool for_good = false;        // clients need not come back
  std::vector<std::string> to;  // server references; none: they know others
};

/// Thread-safe.
class signpost {
 public:
  struct direction {
    std::string_view reason;  // of the connection's end: "use_another_server" or "server_moved"
    std::string to;           // a server reference, or empty
  };

  /// Nothing: clients stay.
  void point(std::optional<redirection> where);
  /// Whether it points anywhere.
  bool stands() const { return stands_.load(std::memory_order_relaxed); }
  /// For the next client: references take turns. Nothing: it stays.
  std::optional<direction> next();

 private:
  std::atomic<bool> stands_{false};
  std::mutex mutex_;
  std::optional<redirection> where_;
  std::size_t turn_ = 0;
};

}  // namespace orrery::transport::mqtt
