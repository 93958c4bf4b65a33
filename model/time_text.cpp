#include "model/time_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace orrery::model {
namespace {

using namespace std::chrono_literals;

constexpr auto earliest =
    timestamp{std::chrono::sys_days{std::chrono::year{1} / std::chrono::January / 1}};
constexpr auto latest =
    timestamp{std::chrono::sys_days{std::chrono::year{10000} / std::chrono::January / 1}} - 1ms;

std::optional<timestamp> in_range(timestamp t) {
  return t >= earliest && t <= latest ? std::optional{t} : std::nullopt;
}

/// Exactly `count` digits from `at` on; -1 if there are not.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size())
    return -1;
  auto n = 0;
  for (auto i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9')
      return -1;
    n = n * 10 + (text[i] - '0');
  }
  return n;
}

}  // namespace

std::optional<timestamp> time_of(std::int64_t epoch_ms) {
  return in_range(from_ms(epoch_ms));
}

std::string to_text(timestamp t) {
  t = std::clamp(t, earliest, latest);
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const auto date = std::chrono::year_month_day{day};
  const auto time = std::chrono::hh_mm_ss{t - day};
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  return out;
}

std::optional<timestamp> parse_time(std::string_view text) {
  if (!text.empty() &&
      text.find_first_not_of("0123456789", text.front() == '-' ? 1 : 0) == std::string_view::npos) {
    auto ms = std::int64_t{0};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
    return error == std::errc{} && end == text.data() + text.size() ? time_of(ms) : std::nullopt;
  }
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (std::min({year, month, day, hour, minute, second}) < 0 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':' || hour > 23 || minute > 59 || second > 60)
    return std::nullopt;
  const auto date = std::chrono::year{year} / std::chrono::month{static_cast<unsigned>(month)} /
                    std::chrono::day{static_cast<unsigned>(day)};
  if (!date.ok())
    return std::nullopt;
  auto at = std::size_t{19};
  auto ms = 0;
  if (at < text.size() && text[at] == '.') {
    auto scale = 100;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      ms += (text[at] - '0') * scale;
    if (text[at - 1] == '.')
      return std::nullopt;
  }
  auto offset = 0;
  if (at >= text.size())
    return std::nullopt;
  if (text[at] == '+' || text[at] == '-') {
    const auto h = digits(text, at + 1, 2), m = digits(text, at + 4, 2);
    if (h < 0 || m < 0 || h > 23 || m > 59 || text[at + 3] != ':' || at + 6 != text.size())
      return std::nullopt;
    offset = (h * 60 + m) * (text[at] == '+' ? 1 : -1);
  } else if ((text[at] != 'Z' && text[at] != 'z') || at + 1 != text.size()) {
    return std::nullopt;
  }
  return in_range(timestamp{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
                  std::chrono::minutes{minute - offset} + std::chrono::seconds{second} +
                  std::chrono::milliseconds{ms});
}

}  // namespace orrery::model
