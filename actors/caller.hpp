// Asks entities on behalf of code that is no actor (the API's handlers) and calls back with the
// answer; also wakes those who wait for the end of a command.
#pragma once

#include <functional>
#include <memory>

#include <caf/fwd.hpp>

#include "actors/messages.hpp"

namespace orrery::actors {

/// Thread-safe. Callbacks run on an actor thread: they hand over and return at once.
class caller {
 public:
  using on_answer = std::function<void(answer)>;
  using on_command_over = std::function<void(bool in_time)>;

  caller(caf::actor_system& system, std::shared_ptr<ask_router> router,
         std::uint64_t node_incarnation, model::milliseconds timeout);
  ~caller();

  /// Asks once. The callback runs exactly once: with the answer, or `timeout` (the fate of a change
  /// is unknown then) after the time given at construction.
  void ask(target whom, any_command what, on_answer then);

  /// A name that a command may carry; `then` runs once: when its end is committed, or when
  /// `at_most` is over.
  model::waiter_ref expect_command(model::milliseconds at_most, on_command_over then);
  void command_over(const model::waiter_ref& waiter);
  /// Nobody waits any more: `then` of expect_command does not run.
  void forget(const model::waiter_ref& waiter);

  model::shard_id shard_of(const target& whom) const;

 private:
  struct desk;
  std::shared_ptr<desk> desk_;
};

}  // namespace orrery::actors
