#include "cluster/directory.hpp"

#include <algorithm>
#include <utility>

#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::steady_clock;
namespace log = observe::log;

constexpr std::size_t max_waiting = 16 * 1024;  // more: they are dropped, and all is listed again

bool say_the_same(const cluster_view& a, const cluster_view& b) {
  auto at_b = a;
  at_b.revision = b.revision;
  return at_b == b;
}

}  // namespace

directory::directory(std::shared_ptr<coordinator> at, const std::string& cluster,
                     std::function<void(view_pointer)> changed, directory_options options)
    : at_{std::move(at)},
      keys_{cluster},
      changed_{std::move(changed)},
      options_{options},
      thread_{[this] { run(); }} {}

directory::~directory() {
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

directory::view_pointer directory::current() const {
  const auto hold = std::lock_guard{mutex_};
  return view_;
}

model::result<directory::view_pointer> directory::refresh() {
  const auto all = at_->list(keys_.root());
  if (!all)
    return all.error();
  const auto hold = std::lock_guard{mutex_};
  if (all->revision > view_->revision)  // else the news were faster
    publish(view_of(keys_, *all, *view_));
  return view_;
}

void directory::note(model::shard_id shard, const shard_record& now) {
  {
    const auto hold = std::lock_guard{mutex_};
    auto view = *view_;
    if (!take(view, shard, now))
      return;
    publish(std::move(view));
  }
  wake_.notify_all();
}

/// With the lock held.
void directory::publish(cluster_view view) {
  for (const auto& key : view.malformed)
    if (!view_->malformed.contains(key))
      log::error("cluster.directory", "value_malformed", {{"key", key}});
  untold_ = untold_ || view_->revision == 0 || !say_the_same(view, *view_);
  view_ = std::make_shared<const cluster_view>(std::move(view));
}

void directory::tell() {
  auto view = view_pointer{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (!std::exchange(untold_, false))
      return;
    view = view_;
  }
  changed_(std::move(view));
}

void directory::hear(const news& n) {
  {
    const auto hold = std::lock_guard{mutex_};
    lost_ = lost_ || n.lost || waiting_.size() + n.changes.size() > max_waiting;
    if (lost_)
      waiting_.clear();
    else
      waiting_.insert(waiting_.end(), n.changes.begin(), n.changes.end());
  }
  wake_.notify_all();
}

/// With the lock held.
void directory::take_in(std::vector<change> changes) {
  if (changes.empty())
    return;
  auto view = *view_;
  for (const auto& c : changes)
    static_cast<void>(take(view, keys_, c));  // `publish` says what is malformed
  view.revision = std::max(view.revision, changes.back().revision);
  publish(std::move(view));
}

bool directory::follow_anew() {
  following_.reset();
  {
    const auto hold = std::lock_guard{mutex_};
    waiting_.clear();
    lost_ = false;
  }
  const auto listed = refresh();
  if (!listed) {
    log::warn("cluster.directory", "not_listed", {{"detail", listed.error().detail}});
    return false;
  }
  following_ = at_->follow(keys_.root(), (*listed)->revision, [this](const news& n) { hear(n); });
  return true;
}

/// False: it is over.
bool directory::pause(std::chrono::milliseconds most) {
  auto hold = std::unique_lock{mutex_};
  return !wake_.wait_for(hold, most, [this] { return over_; });
}

void directory::run() {
  auto retry = options_.first_retry;
  auto relist_at = steady_clock::now();
  while (pause(std::chrono::milliseconds{0})) {
    if (!following_) {
      if (!follow_anew()) {
        tell();
        if (!pause(retry))
          break;
        retry = std::min(retry * 2, options_.last_retry);
        continue;
      }
      retry = options_.first_retry;
      relist_at = steady_clock::now() + options_.relisting;
    }
    tell();
    auto lost = false;
    {
      auto hold = std::unique_lock{mutex_};
      wake_.wait_until(hold, relist_at,
                       [this] { return over_ || lost_ || untold_ || !waiting_.empty(); });
      lost = lost_;
      take_in(std::exchange(waiting_, {}));
    }
    if (lost) {
      following_.reset();
    } else if (steady_clock::now() >= relist_at) {
      static_cast<void>(refresh());  // what fails here fails elsewhere too, and is told there
      relist_at = steady_clock::now() + options_.relisting;
    }
  }
  following_.reset();
}

}  // namespace orrery::cluster
