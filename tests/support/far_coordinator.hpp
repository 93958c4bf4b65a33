// A coordinator that can be cut off: what is sent then does not arrive, or its answer does not, or
// no news come.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "cluster/coordinator.hpp"

namespace orrery::tests {

/// Thread-safe, as the real one is. It outlives its subscriptions.
class far_coordinator final : public cluster::coordinator {
 public:
  explicit far_coordinator(std::shared_ptr<cluster::coordinator> real) : real_{std::move(real)} {}
  std::atomic<bool> cut = false;
  std::atomic<bool> answers_lost = false;
  std::atomic<bool> swap_answers_lost = false;
  std::atomic<bool> deaf = false;  // news are lost, and nobody is told
  /// Tells the newest subscription that it has lost something.
  void lose() {
    const auto hold = std::lock_guard{mutex_};
    told_({true, {}, 0});
  }
  std::atomic<int> lists = 0, swaps = 0, followed = 0;

  model::result<cluster::listing> list(std::string_view prefix) override {
    ++lists;
    return over([&] { return real_->list(prefix); });
  }
  model::result<cluster::swap_outcome> swap(std::span<const cluster::condition> conditions,
                                            std::span<const cluster::change> changes) override {
    ++swaps;
    auto got = over([&] { return real_->swap(conditions, changes); });
    if (swap_answers_lost)
      return lost();
    return got;
  }
  model::result<cluster::lease_id> grant(std::chrono::milliseconds life) override {
    return over([&] { return real_->grant(life); });
  }
  model::result<bool> renew(cluster::lease_id lease) override {
    return over([&] { return real_->renew(lease); });
  }
  model::status revoke(cluster::lease_id lease) override {
    return over([&] { return real_->revoke(lease); });
  }
  std::unique_ptr<cluster::subscription> follow(std::string prefix, std::uint64_t revision,
                                                listener told) override {
    ++followed;
    {
      const auto hold = std::lock_guard{mutex_};
      told_ = told;
    }
    return real_->follow(std::move(prefix), revision,
                         [this, told = std::move(told)](const cluster::news& n) {
                           if (!deaf)
                             told(n);
                         });
  }

 private:
  static model::failure lost() { return {model::errc::unavailable, "cut", "cut off"}; }
  template <class Call>
  auto over(Call call) -> decltype(call()) {
    if (cut)
      return lost();
    auto got = call();
    if (answers_lost)
      return lost();
    return got;
  }
  std::shared_ptr<cluster::coordinator> real_;
  std::mutex mutex_;
  listener told_;
};

}  // namespace orrery::tests
