#include "model/filter/requirements.hpp"

#include <gtest/gtest.h>

#include "model/filter/folded.hpp"
#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

std::string shown(const operand& v) {
  if (const auto* t = std::get_if<timestamp>(&v))
    return std::to_string(to_ms(*t)) + "ms";
  auto text = std::string{};
  std::visit(
      [&](const auto& x) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(x)>, timestamp>)
          text = print(expression{{}, {{"x"}, comparison::equal, {literal{x}}}, {}}).substr(4);
      },
      v);
  return text;
}
std::string shown(const span& s) {
  auto text = small_schema()[s.where.number].name;
  if (s.what == span::kind::prefix)
    return text + " " + s.prefix + "*";
  if (s.what == span::kind::range)
    return text + (s.low ? (s.low->included ? " [" : " (") + shown(s.low->value) : " (") + ".." +
           (s.high ? shown(s.high->value) + (s.high->included ? "]" : ")") : ")");
  for (const auto& v : s.values)
    text += ' ' + shown(v);
  return text;
}
/// One line for each requirement: spans with | between them.
std::string required(std::string_view text) {
  const auto fields = small_schema();
  const auto e = parse(text);
  EXPECT_TRUE(e) << text << ": " << e.error().detail;
  auto out = std::string{};
  for (const auto& r : requirements(*check(*e, fields), fields)) {
    out += out.empty() ? "" : "; ";
    for (std::size_t i = 0; i < r.any_of.size(); ++i)
      out += (i > 0 ? " | " : "") + shown(r.any_of[i]);
  }
  return out;
}

TEST(Requirements, AreWhatIndexesKnow) {
  for (const auto& [text, expected] :
       {std::pair{"name = 'a'", R"(name "a")"},
        {"name = 'a' and size in (2, 1) and note = 'x'", R"(name "a"; size 1 2)"},
        {"name like 'Pump%7' and name like 'x'", "name pump*"},
        {"size > 1 and size <= 5 and size >= 1", "size (1..5]"},
        {"size >= 1 and name = 'b' and size >= 2 and size < 9 and size <= 9",
         R"(size [2..9); name "b")"},
        {"at > 5", "at (5ms..)"},
        {"exists(tags.k)", "tags.* (..)"},
        {"exists(tags.k) and tags.k < 'x'", R"(tags.* (.."x"))"},
        {"exists(tags.k) and exists(tags.j)", "tags.* (..); tags.* (..)"},
        {"attributes.k > 1 and attributes.k < 3", "attributes.* (1..); attributes.* (..3)"},
        {"roles = 'a' and roles = 'b'", R"(roles "a"; roles "b")"},
        {"not name != 'a'", R"(name "a")"},
        {"not (name != 'a' or size > 1)", R"(name "a")"},
        {"name = 'a' or name in ('c', 'b', 'a')", R"(name "a" "b" "c")"},
        {"name = 'a' or size = 1", R"(name "a" | size 1)"},
        {"(name = 'a' and size > 1) or (at > 5 and status = 'online')",
         R"(name "a" | status "online")"},
        {"(name = 'a' or size = 1) and on = true", R"(name "a" | size 1; on true)"},
        {"name = 'a' or note = 'x'", ""},
        {"name != 'a'", ""},
        {"not (size < 5)", ""},
        {"not exists(name)", ""},
        {"name like 'a' or name like '%a'", ""}})
    EXPECT_EQ(required(text), expected) << text;
}

TEST(Requirements, HaveLimits) {
  const auto either = [](std::size_t n, const std::string& value) {
    auto text = std::string{};
    for (std::size_t i = 0; i < n; ++i)
      text += (i > 0 ? " or tags.k" : "tags.k") + std::to_string(i) + value;
    return text;
  };
  EXPECT_NE(required(either(max_spans, " = 'x'")), "");
  EXPECT_EQ(required(either(max_spans + 1, " = 'x'")), "");
  auto in = std::string{" in ('0'"};
  for (auto i = 1; i < 600; ++i)
    in += ", '" + std::to_string(i) + "'";
  EXPECT_NE(required(either(1, in + ")")), "");
  EXPECT_EQ(required(either(2, in + ")")), "");
}

/// Whether a value is in the span, by what the header says of it.
bool covers(const span& s, const datum& d) {
  if (std::holds_alternative<std::monostate>(d))
    return false;
  if (const auto* several = std::get_if<std::span<const std::string>>(&d))
    return std::any_of(several->begin(), several->end(),
                       [&](const auto& t) { return covers(s, std::string_view{t}); });
  const auto like = [](const datum& a, const datum& b) {  // of one type
    const auto number = [](const datum& x) { return x.index() == 2 || x.index() == 3; };
    return a.index() == b.index() || (number(a) && number(b));
  };
  switch (s.what) {
    case span::kind::values:
      return std::any_of(s.values.begin(), s.values.end(),
                         [&](const auto& v) { return order(datum_of(v), d) == 0; });
    case span::kind::prefix:
      return std::holds_alternative<std::string_view>(d) &&
             folded(std::get<std::string_view>(d)).starts_with(s.prefix);
    case span::kind::range:
      break;
  }
  const auto within = [&](const std::optional<bound>& b, int sign) {
    if (!b)
      return true;
    const auto by = order(d, datum_of(b->value));
    return like(d, datum_of(b->value)) && (by == 0 ? b->included : (by > 0) == (sign > 0));
  };
  return within(s.low, 1) && within(s.high, -1);
}

TEST(Requirements, NeverExcludeWhatTheFilterAccepts) {
  auto random = std::mt19937{5};
  const auto fields = small_schema();
  auto needed = 0, spared = 0;
  for (auto i = 0; i < 10'000; ++i) {
    const auto e = random_question(random, 4);
    const auto filter = *check(e, fields);
    const auto all = requirements(filter, fields);
    for (auto k = 0; k < 10; ++k) {
      const auto r = random_record(random);
      const auto accepted = accepts(filter, r);
      for (const auto& one : all) {
        EXPECT_LE(one.any_of.size(), max_spans);
        const auto in = std::any_of(one.any_of.begin(), one.any_of.end(), [&](const span& s) {
          return covers(s, r.value(s.where.number, s.where.key));
        });
        EXPECT_TRUE(in || !accepted) << print(e);
        (in ? needed : spared) += 1;
      }
    }
  }
  EXPECT_GT(needed, 1000);
  EXPECT_GT(spared, 1000);
}

}  // namespace
}  // namespace orrery::model::filter
