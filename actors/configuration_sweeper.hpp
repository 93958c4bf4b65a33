// Brings devices up to date with the configurations of their organisation, on a thread of its own.
// A device looks for itself whenever an event changes what targets look at, and when it is
// registered; what changes for others (a configuration, a group, a product) is found here: the
// shards that this node serves are read, and every device that lacks a layer or has one too many is
// told to look. Nothing is written down about how far a sweep is. What is swept is what differs: so
// a node that begins to serve a shard compares it once, whatever became of whoever served it
// before.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/query.hpp"

namespace orrery::actors {

struct sweeper_figures {
  std::atomic<std::uint64_t> looked_at{0}, changed{0}, failed{0}, sweeps{0};
  std::atomic<std::uint64_t> waiting{0};  // shards that are to be swept
};

struct sweeper_parts {
  std::shared_ptr<caller> ask;
  std::shared_ptr<query> reads;
  std::shared_ptr<const catalogue> known;
  std::uint16_t shard_count = 64;
  /// Which life of the shard this node serves; nothing: another node serves it. Of another life it
  /// is swept again.
  std::function<std::optional<std::uint64_t>(model::shard_id)> life;
  double devices_per_second = 500;  // that are told to look; 0: as fast as it goes
  model::milliseconds tick{500};    // so often it looks whether there is something to do
  std::shared_ptr<sweeper_figures> figures = std::make_shared<sweeper_figures>();
};

/// The filter of those devices of an organisation that may not have what `now` says; nothing: all
/// of them may. `before`: what was swept last; null: nobody knows.
std::optional<std::string> to_look_at(const model::device::configuration_set* before,
                                      const model::device::configuration_set& now);

/// Thread-safe.
class configuration_sweeper {
 public:
  explicit configuration_sweeper(sweeper_parts parts);
  ~configuration_sweeper();  // as stop()
  configuration_sweeper(const configuration_sweeper&) = delete;
  configuration_sweeper& operator=(const configuration_sweeper&) = delete;

  /// Ends after the page in hand. Before the caller and the query end.
  void stop();
  const std::shared_ptr<sweeper_figures>& figures() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::actors
