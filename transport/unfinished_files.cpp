#include "transport/unfinished_files.hpp"

#include <utility>

namespace orrery::transport {
namespace {

const auto busy = model::failure{model::errc::conflict, "upload_busy",
                                 "another request is bringing that file: ask again in a moment"};

}  // namespace

model::result<std::uint64_t> unfinished_files::size(const name& of) const {
  const auto hold = std::lock_guard{mutex_};
  const auto found = all_.find(of);
  if (found == all_.end())
    return std::uint64_t{0};
  if (!found->second.what)
    return busy;
  return found->second.size;
}

model::result<unfinished_files::incoming> unfinished_files::take(const name& of) {
  const auto hold = std::lock_guard{mutex_};
  const auto [at, fresh] = all_.try_emplace(of);
  if (fresh)
    return incoming{};
  if (!at->second.what)
    return busy;
  return std::exchange(at->second.what, nullptr);
}

std::vector<unfinished_files::incoming> unfinished_files::give_back(const name& of, incoming what,
                                                                    model::timestamp now) {
  auto gone = std::vector<incoming>{};
  const auto hold = std::lock_guard{mutex_};
  if (!what) {
    all_.erase(of);
    return gone;
  }
  const auto size = what->size();
  all_[of] = {std::move(what), size, now};
  const auto owner = of;  // it may be what goes
  shrink(
      limits_.most_of_device, [&](const name& n) { return n.device == owner.device; }, gone);
  shrink(
      limits_.most_of_organisation,
      [&](const name& n) { return n.organisation == owner.organisation; }, gone);
  shrink(
      limits_.most, [](const name&) { return true; }, gone);
  return gone;
}

/// Lets go of those that count, the one that rests the longest first, until there are `most`.
template <class F>
void unfinished_files::shrink(std::size_t most, const F& counts, std::vector<incoming>& gone) {
  auto here = std::size_t{0};
  for (const auto& [of, e] : all_)
    here += counts(of) ? 1 : 0;
  for (; here > most; --here) {
    auto oldest = all_.end();
    for (auto at = all_.begin(); at != all_.end(); ++at)
      if (at->second.what && counts(at->first) &&
          (oldest == all_.end() || at->second.touched < oldest->second.touched))
        oldest = at;
    if (oldest == all_.end())
      return;  // all are being brought: each has a connection of its own, and those are counted
    gone.push_back(std::move(oldest->second.what));
    all_.erase(oldest);
  }
}

std::vector<unfinished_files::incoming> unfinished_files::drop(const name& of) {
  auto gone = std::vector<incoming>{};
  const auto hold = std::lock_guard{mutex_};
  const auto found = all_.find(of);
  if (found == all_.end() || !found->second.what)
    return gone;
  gone.push_back(std::move(found->second.what));
  all_.erase(found);
  return gone;
}

std::vector<unfinished_files::incoming> unfinished_files::sweep(model::timestamp now) {
  auto gone = std::vector<incoming>{};
  const auto hold = std::lock_guard{mutex_};
  std::erase_if(all_, [&](auto& one) {
    auto& e = one.second;
    const auto is_over = e.what && e.touched + limits_.kept <= now;
    if (is_over)
      gone.push_back(std::move(e.what));
    return is_over;
  });
  return gone;
}

std::size_t unfinished_files::count() const {
  const auto hold = std::lock_guard{mutex_};
  return all_.size();
}

}  // namespace orrery::transport
