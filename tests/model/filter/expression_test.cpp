#include "model/filter/expression.hpp"

#include <random>

#include <gtest/gtest.h>

#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

using kind = expression::kind;

std::string canonical(std::string_view text) {
  const auto e = parse(text);
  return e ? print(*e) : e.error().detail;
}
std::string why(std::string_view text, const expression_limits& limits = {}) {
  const auto e = parse(text, limits);
  if (e)
    return "it is one: " + print(*e);
  EXPECT_EQ(e.error().code, errc::invalid_argument);
  EXPECT_EQ(e.error().reason, "bad_filter");
  return e.error().detail;
}

TEST(Expression, ReadsWhatEnosDocuments) {
  // How its documentation and samples write them, and what they are here.
  for (const auto& [text, as] : {
           std::pair{"modelId = 'planet'", R"(modelId = "planet")"},
           {"modelId='planet'", R"(modelId = "planet")"},
           {"modelId in ('planet', 'orbit')", R"(modelId in ("planet", "orbit"))"},
           {R"(modelId in ("planet"))", R"(modelId in ("planet"))"},
           {R"(deviceAttributes.brand in("x"))", R"(deviceAttributes.brand in ("x"))"},
           {"state != 3", "state != 3"},
           {"name like 'inverter'", R"(name like "inverter")"},
           {"deviceName.zh_CN like '备'", R"(deviceName.zh_CN like "备")"},
           {"exists(tags.k1)", "exists(tags.k1)"},
           {"not exists(tags.k2)", "not exists(tags.k2)"},
           {"not exists (deviceAttributes.x)", "not exists(deviceAttributes.x)"},
           {"deviceAttributes.temperature=35.5", "deviceAttributes.temperature = 35.5"},
           {"deviceAttributes.Date_Attribute='2022-01-01'",
            R"(deviceAttributes.Date_Attribute = "2022-01-01")"},
           {R"(deviceTags.tag2= "value2")", R"(deviceTags.tag2 = "value2")"},
           {"deviceTags.my-key/2 != 'x'", R"(deviceTags.my-key/2 != "x")"},
           {R"((deviceTags.a= "1" and deviceTags.b= "2") or (deviceTags.a= "3"))",
            R"(deviceTags.a = "1" and deviceTags.b = "2" or deviceTags.a = "3")"},
           {"createTime > 1571724098000 and createTime < 1571724099000",
            "createTime > 1571724098000 and createTime < 1571724099000"},
       }) {
    EXPECT_EQ(canonical(text), as);
    EXPECT_EQ(canonical(as), as);
  }
}

TEST(Expression, ReadsWordsInEitherCaseAndBlanksOfAnySort) {
  EXPECT_EQ(canonical("  A = TRUE\n AND\tb NOT In ( 1,2 )  or Not(c>=-1.5e3)  "),
            "A = true and b not in (1, 2) or not c >= -1500.0");
  EXPECT_EQ(canonical("a exists and b not exists and exists c"),
            "exists(a) and not exists(b) and exists(c)");
  EXPECT_EQ(canonical("a not like '%x'"), R"(a not like "%x")");
  EXPECT_EQ(canonical("a=false"), "a = false");
}

TEST(Expression, QuotesNames) {
  EXPECT_EQ(canonical(R"(tags."my key".'it''s' = '"')"), R"(tags."my key"."it's" = """")");
  EXPECT_EQ(canonical(R"("in" = 1 and tags.in = 2 and "7" = 3)"),
            R"("in" = 1 and tags.in = 2 and "7" = 3)");
  EXPECT_EQ(print(path{"a b", "c"}), R"("a b".c)");
}

TEST(Expression, BindsNotCloserThanAndCloserThanOr) {
  const auto e = parse("not a = 1 and b = 2 or c = 3");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->what, kind::any);
  EXPECT_EQ(e->parts[0].what, kind::all);
  EXPECT_EQ(e->parts[0].parts[0].what, kind::none);
  EXPECT_EQ(canonical("(a = 1 or (b = 2 or c = 3)) and (d = 4 and e = 5)"),
            "(a = 1 or b = 2 or c = 3) and d = 4 and e = 5");
  EXPECT_EQ(canonical("not not (a = 1 and b = 2)"), "not not (a = 1 and b = 2)");
}

TEST(Expression, KeepsNumbersAsTheyAre) {
  EXPECT_EQ(canonical("a in (1, 1.0, -0, 9223372036854775807, 9223372036854775808, 1e300, +5, .5)"),
            "a in (1, 1.0, 0, 9223372036854775807, 9223372036854775808.0, 1e+300, 5, 0.5)");
}

TEST(Expression, SaysWhereAndWhatIsWrong) {
  for (const auto& [text, detail] : {
           std::pair{"", "column 1: found the end, expected the name of a field"},
           {"a", "column 2: found the end, expected =, !=, <, <=, >, >=, in, like or exists"},
           {"a ~ 1", "column 3: found `~`, expected =, !=, <, <=, >, >=, in, like or exists"},
           {"a == 1",
            "column 4: found `=`, expected a value: a text in quotes, a number, true or false"},
           {"status = online",
            "column 10: found `online`, expected a value: a text in quotes, a number, true or "
            "false"},
           {"name like 5", "column 11: found `5`, expected a text in quotes"},
           {"ä = 1", "column 1: found `ä`, expected the name of a field"},
           {"a = 'ä' x", "column 9: found `x`, expected and, or or the end"},
           {"name like ‘x’", "column 11: found `‘`, expected a text in quotes"},
           {"a = 'x", "column 5: found a text that does not end, expected a closing '"},
           {"a = 'x\ny'",
            "column 7: found a control character, expected a text without control characters"},
           {"a in 5", "column 6: found `5`, expected ( and values with commas between them"},
           {"a in ()",
            "column 7: found `)`, expected a value: a text in quotes, a number, true or false"},
           {"a in (1 2)", "column 9: found `2`, expected , or )"},
           {"(a = 1", "column 7: found the end, expected and, or or )"},
           {"a = 1)", "column 6: found `)`, expected and, or or the end"},
           {"a. = 1", "column 3: found ` `, expected a name behind the dot"},
           {R"(a."" = 1)", "column 3: found an empty name, expected a name"},
           {"and = 1", "column 1: found `and`, expected the name of a field"},
           {"7 = 1", "column 1: found `7`, expected the name of a field"},
           {"a not = 1", "column 7: found `=`, expected in, like or exists"},
           {"a = 1x", "column 5: found `1x`, expected a number"},
           {"a = 1e999", "column 5: found `1e999`, expected a number"},
           {"a = inf",
            "column 5: found `inf`, expected a value: a text in quotes, a number, true or false"},
           {"a = -inf", "column 5: found `-inf`, expected a number"},
           {"a = null",
            "column 5: found `null`, expected a value: a text in quotes, a number, true or false"},
           {"exists(a", "column 9: found the end, expected )"},
           {"a = abcdefghijklmnopqrstuvwxyz",
            "column 5: found `abcdefghijklmnopqrst...`, expected a value: a text in quotes, a "
            "number, true or false"},
           {"\xff = 1", "found bytes that are no UTF-8"},
       })
    EXPECT_EQ(why(text), detail) << text;
}

TEST(Expression, HasLimits) {
  const auto limits = expression_limits{
      .max_bytes = 40, .max_depth = 2, .max_conditions = 3, .max_values = 2, .max_names = 2};
  EXPECT_TRUE(parse("((a = 1)) and not not b in (1, 2)", limits));
  EXPECT_EQ(why("(((a = 1)))", limits),
            "column 3: found more of them inside each other, expected a depth of at most 2");
  EXPECT_EQ(why("not not not a = 1", limits),
            "column 9: found more of them inside each other, expected a depth of at most 2");
  EXPECT_EQ(why("a=1 or a=1 or a=1 or a=1", limits),
            "column 22: found more conditions, expected at most 3");
  EXPECT_EQ(why("a in (1, 2, 3)", limits), "column 13: found more values, expected at most 2");
  EXPECT_EQ(why("a.b.c = 1", limits),
            "column 5: found a longer path, expected at most 2 names of a field");
  EXPECT_EQ(why(std::string(41, ' '), limits), "found 41 bytes, expected at most 40");
  EXPECT_TRUE(parse(std::string(16, '(') + "a=1" + std::string(16, ')')));
  EXPECT_FALSE(parse(std::string(100'000, '(')));
  EXPECT_FALSE(parse(std::string(60'000, '(')));
}

TEST(Expression, PrintsWhatItReadsAsTheSame) {
  auto random = std::mt19937{1};
  for (auto i = 0; i < 20'000; ++i) {
    const auto e = random_expression(random, 4);
    const auto text = print(e);
    const auto again = parse(text);
    ASSERT_TRUE(again) << text << ": " << again.error().detail;
    EXPECT_EQ(*again, e) << text;
    EXPECT_EQ(print(*again), text);
  }
}

TEST(Expression, OutlivesAnyText) {
  auto random = std::mt19937{2};
  const auto pieces = std::vector<std::string>{
      "a",    "tags.",  "\"", "'", "(", ")",   "=",    "!=", "<=",   " ", "and",  "or", "not", "in",
      "like", "exists", ",",  "1", "-", ".5e", "true", "\n", "\x01", "ä", "\xff", "\\", "%",   "."};
  for (auto i = 0; i < 50'000; ++i) {
    auto text = std::string{};
    for (auto n = random() % 20; n > 0; --n)
      text += pieces[random() % pieces.size()] + (random() % 2 == 0 ? " " : "");
    if (const auto e = parse(text)) {
      EXPECT_EQ(canonical(print(*e)), print(*e)) << text;
    }
  }
}

TEST(PathList, IsReadWithItsSigns) {
  const auto sorted = parse_paths("-createdAt,tags.\"a,b\"", 2, true, "bad_sort");
  ASSERT_TRUE(sorted);
  EXPECT_EQ(*sorted, (std::vector<listed_path>{{{"createdAt"}, true}, {{"tags", "a,b"}, false}}));
  for (const auto& [text, detail] :
       {std::pair{"", "column 1: found the end, expected the name of a field"},
        {"a,", "column 3: found the end, expected the name of a field"},
        {"a b", "column 2: found ` `, expected a comma or the end"},
        {"a,b,c", "column 5: found more names, expected at most 2"},
        {"--a", "column 2: found `-a`, expected the name of a field"}}) {
    const auto list = parse_paths(text, 2, true, "bad_sort");
    ASSERT_FALSE(list) << text;
    EXPECT_EQ(list.error().reason, "bad_sort");
    EXPECT_EQ(list.error().detail, detail);
  }
  EXPECT_FALSE(parse_paths("-a", 2, false, "bad_fields"));
  EXPECT_FALSE(parse_paths(std::string(5000, 'a'), 2, false, "bad_fields"));
}

}  // namespace
}  // namespace orrery::model::filter
