#include "model/filter/pattern.hpp"

#include <random>

#include <gtest/gtest.h>

#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

TEST(Pattern, IsFoundAnywhereUnlessItHasAPercent) {
  struct row {
    const char *pattern, *text;
    bool matches;
  };
  for (const auto& r : {row{"inverter", "PV Inverter", true},
                        {"inverter", "Inverter 2A", true},
                        {"inverter", "invert", false},
                        {"", "x", true},
                        {"", "", true},
                        {"%", "", true},
                        {"%%", "x", true},
                        {"pump%", "Pump 1", true},
                        {"pump%", "a pump", false},
                        {"%pump", "a PUMP", true},
                        {"%pump", "pump 1", false},
                        {"%pump%", "a pump 1", true},
                        {"a%c%e", "abcde", true},
                        {"a%c%e", "abcd", false},
                        {"a%a", "a", false},
                        {"a%a", "aa", true},
                        {"%ab", "aab", true},
                        {"ab%b", "ab", false},
                        {"a_c", "a_c", true},
                        {"a_c", "abc", false},
                        {"100\\%", "at 100%", true},
                        {"100\\%", "at 100", false},
                        {"a\\\\b", "a\\b", true},
                        {"a\\b", "a\\b", true},
                        {"a\\", "a\\", true},
                        {"НАС%", "насос", true},
                        {"%Ä", "bä", true},
                        {"备", "设备一", true}})
    EXPECT_EQ(pattern{r.pattern}.matches(r.text), r.matches) << r.pattern << " on " << r.text;
}

TEST(Pattern, SaysHowTheTextBegins) {
  EXPECT_EQ(pattern{"Pump%"}.prefix(), "pump");
  EXPECT_EQ(pattern{"Pump%7"}.prefix(), "pump");
  EXPECT_EQ(pattern{"\\%%"}.prefix(), "%");
  EXPECT_EQ(pattern{"%x"}.prefix(), std::nullopt);
  EXPECT_EQ(pattern{"x"}.prefix(), std::nullopt);
  EXPECT_EQ(pattern{""}.prefix(), std::nullopt);
}

/// The same by trying every way, on single letters.
bool plainly(std::string_view pattern, std::string_view text) {
  if (pattern.empty())
    return text.empty();
  if (pattern[0] == '%')
    return plainly(pattern.substr(1), text) || (!text.empty() && plainly(pattern, text.substr(1)));
  return !text.empty() && pattern[0] == text[0] && plainly(pattern.substr(1), text.substr(1));
}

TEST(Pattern, AgreesWithAPlainMatcher) {
  auto random = std::mt19937{7};
  const auto text_of = [&](std::string_view letters, std::size_t most) {
    auto t = std::string(random() % (most + 1), ' ');
    for (auto& c : t)
      c = letters[random() % letters.size()];
    return t;
  };
  for (auto i = 0; i < 50'000; ++i) {
    const auto p = text_of("ab%", 6), t = text_of("ab", 8);
    const auto whole = p.find('%') == std::string::npos ? "%" + p + "%" : p;
    const auto is = pattern{p};
    EXPECT_EQ(is.matches(t), plainly(whole, t)) << p << " on " << t;
    if (const auto prefix = is.prefix(); prefix && is.matches(t)) {
      EXPECT_TRUE(folded(t).starts_with(*prefix)) << p << " on " << t;
    }
  }
}

}  // namespace
}  // namespace orrery::model::filter
