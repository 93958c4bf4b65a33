// What the clients of general topics of this node do, counted for each organisation, and told to
// those of it that listen to $SYS/ topics.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/time.hpp"
#include "model/topic_message.hpp"

namespace orrery::transport::mqtt {

struct topic_counts {
  std::atomic<std::uint64_t> clients{0};    // connected now
  std::atomic<std::uint64_t> received{0};   // messages of clients since the start of the node
  std::atomic<std::uint64_t> delivered{0};  // messages to clients
  std::atomic<std::uint64_t> dropped{0};    // because a client is too slow, or a queue full
};

/// Thread-safe.
class topic_statistics {
 public:
  using publisher = std::function<void(const std::string& organisation, model::shared_message)>;

  /// `node`: its name, a level of the topics. Every `interval` each figure is published with QoS 0,
  /// to whoever listens; 0: never.
  topic_statistics(std::string node, model::milliseconds interval, publisher publish)
      : node_{std::move(node)}, interval_{interval}, publish_{std::move(publish)} {}

  /// The counters of an organisation; for ever the same.
  std::shared_ptr<topic_counts> of(const std::string& organisation);
  void tick(model::timestamp now);

 private:
  std::string node_;
  model::milliseconds interval_;
  publisher publish_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<topic_counts>> counts_;
  model::timestamp last_{};
};

/// $SYS/orrery/<node>/<figure> with the figure as decimal text.
std::vector<model::shared_message> statistics_of(const std::string& node, const topic_counts& c,
                                                 model::timestamp now);

}  // namespace orrery::transport::mqtt
