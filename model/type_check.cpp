// The check of one value against one type.
#include <algorithm>
#include <charconv>
#include <cmath>

#include <re2/re2.h>

#include "model/json.hpp"
#include "model/thing_model.hpp"

namespace orrery::model {
namespace {

constexpr std::size_t shown_length = 64;

std::string shown(const value& v) {
  auto text = to_json(v);
  if (text.size() > shown_length) {
    auto cut = shown_length;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80)
      --cut;  // not inside a character
    text.resize(cut);
    text += "...";
  }
  return text;
}

failure wrong(std::string_view where, std::string_view code, std::string detail) {
  auto whole = std::string{where} + ": " + detail;
  return failure{errc::invalid_argument,
                 code,
                 std::move(whole),
                 {problem{std::string{where}, code, std::move(detail)}}};
}

failure mismatch(std::string_view where, std::string_view expected, const value& posted) {
  return wrong(where, "type_mismatch",
               "expected " + std::string{expected} + ", got " + shown(posted));
}

template <class T>
std::optional<T> number_in(const std::string& text) {
  auto v = T{};
  const auto* end = text.data() + text.size();
  const auto [ptr, error] = std::from_chars(text.data(), end, v);
  if (error != std::errc{} || ptr != end || text.empty())
    return std::nullopt;
  return v;
}

result<value> check_bounds_int(const type_spec& t, std::int64_t v, std::string_view where) {
  if (t.min_int && (t.exclusive_min ? v <= *t.min_int : v < *t.min_int))
    return wrong(where, "below_min", std::to_string(v) + " is below " + std::to_string(*t.min_int));
  if (t.max_int && (t.exclusive_max ? v >= *t.max_int : v > *t.max_int))
    return wrong(where, "above_max", std::to_string(v) + " is above " + std::to_string(*t.max_int));
  if (t.step && *t.step >= 1.0) {
    const auto step = static_cast<std::int64_t>(*t.step);
    const auto base = t.min_int.value_or(0);
    if (static_cast<std::uint64_t>(v) - static_cast<std::uint64_t>(base) != 0 &&
        (static_cast<std::int64_t>(static_cast<std::uint64_t>(v) -
                                   static_cast<std::uint64_t>(base))) %
                step !=
            0)
      return wrong(where, "not_on_step",
                   std::to_string(v) + " is not on the step " + std::to_string(step));
  }
  return value{v};
}

result<value> check_integer(const type_spec& t, const value& posted, std::string_view where) {
  auto v = std::optional<std::int64_t>{};
  if (posted.is_int())
    v = posted.as_int();
  else if (posted.is_double() && std::trunc(posted.as_double()) == posted.as_double() &&
           std::abs(posted.as_double()) < 9e15)
    v = static_cast<std::int64_t>(posted.as_double());
  else if (posted.is_string())
    v = number_in<std::int64_t>(posted.as_string());
  const auto narrow = t.type == data_type::int32;
  if (!v || (narrow && (*v < INT32_MIN || *v > INT32_MAX)))
    return mismatch(where, narrow ? "a whole number of 32 bits" : "a whole number of 64 bits",
                    posted);
  return check_bounds_int(t, *v, where);
}

result<value> check_float(const type_spec& t, const value& posted, std::string_view where) {
  auto v = std::optional<double>{};
  if (posted.is_number())
    v = posted.as_double();
  else if (posted.is_string())
    v = number_in<double>(posted.as_string());
  if (!v || !std::isfinite(*v))
    return mismatch(where, "a number", posted);
  if (t.type == data_type::float32) {
    const auto rounded = static_cast<float>(*v);
    if (!std::isfinite(rounded))
      return wrong(where, *v > 0 ? "above_max" : "below_min",
                   shown(posted) + " does not fit a 32-bit float");
    // The shortest decimal of the float, so that 0.1 stays 0.1 and columns stay decimal.
    char text[32];
    const auto* end = std::to_chars(text, text + sizeof text, rounded).ptr;
    std::from_chars(text, end, *v);
  }
  if (*v == 0.0)
    v = 0.0;  // -0.0 is 0
  if (t.min && (t.exclusive_min ? *v <= *t.min : *v < *t.min))
    return wrong(where, "below_min", shown(posted) + " is below " + to_json(*t.min));
  if (t.max && (t.exclusive_max ? *v >= *t.max : *v > *t.max))
    return wrong(where, "above_max", shown(posted) + " is above " + to_json(*t.max));
  if (t.step && *t.step > 0) {
    const auto steps = (*v - t.min.value_or(0.0)) / *t.step;
    if (std::abs(steps - std::round(steps)) > 1e-6 * std::max(1.0, std::abs(steps)))
      return wrong(where, "not_on_step", shown(posted) + " is not on the step " + to_json(*t.step));
  }
  return value{*v};
}

result<value> check_bool(const value& posted, std::string_view where) {
  if (posted.is_bool())
    return posted;
  if (posted.is_int() && (posted.as_int() == 0 || posted.as_int() == 1))
    return value{posted.as_int() == 1};
  return mismatch(where, "true or false", posted);
}

result<value> check_string(const type_spec& t, const value& posted, std::string_view where) {
  if (!posted.is_string() && !posted.is_number() && !posted.is_bool())
    return mismatch(where, "text", posted);
  auto text = posted.is_string() ? posted.as_string() : to_json(posted);
  const auto most = t.max_length.value_or(1024);
  if (text.size() > most)
    return wrong(where, "too_long",
                 std::to_string(text.size()) + " bytes; at most " + std::to_string(most));
  if (t.min_length && text.size() < *t.min_length)
    return wrong(where, "too_short",
                 std::to_string(text.size()) + " bytes; at least " + std::to_string(*t.min_length));
  if (t.compiled_pattern && !RE2::FullMatch(text, *t.compiled_pattern))
    return wrong(where, "pattern", shown(posted) + " does not match " + t.pattern);
  return value{std::move(text)};
}

/// "YYYY-MM-DD hh:mm:ss[.fff]" or RFC 3339 with T and a zone; without a zone: UTC.
std::optional<timestamp> parse_date(const std::string& text) {
  auto at = std::size_t{0};
  const auto digits = [&](std::size_t n) -> std::optional<int> {
    auto v = 0;
    for (std::size_t i = 0; i < n; ++i, ++at) {
      if (at >= text.size() || text[at] < '0' || text[at] > '9')
        return std::nullopt;
      v = v * 10 + (text[at] - '0');
    }
    return v;
  };
  const auto skip = [&](std::string_view any_of) {
    if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos)
      return false;
    ++at;
    return true;
  };
  const auto year = digits(4);
  if (!year || !skip("-"))
    return std::nullopt;
  const auto month = digits(2);
  if (!month || !skip("-"))
    return std::nullopt;
  const auto day = digits(2);
  if (!day)
    return std::nullopt;
  const auto date = std::chrono::year_month_day{std::chrono::year{*year},
                                                std::chrono::month{static_cast<unsigned>(*month)},
                                                std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok())
    return std::nullopt;
  auto t = std::chrono::time_point_cast<milliseconds>(std::chrono::sys_days{date});
  if (at == text.size())
    return t;
  if (!skip("T t"))
    return std::nullopt;
  const auto hour = digits(2);
  if (!hour || !skip(":"))
    return std::nullopt;
  const auto minute = digits(2);
  if (!minute || !skip(":"))
    return std::nullopt;
  const auto second = digits(2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  t += std::chrono::hours{*hour} + std::chrono::minutes{*minute} + std::chrono::seconds{*second};
  if (skip(".")) {
    auto unit = 100;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      t += milliseconds{(text[at++] - '0') * unit};
      unit /= 10;
    }
  }
  if (at == text.size() || skip("Zz"))
    return at == text.size() ? std::optional{t} : std::nullopt;
  const auto west = text[at] == '-';
  if (!skip("+-"))
    return std::nullopt;
  const auto zone_hours = digits(2);
  skip(":");
  const auto zone_minutes = digits(2);
  if (!zone_hours || !zone_minutes || at != text.size())
    return std::nullopt;
  const auto offset = std::chrono::hours{*zone_hours} + std::chrono::minutes{*zone_minutes};
  return west ? t + offset : t - offset;
}

result<value> check_time(const value& posted, std::string_view where) {
  if (posted.is_int())
    return posted;
  if (posted.is_double() && std::abs(posted.as_double()) < 9e15)
    return value{static_cast<std::int64_t>(posted.as_double())};
  if (posted.is_string()) {
    if (const auto t = parse_date(posted.as_string()))
      return value{to_ms(*t)};
    if (const auto ms = number_in<std::int64_t>(posted.as_string()))
      return value{*ms};
  }
  return mismatch(where, "a time (YYYY-MM-DD hh:mm:ss, RFC 3339 or ms since 1970)", posted);
}

result<value> check_enum(const type_spec& t, const value& posted, std::string_view where) {
  auto key = std::string{};
  if (posted.is_string())
    key = posted.as_string();
  else if (posted.is_int())
    key = std::to_string(posted.as_int());
  else
    return mismatch(where, "a key of the enumeration", posted);
  for (const auto& [known, label] : t.entries)
    if (known == key)
      return t.enum_of_strings ? value{key} : value{*number_in<std::int64_t>(key)};
  return wrong(where, "enum_unknown", shown(posted) + " is none of its keys");
}

result<value> check_list(const type_spec& t, const value& posted, validation mode,
                         std::string_view where) {
  if (!posted.is_array())
    return mismatch(where, "an array", posted);
  const auto& items = posted.as_array();
  if (items.size() > t.max_items || items.size() < t.min_items)
    return wrong(where, "array_size",
                 std::to_string(items.size()) + " items; " + std::to_string(t.min_items) + " to " +
                     std::to_string(t.max_items) + " are allowed");
  auto out = array{};
  out.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto checked =
        check_value(*t.items, items[i], mode, std::string{where} + "/" + std::to_string(i));
    if (!checked)
      return wrong(checked.error().problems.front().where, "array_item",
                   checked.error().problems.front().detail);
    out.push_back(std::move(*checked));
  }
  return value{std::move(out)};
}

result<value> check_structure(const type_spec& t, const value& posted, validation mode,
                              std::string_view where) {
  if (!posted.is_object())
    return mismatch(where, "an object", posted);
  auto out = object{};
  for (const auto& f : t.fields) {
    const auto* member = posted.find(f.id);
    if (!member || member->is_null()) {
      if (f.required)
        return wrong(std::string{where} + "/" + f.id, "struct_field_missing",
                     "the member is required");
      continue;
    }
    auto checked = check_value(f.type, *member, mode, std::string{where} + "/" + f.id);
    if (!checked)
      return checked;
    out.emplace_back(f.id, std::move(*checked));
  }
  if (!t.drop_unknown_fields)
    for (const auto& [name, member] : posted.as_object())
      if (std::none_of(t.fields.begin(), t.fields.end(),
                       [&, n = std::string_view{name}](const auto& f) { return f.id == n; }))
        return wrong(std::string{where} + "/" + name, "struct_field_unknown",
                     "the struct has no such member");
  return value{std::move(out)};
}

result<value> check_dictionary(const type_spec& t, const value& posted, validation mode,
                               std::string_view where) {
  if (!posted.is_object())
    return mismatch(where, "an object", posted);
  if (posted.as_object().size() > t.max_items)
    return wrong(where, "array_size", "more than " + std::to_string(t.max_items) + " entries");
  auto out = object{};
  for (const auto& [name, member] : posted.as_object()) {
    auto checked = check_value(*t.items, member, mode, std::string{where} + "/" + name);
    if (!checked)
      return checked;
    out.emplace_back(name, std::move(*checked));
  }
  return value{std::move(out)};
}

}  // namespace

result<value> check_value(const type_spec& type, const value& posted, validation mode,
                          std::string_view where) {
  switch (type.type) {
    case data_type::boolean:
      return check_bool(posted, where);
    case data_type::int32:
    case data_type::int64:
      return check_integer(type, posted, where);
    case data_type::float32:
    case data_type::float64:
      return check_float(type, posted, where);
    case data_type::string:
      return check_string(type, posted, where);
    case data_type::date:
    case data_type::instant:
      return check_time(posted, where);
    case data_type::enumeration:
      return check_enum(type, posted, where);
    case data_type::list:
      return check_list(type, posted, mode, where);
    case data_type::structure:
      return check_structure(type, posted, mode, where);
    case data_type::dictionary:
      return check_dictionary(type, posted, mode, where);
    case data_type::file:
      if (posted.is_string() && posted.as_string().size() <= 1024)
        return posted;
      return mismatch(where, "the reference of a file", posted);
  }
  return mismatch(where, "a value", posted);
}

std::optional<timestamp> normalise_time(const value& posted) {
  auto v = 0.0;
  if (posted.is_int()) {
    const auto i = posted.as_int();
    if (i < 100'000'000'000'000 && i > -100'000'000'000'000)
      return from_ms(i);
    v = static_cast<double>(i);
  } else if (posted.is_double()) {
    v = posted.as_double();
  } else if (posted.is_string()) {
    const auto number = number_in<double>(posted.as_string());
    if (!number)
      return std::nullopt;
    v = *number;
  } else {
    return std::nullopt;
  }
  if (!std::isfinite(v))
    return std::nullopt;
  if (std::abs(v) >= 1e14)
    v /= 1000;  // microseconds
  else if (v != std::trunc(v) && std::abs(v) < 1e11)
    v *= 1000;  // seconds with a fraction
  if (std::abs(v) >= 1e15)
    return std::nullopt;  // beyond any calendar
  return from_ms(static_cast<std::int64_t>(std::llround(v)));
}

}  // namespace orrery::model
