// Random filters and records for the tests of filters.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "model/filter/record.hpp"

namespace orrery::model::filter {

/// Any tree that may be, with odd names and values.
inline expression random_expression(std::mt19937& random, int depth) {
  static const auto odd = std::vector<std::string>{
      "a", "tags", "status", "not", "IN", "x-y/z", "my key", "it's", "\"", "7", "ä", "a.b", "true"};
  const auto one_of = [&](const auto& all) { return all[random() % all.size()]; };
  const auto value = [&]() -> literal {
    switch (random() % 4) {
      case 0:
        return random() % 2 == 0;
      case 1:
        return static_cast<std::int64_t>(std::uint64_t{random()} << 32 | random());
      case 2:
        return (static_cast<double>(random()) - 2e9) / static_cast<double>(1 + random() % 1000);
      default:
        return one_of(odd);
    }
  };
  auto e = expression{};
  const auto sort = depth == 0 ? 0U : random() % 5;
  if (sort < 2) {
    for (auto n = 1 + random() % 3; n > 0; --n)
      e.test.field.push_back(one_of(odd));
    e.test.how = static_cast<comparison>(random() % 9);
    if (e.test.how == comparison::like)
      e.test.values.emplace_back(one_of(odd));
    else if (e.test.how != comparison::exists)
      for (auto n = e.test.how == comparison::in ? 1 + random() % 3 : 1; n > 0; --n)
        e.test.values.push_back(value());
    return e;
  }
  e.what = sort == 2   ? expression::kind::none
           : sort == 3 ? expression::kind::all
                       : expression::kind::any;
  for (auto n = sort == 2 ? 1 : 2 + random() % 2; n > 0;)
    if (auto part = random_expression(random, depth - 1); part.what != e.what || sort == 2) {
      e.parts.push_back(std::move(part));
      --n;
    }
  return e;
}

/// Fields of every type, with few values each, so that records and filters meet.
inline schema small_schema() {
  return schema{{{"name", field_type::text, {}, true, true},
                 {"size", field_type::number, {}, true, true},
                 {"at", field_type::time, {}, true, true},
                 {"on", field_type::truth, {}, true, true},
                 {"status", field_type::word, {"online", "offline"}, true, true},
                 {"roles", field_type::texts, {}, true},
                 {"tags.*", field_type::text, {}, true},
                 {"attributes.*", field_type::any, {}, true},
                 {"note", field_type::text}}};
}

inline const std::vector<std::string>& small_texts() {
  static const auto all = std::vector<std::string>{"", "a", "A", "ab", "aB", "b", "ba", "Ba%"};
  return all;
}

/// A filter that fits small_schema().
inline expression random_question(std::mt19937& random, int depth) {
  const auto text = [&]() -> literal { return small_texts()[random() % small_texts().size()]; };
  const auto number = [&]() -> literal {
    if (random() % 2 == 0)
      return static_cast<std::int64_t>(random() % 4);
    return static_cast<double>(random() % 8) / 2;
  };
  auto e = expression{};
  if (depth > 0 && random() % 3 != 0) {
    const auto sort = random() % 3;
    e.what = sort == 0   ? expression::kind::none
             : sort == 1 ? expression::kind::all
                         : expression::kind::any;
    for (auto n = sort == 0 ? 1U : 2U + random() % 2; n > 0; --n)
      e.parts.push_back(random_question(random, depth - 1));
    return e;
  }
  const auto field = random() % 9;
  static const auto paths = std::array<path, 9>{
      path{"name"},        {"size"}, {"at"}, {"on"}, {"status"}, {"roles"}, {"tags", "k"},
      {"attributes", "k"}, {"note"}};
  e.test.field = paths[field];
  const auto value = [&]() -> literal {
    switch (field) {
      case 1:
        return number();
      case 2:
        return static_cast<std::int64_t>(random() % 4);
      case 3:
        return random() % 2 == 0;
      case 4:
        return std::string{random() % 2 == 0 ? "online" : "offline"};
      case 7:
        return random() % 3 == 0   ? number()
               : random() % 2 == 0 ? text()
                                   : literal{random() % 2 == 0};
      default:
        return text();
    }
  };
  auto allowed = std::vector<comparison>{comparison::equal, comparison::unequal, comparison::in,
                                         comparison::exists};
  if (field != 3 && field != 4 && field != 5)
    allowed.insert(allowed.end(),
                   {comparison::less, comparison::at_most, comparison::more, comparison::at_least});
  if (field == 0 || field >= 5)
    allowed.push_back(comparison::like);
  e.test.how = allowed[random() % allowed.size()];
  static const auto patterns = std::vector<std::string>{"a", "A%", "%b", "a%b", "%", "", "b\\%"};
  if (e.test.how == comparison::like)
    e.test.values.emplace_back(patterns[random() % patterns.size()]);
  else if (e.test.how != comparison::exists)
    for (auto n = e.test.how == comparison::in ? 1 + random() % 3 : 1; n > 0; --n)
      e.test.values.push_back(value());
  return e;
}

/// What a record has, by the number of the field in small_schema(); its keys are all "k".
using content = std::variant<std::monostate, bool, std::int64_t, double, timestamp, std::string,
                             std::vector<std::string>>;
struct small_record : record {
  std::array<content, 9> has;
  datum value(std::size_t field, std::string_view key) const override {
    if ((field == 6 || field == 7) != (key == "k"))
      return {};
    return std::visit(
        [](const auto& v) -> datum {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>)
            return std::string_view{v};
          else if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::vector<std::string>>)
            return std::span<const std::string>{v};
          else
            return v;
        },
        has[field]);
  }
};

inline small_record random_record(std::mt19937& random) {
  auto r = small_record{};
  const auto text = [&] { return small_texts()[random() % small_texts().size()]; };
  const auto number = [&]() -> content {
    if (random() % 2 == 0)
      return static_cast<std::int64_t>(random() % 4);
    return static_cast<double>(random() % 8) / 2;
  };
  const auto texts = [&] {
    auto all = std::vector<std::string>(random() % 3);
    for (auto& t : all)
      t = text();
    return all;
  };
  for (std::size_t field = 0; field < r.has.size(); ++field) {
    if (random() % 4 == 0)
      continue;
    // Seldom a value of another type than the field's.
    const auto sort = random() % 20 == 0 ? random() % 8 : field;
    switch (sort) {
      case 1:
        r.has[field] = number();
        break;
      case 2:
        r.has[field] = from_ms(static_cast<std::int64_t>(random() % 4));
        break;
      case 3:
        r.has[field] = random() % 2 == 0;
        break;
      case 4:
        r.has[field] = std::string{random() % 2 == 0 ? "online" : "offline"};
        break;
      case 5:
        r.has[field] = texts();
        break;
      case 7:
        r.has[field] = random() % 4 == 0   ? content{texts()}
                       : random() % 2 == 0 ? number()
                                           : content{text()};
        break;
      default:
        r.has[field] = text();
    }
  }
  return r;
}

}  // namespace orrery::model::filter
