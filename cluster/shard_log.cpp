#include "cluster/shard_log.hpp"

#include <algorithm>

#include "model/bytes.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace keys = storage::keys;
using storage::row;
using storage::row_operation;

constexpr std::uint8_t version = 1;
constexpr std::size_t ring_max_bytes = 1024 * 1024;
constexpr std::string_view log_name = "log", applied_name = "applied", loading_name = "loading";

/// The first key behind all of a shard.
std::string behind(model::shard_id shard) {
  return keys::shard_prefix(static_cast<model::shard_id>(shard + 1));
}

//   version u8 | led | begin epoch | begin index | count | stretches {epoch, first}
std::string encode_outline(std::uint64_t led, const log_outline& log) {
  auto out = model::byte_writer{};
  out.u8(version);
  out.varint(led);
  out.varint(log.begin().epoch);
  out.varint(log.begin().index);
  out.varint(log.stretches().size());
  for (const auto& s : log.stretches()) {
    out.varint(s.epoch);
    out.varint(s.first);
  }
  return out.take();
}

std::optional<std::uint64_t> decode_number(std::string_view bytes) {
  auto in = model::byte_reader{bytes};
  const auto n = in.varint();
  return in.ok() && in.at_end() ? std::optional{n} : std::nullopt;
}

std::string encode_number(std::uint64_t n) {
  auto out = model::byte_writer{};
  out.varint(n);
  return out.take();
}

model::failure damaged(model::shard_id shard, std::string_view what) {
  return {
      model::errc::corrupted, "storage_corrupt",
      "the " + std::string{what} + " of the log of shard " + std::to_string(shard) + " is damaged"};
}

}  // namespace

std::string encode_entry(storage::frame f, model::timestamp now) {
  if (f.records.empty())
    f.records.push_back({.entity = {.shard = f.shard, .ulid = {}},
                         .kind = {},
                         .revision = 0,
                         .time = now,
                         .events = {}});
  auto bytes = std::string{};
  storage::encode_frame(f, bytes, true);
  return bytes;
}

row shard_log::local_row(std::string_view name, std::string value) const {
  return {
      .family = storage::family::meta, .key = keys::meta(shard_, name), .value = std::move(value)};
}

bool shard_log::is_local(model::shard_id shard, const row& r) {
  return r.family == storage::family::meta &&
         (r.key == keys::meta(shard, log_name) || r.key == keys::meta(shard, applied_name) ||
          r.key == keys::meta(shard, loading_name));
}

bool shard_log::is_behind(const row& r, std::uint64_t index) {
  return keys::journal_offset(r.key).value_or(0) > index;
}

std::vector<row> shard_log::wipe() const {
  auto out = std::vector<row>{};
  for (const auto f : {storage::family::state, storage::family::latest, storage::family::series,
                       storage::family::index, storage::family::meta, storage::family::journal})
    out.push_back({.family = f,
                   .key = keys::shard_prefix(shard_),
                   .value = behind(shard_),
                   .operation = row_operation::remove_range});
  return out;
}

model::result<replica::kept> shard_log::open() {
  const auto read = [&](std::string_view name) {
    return store_->get(storage::family::meta, keys::meta(shard_, name));
  };
  const auto loading = read(loading_name);
  const auto outline = read(log_name);
  const auto applied = read(applied_name);
  for (const auto* got : {&loading, &outline, &applied})
    if (!*got)
      return got->error();
  ring_.clear();
  ring_bytes_ = 0;
  auto kept = replica::kept{};
  auto begin = log_position{};
  auto stretches = std::vector<log_outline::stretch>{};
  if (*outline) {
    auto in = model::byte_reader{**outline};
    const auto known = in.u8() == version;
    led_ = in.varint();
    begin.epoch = in.varint();
    begin.index = in.varint();
    for (auto n = in.count(); n > 0 && in.ok(); --n) {
      auto& s = stretches.emplace_back();
      s.epoch = in.varint();
      s.first = in.varint();
    }
    if (!known || !in.ok() || !in.at_end())
      return damaged(shard_, "outline");
  }
  kept.led = led_;
  if (*loading) {
    auto rows = wipe();
    rows.push_back(local_row(log_name, encode_outline(led_, {})));
    if (auto ok = store_->put(rows, true); !ok)
      return ok.error();
    applied_ = written_ = 0;
    return kept;
  }
  auto last = begin;
  auto bad = false;
  const auto prefix = keys::shard_prefix(shard_);
  const auto ok =
      store_->scan(storage::family::journal, prefix, {}, true, [&](auto key, std::string_view v) {
        const auto offset = keys::journal_offset(key);
        const auto found = storage::outline_of_frame(v);
        bad = !offset || !found || found->records == 0;
        if (!bad && *offset + found->records - 1 > begin.index)
          last = {found->epoch, *offset + found->records - 1};
        return false;
      });
  if (!ok)
    return ok.error();
  if (bad)
    return damaged(shard_, "frames");
  if (!*outline) {
    // Frames of a node that was alone have no rows, and may be trimmed: from them nobody could make
    // the state that is here. So the log begins behind them, and others get a copy.
    const auto meta = store_->meta(shard_);
    if (!meta)
      return meta.error();
    if (meta->next_offset > last.index + 1)
      last = {std::max<std::uint64_t>(meta->epoch, 1), meta->next_offset - 1};
    begin = last;
  }
  while (!stretches.empty() && stretches.back().first > last.index)
    stretches.pop_back();
  // What the epoch of `begin` wrote behind it did not change the outline's row.
  if (last.index > begin.index && (stretches.empty() || stretches.front().first > begin.index + 1))
    stretches.insert(stretches.begin(), {begin.epoch, begin.index + 1});
  kept.log = log_outline{begin, last, std::move(stretches)};
  if (*applied) {
    const auto n = decode_number(**applied);
    if (!n)
      return damaged(shard_, "applied position");
    applied_ = *n;
  } else {
    applied_ = *outline ? begin.index : last.index;
  }
  applied_ = std::max(applied_, begin.index);
  kept.commit = applied_;
  written_ = last.index;
  return kept;
}

void shard_log::write(std::uint64_t after, std::vector<log_entry> entries, const log_outline& now,
                      std::vector<row> rows, std::vector<row>& into) {
  auto cut = false;
  while (!ring_.empty() && ring_.back().entry.at.index > after) {
    ring_bytes_ -= ring_.back().entry.bytes->size();
    ring_.pop_back();
    cut = true;
  }
  if (cut || written_ > after) {
    into.push_back({.family = storage::family::journal,
                    .key = keys::journal(shard_, after + 1),
                    .value = behind(shard_),
                    .operation = row_operation::remove_range});
    written_ = std::min(written_, after);
    cut = true;
  }
  auto first = after + 1;
  auto epochs = cut;
  const auto takes_rows = !entries.empty() && !rows.empty();
  for (auto& e : entries) {
    epochs = epochs || now.epoch_at(first - 1) != e.at.epoch;
    into.push_back({.family = storage::family::journal,
                    .key = keys::journal(shard_, first),
                    .value = *e.bytes});
    const auto outline = storage::outline_of_frame(*e.bytes);
    const auto index = e.at.index;
    ring_bytes_ += e.bytes->size();
    ring_.push_back({std::move(e), first, {}, outline && outline->has_rows});
    first = index + 1;
  }
  if (takes_rows)
    ring_.back().rows = std::move(rows);
  if (epochs)
    into.push_back(outline_row(now));
  shrink();
}

void shard_log::shrink() {
  while (ring_bytes_ > ring_max_bytes && ring_.size() > 1 &&
         ring_.front().entry.at.index <= std::min(written_, applied_)) {
    ring_bytes_ -= ring_.front().entry.bytes->size();
    ring_.pop_front();
  }
}

model::result<std::optional<std::vector<log_entry>>> shard_log::entries(std::uint64_t after,
                                                                        std::uint64_t last,
                                                                        std::size_t max_bytes) {
  auto out = std::vector<log_entry>{};
  if (after >= last)
    return std::optional{std::move(out)};
  auto bytes = std::size_t{0};
  if (!ring_.empty() && ring_.front().first <= after + 1) {
    auto at = std::lower_bound(ring_.begin(), ring_.end(), after + 1,
                               [](const auto& e, auto i) { return e.first < i; });
    for (; at != ring_.end() && at->entry.at.index <= last && bytes < max_bytes; ++at) {
      bytes += at->entry.bytes->size();
      out.push_back(at->entry);
    }
    return std::optional{std::move(out)};
  }
  // What is in memory counts: behind a cut the store has the old frames until the round is written.
  const auto end = ring_.empty() ? last : std::min(last, ring_.front().first - 1);
  auto expected = after + 1;
  auto gap = false, bad = false;
  const auto ok = store_->scan(
      storage::family::journal, keys::shard_prefix(shard_), keys::journal(shard_, expected), false,
      [&](auto key, std::string_view v) {
        const auto offset = keys::journal_offset(key);
        const auto found = storage::outline_of_frame(v);
        bad = !offset || !found || found->records == 0;
        gap = !bad && *offset != expected;
        if (bad || gap || bytes >= max_bytes || expected > end)
          return false;
        expected += found->records;
        bytes += v.size();
        out.push_back({{found->epoch, expected - 1}, std::make_shared<const std::string>(v)});
        return true;
      });
  if (!ok)
    return ok.error();
  if (bad)
    return damaged(shard_, "frames");
  if (out.empty() || gap)
    return std::optional<std::vector<log_entry>>{};
  return std::optional{std::move(out)};
}

model::result<std::uint64_t> shard_log::begin_kept() const {
  auto begin = written_;
  const auto ok = store_->scan(storage::family::journal, keys::shard_prefix(shard_), {}, false,
                               [&](auto key, auto) {
                                 begin = keys::journal_offset(key).value_or(begin + 1) - 1;
                                 return false;
                               });
  if (!ok)
    return ok.error();
  return begin;
}

model::status shard_log::apply(std::uint64_t index, std::vector<row>& into) {
  const auto before = into.size();
  while (applied_ < index) {
    if (!ring_.empty() && ring_.front().first <= applied_ + 1) {
      auto at = std::lower_bound(ring_.begin(), ring_.end(), applied_ + 1,
                                 [](const auto& e, auto i) { return e.first < i; });
      if (at == ring_.end() || at->entry.at.index > index)
        return damaged(shard_, "memory");
      for (; at != ring_.end() && at->entry.at.index <= index; ++at) {
        if (at->has_rows && at->rows.empty()) {
          auto f = storage::decode_frame(shard_, at->first, *at->entry.bytes);
          if (!f)
            return f.error();
          at->rows = std::move(f->rows);
        }
        std::move(at->rows.begin(), at->rows.end(), std::back_inserter(into));
        at->rows = {};
        at->has_rows = false;
        applied_ = at->entry.at.index;
      }
      continue;
    }
    auto some = entries(applied_, index, ring_max_bytes);
    if (!some)
      return some.error();
    if (!*some || (*some)->empty())
      return damaged(shard_, "part that is not applied");
    for (const auto& e : **some) {
      auto f = storage::decode_frame(shard_, applied_ + 1, *e.bytes);
      if (!f)
        return f.error();
      std::move(f->rows.begin(), f->rows.end(), std::back_inserter(into));
      applied_ = e.at.index;
    }
  }
  // Without rows it does no harm if they are looked through again after a restart.
  if (into.size() != before)
    into.push_back(local_row(applied_name, encode_number(applied_)));
  shrink();
  return {};
}

row shard_log::outline_row(const log_outline& now) const {
  return local_row(log_name, encode_outline(led_, now));
}

row shard_log::mark(std::uint64_t led, const log_outline& now) {
  led_ = std::max(led_, led);
  return outline_row(now);
}

std::vector<row> shard_log::discard() {
  ring_.clear();
  ring_bytes_ = 0;
  applied_ = written_ = 0;
  auto rows = wipe();
  rows.push_back(local_row(log_name, encode_outline(led_, {})));
  return rows;
}

std::vector<row> shard_log::begin_loading() {
  auto rows = discard();
  rows.push_back(local_row(loading_name, "1"));
  return rows;
}

std::vector<row> shard_log::end_loading(log_position at) {
  applied_ = written_ = at.index;
  auto rows = std::vector<row>{};
  rows.push_back(local_row(log_name, encode_outline(led_, log_outline{at})));
  rows.push_back(local_row(applied_name, encode_number(at.index)));
  rows.push_back({.family = storage::family::meta,
                  .key = keys::meta(shard_, loading_name),
                  .operation = row_operation::remove});
  return rows;
}

}  // namespace orrery::cluster
