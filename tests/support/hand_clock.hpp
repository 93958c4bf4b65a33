// A clock that moves when a test turns it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "model/time.hpp"

namespace orrery::tests {

/// Copies show the same time. Any thread.
class hand_clock {
 public:
  model::timestamp now() const { return model::from_ms(ms_->load()); }
  void turn(model::milliseconds by) { ms_->fetch_add(by.count()); }
  std::function<model::timestamp()> reader() const {
    return [at = *this] { return at.now(); };
  }

 private:
  std::shared_ptr<std::atomic<std::int64_t>> ms_ =
      std::make_shared<std::atomic<std::int64_t>>(1'700'000'000'000);
};

}  // namespace orrery::tests
