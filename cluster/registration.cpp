#include "cluster/registration.hpp"

#include <utility>

#include "observe/log.hpp"

namespace orrery::cluster {

using std::chrono::milliseconds;
namespace log = observe::log;

registrar::registrar(std::shared_ptr<coordinator> at, std::string key, std::string value,
                     registration_options options, registration_events events, clock now)
    : at_{std::move(at)},
      key_{std::move(key)},
      value_{std::move(value)},
      options_{options},
      events_{std::move(events)},
      now_{std::move(now)} {}

milliseconds registrar::turn() {
  if (replaced_)
    return options_.renewal;
  if (events_.is_able && !events_.is_able()) {
    if (lease() != 0) {
      log::warn("cluster.registration", "given_up", {{"key", key_}});
      lapse();
    }
    return options_.retry;
  }
  return lease() != 0 ? renew() : enrol();
}

milliseconds registrar::enrol() {
  const auto sent_at = now_();  // the lease may run from here on
  const auto lease = at_->grant(options_.life);
  if (!lease) {
    log::warn("cluster.registration", "not_registered", {{"detail", lease.error().detail}});
    return options_.retry;
  }
  const auto mine = change{key_, value_, *lease};
  const auto done = at_->swap({}, {&mine, 1});
  if (!done) {
    // The key may be there: with the lease it goes again.
    static_cast<void>(at_->revoke(*lease));
    log::warn("cluster.registration", "not_registered", {{"detail", done.error().detail}});
    return options_.retry;
  }
  lease_.store(*lease, std::memory_order_release);
  incarnation_ = done->revision;
  good(sent_at);
  log::info("cluster.registration", "registered", {{"key", key_}, {"incarnation", incarnation_}});
  events_.registered(incarnation_);
  return options_.renewal;
}

milliseconds registrar::renew() {
  const auto sent_at = now_();
  const auto renewed = at_->renew(lease_);
  if (!renewed) {
    if (now_() >= sent_at_ + options_.life) {
      log::warn("cluster.registration", "lapsed", {{"detail", renewed.error().detail}});
      lapse();
    }
    return options_.retry;
  }
  if (!*renewed) {
    log::warn("cluster.registration", "lapsed", {{"detail", "its lease is over"}});
    lapse();
    return milliseconds{0};
  }
  // The lease is one thing, whose the key is another.
  if (const auto there = at_->list(key_)) {
    auto seen = incarnation_id{0};
    for (const auto& one : there->items)
      if (one.key == key_)
        seen = one.revision;
    if (seen > incarnation_) {
      log::error("cluster.registration", "replaced",
                 {{"key", key_},
                  {"detail", "another process runs as this node: give one of them another name"}});
      replaced_ = true;
      lapse();
      events_.replaced();
      return options_.renewal;
    }
    if (seen == 0) {
      log::warn("cluster.registration", "lapsed", {{"detail", "its key was taken away"}});
      lapse();
      return milliseconds{0};
    }
  }
  good(sent_at);
  return options_.renewal;
}

void registrar::good(milliseconds sent_at) {
  sent_at_ = sent_at;
  serves_until_.store((sent_at + options_.life - options_.margin).count(),
                      std::memory_order_release);
}

void registrar::lapse() {
  serves_until_.store(0, std::memory_order_release);
  const auto old = lease_.exchange(0);
  events_.lapsed();
  static_cast<void>(at_->revoke(old));  // if it lives, it is not to be waited for
}

void registrar::end() {
  if (lease() != 0)
    lapse();
}

registration::registration(std::shared_ptr<registrar> by)
    : by_{std::move(by)}, thread_{[this] {
        auto hold = std::unique_lock{mutex_};
        while (!over_) {
          hold.unlock();
          const auto next = by_->turn();
          hold.lock();
          wake_.wait_for(hold, next, [this] { return over_; });
        }
      }} {}

registration::~registration() {
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
  by_->end();
}

}  // namespace orrery::cluster
