#include "actors/history.hpp"

#include <algorithm>
#include <limits>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using model::errc;
using model::failure;
using model::timestamp;

constexpr auto not_stored = std::numeric_limits<std::uint64_t>::max();

/// A value with the revision it was accepted with at the latest: of equal points and times the
/// higher one counts.
struct candidate {
  history_row row;
  std::uint64_t revision;
};

class gatherer {
 public:
  explicit gatherer(const history_question& q) : q_{q} {
    if (q.points.size() == 1)
      only_ = q.points.front();
  }

  void add(const model::sample& s, std::uint64_t revision) {
    if (s.time < q_.from || s.time > q_.to)
      return;
    for (const auto& p : s.points)
      if (q_.points.empty() ||
          std::find(q_.points.begin(), q_.points.end(), p.id) != q_.points.end())
        rows_.push_back({{s.time, p}, revision});
  }

  /// Adds a bucket's rows. False: the page is full, and nothing that comes later belongs to it.
  model::result<bool> add_bucket(std::string_view bytes) {
    auto parts = storage::parts_of(bytes);
    if (!parts)
      return parts.error();
    std::sort(parts->begin(), parts->end(), [&](const auto& a, const auto& b) {
      return q_.newest_first ? a.range.last > b.range.last : a.range.first < b.range.first;
    });
    for (const auto& part : *parts) {
      if (part.range.last < q_.from || part.range.first > q_.to)
        continue;
      if (full_before(q_.newest_first ? part.range.last : part.range.first))
        return false;
      const auto samples = storage::decode_segment(part.segment, only_);
      if (!samples)
        return samples.error();
      for (const auto& s : *samples)
        add(s, part.revision);
    }
    return true;
  }
  /// True if no row of that time, nor of any later in the direction of the question, can belong to
  /// the page or be the one that the next page begins with.
  bool full_before(timestamp t) {
    if (rows_.size() <= q_.limit)
      return false;
    settle();
    const auto next = end_of_page();
    return next != rows_.end() && (q_.newest_first ? t < next->row.time : t > next->row.time);
  }

  history_page page() {
    settle();
    const auto end = end_of_page();
    auto page = history_page{};
    if (end != rows_.end())
      page.next = end->row.time;
    for (auto i = rows_.begin(); i != end; ++i)
      page.rows.push_back(std::move(i->row));
    return page;
  }

 private:
  /// Puts the rows in the order of the page, each point and time once.
  void settle() {
    if (settled_ == rows_.size())
      return;
    std::stable_sort(rows_.begin(), rows_.end(), [&](const candidate& a, const candidate& b) {
      if (a.row.time != b.row.time)
        return q_.newest_first ? a.row.time > b.row.time : a.row.time < b.row.time;
      if (a.row.point.id != b.row.point.id)
        return q_.newest_first ? a.row.point.id > b.row.point.id : a.row.point.id < b.row.point.id;
      return a.revision > b.revision;
    });
    rows_.erase(std::unique(rows_.begin(), rows_.end(),
                            [](const candidate& a, const candidate& b) {
                              return a.row.time == b.row.time && a.row.point.id == b.row.point.id;
                            }),
                rows_.end());
    settled_ = rows_.size();
  }

  /// The first row that is not on the page: `limit` rows, and no time is split.
  std::vector<candidate>::iterator end_of_page() {
    if (rows_.size() <= q_.limit)
      return rows_.end();
    const auto last = rows_[std::max<std::size_t>(q_.limit, 1) - 1].row.time;
    return std::find_if(rows_.begin() + static_cast<std::ptrdiff_t>(q_.limit), rows_.end(),
                        [&](const candidate& c) { return c.row.time != last; });
  }

  const history_question& q_;
  std::optional<std::string_view> only_;
  std::vector<candidate> rows_;
  std::size_t settled_ = 0;  // so many are in order
};

}  // namespace

model::result<history_page> merge_history(const history_question& asked,
                                          const storage::entity_store& store,
                                          const unsaved_batches& unsaved) {
  auto q = asked;
  q.from = std::max(q.from, store.sample_horizon());
  auto all = gatherer{q};
  // Of equal ones the last accepted counts: it goes first, and sorting keeps it there.
  for (auto batch = unsaved.rbegin(); batch != unsaved.rend(); ++batch)
    for (auto s = (*batch)->samples.rbegin(); s != (*batch)->samples.rend(); ++s)
      all.add(*s, not_stored);
  auto failed = model::status{};
  const auto ok = store.scan_series(
      keys::bucket_prefix(q.device), storage::bucket_of(q.from), q.to, q.newest_first,
      [&](std::string_view key, std::string_view bytes) {
        const auto place = keys::parse_series(key);
        if (!place) {
          failed = failure{errc::corrupted, "storage_corrupt", "a key of samples is damaged"};
          return false;
        }
        const auto edge = q.newest_first ? place->time + storage::bucket_length : place->time;
        if (all.full_before(edge))
          return false;
        auto more = all.add_bucket(bytes);
        if (!more)
          failed = more.error();
        return more && *more;
      });
  if (!ok)
    return ok.error();
  if (!failed)
    return failed.error();
  return all.page();
}

}  // namespace orrery::actors
