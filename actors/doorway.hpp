// The way of a session to its entity past the shard's host, as long as the entity is awake.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "actors/messages.hpp"

namespace orrery::actors {

/// The door of one awake entity: who knows it sends questions to the entity without its host. Keeps
/// what the entity's host, the journal's writer and the entity itself all look at. What the host
/// sends goes through it too, so that it tells whether anything is on its way.
/// Closed for ever when the entity rests or is lost. Any thread.
class gate {
 public:
  /// True: one batch may be sent, and the entity will take it. False: it is closed; ask the host.
  bool enter() {
    auto count = count_.load(std::memory_order_relaxed);
    while ((count & closed) == 0)
      if (count_.compare_exchange_weak(count, count + one, std::memory_order_acq_rel))
        return true;
    return false;
  }
  /// The entity has taken such a batch, and sent what came of it to the journal's writer.
  void leave() { count_.fetch_sub(one, std::memory_order_acq_rel); }
  /// True: closed, and nothing is on its way. False: something is, and it stays open.
  bool close_if_empty() {
    auto nobody = std::uint64_t{0};
    return count_.compare_exchange_strong(nobody, closed, std::memory_order_acq_rel);
  }
  /// True: something is on its way still; once that is taken the entity ends.
  bool close() { return (count_.fetch_or(closed, std::memory_order_acq_rel) & ~closed) != 0; }
  /// Closed, and nothing is on its way any more.
  bool is_done() const { return count_.load(std::memory_order_acquire) == closed; }

  // What the host wants to know of an entity that it does not see asked.
  std::atomic<model::timestamp> last_asked{};
  std::atomic<bool> unsaved{false};         // holds telemetry that is not in the store
  std::atomic<std::uint32_t> in_flight{0};  // entries of it that the journal's writer has

 private:
  static constexpr std::uint64_t closed = 1, one = 2;
  std::atomic<std::uint64_t> count_{0};  // what is on its way, in the bits above `closed`
};

/// The way to one awake entity, past its host.
class doorway {
 public:
  doorway(entity_actor to, std::shared_ptr<actors::gate> through)
      : entity_{std::move(to)}, gate_{std::move(through)} {}
  /// False: the entity rests or is lost, and `batch` is as it was.
  bool send(ask_batch& batch) const;

 private:
  entity_actor entity_;
  std::shared_ptr<actors::gate> gate_;
};

}  // namespace orrery::actors
