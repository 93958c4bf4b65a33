// Live subscriptions of applications on this node: committed events, filtered, in bounded queues.
// A subscriber that is too slow loses the oldest and is told how many.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"

namespace orrery::actors {

enum class feed_kind : std::uint8_t { points, events, presence, lifecycle, commands };

/// What a subscriber wants; an empty set means all of that sort.
struct feed_filter {
  feed_kind kind = feed_kind::points;
  std::string organisation;
  std::set<std::string> products;
  std::set<model::entity_id> devices;
  std::set<std::string> points;
};

/// One event for one subscriber; `what` is read by the adapter, which picks what the filter wants.
struct feed_item {
  device_identity who;
  device_events events;
  std::size_t index = 0;  // of the event in `events`
  std::uint64_t offset = 0;
};

/// True if an event is of that kind.
bool belongs_to(const model::device::event& e, feed_kind kind);
/// True if the subscriber wants this event of that device (points are picked later).
bool wants(const feed_filter& filter, const device_identity& who, const model::device::event& e);

/// The feed of one node. Thread-safe.
class feed {
 public:
  struct batch {
    std::vector<feed_item> items;
    std::uint64_t lost = 0;  // dropped before these, since the last take
  };
  /// Called when a queue that was empty is not any more; on the writer's thread: hand over at once.
  using on_ready = std::function<void()>;

  explicit feed(std::size_t max_queued) : max_queued_{max_queued} {}

  /// Called when the first subscriber comes and when the last one goes. Set before any comes.
  void on_wanted(std::function<void(bool)> told) { told_ = std::move(told); }
  /// Whether other nodes want what is published here.
  void set_wanted_elsewhere(bool wanted);

  std::uint64_t subscribe(feed_filter filter, on_ready ready);
  void unsubscribe(std::uint64_t id);
  /// Up to `most` items, oldest first.
  batch take(std::uint64_t id, std::size_t most);

  void publish(const std::vector<published>& group);

  /// Set while there is any subscriber: entities make nothing for feeds without one.
  std::shared_ptr<const std::atomic<bool>> wanted() const { return wanted_; }
  std::size_t subscribers() const;
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct subscriber {
    feed_filter filter;
    on_ready ready;
    std::deque<feed_item> queue;
    std::uint64_t lost = 0;
  };
  std::size_t max_queued_;
  mutable std::mutex mutex_;
  std::uint64_t ids_ = 0;
  std::unordered_map<std::uint64_t, subscriber> subscribers_;
  std::shared_ptr<std::atomic<bool>> wanted_ = std::make_shared<std::atomic<bool>>(false);
  std::atomic<std::uint64_t> dropped_{0};
  std::function<void(bool)> told_ = [](bool) {};
  bool wanted_elsewhere_ = false;
};

}  // namespace orrery::actors
