#include "actors/operation_runner.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "actors/blocking_calls.hpp"
#include "observe/log.hpp"

namespace orrery::actors {
namespace {

namespace operation = model::operation;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t max_waiting = 1'000;
constexpr auto step_time = std::chrono::seconds{1};         // of one that is held back by a rate
constexpr auto pause_of_trouble = std::chrono::seconds{1};  // before a step is tried again
constexpr auto write_patience = std::chrono::seconds{10};   // within the lease
constexpr std::uint64_t read_ahead = 4 * operation::input_piece_bytes;

/// Reads an input that lies in pieces of one size.
class input_reader {
 public:
  input_reader(std::shared_ptr<query> reads, model::entity_id id, std::uint64_t size)
      : reads_{std::move(reads)}, id_{id}, size_{size} {}

  model::result<std::string> operator()(std::uint64_t offset, std::size_t most) {
    auto bytes = std::string{};
    while (bytes.size() < most && offset < size_) {
      const auto number = offset / operation::input_piece_bytes;
      if (auto ok = load(number); !ok)
        return ok.error();
      const auto from = offset % operation::input_piece_bytes;
      const auto some = std::string_view{pieces_[number - first_]}.substr(from);
      const auto taken = some.substr(0, most - bytes.size());
      if (taken.empty())
        return gone();
      bytes += taken;
      offset += taken.size();
    }
    return bytes;
  }

 private:
  static model::failure gone() {
    return {model::errc::unavailable, "input_missing", "a piece of its input is not here"};
  }
  model::status load(std::uint64_t number) {
    if (number >= first_ && number < first_ + pieces_.size())
      return {};
    auto page = read_and_wait(*reads_, operation_rows_question{.shard = id_.shard,
                                                               .operation = id_,
                                                               .inputs = true,
                                                               .from = number,
                                                               .max_bytes = read_ahead});
    if (!page)
      return page.error();
    if (page->pieces.empty())
      return gone();
    first_ = number;
    pieces_ = std::move(page->pieces);
    return {};
  }

  std::shared_ptr<query> reads_;
  model::entity_id id_;
  std::uint64_t size_;
  std::uint64_t first_ = 0;
  std::vector<std::string> pieces_;
};

std::shared_ptr<const operation::state> state_in(const answer& got) {
  if (!got)
    return nullptr;
  const auto* reply = std::get_if<operation::reply>(&got->answer);
  const auto* snapshot = reply ? std::get_if<operation::operation_snapshot>(reply) : nullptr;
  return snapshot ? snapshot->what : nullptr;
}

}  // namespace

struct operation_runner::impl {
  explicit impl(runner_parts p) : parts{std::move(p)} {}

  runner_parts parts;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<model::entity_id> waiting;
  std::set<model::entity_id> known;  // that wait or are in hand
  bool stopping = false;
  std::vector<std::thread> threads;

  void run() {
    auto hold = std::unique_lock{mutex};
    for (;;) {
      wake.wait(hold, [&] { return stopping || !waiting.empty(); });
      if (stopping)
        return;
      const auto id = waiting.front();
      waiting.pop_front();
      hold.unlock();
      --parts.figures->waiting;
      ++parts.figures->running;
      work_on(id);
      --parts.figures->running;
      hold.lock();
      known.erase(id);
    }
  }

  /// False: the node stops.
  bool sleep_until(clock::time_point at) {
    auto hold = std::unique_lock{mutex};
    return !wake.wait_until(hold, at, [&] { return stopping; });
  }

  answer write(const model::entity_id& id, const operation::order& what, milliseconds patience) {
    auto all = std::vector<question>{};
    all.push_back({id, operation::command{what, "service", {}}});
    return ask_and_wait(*parts.ask, std::move(all), patience).front();
  }

  void note(const model::entity_id& id, const char* what, const model::failure& why) const {
    observe::log::warn(
        "operation", what,
        {{"operation", to_string(id)}, {"code", name_of(why.code)}, {"detail", why.detail}});
  }

  void finish(const model::entity_id& id, std::uint32_t attempt,
              const std::optional<model::failure>& why) {
    auto order = operation::finish_operation{attempt, {}, {}};
    if (why) {
      order.reason = why->reason.empty() ? name_of(why->code) : why->reason;
      order.detail = why->detail.substr(0, 2'000);
    }
    const auto over = state_in(write(id, order, write_patience));
    if (over)
      observe::log::info("operation", "ended",
                         {{"operation", to_string(id)},
                          {"kind", operation::name_of(over->kind)},
                          {"state", operation::name_of(over->phase)},
                          {"done", over->counts.done()},
                          {"failed", over->counts.failed}});
  }

  void work_on(const model::entity_id& id) {
    auto now = state_in(write(id, operation::take_operation{}, {}));
    if (!now || now->phase != operation::state_code::running)
      return;  // another one works on it, or it is over
    const auto attempt = now->attempt;
    auto made = parts.make({id, now, input_reader{parts.reads, id, now->input_bytes}});
    if (!made)
      return finish(id, attempt, made.error());
    auto& work = **made;
    for (;;) {
      const auto begun = clock::now();
      const auto rate = work.rate();
      const auto rows =
          rate > 0 ? std::clamp<std::size_t>(static_cast<std::size_t>(rate * step_time.count()), 1,
                                             parts.max_rows)
                   : parts.max_rows;
      auto step = work.step(now->position, rows);
      if (!step && !is_passing(step.error())) {
        note(id, "failed", step.error());
        return finish(id, attempt, step.error());
      }
      auto order = operation::advance{.attempt = attempt,
                                      .from = now->position,
                                      .position = now->position,
                                      .more = {},
                                      .total = {},
                                      .result = {},
                                      .lets_go = is_stopping()};
      if (step) {
        order.position = step->position;
        order.more = step->more;
        order.total = step->total;
        order.result = std::move(step->result);
        order.lets_go = order.lets_go && !step->last;
      } else {
        ++parts.figures->steps_again;
        note(id, "step_again", step.error());
      }
      const auto written = write(id, order, write_patience);
      now = state_in(written);
      if (!now) {  // taken by another, or nobody can say: the lease ends, and it is offered again
        if (!written)
          note(id, "left", written.error());
        return;
      }
      count(order.more);
      if (order.lets_go)
        return;
      if (now->cancel_wanted || (step && step->last))
        return finish(id, attempt, std::nullopt);
      auto next = step ? begun : clock::now() + pause_of_trouble;
      if (step && rate > 0)
        next += std::chrono::duration_cast<clock::duration>(
            std::chrono::duration<double>(static_cast<double>(order.more.done()) / rate));
      if (next > clock::now())
        (void)sleep_until(next);  // stopping: one more step, which lets go
    }
  }

  void count(const operation::row_counts& more) const {
    parts.figures->ok += more.ok;
    parts.figures->failed += more.failed;
    parts.figures->skipped += more.skipped;
  }
  bool is_stopping() {
    const auto hold = std::lock_guard{mutex};
    return stopping;
  }
};

operation_runner::operation_runner(runner_parts parts)
    : impl_{std::make_unique<impl>(std::move(parts))} {
  for (std::size_t i = 0; i < impl_->parts.workers; ++i)
    impl_->threads.emplace_back([i = impl_.get()] { i->run(); });
}

operation_runner::~operation_runner() {
  stop();
}

void operation_runner::offer(const model::entity_id& operation) {
  {
    const auto hold = std::lock_guard{impl_->mutex};
    if (impl_->stopping || impl_->waiting.size() >= max_waiting ||
        !impl_->known.insert(operation).second)
      return;
    impl_->waiting.push_back(operation);
    ++impl_->parts.figures->waiting;
  }
  impl_->wake.notify_one();
}

void operation_runner::stop() {
  {
    const auto hold = std::lock_guard{impl_->mutex};
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  for (auto& t : impl_->threads)
    if (t.joinable())
      t.join();
}

const std::shared_ptr<runner_figures>& operation_runner::figures() const {
  return impl_->parts.figures;
}

}  // namespace orrery::actors
