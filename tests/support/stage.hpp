// Where the actors of a test live: they run when the test says so, on its own thread, one message
// box after the other, and their timers fire when the test turns the clock.
#pragma once

#include <memory>
#include <vector>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "actors/messages.hpp"
#include "tests/support/hand_clock.hpp"

namespace orrery::tests {

/// End all actors (exit) before the stage goes.
class stage {
 public:
  stage() : system_{std::make_unique<caf::actor_system>(config_.ready())} {}

  caf::actor_system& system() { return *system_; }

  /// Until nobody has anything to do.
  void run() { scheduler().run(); }

  /// Lets only `who` work until its box is empty; what it sends to others stays where it is.
  template <class Handle>
  void run_only(const Handle& who) {
    while (scheduler().prioritize(who))
      scheduler().run_once();
  }

  /// Turns the clock and the actors' timers, in steps that no tick is longer than, and runs.
  void pass(model::milliseconds time) {
    constexpr auto longest = model::milliseconds{250};
    run();
    while (time.count() > 0) {
      const auto step = std::min(time, longest);
      clock.turn(step);
      scheduler().advance_time(step);
      run();
      time -= step;
    }
  }

  /// Ends an actor; what is in its box is lost.
  template <class Handle>
  void kill(Handle& who) {
    caf::anon_send_exit(who, caf::exit_reason::kill);
    who = Handle{};
  }

  hand_clock clock;

 private:
  struct config : caf::actor_system_config {
    config& ready() {
      set("scheduler.policy", caf::atom("testing"));
      return *this;
    }
  };
  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  }

  config config_;
  std::unique_ptr<caf::actor_system> system_;
};

/// Somebody who asks: keeps everything that it is told.
class recorder {
 public:
  explicit recorder(stage& on) : stage_{on} {
    handle_ = on.system().spawn(
        [](actors::settler::pointer,
           std::shared_ptr<messages> kept) -> actors::settler::behavior_type {
          return {
              [kept](actors::settled_batch& batch) { kept->push_back(std::move(batch.items)); }};
        },
        messages_);
  }
  ~recorder() {
    stage_.kill(handle_);
    stage_.run();
  }
  recorder(const recorder&) = delete;
  recorder& operator=(const recorder&) = delete;

  const actors::settler& handle() const { return handle_; }

  using messages = std::vector<std::vector<actors::settled>>;
  /// One for each time it was woken.
  const messages& told() const { return *messages_; }
  /// The numbers of all answers, in order.
  std::vector<std::uint64_t> numbers() const {
    auto all = std::vector<std::uint64_t>{};
    for (const auto& message : *messages_)
      for (const auto& item : message)
        all.push_back(item.number);
    return all;
  }
  /// The answer of that number; null if there is none (yet).
  const actors::answer* to(std::uint64_t number) const {
    for (const auto& message : *messages_)
      for (const auto& item : message)
        if (item.number == number)
          return &item.what;
    return nullptr;
  }

 private:
  stage& stage_;
  std::shared_ptr<messages> messages_ = std::make_shared<messages>();
  actors::settler handle_;
};

}  // namespace orrery::tests
