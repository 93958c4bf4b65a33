#include "actors/operation_runner.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "actors/blocking_calls.hpp"
#include "observe/log.hpp"

namespace orrery::actors {
namespace {

namespace operation = model::operation;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t max_waiting = 1'000;
constexpr std::size_t jobs_of_thread = 32;                  // that it has in hand, in turns
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

  struct offered {
    model::entity_id id;
    clock::time_point at;
  };
  /// An operation in hand that no thread works on just now.
  struct parked {
    model::entity_id id;
    std::uint32_t attempt = 0;
    std::shared_ptr<const operation::state> now;
    std::unique_ptr<operation_work> work;
    clock::time_point at;  // then it goes on
  };

  runner_parts parts;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<offered> waiting;
  std::vector<parked> in_hand;       // not those that threads work on
  std::size_t taken = 0;             // in hand, and those that threads work on
  std::set<model::entity_id> known;  // that wait or are in hand
  bool stopping = false;
  std::vector<std::thread> threads;

  void run() {
    auto hold = std::unique_lock{mutex};
    for (;;) {
      auto job = next(hold);
      if (!job)
        return;
      const auto id = job->id;
      hold.unlock();
      ++parts.figures->running;
      const auto kept = work_on(*job);
      --parts.figures->running;
      hold.lock();
      if (kept) {
        in_hand.push_back(std::move(*job));
      } else {
        known.erase(id);
        --taken;
      }
      wake.notify_all();
    }
  }

  /// What a thread works on next, whichever is due for the longest time; nothing: it stops.
  std::optional<parked> next(std::unique_lock<std::mutex>& hold) {
    for (;;) {
      if (stopping && in_hand.empty())
        return std::nullopt;
      auto due = std::min_element(in_hand.begin(), in_hand.end(),
                                  [](const parked& a, const parked& b) { return a.at < b.at; });
      const auto now = clock::now();
      const auto one_is_due = due != in_hand.end() && (stopping || due->at <= now);
      const auto may_begin = !stopping && !waiting.empty() && taken < most_in_hand();
      if (may_begin && (!one_is_due || waiting.front().at <= due->at)) {
        auto job = parked{waiting.front().id, 0, nullptr, nullptr, now};
        waiting.pop_front();
        --parts.figures->waiting;
        ++taken;
        return job;
      }
      if (one_is_due) {
        auto job = std::move(*due);
        in_hand.erase(due);
        return job;
      }
      if (due == in_hand.end())
        wake.wait(hold);
      else
        wake.wait_until(hold, clock::time_point{due->at});
    }
  }
  /// Each has pieces of its input in memory, and its lease has to be kept.
  std::size_t most_in_hand() const { return parts.workers * jobs_of_thread; }
  /// True if something else is to be done that could be done now.
  bool others_wait() {
    const auto hold = std::lock_guard{mutex};
    const auto now = clock::now();
    return stopping || (!waiting.empty() && taken < most_in_hand()) ||
           std::any_of(in_hand.begin(), in_hand.end(), [&](auto& p) { return p.at <= now; });
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

  /// Takes it unless it is in hand already. False: it is over, or another one works on it.
  bool take(parked& job) {
    if (job.work)
      return true;
    job.now = state_in(write(job.id, operation::take_operation{}, {}));
    if (!job.now || job.now->phase != operation::state_code::running)
      return false;
    job.attempt = job.now->attempt;
    auto made =
        parts.make({job.id, job.now, input_reader{parts.reads, job.id, job.now->input_bytes}});
    if (!made) {
      finish(job.id, job.attempt, made.error());
      return false;
    }
    job.work = std::move(*made);
    return true;
  }

  /// Step by step, until it is over or another operation has its turn. True: it is still in hand,
  /// and goes on at `job.at`.
  bool work_on(parked& job) {
    if (!take(job))
      return false;
    for (;;) {
      const auto begun = clock::now();
      if (!step(job, begun))
        return false;
      if (job.at > clock::now() || others_wait())
        return true;
    }
  }

  /// False: it is not in hand any more.
  bool step(parked& job, clock::time_point begun) {
    auto order = operation::advance{.attempt = job.attempt,
                                    .from = job.now->position,
                                    .position = job.now->position,
                                    .more = {},
                                    .total = {},
                                    .result = {},
                                    .lets_go = is_stopping()};
    const auto rate = job.work->rate();
    const auto rows =
        rate > 0 ? std::clamp<std::size_t>(static_cast<std::size_t>(rate * step_time.count()), 1,
                                           parts.max_rows)
                 : parts.max_rows;
    auto last = false;
    job.at = begun;
    if (!order.lets_go) {
      auto done = job.work->step(job.now->position, rows);
      if (done) {
        order.position = done->position;
        order.more = done->more;
        order.total = done->total;
        order.result = std::move(done->result);
        last = done->last;
        order.lets_go = is_stopping() && !last;
        if (rate > 0)
          job.at += std::chrono::duration_cast<clock::duration>(
              std::chrono::duration<double>(static_cast<double>(order.more.done()) / rate));
      } else if (is_passing(done.error())) {
        ++parts.figures->steps_again;
        note(job.id, "step_again", done.error());
        job.at = clock::now() + pause_of_trouble;
      } else {
        note(job.id, "failed", done.error());
        finish(job.id, job.attempt, done.error());
        return false;
      }
    }
    const auto written = write(job.id, order, write_patience);
    job.now = state_in(written);
    if (!job.now) {  // taken by another, or nobody can say: the lease ends, and it is offered again
      if (!written)
        note(job.id, "left", written.error());
      return false;
    }
    count(order.more);
    if (order.lets_go)
      return false;
    if (job.now->cancel_wanted || last) {
      finish(job.id, job.attempt, std::nullopt);
      return false;
    }
    return true;
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
    impl_->waiting.push_back({operation, clock::now()});
    ++impl_->parts.figures->waiting;
  }
  impl_->wake.notify_all();
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
