// A node's registration: its key at the coordinator, bound to a lease that it renews. Other nodes
// may take over what it leads once the key is gone, so it says until when this node may still
// serve.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/coordinator.hpp"
#include "cluster/shard_record.hpp"

namespace orrery::cluster {

struct registration_options {
  std::chrono::milliseconds life{3000};     // of the lease without a renewal
  std::chrono::milliseconds renewal{1000};  // from one to the next
  std::chrono::milliseconds margin{1000};   // so long before its end nothing is served any more
  std::chrono::milliseconds retry{200};     // after a call that failed
};

/// Called from the thread that takes the turns.
struct registration_events {
  /// The key is there under a new incarnation. Read every record now: the old ones say nothing.
  std::function<void(incarnation_id)> registered;
  /// The key is gone or may be: every role ends. A lease that is over does not come back, so
  /// `registered` follows with another incarnation.
  std::function<void()> lapsed;
  /// Another process has registered under this key: this one does not fight, it stays lapsed.
  std::function<void()> replaced;
  /// False: this node cannot do its part at the moment, and lets others do it. Null: it always can.
  std::function<bool()> is_able = {};
};

/// The turns of it, one after the other, on whoever's thread.
class registrar {
 public:
  using clock = std::function<std::chrono::milliseconds()>;  // does not go back

  registrar(std::shared_ptr<coordinator> at, std::string key, std::string value,
            registration_options options, registration_events events, clock now);

  /// Registers, renews, or tells that it lapsed; may block as long as the coordinator does. Gives
  /// how long the next turn can wait.
  std::chrono::milliseconds turn();
  /// Gives the registration up, so that others need not wait for its end.
  void end();

  /// What is read here is not older than any acknowledged write while the clock is before this.
  /// Any thread.
  std::chrono::milliseconds serves_until() const {
    return std::chrono::milliseconds{serves_until_.load(std::memory_order_acquire)};
  }
  /// The lease that the key is bound to, for others that go with it; 0: there is none, or it may be
  /// over. Any thread.
  lease_id lease() const { return lease_.load(std::memory_order_acquire); }

 private:
  std::chrono::milliseconds enrol();
  std::chrono::milliseconds renew();
  void lapse();
  void good(std::chrono::milliseconds sent_at);

  std::shared_ptr<coordinator> at_;
  std::string key_, value_;
  registration_options options_;
  registration_events events_;
  clock now_;
  std::atomic<lease_id> lease_{0};
  incarnation_id incarnation_ = 0;
  std::chrono::milliseconds sent_at_{};  // of the last renewal that was good
  bool replaced_ = false;
  std::atomic<std::int64_t> serves_until_{0};
};

/// Takes the turns of a registrar on a thread of its own until it goes, which ends the
/// registration.
class registration {
 public:
  explicit registration(std::shared_ptr<registrar> by);
  ~registration();
  registration(const registration&) = delete;
  registration& operator=(const registration&) = delete;

 private:
  std::shared_ptr<registrar> by_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace orrery::cluster
