#include "model/filter/index_value.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

// The first byte of a value says what it is; they rise as datums of different types do.
constexpr char of_truth = 'b', of_number = 'n', of_time = 't', of_text = 'u';

// What ends a folded text. Texts that hold one of these bytes are cut before it.
constexpr char differs = '\x01';  // from what was written, which follows
constexpr char is_folded = '\x02';
constexpr char is_cut = '\x03';
constexpr char behind_text = '\x04';

constexpr double largest_exact = 9007199254740992.0;  // 2^53

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;  // clang 14 deduces no aggregates

void put(std::string& out, std::uint64_t n) {
  for (auto shift = 56; shift >= 0; shift -= 8)
    out += static_cast<char>(n >> shift & 0xff);
}

std::uint64_t read(std::string_view eight) {
  auto n = std::uint64_t{0};
  for (const auto c : eight)
    n = n << 8 | static_cast<unsigned char>(c);
  return n;
}

constexpr auto top = std::uint64_t{1} << 63;

std::string number(double d) {
  const auto bits = std::bit_cast<std::uint64_t>(d == 0.0 ? 0.0 : d);
  auto out = std::string{of_number};
  put(out, bits & top ? ~bits : bits | top);
  return out;
}

std::string time(timestamp t) {
  auto out = std::string{of_time};
  put(out, static_cast<std::uint64_t>(to_ms(t)) ^ top);
  return out;
}

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= static_cast<unsigned char>(behind_text);
}

/// The part of a folded text that is kept.
std::string_view kept(std::string_view folded_text) {
  const auto first = folded_text.substr(0, max_index_text);
  const auto end = std::find_if_not(first.begin(), first.end(), is_plain);
  return first.substr(0, static_cast<std::size_t>(end - first.begin()));
}

std::string text(std::string_view t) {
  const auto small = folded(t);
  const auto part = kept(small);
  auto out = std::string{of_text};
  out += part;
  if (part.size() < small.size())
    return out += is_cut;
  if (small == t)
    return out += is_folded;
  out += differs;
  return out += t;
}

/// Nothing else has the same bytes.
bool is_exact(const datum& d) {
  if (const auto* i = std::get_if<std::int64_t>(&d))
    return std::abs(static_cast<double>(*i)) < largest_exact;
  if (const auto* n = std::get_if<double>(&d))
    return std::abs(*n) < largest_exact;
  if (const auto* t = std::get_if<std::string_view>(&d))
    return !index_value(*t).ends_with(is_cut);
  return true;
}

/// The first bytes that are behind all that begin so.
std::string behind(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff)
    prefix.pop_back();
  if (!prefix.empty())
    prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

index_run run_of(const operand& v) {
  const auto d = datum_of(v);
  auto from = index_value(d);
  auto to = from + '\0';
  return {std::move(from), std::move(to), is_exact(d)};
}

/// A range of texts has all of a folded form whose bound it has: they may be on either side of it.
index_run range_of(const span& s) {
  auto run = index_run{};
  if (!s.low && !s.high)
    return run;
  const auto type = index_value(datum_of(s.low ? s.low->value : s.high->value)).substr(0, 1);
  run.from = type;
  run.to = behind(type);
  const auto is_text = type.front() == of_text;
  const auto folded_of = [](const operand& v) {
    return std::string{of_text}.append(kept(folded(std::get<std::string>(v))));
  };
  if (s.low) {
    const auto d = datum_of(s.low->value);
    run.exact = run.exact && !is_text && is_exact(d);
    run.from = is_text ? folded_of(s.low->value) : index_value(d);
    if (!is_text && !s.low->included && is_exact(d))
      run.from += '\0';
  }
  if (s.high) {
    const auto d = datum_of(s.high->value);
    run.exact = run.exact && !is_text && is_exact(d);
    run.to = is_text ? folded_of(s.high->value) + behind_text : index_value(d);
    if (!is_text && (s.high->included || !is_exact(d)))
      run.to += '\0';
  }
  return run;
}

}  // namespace

std::string index_value(const datum& of) {
  return std::visit(
      overloaded{[](std::monostate) { return std::string{}; },
                 [](bool b) {
                   return std::string{of_truth, b ? '\1' : '\0'};
                 },
                 [](std::int64_t i) { return number(static_cast<double>(i)); },
                 [](double d) { return number(d); }, [](timestamp t) { return time(t); },
                 [](std::string_view t) { return text(t); },
                 [](std::span<const std::string>) { return std::string{}; }},
      of);
}

std::optional<operand> from_index_value(std::string_view bytes) {
  if (bytes.size() < 2)
    return std::nullopt;
  const auto rest = bytes.substr(1);
  switch (bytes.front()) {
    case of_truth:
      return operand{rest.front() != '\0'};
    case of_number: {
      if (rest.size() != 8)
        return std::nullopt;
      const auto bits = read(rest);
      const auto d = std::bit_cast<double>(bits & top ? bits & ~top : ~bits);
      if (std::abs(d) >= largest_exact)
        return std::nullopt;
      if (d == std::trunc(d))
        return operand{static_cast<std::int64_t>(d)};
      return operand{d};
    }
    case of_time:
      if (rest.size() != 8)
        return std::nullopt;
      return operand{from_ms(static_cast<std::int64_t>(read(rest) ^ top))};
    case of_text: {
      if (rest.back() == is_folded)
        return operand{std::string{rest.substr(0, rest.size() - 1)}};
      const auto at = rest.find(differs);
      if (at == std::string_view::npos)
        return std::nullopt;
      return operand{std::string{rest.substr(at + 1)}};
    }
    default:
      return std::nullopt;
  }
}

std::vector<index_run> runs_of(const span& s) {
  auto all = std::vector<index_run>{};
  switch (s.what) {
    case span::kind::values:
      for (const auto& v : s.values)
        all.push_back(run_of(v));
      break;
    case span::kind::range:
      all.push_back(range_of(s));
      break;
    case span::kind::prefix: {
      auto from = std::string{of_text}.append(kept(s.prefix));
      auto to = behind(from);
      all.push_back({std::move(from), std::move(to), false});
      break;
    }
  }
  std::sort(all.begin(), all.end(),
            [](const index_run& a, const index_run& b) { return a.from < b.from; });
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace orrery::model::filter
