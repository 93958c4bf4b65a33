#include "transport/file_quota.hpp"

#include <algorithm>
#include <vector>

#include "observe/log.hpp"

namespace orrery::transport {
namespace {

using model::errc;
using model::failure;

constexpr auto least_pause = std::chrono::seconds{10};
constexpr auto unknown_pause = std::chrono::seconds{1};  // while no count has worked
constexpr auto times_as_long = 20;
constexpr std::string_view item = "fileBytes";

const model::organisation::quota* limits_of(const actors::catalogue_organisation* org) {
  const auto* quota = org ? org->state->find_quota(item) : nullptr;
  return quota && (quota->soft || quota->hard) ? quota : nullptr;
}

}  // namespace

void file_quota::stop() {
  const auto hold = std::lock_guard{mutex_};
  parts_.query.reset();
}

model::result<file_room> file_quota::take(const std::string& organisation, std::uint64_t bytes) {
  const auto known = parts_.known->current();
  const auto* quota = limits_of(known->organisation(organisation));
  if (!quota)
    return file_room{};
  const auto hold = std::lock_guard{mutex_};
  auto& c = all_[organisation];
  if (!c.known)
    return failure{errc::unavailable, "quota_counting",
                   "the files of the organisation are being counted: ask again"};
  const auto used = c.used + c.added;
  if (quota->hard && (used > *quota->hard || bytes > *quota->hard - used))
    return failure{errc::too_many_requests, "quota_exceeded",
                   "the files of the organisation may have " + std::to_string(*quota->hard) +
                       " bytes together, and have " + std::to_string(used)};
  c.added += bytes;
  c.let_in += bytes;
  return file_room{used + bytes, quota->soft, quota->hard};
}

void file_quota::give_back(const std::string& organisation, std::uint64_t bytes) {
  const auto hold = std::lock_guard{mutex_};
  const auto at = all_.find(organisation);
  if (at == all_.end())
    return;
  auto& c = at->second;
  // A count that runs may have seen it or not: it is taken off what that will be added to.
  const auto of_added = std::min(bytes, c.added);
  c.added -= of_added;
  c.used -= std::min(bytes - of_added, c.used);
  c.let_in -= std::min(bytes, c.let_in);
}

void file_quota::look_after() {
  const auto known = parts_.known->current();
  const auto now = parts_.now();
  auto due = std::vector<std::string>{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (!parts_.query)
      return;
    std::erase_if(all_, [&](const auto& one) {
      return !one.second.runs && !limits_of(known->organisation(one.first));
    });
    for (const auto& [id, org] : known->organisations) {
      if (!limits_of(org.get()))
        continue;
      auto& c = all_[id];
      const auto pause = c.known
                             ? std::max(model::milliseconds{least_pause}, times_as_long * c.took)
                             : model::milliseconds{unknown_pause};
      if (c.runs || now < c.begun + pause)
        continue;
      c.runs = true;
      c.begun = now;
      c.let_in = 0;
      due.push_back(id);
    }
  }
  for (const auto& id : due)
    count(id);
}

void file_quota::count(const std::string& organisation) {
  auto query = std::shared_ptr<actors::query>{};
  {
    const auto hold = std::lock_guard{mutex_};
    query = parts_.query;
  }
  if (!query)
    return;
  auto sum = actors::device_count_question{.organisation = organisation};
  sum.sum = item;
  query->count(std::move(sum), [weak = weak_from_this(),
                                organisation](const model::result<actors::device_counts>& got) {
    const auto self = weak.lock();
    if (!self)
      return;
    const auto hold = std::lock_guard{self->mutex_};
    const auto at = self->all_.find(organisation);
    if (at == self->all_.end())
      return;
    auto& c = at->second;
    c.runs = false;
    if (!got) {
      observe::log::warn("quota", "files_not_counted",
                         {{"organisation", organisation}, {"detail", got.error().detail}});
      return;
    }
    c.used = 0;
    for (const auto& [group, n] : got->of)
      c.used += n;
    c.added = c.let_in;
    c.took = std::chrono::duration_cast<model::milliseconds>(self->parts_.now() - c.begun);
    c.known = true;
  });
}

}  // namespace orrery::transport
