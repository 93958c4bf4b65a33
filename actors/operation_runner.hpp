// Works on operations whose shards this node serves, on threads of its own. An operation says when
// it wants to be worked on (model::run_operation); a runner takes it, goes on step by step from
// where it has come to, and writes each step down before the next. Whoever is not the one that has
// taken it last is refused, so a runner that was thought gone does no harm, and a step that is done
// again after a crash has to do none either.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/caller.hpp"
#include "actors/query.hpp"
#include "model/operation/operation.hpp"

namespace orrery::actors {

/// What work is made from.
struct work_order {
  model::entity_id id;
  std::shared_ptr<const model::operation::state> what;
  /// Up to `most` bytes of its input from `offset` on, fewer at its end alone. Blocks.
  std::function<model::result<std::string>(std::uint64_t offset, std::size_t most)> read_input;
};

struct work_step {
  std::string position;  // where the next step begins
  model::operation::row_counts more;
  std::optional<std::uint64_t> total;
  std::string result;  // the next piece of the result; "": nothing new
  bool last = false;
};

/// One operation in hand; on one thread, which may block for some seconds.
class operation_work {
 public:
  virtual ~operation_work() = default;
  /// What is behind `position` ("": the beginning), at most `max_rows` of it. The same position may
  /// come again: then what was done is not done twice in effect. Fails with what passes
  /// (`is_passing`: it is tried again), or for good.
  virtual model::result<work_step> step(const std::string& position, std::size_t max_rows) = 0;
  /// Rows a second at most; 0: as fast as it goes.
  virtual double rate() const { return 0; }
};
/// Fails if the order makes no sense: the operation fails with that.
using work_maker = std::function<model::result<std::unique_ptr<operation_work>>(work_order)>;

struct runner_figures {
  std::atomic<std::uint64_t> running{0}, waiting{0}, ok{0}, failed{0}, skipped{0}, steps_again{0};
};

struct runner_parts {
  std::shared_ptr<caller> ask;
  std::shared_ptr<query> reads;
  work_maker make;
  std::size_t workers = 2;
  std::size_t max_rows = 1'000;  // of a step
  std::shared_ptr<runner_figures> figures = std::make_shared<runner_figures>();
};

/// Thread-safe.
class operation_runner {
 public:
  explicit operation_runner(runner_parts parts);
  ~operation_runner();  // as stop()
  operation_runner(const operation_runner&) = delete;
  operation_runner& operator=(const operation_runner&) = delete;

  /// Works on it when there is time, unless it does already. Beyond 1,000 that wait it is left to
  /// the next offer.
  void offer(const model::entity_id& operation);
  /// Ends after the steps that run; what is in hand may be taken by others at once. Before the
  /// caller and the query end.
  void stop();
  const std::shared_ptr<runner_figures>& figures() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::actors
