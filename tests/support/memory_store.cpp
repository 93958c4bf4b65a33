#include "tests/support/memory_store.hpp"

#include <algorithm>
#include <array>

#include "storage/backup.hpp"
#include "storage/bucket.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"

namespace orrery::tests {
namespace {

namespace keys = storage::keys;
using model::errc;
using model::failure;
using model::status;

constexpr auto bucket_length = std::chrono::hours{1};

}  // namespace

status memory_store::readable(bool fault) const {
  if (closed_)
    return failure{errc::unavailable, "storage_failed", "the test's store is closed"};
  if (fault)
    return failure{errc::unavailable, "storage_failed", "the test's disk does not read"};
  return {};
}

void memory_store::keep(const storage::row& r) {
  if (r.family == storage::family::journal)
    return keep_frame(r);
  if (tables_.use_count() > 1)  // a moment has it
    tables_ = std::make_shared<all_tables>(*tables_);
  auto& into = (*tables_)[r.family];
  switch (r.operation) {
    case storage::row_operation::put:
      into[r.key] = r.value;
      break;
    case storage::row_operation::remove:
      into.erase(r.key);
      break;
    case storage::row_operation::append: {
      auto& row = into[r.key];
      const auto values = std::array<std::string_view, 2>{row, r.value};
      row = storage::concatenate(values);
      break;
    }
    case storage::row_operation::remove_range:
      into.erase(into.lower_bound(r.key), into.lower_bound(r.value));
      break;
  }
}

void memory_store::keep_frame(const storage::row& r) {
  const auto place = [](std::string_view key) {
    return std::pair{keys::shard_of(key).value_or(0), keys::journal_offset(key).value_or(0)};
  };
  if (r.operation == storage::row_operation::put)
    frames_[place(r.key)] = r.value;
  else if (r.operation == storage::row_operation::remove_range)
    frames_.erase(frames_.lower_bound(place(r.key)), frames_.lower_bound(place(r.value)));
  else
    frames_.erase(place(r.key));
}

void memory_store::keep(std::span<const storage::frame> frames) {
  for (const auto& f : frames) {
    if (!f.records.empty())
      storage::encode_frame(f, frames_[{f.shard, f.first_offset}]);
    for (const auto& r : f.rows)
      keep(r);
  }
}

status memory_store::append(std::span<const storage::frame> frames, bool sync) {
  on_append();
  const auto hold = std::lock_guard{mutex_};
  if (closed_ || faults.appends != 0) {
    if (faults.appends > 0)
      --faults.appends;
    if (faults.kept_by_log)
      log_.emplace_back(frames.begin(), frames.end());
    return failure{errc::unavailable, "storage_failed", "the test's disk does not write"};
  }
  keep(frames);
  appends.push_back({{frames.begin(), frames.end()}, sync});
  return {};
}

status memory_store::put(std::span<const storage::row> rows, bool) {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.putting); !ok)
    return ok;
  for (const auto& r : rows)
    keep(r);
  return {};
}

void memory_store::plant(storage::family f, std::string key, std::string value) {
  const auto hold = std::lock_guard{mutex_};
  keep({.family = f, .key = std::move(key), .value = std::move(value)});
}

model::result<std::optional<std::string>> memory_store::get(storage::family f,
                                                            std::string_view key) const {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.rows); !ok)
    return ok.error();
  const auto in = tables_->find(f);
  if (in == tables_->end())
    return std::optional<std::string>{};
  const auto found = in->second.find(key);
  return found == in->second.end() ? std::optional<std::string>{} : std::optional{found->second};
}

memory_store::row_list memory_store::matching(const table& in, std::string_view prefix,
                                              std::string_view from, bool backwards) {
  auto all = row_list{};
  for (auto i = in.lower_bound(prefix); i != in.end() && i->first.starts_with(prefix); ++i)
    if (from.empty() || (backwards ? i->first <= from : i->first >= from))
      all.push_back(*i);
  if (backwards)
    std::reverse(all.begin(), all.end());
  return all;
}

memory_store::table memory_store::journal_table() const {
  auto all = table{};
  for (const auto& [place, bytes] : frames_)
    all.emplace(keys::journal(place.first, place.second), bytes);
  return all;
}

namespace {

class memory_copy final : public storage::shard_copy {
 public:
  explicit memory_copy(std::vector<storage::row> rows) : rows_{std::move(rows)} {}
  model::result<std::vector<storage::row>> next(std::size_t max_bytes) override {
    auto some = std::vector<storage::row>{};
    for (auto bytes = std::size_t{0}; at_ < rows_.size() && bytes < max_bytes; ++at_) {
      bytes += rows_[at_].key.size() + rows_[at_].value.size();
      some.push_back(std::move(rows_[at_]));
    }
    return some;
  }

 private:
  std::vector<storage::row> rows_;
  std::size_t at_ = 0;
};

}  // namespace

model::result<std::unique_ptr<storage::shard_copy>> memory_store::copy_shard(
    model::shard_id shard, std::uint64_t offset) const {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.rows); !ok)
    return ok.error();
  auto rows = std::vector<storage::row>{};
  const auto add = [&](storage::family f, const table& from) {
    for (const auto& [key, value] : matching(from, keys::shard_prefix(shard), {}, false)) {
      const auto place = f == storage::family::series ? keys::parse_series(key) : std::nullopt;
      if (f != storage::family::journal || keys::journal_offset(key).value_or(0) > offset)
        rows.push_back({.family = f,
                        .key = key,
                        .value = value,
                        .slice_time = place ? place->time : model::timestamp{}});
    }
  };
  for (const auto& [f, from] : *tables_)
    add(f, from);
  add(storage::family::journal, journal_table());
  return std::unique_ptr<storage::shard_copy>{std::make_unique<memory_copy>(std::move(rows))};
}

status memory_store::scan(storage::family f, std::string_view prefix, std::string_view from,
                          bool backwards, const visitor& visit) const {
  auto found = row_list{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = readable(faults.rows); !ok)
      return ok;
    if (f == storage::family::journal)
      found = matching(journal_table(), prefix, from, backwards);
    else if (const auto in = tables_->find(f); in != tables_->end())
      found = matching(in->second, prefix, from, backwards);
  }
  for (const auto& [key, value] : found)
    if (!visit(key, value))
      break;
  return {};
}

namespace {

/// A copy of what the store had.
class memory_view final : public storage::row_reader {
 public:
  using tables = std::map<storage::family, std::map<std::string, std::string, std::less<>>>;
  explicit memory_view(std::shared_ptr<const tables> t) : tables_{std::move(t)} {}
  model::result<std::optional<std::string>> get(storage::family f,
                                                std::string_view key) const override {
    const auto in = tables_->find(f);
    if (in == tables_->end())
      return std::optional<std::string>{};
    const auto found = in->second.find(key);
    return found == in->second.end() ? std::optional<std::string>{} : std::optional{found->second};
  }
  model::status scan(storage::family f, std::string_view prefix, std::string_view from,
                     bool backwards, const visitor& visit) const override {
    const auto in = tables_->find(f);
    if (in == tables_->end())
      return {};
    if (backwards) {
      for (const auto& [key, value] : memory_store::matching(in->second, prefix, from, true))
        if (!visit(key, value))
          break;
      return {};
    }
    const auto& rows = in->second;
    for (auto i = rows.lower_bound(std::max(prefix, from));
         i != rows.end() && i->first.starts_with(prefix) && visit(i->first, i->second);)
      ++i;
    return {};
  }

 private:
  std::shared_ptr<const tables> tables_;
};

}  // namespace

model::result<std::unique_ptr<const storage::row_reader>> memory_store::moment() const {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.rows); !ok)
    return ok.error();
  return std::unique_ptr<const storage::row_reader>{std::make_unique<memory_view>(tables_)};
}

status memory_store::scan_series(std::string_view prefix, model::timestamp from,
                                 model::timestamp to, bool backwards, const visitor& visit) const {
  auto found = row_list{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = readable(faults.rows); !ok)
      return ok;
    if (const auto in = tables_->find(storage::family::series); in != tables_->end())
      found = matching(in->second, prefix, {}, backwards);
  }
  for (const auto& [key, value] : found) {
    const auto place = keys::parse_series(key);
    const auto old = place && place->time + bucket_length <= horizon_;
    if (place && !old && place->time >= from && place->time <= to && !visit(key, value))
      break;
  }
  return {};
}

status memory_store::replay(model::shard_id shard, std::uint64_t from_offset,
                            const record_visitor& visit) const {
  auto found = decltype(frames_){};
  {
    const auto hold = std::lock_guard{mutex_};
    if (auto ok = readable(faults.journal); !ok)
      return ok;
    found = frames_;
  }
  for (const auto& [place, bytes] : found) {
    if (place.first != shard)
      continue;
    const auto f = storage::decode_frame(shard, place.second, bytes);
    if (!f)
      return f.error();
    for (std::size_t i = 0; i < f->records.size(); ++i)
      if (place.second + i >= from_offset && !visit(place.second + i, f->epoch, f->records[i]))
        return {};
  }
  return {};
}

storage::shard_meta memory_store::noted(model::shard_id shard) const {
  const auto in = tables_->find(storage::family::meta);
  if (in == tables_->end())
    return {};
  const auto row = in->second.find(keys::meta(shard, "shard"));
  if (row == in->second.end())
    return {};
  const auto parsed = storage::parse_shard_meta(shard, row->second);
  return parsed ? *parsed : storage::shard_meta{};
}

model::result<storage::shard_meta> memory_store::meta(model::shard_id shard) const {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.journal); !ok)
    return ok.error();
  auto found = noted(shard);
  for (const auto& [place, bytes] : frames_)
    if (place.first == shard) {
      const auto f = storage::decode_frame(shard, place.second, bytes);
      if (!f)
        return f.error();
      found.next_offset = std::max(found.next_offset, place.second + f->records.size());
    }
  return found;
}

status memory_store::put_meta(model::shard_id shard, const storage::shard_meta& meta) {
  const auto hold = std::lock_guard{mutex_};
  if (closed_ || faults.noting)
    return failure{errc::unavailable, "storage_failed", "the test's disk does not write"};
  keep(storage::shard_meta_row(shard, meta));
  return {};
}

status memory_store::trim_journal(model::shard_id shard, std::uint64_t offset,
                                  model::timestamp before) {
  const auto hold = std::lock_guard{mutex_};
  if (auto ok = readable(faults.journal); !ok)
    return ok;
  auto last = std::uint64_t{0};  // the newest frame always stays, as it tells the next offset
  for (const auto& [place, bytes] : frames_)
    if (place.first == shard)
      last = place.second;
  std::erase_if(frames_, [&](const auto& entry) {
    const auto& [place, bytes] = entry;
    if (place.first != shard || place.second == last)
      return false;
    const auto f = storage::decode_frame(shard, place.second, bytes);
    const auto newest = storage::frame_time(bytes);
    return f && newest && *newest < before && place.second + f->records.size() <= offset + 1;
  });
  return {};
}

status memory_store::limit_journal(std::uint64_t max_bytes) {
  const auto hold = std::lock_guard{mutex_};
  auto size = std::uint64_t{0};
  for (const auto& [place, bytes] : frames_)
    size += bytes.size();
  for (auto i = frames_.begin(); i != frames_.end() && size > max_bytes;) {
    const auto next = std::next(i);
    const auto covered = next != frames_.end() && next->first.first == i->first.first &&
                         noted(i->first.first).checkpoint_offset + 1 >= next->first.second;
    if (covered) {
      size -= i->second.size();
      frames_.erase(i);
    }
    i = next;
  }
  return {};
}

status memory_store::roll_slices(model::timestamp oldest, model::timestamp) {
  const auto hold = std::lock_guard{mutex_};
  horizon_ = oldest;
  return {};
}

model::timestamp memory_store::sample_horizon() const {
  const auto hold = std::lock_guard{mutex_};
  return horizon_;
}

model::result<storage::stored_backup> memory_store::back_up(const storage::backup_target&) {
  return failure{errc::unavailable, "backup_failed", "what is in memory has no backup"};
}

status memory_store::reopen() {
  const auto hold = std::lock_guard{mutex_};
  closed_ = faults.reopening;
  if (closed_)
    return failure{errc::unavailable, "storage_failed", "the test's store does not open"};
  ++reopened;
  for (const auto& frames : std::exchange(log_, {}))
    keep(frames);
  return {};
}

std::map<std::uint64_t, storage::record> memory_store::journal(model::shard_id shard) const {
  auto all = std::map<std::uint64_t, storage::record>{};
  (void)replay(shard, 0, [&](std::uint64_t offset, std::uint64_t, const storage::record& r) {
    all.emplace(offset, r);
    return true;
  });
  return all;
}

std::size_t memory_store::rows(storage::family f, std::string_view prefix) const {
  auto count = std::size_t{0};
  const auto counted = [&](auto, auto) {
    ++count;
    return true;
  };
  if (f == storage::family::series)
    (void)scan_series(prefix, model::timestamp::min(), model::timestamp::max(), false, counted);
  else
    (void)scan(f, prefix, {}, false, counted);
  return count;
}

}  // namespace orrery::tests
