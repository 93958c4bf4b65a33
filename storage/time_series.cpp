#include "storage/time_series.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <unordered_map>

#include <zstd.h>

#include "model/bytes.hpp"

// A segment:
//
//   version u8 (1) | form u8 (0 plain, 1 zstd) | first time | last time | size of the rest varint |
//   rest rest   times: count varint, first svarint, then delta of delta svarint
//          columns: count varint, then for each: id text | size varint | column
//   column kind u8 | rows it has: 0 (all) or 1 and a bitmap | qualities: 0 (none), 1 (one for all)
//   u8 or 2 and
//          a byte each | values
//   values of kind 0: integers as svarint deltas; 1: decimals, scale u8 then svarint deltas of
//   value * 10^scale;
//          2: doubles as u64 XOR of neighbours, trailing zero bytes cut; 3: bools as bits; 4: model
//          values
namespace orrery::storage {
namespace {

using model::byte_reader;
using model::byte_writer;
using model::point_value;
using model::timestamp;
using model::value;

constexpr std::uint8_t version = 1;
constexpr std::size_t max_rest = 64 * 1024 * 1024;
enum column_kind : std::uint8_t { integers, decimals, doubles, bools, values };
constexpr std::array<double, 7> powers = {1, 10, 100, 1000, 10'000, 100'000, 1'000'000};

struct column {
  std::string_view id;
  std::vector<std::uint32_t> rows;  // rising
  std::vector<const point_value*> points;
};

std::uint64_t delta_bits(std::int64_t a, std::int64_t b) {
  return static_cast<std::uint64_t>(a) -
         static_cast<std::uint64_t>(b);  // wraps, as the reader's sum does
}

/// The least power of ten that makes all values whole numbers below 2^53; nothing if none does.
std::optional<std::uint8_t> decimal_scale(const column& c) {
  auto scale = std::size_t{0};
  for (const auto* p : c.points) {
    const auto v = p->v.as_double();
    if (!std::isfinite(v) || (v == 0.0 && std::signbit(v)) || std::abs(v) > 1e9)
      return std::nullopt;
    while (scale < powers.size() && std::round(v * powers[scale]) / powers[scale] != v)
      ++scale;
    if (scale == powers.size())
      return std::nullopt;
  }
  return static_cast<std::uint8_t>(scale);
}

template <class Test>
bool all(const column& c, Test test) {
  return std::all_of(c.points.begin(), c.points.end(),
                     [&](const point_value* p) { return test(p->v); });
}

void write_values(byte_writer& out, const column& c) {
  auto previous = std::int64_t{0};
  if (all(c, [](const value& v) { return v.is_int(); })) {
    out.u8(integers);
    for (const auto* p : c.points) {
      out.svarint(static_cast<std::int64_t>(delta_bits(p->v.as_int(), previous)));
      previous = p->v.as_int();
    }
    return;
  }
  if (all(c, [](const value& v) { return v.is_double(); })) {
    if (const auto scale = decimal_scale(c)) {
      out.u8(decimals);
      out.u8(*scale);
      for (const auto* p : c.points) {
        const auto whole =
            static_cast<std::int64_t>(std::llround(p->v.as_double() * powers[*scale]));
        out.svarint(whole - previous);
        previous = whole;
      }
      return;
    }
    out.u8(doubles);
    auto before = std::uint64_t{0};
    for (const auto* p : c.points) {
      const auto bits = std::bit_cast<std::uint64_t>(p->v.as_double());
      auto x = bits ^ before;
      const auto zero_bytes = x == 0 ? 8 : std::countr_zero(x) / 8;
      out.u8(static_cast<std::uint8_t>(zero_bytes));
      if (zero_bytes < 8)
        x >>= 8 * zero_bytes;
      for (auto left = 8 - zero_bytes; left > 0; --left, x >>= 8)
        out.u8(static_cast<std::uint8_t>(x));
      before = bits;
    }
    return;
  }
  if (all(c, [](const value& v) { return v.is_bool(); })) {
    out.u8(bools);
    for (std::size_t i = 0; i < c.points.size(); i += 8) {
      auto byte = 0u;
      for (std::size_t bit = 0; bit < 8 && i + bit < c.points.size(); ++bit)
        byte |= (c.points[i + bit]->v.as_bool() ? 1u : 0u) << bit;
      out.u8(static_cast<std::uint8_t>(byte));
    }
    return;
  }
  out.u8(values);
  for (const auto* p : c.points)
    out.any(p->v);
}

std::string column_bytes(const column& c, std::size_t row_count) {
  auto out = byte_writer{};
  out.boolean(c.rows.size() != row_count);
  if (c.rows.size() != row_count) {
    auto bits = std::string((row_count + 7) / 8, '\0');
    for (const auto row : c.rows)
      bits[row / 8] = static_cast<char>(bits[row / 8] | 1 << row % 8);
    out.raw(bits);
  }
  const auto quality = c.points.front()->quality;
  if (std::all_of(c.points.begin(), c.points.end(),
                  [&](const auto* p) { return p->quality == quality; })) {
    out.u8(quality == -1 ? 0 : 1);
    if (quality != -1)
      out.u8(static_cast<std::uint8_t>(quality));
  } else {
    out.u8(2);
    for (const auto* p : c.points)
      out.u8(static_cast<std::uint8_t>(p->quality));
  }
  write_values(out, c);
  return out.take();
}

model::failure damaged() {
  return {model::errc::corrupted, "a segment of samples does not decode"};
}

bool read_values(byte_reader& in, std::vector<point_value>& out) {
  auto previous = std::int64_t{0};
  switch (in.u8()) {
    case integers:
      for (auto& p : out) {
        previous = static_cast<std::int64_t>(static_cast<std::uint64_t>(previous) +
                                             static_cast<std::uint64_t>(in.svarint()));
        p.v = previous;
      }
      break;
    case decimals: {
      const auto scale = in.u8();
      if (scale >= powers.size())
        return false;
      for (auto& p : out) {
        previous = static_cast<std::int64_t>(static_cast<std::uint64_t>(previous) +
                                             static_cast<std::uint64_t>(in.svarint()));
        p.v = static_cast<double>(previous) / powers[scale];
      }
      break;
    }
    case doubles: {
      auto bits = std::uint64_t{0};
      for (auto& p : out) {
        const auto zero_bytes = in.u8();
        if (zero_bytes > 8)
          return false;
        for (auto i = zero_bytes; i < 8; ++i)
          bits ^= static_cast<std::uint64_t>(in.u8()) << 8 * i;
        p.v = std::bit_cast<double>(bits);
      }
      break;
    }
    case bools: {
      const auto bits = in.raw((out.size() + 7) / 8);
      for (std::size_t i = 0; i < out.size() && in.ok(); ++i)
        out[i].v = (static_cast<unsigned char>(bits[i / 8]) >> i % 8 & 1) != 0;
      break;
    }
    case values:
      for (auto& p : out)
        p.v = in.any();
      break;
    default:
      return false;
  }
  return in.ok();
}

bool read_column(std::string_view bytes, const std::string& id, std::vector<model::sample>& into) {
  auto in = byte_reader{bytes};
  auto rows = std::vector<std::uint32_t>{};
  if (in.boolean()) {
    const auto bits = in.raw((into.size() + 7) / 8);
    for (std::uint32_t row = 0; row < into.size() && in.ok(); ++row)
      if (static_cast<unsigned char>(bits[row / 8]) >> row % 8 & 1)
        rows.push_back(row);
  } else {
    for (std::uint32_t row = 0; row < into.size(); ++row)
      rows.push_back(row);
  }
  auto points = std::vector<point_value>(rows.size(), point_value{.id = id, .v = {}});
  const auto form = in.u8();
  const auto one = form == 1 ? static_cast<std::int8_t>(in.u8()) : std::int8_t{-1};
  for (auto& p : points)
    p.quality = form == 2 ? static_cast<std::int8_t>(in.u8()) : one;
  if (form > 2 || !in.ok() || !read_values(in, points) || !in.at_end())
    return false;
  for (std::size_t i = 0; i < rows.size(); ++i)
    into[rows[i]].points.push_back(std::move(points[i]));
  return true;
}

}  // namespace

timestamp bucket_of(timestamp t) {
  return std::chrono::floor<std::chrono::hours>(std::max(t, timestamp::min() + bucket_length));
}

std::string encode_segment(std::span<const sample> samples) {
  auto all = std::vector<const sample*>(samples.size());
  std::transform(samples.begin(), samples.end(), all.begin(), [](const auto& s) { return &s; });
  return encode_segment(all);
}

std::string encode_segment(std::span<const sample* const> samples) {
  // Rows are distinct times; of equal (time, point) the last one given wins.
  const auto earlier = [](const sample* a, const sample* b) { return a->time < b->time; };
  auto order = std::vector<const sample*>(samples.begin(), samples.end());
  if (!std::is_sorted(order.begin(), order.end(), earlier))
    std::stable_sort(order.begin(), order.end(), earlier);
  auto times = std::vector<std::int64_t>{};
  auto columns = std::vector<column>{};
  auto column_at = std::unordered_map<std::string_view, std::size_t>{};
  for (const auto* s : order) {
    if (times.empty() || times.back() != model::to_ms(s->time))
      times.push_back(model::to_ms(s->time));
    const auto row = static_cast<std::uint32_t>(times.size() - 1);
    auto next = std::size_t{0};  // samples tend to have the same points in the same order
    for (const auto& p : s->points) {
      if (next >= columns.size() || columns[next].id != p.id) {
        const auto [place, fresh] = column_at.try_emplace(p.id, columns.size());
        if (fresh)
          columns.push_back({p.id, {}, {}});
        next = place->second;
      }
      auto& c = columns[next++];
      if (!c.rows.empty() && c.rows.back() == row) {
        c.points.back() = &p;
      } else {
        c.rows.push_back(row);
        c.points.push_back(&p);
      }
    }
  }
  // In the order of their ids, so that equal samples give equal bytes.
  std::sort(columns.begin(), columns.end(),
            [](const column& a, const column& b) { return a.id < b.id; });
  auto rest = byte_writer{};
  rest.varint(times.size());
  auto previous = std::int64_t{0}, delta = std::int64_t{0};
  for (const auto t : times) {
    const auto step = static_cast<std::int64_t>(delta_bits(t, previous));
    rest.svarint(static_cast<std::int64_t>(delta_bits(step, delta)));
    delta = step;
    previous = t;
  }
  rest.varint(columns.size());
  for (const auto& c : columns) {
    rest.text(c.id);
    rest.text(column_bytes(c, times.size()));
  }
  const auto& plain = rest.bytes();
  auto packed = std::string{};
  if (plain.size() > 256) {
    thread_local const auto context =
        std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)>{ZSTD_createCCtx(), ZSTD_freeCCtx};
    packed.resize(ZSTD_compressBound(plain.size()));
    const auto size = ZSTD_compressCCtx(context.get(), packed.data(), packed.size(), plain.data(),
                                        plain.size(), 1);
    packed.resize(ZSTD_isError(size) || size > plain.size() * 9 / 10 ? 0 : size);
  }
  auto out = byte_writer{};
  out.u8(version);
  out.u8(packed.empty() ? 0 : 1);
  out.svarint(times.empty() ? 0 : times.front());
  out.svarint(times.empty() ? 0 : times.back());
  out.varint(plain.size());
  out.raw(packed.empty() ? plain : packed);
  return out.take();
}

model::result<time_range> segment_range(std::string_view bytes) {
  auto in = byte_reader{bytes};
  const auto known = in.u8() == version;
  in.u8();
  const auto first = in.time(), last = in.time();
  if (!known || !in.ok())
    return damaged();
  return time_range{first, last};
}

model::result<std::vector<model::sample>> decode_segment(std::string_view bytes,
                                                         std::optional<std::string_view> only) {
  auto in = byte_reader{bytes};
  const auto known = in.u8() == version;
  const auto form = in.u8();
  in.svarint();
  in.svarint();
  const auto size = in.varint();
  if (!known || form > 1 || !in.ok() || size > max_rest)
    return damaged();
  auto plain = in.raw(in.left());
  auto unpacked = std::string{};
  if (form == 1) {
    if (ZSTD_getFrameContentSize(plain.data(), plain.size()) != size)
      return damaged();
    unpacked.resize(size);
    if (ZSTD_decompress(unpacked.data(), size, plain.data(), plain.size()) != size)
      return damaged();
    plain = unpacked;
  } else if (plain.size() != size) {
    return damaged();
  }
  auto rest = byte_reader{plain};
  auto samples = std::vector<model::sample>(rest.count());
  auto previous = std::uint64_t{0}, delta = std::uint64_t{0};
  for (auto& s : samples) {
    delta += static_cast<std::uint64_t>(rest.svarint());
    previous += delta;
    s.time = model::from_ms(static_cast<std::int64_t>(previous));
  }
  for (auto left = rest.count(); left > 0 && rest.ok(); --left) {
    const auto id = std::string{rest.text()};
    const auto column = rest.text();
    if (rest.ok() && (!only || *only == id) && !read_column(column, id, samples))
      return damaged();
  }
  if (!rest.ok() || !rest.at_end())
    return damaged();
  if (only)
    std::erase_if(samples, [](const auto& s) { return s.points.empty(); });
  return samples;
}

}  // namespace orrery::storage
