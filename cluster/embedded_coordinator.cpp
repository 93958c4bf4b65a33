#include "cluster/embedded_coordinator.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "model/bytes.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace keys = storage::keys;
using std::chrono::milliseconds;

constexpr std::size_t remembered_changes = 4096;  // for who follows from a while ago
constexpr auto expiry_interval = milliseconds{100};
constexpr std::string_view counter_row = "agreed", value_rows = "agreed/";

struct entry {
  std::string value;
  std::uint64_t revision = 0;
  lease_id lease = 0;
};
struct numbered_change {
  std::uint64_t revision;
  change what;
};

bool starts_with(const std::string& key, std::string_view prefix) {
  return std::string_view{key}.starts_with(prefix);
}

/// All that it holds, shared with its followers.
class agreement {
 public:
  agreement(std::shared_ptr<storage::entity_store> store, std::function<milliseconds()> now)
      : store_{std::move(store)}, now_{std::move(now)} {}

  model::status load() {
    const auto counter = store_->get(storage::family::meta, keys::meta(counter_row));
    if (!counter)
      return counter.error();
    if (*counter)
      revision_ = model::byte_reader{**counter}.varint();
    forgotten_ = revision_;
    const auto prefix = keys::meta(value_rows);
    return store_->scan(storage::family::meta, prefix, {}, false,
                        [&](std::string_view key, std::string_view bytes) {
                          auto in = model::byte_reader{bytes};
                          const auto revision = in.varint();
                          entries_[std::string{key.substr(prefix.size())}] = {
                              std::string{in.raw(in.left())}, revision, 0};
                          return true;
                        });
  }

  model::result<listing> list(std::string_view prefix) {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = expire(); !ok)
      return ok.error();
    auto found = listing{revision_, {}};
    for (auto at = entries_.lower_bound(prefix);
         at != entries_.end() && starts_with(at->first, prefix); ++at)
      found.items.push_back({at->first, at->second.value, at->second.revision});
    return found;
  }

  model::result<swap_outcome> swap(std::span<const condition> conditions,
                                   std::span<const change> changes) {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = expire(); !ok)
      return ok.error();
    auto outcome = swap_outcome{true, revision_, {}};
    for (const auto& c : conditions) {
      const auto at = entries_.find(c.key);
      const auto there = at == entries_.end() ? 0 : at->second.revision;
      outcome.done = outcome.done && there == c.revision;
      if (there != 0)
        outcome.now.push_back({c.key, at->second.value, there});
    }
    if (!outcome.done)
      return outcome;
    for (const auto& c : changes)
      if (c.lease != 0 && !leases_.contains(c.lease))
        return model::failure{model::errc::not_found, "lease_over",
                              "lease " + std::to_string(c.lease) + " is over"};
    if (auto ok = make({changes.begin(), changes.end()}); !ok)
      return ok.error();
    return swap_outcome{true, revision_, {}};
  }

  model::result<lease_id> grant(milliseconds life) {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = expire(); !ok)
      return ok.error();
    leases_[++lease_ids_] = {now_() + life, life};
    return lease_ids_;
  }

  model::result<bool> renew(lease_id id) {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = expire(); !ok)
      return ok.error();
    const auto found = leases_.find(id);
    if (found == leases_.end())
      return false;
    found->second.until = now_() + found->second.life;
    return true;
  }

  model::status revoke(lease_id id) {
    const auto hold = std::lock_guard{mutex_};
    return leases_.contains(id) ? end({id}) : model::status{};
  }

  /// Waits until there is something under `prefix` behind `revision`, or `over`; gives it.
  news next(const std::string& prefix, std::uint64_t revision, const bool& over) {
    auto hold = std::unique_lock{mutex_};
    while (!over) {
      static_cast<void>(expire());  // its failure is somebody else's to tell
      if (revision < forgotten_)
        return {true, {}, revision_};
      if (revision < revision_) {
        auto found = news{false, {}, revision_};
        for (const auto& c : history_)
          if (c.revision > revision && starts_with(c.what.key, prefix))
            found.changes.push_back({c.what.key, c.what.value, 0, c.revision});
        if (!found.changes.empty())
          return found;
        revision = revision_;
      }
      changed_.wait_for(hold, expiry_interval);
    }
    return {};
  }
  void end_following(bool& over) {
    {
      const auto hold = std::lock_guard{mutex_};
      over = true;
    }
    changed_.notify_all();
  }

 private:
  struct lease {
    milliseconds until, life;
  };

  model::status expire() {
    auto over = std::set<lease_id>{};
    for (const auto& [id, l] : leases_)
      if (l.until <= now_())
        over.insert(id);
    return over.empty() ? model::status{} : end(over);
  }
  /// Ends leases and takes their keys away, in one step.
  model::status end(const std::set<lease_id>& over) {
    auto gone = std::vector<change>{};
    for (const auto& [key, e] : entries_)
      if (over.contains(e.lease))
        gone.push_back({key, {}, 0});
    if (auto ok = gone.empty() ? model::status{} : make(std::move(gone)); !ok)
      return ok;
    for (const auto id : over)
      leases_.erase(id);
    return {};
  }
  /// Writes, then does.
  model::status make(std::vector<change> changes) {
    const auto next = revision_ + 1;
    auto rows = std::vector<storage::row>{};
    const auto put = [&](std::string_view name, std::string value) {
      rows.push_back({.family = storage::family::meta, .key = keys::meta(name), .value = value});
    };
    auto counter = model::byte_writer{};
    counter.varint(next);
    put(counter_row, counter.take());
    for (const auto& c : changes) {
      const auto name = std::string{value_rows} + c.key;
      if (c.value && c.lease == 0) {
        auto bytes = model::byte_writer{};
        bytes.varint(next);
        bytes.raw(*c.value);
        put(name, bytes.take());
      } else {  // a leased key is nobody's after a restart
        rows.push_back({.family = storage::family::meta,
                        .key = keys::meta(name),
                        .operation = storage::row_operation::remove});
      }
    }
    if (auto ok = store_->put(rows, true); !ok)
      return ok;
    revision_ = next;
    for (auto& c : changes) {
      if (c.value)
        entries_[c.key] = {*c.value, next, c.lease};
      else
        entries_.erase(c.key);
      history_.push_back({next, std::move(c)});
    }
    for (; history_.size() > remembered_changes; history_.pop_front())
      forgotten_ = history_.front().revision;
    changed_.notify_all();
    return {};
  }

  std::shared_ptr<storage::entity_store> store_;
  std::function<milliseconds()> now_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t revision_ = 0;
  std::uint64_t forgotten_ = 0;  // changes up to here are not in `history_`
  std::map<std::string, entry, std::less<>> entries_;
  std::deque<numbered_change> history_;
  std::map<lease_id, lease> leases_;
  lease_id lease_ids_ = 0;
};

class follower final : public subscription {
 public:
  follower(std::shared_ptr<agreement> of, std::string prefix, std::uint64_t revision,
           coordinator::listener told)
      : of_{std::move(of)},
        thread_{[this, prefix = std::move(prefix), revision, told = std::move(told)]() mutable {
          while (true) {
            const auto n = of_->next(prefix, revision, over_);
            if (n.changes.empty() && !n.lost)
              return;
            told(n);
            if (n.lost)
              return;
            revision = n.revision;
          }
        }} {}
  ~follower() override {
    of_->end_following(over_);
    thread_.join();
  }

 private:
  std::shared_ptr<agreement> of_;
  bool over_ = false;  // guarded by the agreement's mutex
  std::thread thread_;
};

class embedded final : public coordinator {
 public:
  explicit embedded(std::shared_ptr<agreement> all) : all_{std::move(all)} {}

  model::result<listing> list(std::string_view prefix) override { return all_->list(prefix); }
  model::result<swap_outcome> swap(std::span<const condition> conditions,
                                   std::span<const change> changes) override {
    return all_->swap(conditions, changes);
  }
  model::result<lease_id> grant(milliseconds life) override { return all_->grant(life); }
  model::result<bool> renew(lease_id lease) override { return all_->renew(lease); }
  model::status revoke(lease_id lease) override { return all_->revoke(lease); }
  std::unique_ptr<subscription> follow(std::string prefix, std::uint64_t revision,
                                       listener told) override {
    return std::make_unique<follower>(all_, std::move(prefix), revision, std::move(told));
  }

 private:
  std::shared_ptr<agreement> all_;
};

}  // namespace

model::result<std::unique_ptr<coordinator>> make_embedded_coordinator(
    std::shared_ptr<storage::entity_store> store, std::function<milliseconds()> now) {
  auto all = std::make_shared<agreement>(std::move(store), std::move(now));
  if (auto ok = all->load(); !ok)
    return ok.error();
  return std::unique_ptr<coordinator>{std::make_unique<embedded>(std::move(all))};
}

}  // namespace orrery::cluster
