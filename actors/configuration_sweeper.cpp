#include "actors/configuration_sweeper.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "actors/blocking_calls.hpp"
#include "model/organisation/groups.hpp"
#include "observe/log.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
using clock = std::chrono::steady_clock;
using set_ptr = std::shared_ptr<const device::configuration_set>;

constexpr std::size_t page_size = 200;
constexpr std::size_t most_targets = 16;  // of one question; beyond it all are looked at
constexpr std::size_t most_filter_bytes = 16 * 1024;
constexpr auto patience = std::chrono::seconds{5};  // for one page of devices
/// What was decided before a change may still be on its way to the rows for so long: it is waited
/// for, else a device that did not see the change would be read as it was before.
constexpr auto settle_time = std::chrono::seconds{1};
constexpr auto pause_of_trouble = std::chrono::seconds{2};

const device::fleet_configuration* find(const device::configuration_set& all,
                                        const std::string& id) {
  const auto found = std::find_if(all.all.begin(), all.all.end(),
                                  [&](const device::fleet_configuration& c) { return c.id == id; });
  return found == all.all.end() ? nullptr : &*found;
}

/// Of a shard that is here, or a failure.
model::result<device_page> read_here(query& reads, device_list_question what) {
  const auto done = std::make_shared<std::promise<model::result<any_page>>>();
  auto got = done->get_future();
  reads.serve(std::move(what),
              [done](model::result<any_page> page) { done->set_value(std::move(page)); });
  auto page = got.get();
  if (!page)
    return page.error();
  if (auto* devices = std::get_if<device_page>(&*page))
    return std::move(*devices);
  return model::failure{model::errc::internal, "a page of another sort was read"};
}

std::string whoever_has_any() {
  return "exists(" + std::string{model::organisation::configuration_field} + ")";
}

}  // namespace

std::optional<std::string> to_look_at(const device::configuration_set* before,
                                      const device::configuration_set& now) {
  auto filters = std::vector<std::string>{};
  auto changed = std::set<std::string>{};
  for (const auto& c : now.all) {
    const auto* was = before ? find(*before, c.id) : nullptr;
    if (was && was->version == c.version && was->text == c.text)
      continue;
    filters.push_back(c.text);
    changed.insert(c.id);
  }
  if (before)
    for (const auto& c : before->all)
      if (!find(now, c.id))
        changed.insert(c.id);
  if (!before)
    filters.push_back(whoever_has_any());
  else if (!changed.empty())
    filters.push_back(
        model::organisation::one_of(model::organisation::configuration_field, changed));
  auto text = model::organisation::any_of(filters);
  if (filters.size() > most_targets || text.size() > most_filter_bytes)
    return std::nullopt;
  return text;
}

struct configuration_sweeper::impl {
  explicit impl(sweeper_parts p) : parts{std::move(p)} {}

  /// What one shard of one organisation was swept against, and in which life of the shard.
  struct swept {
    std::uint64_t life = 0;
    set_ptr against;
  };
  using place = std::pair<model::shard_id, std::string>;

  sweeper_parts parts;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::map<place, swept> done;
  struct noticed_set {
    set_ptr what;
    clock::time_point at;
  };
  std::map<std::string, noticed_set> noticed;  // of each organisation
  std::map<model::shard_id, std::uint64_t> served;
  std::uint64_t seen_version = 0;               // of the catalogue with which nothing was open
  clock::time_point allowed_at = clock::now();  // the next device may be told then
  std::thread thread;

  void run() {
    while (!is_stopping()) {
      const auto ok = sweep_all();
      auto hold = std::unique_lock{mutex};
      wake.wait_for(hold, ok ? std::chrono::milliseconds{parts.tick} : pause_of_trouble,
                    [this] { return stopping; });
    }
  }

  bool is_stopping() {
    const auto hold = std::lock_guard{mutex};
    return stopping;
  }
  /// False: it stops.
  bool wait_until(clock::time_point at) {
    auto hold = std::unique_lock{mutex};
    return !wake.wait_until(hold, at, [this] { return stopping; });
  }

  /// The shards that this node serves, each with its life; true if they are others than before.
  bool look_at_shards() {
    auto now = decltype(served){};
    for (unsigned n = 0; n < parts.shard_count; ++n)
      if (const auto life = parts.life(static_cast<model::shard_id>(n)))
        now.emplace(static_cast<model::shard_id>(n), *life);
    const auto changed = now != served;
    served = std::move(now);
    return changed;
  }

  /// True if it is the same for long enough.
  bool has_settled(const std::string& organisation, const set_ptr& now) {
    auto& last = noticed[organisation];
    if (!last.what || (last.what != now && !last.what->says_the_same_as(*now)))
      last = {now, clock::now()};
    last.what = now;
    return clock::now() >= last.at + settle_time;
  }

  /// Shards of organisations that may not be up to date. `later`: there will be more of them.
  std::vector<place> open_places(const catalogue_snapshot& known, bool& later) {
    std::erase_if(done, [&](const auto& one) {
      const auto found = served.find(one.first.first);
      return found == served.end() || found->second != one.second.life ||
             !known.organisation(one.first.second);
    });
    std::erase_if(noticed, [&](const auto& one) { return !known.organisation(one.first); });
    auto open = std::vector<place>{};
    for (const auto& [id, organisation] : known.organisations) {
      const auto settled = has_settled(id, organisation->configurations);
      for (const auto& [shard, life] : served) {
        const auto at = done.find({shard, id});
        const auto is_done = at != done.end() &&
                             (at->second.against == organisation->configurations ||
                              at->second.against->says_the_same_as(*organisation->configurations));
        if (is_done)
          at->second.against = organisation->configurations;
        else if (settled)
          open.emplace_back(shard, id);
        else
          later = true;
      }
    }
    std::sort(open.begin(), open.end());  // by shards: no organisation waits for all of another
    return open;
  }

  /// A sweep takes its time: what has changed since it began is to settle first.
  bool is_newest(const std::string& organisation, const device::configuration_set& planned) {
    const auto now = parts.known->current();
    const auto* found = now->organisation(organisation);
    return found && found->configurations->says_the_same_as(planned);
  }

  /// False: something of it has to be tried again.
  bool sweep_all() {
    const auto version = parts.known->version();
    if (!look_at_shards() && version == seen_version)
      return true;
    const auto known = parts.known->current();
    auto later = false;
    const auto open = open_places(*known, later);
    parts.figures->waiting = open.size();
    auto all_good = true;
    for (const auto& [shard, id] : open) {
      if (is_stopping())
        return true;
      const auto life = parts.life(shard);
      const auto* organisation = known->organisation(id);
      if (!life || !organisation || !is_newest(id, *organisation->configurations)) {
        later = true;
        continue;
      }
      const auto at = done.find({shard, id});
      const auto before = at == done.end() ? set_ptr{} : at->second.against;
      const auto good = sweep(shard, id, before, organisation->configurations);
      all_good = all_good && good;
      // Of another life, another node may have changed something that this one has not seen.
      if (good && parts.life(shard) == life) {
        done.insert_or_assign({shard, id}, swept{*life, organisation->configurations});
        ++parts.figures->sweeps;
        --parts.figures->waiting;
      } else {
        later = true;
      }
    }
    seen_version = later ? 0 : version;  // of a catalogue it begins at 1
    return all_good;
  }

  bool sweep(model::shard_id shard, const std::string& organisation, const set_ptr& before,
             const set_ptr& now) {
    const auto filter = to_look_at(before.get(), *now);
    auto cursor = std::string{};
    do {
      auto page = read_here(*parts.reads, {.organisation = organisation,
                                           .filter = filter.value_or(std::string{}),
                                           .cursor = cursor,
                                           .limit = page_size,
                                           .shards = shard_span{shard, 1}});
      if (!page) {
        note(shard, organisation, page.error());
        return false;
      }
      auto some = std::vector<question>{};
      for (const auto& d : page->devices)
        if (device::must_review(*now, d.id, *d.what))
          some.push_back({d.id, device::command{device::review_layers{}, {}, "service", {}}});
      parts.figures->looked_at += page->devices.size();
      if (!tell(shard, organisation, std::move(some)))
        return false;
      cursor = page->next;
    } while (!cursor.empty() && !is_stopping());
    return cursor.empty();
  }

  bool tell(model::shard_id shard, const std::string& organisation, std::vector<question> some) {
    const auto count = some.size();
    if (count == 0)
      return true;
    if (parts.devices_per_second > 0) {
      if (!wait_until(allowed_at))
        return false;
      allowed_at = std::max(allowed_at, clock::now()) +
                   std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(
                       static_cast<double>(count) / parts.devices_per_second));
    }
    auto passing = std::optional<model::failure>{};
    for (const auto& got : ask_and_wait(*parts.ask, std::move(some), patience)) {
      if (got) {
        ++parts.figures->changed;
      } else if (got.error().code != model::errc::not_found) {  // it was deleted meanwhile
        ++parts.figures->failed;
        // Damaged records stay damaged: the others of the shard do not wait for them.
        if (is_passing(got.error()))
          passing = got.error();
      }
    }
    if (passing)
      note(shard, organisation, *passing);
    return !passing;
  }

  void note(model::shard_id shard, const std::string& organisation,
            const model::failure& why) const {
    observe::log::warn("configurations", "sweep_again",
                       {{"shard", shard},
                        {"organisation", organisation},
                        {"code", name_of(why.code)},
                        {"detail", why.detail}});
  }
};

configuration_sweeper::configuration_sweeper(sweeper_parts parts)
    : impl_{std::make_unique<impl>(std::move(parts))} {
  impl_->thread = std::thread{[i = impl_.get()] { i->run(); }};
}

configuration_sweeper::~configuration_sweeper() {
  stop();
}

void configuration_sweeper::stop() {
  {
    const auto hold = std::lock_guard{impl_->mutex};
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->thread.joinable())
    impl_->thread.join();
}

const std::shared_ptr<sweeper_figures>& configuration_sweeper::figures() const {
  return impl_->parts.figures;
}

}  // namespace orrery::actors
