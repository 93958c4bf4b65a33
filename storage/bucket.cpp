#include "storage/bucket.hpp"

#include <algorithm>
#include <deque>

#include <xxhash.h>

#include "model/bytes.hpp"

// A row is parts, one behind the other:
//
//   tag u8 | size varint | that many bytes
//   tag 1: revision varint | segment | XXH3-64 of both, its low 32 bits u32
//   tag 0: bytes that are no parts, kept for whoever repairs them
namespace orrery::storage {
namespace {

using model::byte_reader;
using model::byte_writer;

enum tag : std::uint8_t { damaged_bytes = 0, segment_part = 1 };
constexpr std::size_t checksum_size = 4;
constexpr std::size_t growth = 4;  // a part more than so many times larger is not written anew
constexpr std::size_t max_joined_bytes = 256 * 1024;  // bounds the memory of a join

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

std::string wrapped(tag t, std::string_view bytes) {
  auto out = byte_writer{};
  out.u8(t);
  out.text(bytes);
  return out.take();
}

/// A stretch of a row: a part with its tag, or (tag 0) bytes that are none.
struct stretch {
  tag what;
  std::string_view whole, body;
};

/// Cuts a row into stretches that cover all of it.
std::vector<stretch> stretches_of(std::string_view row) {
  auto all = std::vector<stretch>{};
  auto in = byte_reader{row};
  while (!in.at_end()) {
    const auto at = row.size() - in.left();
    const auto t = in.u8();
    const auto body = in.text();
    if (!in.ok() || t > segment_part) {
      all.push_back({damaged_bytes, {}, row.substr(at)});
      break;
    }
    all.push_back({static_cast<tag>(t), row.substr(at, row.size() - in.left() - at), body});
  }
  return all;
}

std::string part_of(std::uint64_t revision, std::string_view segment) {
  auto body = byte_writer{};
  body.varint(revision);
  body.raw(segment);
  body.u32(checksum(body.bytes()));
  return wrapped(segment_part, body.bytes());
}

std::optional<part> part_in(const stretch& s) {
  if (s.what != segment_part || s.body.size() < checksum_size)
    return std::nullopt;
  const auto checked = s.body.substr(0, s.body.size() - checksum_size);
  if (byte_reader{s.body.substr(checked.size())}.u32() != checksum(checked))
    return std::nullopt;
  auto in = byte_reader{checked};
  const auto revision = in.varint();
  const auto segment = in.raw(in.left());
  const auto range = segment_range(segment);
  if (!in.ok() || !range)
    return std::nullopt;
  return part{revision, *range, segment};
}

/// The samples of two parts, such that of equal ones the last counts (as encode_segment has it).
model::result<std::vector<sample>> samples_of(const part& a, const part& b) {
  const auto in_order = a.revision <= b.revision;
  auto all = decode_segment((in_order ? a : b).segment);
  auto later = decode_segment((in_order ? b : a).segment);
  if (!all || !later)
    return (all ? later : all).error();
  std::move(later->begin(), later->end(), std::back_inserter(*all));
  return all;
}

/// A part while a row is joined: as it came, or written anew.
struct joinable {
  std::string_view whole;  // with its tag
  std::string made;        // what `whole` points into, if it is new
  std::optional<part> what;
};

std::optional<std::string> join(const joinable& a, const joinable& b) {
  if (!a.what || !b.what || a.whole.size() > growth * b.whole.size() ||
      a.whole.size() + b.whole.size() > max_joined_bytes)
    return std::nullopt;
  const auto samples = samples_of(*a.what, *b.what);
  if (!samples)
    return std::nullopt;
  return bucket_part(std::max(a.what->revision, b.what->revision), *samples);
}

}  // namespace

std::string bucket_part(std::uint64_t revision, std::span<const sample* const> samples) {
  return part_of(revision, encode_segment(samples));
}

std::string bucket_part(std::uint64_t revision, std::span<const sample> samples) {
  return part_of(revision, encode_segment(samples));
}

std::string concatenate(std::span<const std::string_view> values) {
  auto out = std::string{};
  for (const auto& v : values)
    for (const auto& s : stretches_of(v))
      if (s.whole.empty())
        out += wrapped(damaged_bytes, s.body);
      else
        out += s.whole;
  return out;
}

std::string join_parts(std::string_view row) {
  // A stack: what is under the top was joined as far as it goes when the top came.
  auto done = std::deque<joinable>{};
  for (const auto& s : stretches_of(row)) {
    auto& last = done.emplace_back(joinable{s.whole, {}, part_in(s)});
    if (s.whole.empty()) {
      last.made = wrapped(damaged_bytes, s.body);
      last.whole = last.made;
    }
    while (done.size() > 1) {
      auto both = join(done[done.size() - 2], done.back());
      if (!both)
        break;
      done.pop_back();
      auto& top = done.back();
      top.made = std::move(*both);
      top.whole = top.made;
      top.what = part_in(stretches_of(top.whole).front());
    }
  }
  auto out = std::string{};
  for (const auto& p : done)
    out += p.whole;
  return out;
}

model::result<std::vector<part>> parts_of(std::string_view row) {
  auto parts = std::vector<part>{};
  for (const auto& s : stretches_of(row)) {
    auto p = part_in(s);
    if (!p)
      return model::failure{model::errc::corrupted, "storage_corrupt",
                            "a part of a bucket of samples is damaged"};
    parts.push_back(*p);
  }
  return parts;
}

}  // namespace orrery::storage
