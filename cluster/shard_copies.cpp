#include "cluster/shard_copies.hpp"

#include "cluster/shard_log.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

constexpr std::size_t part_bytes = 512 * 1024;
constexpr std::uint64_t window = 4;  // parts that are not answered for
constexpr auto patience = std::chrono::seconds{10};
constexpr auto full_pause = std::chrono::milliseconds{20};

}  // namespace

shard_copies::shard_copies(send by, std::atomic<std::uint64_t>& sent)
    : send_{std::move(by)}, sent_{sent}, thread_{[this] { run(); }} {}

shard_copies::~shard_copies() {
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool shard_copies::is_free(model::shard_id shard, node_id to) const {
  const auto hold = std::lock_guard{mutex_};
  return !busy_.contains({shard, to});
}

void shard_copies::add(model::shard_id shard, node_id to, const copy_begun& what,
                       std::unique_ptr<storage::shard_copy> rows) {
  const auto hold = std::lock_guard{mutex_};
  busy_.insert({shard, to});
  auto& j = waiting_.emplace_back(job{shard, to, what, std::move(rows)});
  j.what.copy = ++numbers_;
  wake_.notify_all();
}

void shard_copies::taken(node_id from, const copy_taken& m) {
  const auto hold = std::lock_guard{mutex_};
  if (m.copy != current_ || from != current_to_)
    return;
  if (!m.accepted)
    refused_ = true;
  begun_ = true;
  taken_ = std::max(taken_, m.number);
  wake_.notify_all();
}

void shard_copies::run() {
  auto hold = std::unique_lock{mutex_};
  for (;;) {
    wake_.wait(hold, [this] { return over_ || !waiting_.empty(); });
    if (over_)
      return;
    auto j = std::move(waiting_.front());
    waiting_.pop_front();
    current_ = j.what.copy;
    current_to_ = j.to;
    taken_ = 0;
    begun_ = refused_ = false;
    hold.unlock();
    const auto done = copy(j);
    j.rows.reset();
    if (done)
      sent_.fetch_add(1, std::memory_order_relaxed);
    else
      observe::log::warn("cluster", "copy_not_sent", {{"shard", j.shard}, {"to", j.to}});
    hold.lock();
    current_ = 0;
    busy_.erase({j.shard, j.to});
  }
}

/// Waits until the other side has taken that part. False: it does not, or this is the end.
bool shard_copies::wait_taken(std::unique_lock<std::mutex>& hold, std::uint64_t number) {
  wake_.wait_for(hold, patience, [&] { return over_ || refused_ || (begun_ && taken_ >= number); });
  return !over_ && !refused_ && begun_ && taken_ >= number;
}

bool shard_copies::push(const job& j, const replica_envelope& what) {
  const auto bytes = encode_replica(j.shard, what);
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!send_(j.to, bytes)) {
    auto hold = std::unique_lock{mutex_};
    if (wake_.wait_for(hold, full_pause, [this] { return over_ || refused_; }) ||
        std::chrono::steady_clock::now() > until)
      return false;
  }
  return true;
}

bool shard_copies::copy(job& j) {
  if (!push(j, j.what))
    return false;
  auto hold = std::unique_lock{mutex_};
  if (!wait_taken(hold, 0))
    return false;
  auto number = std::uint64_t{0};
  for (;;) {
    hold.unlock();
    auto rows = j.rows->next(part_bytes);
    if (!rows) {
      observe::log::warn("cluster", "shard_not_read",
                         {{"shard", j.shard}, {"detail", rows.error().detail}});
      return false;
    }
    if (rows->empty())
      break;
    std::erase_if(*rows, [&](const auto& r) {
      return shard_log::is_local(j.shard, r) ||
             (r.family == storage::family::journal && shard_log::is_behind(r, j.what.at.index));
    });
    if (!push(j, copy_rows{j.what.copy, ++number, std::move(*rows)}))
      return false;
    hold.lock();
    if (number > window && !wait_taken(hold, number - window))
      return false;
  }
  if (!push(j, copy_ended{j.what.copy, number}))
    return false;
  hold.lock();
  return wait_taken(hold, number + 1);
}

}  // namespace orrery::cluster
