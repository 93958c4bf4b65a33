#include "model/json.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

std::string again(std::string_view text) {
  const auto v = parse_json(text);
  return v ? to_json(*v) : "failed: " + v.error().detail;
}

TEST(Json, RoundTripsWhatItReads) {
  for (const auto* text :
       {"null", "true", "[]", "{}", R"({"a":[1,-2,3.5,"x",null,{"b":false}]})", R"("\u0001\"\\\n")",
        "9223372036854775807", "-9223372036854775808", "0.1", "1e300", "5e-324", R"("ö€😀")"})
    EXPECT_EQ(again(text), again(again(text))) << text;
  EXPECT_EQ(again("  [ 1 , 2 ]\n"), "[1,2]");
  EXPECT_EQ(again("1.0"), "1.0");
  EXPECT_EQ(again("0.1"), "0.1");
}

TEST(Json, KeepsIntegersApartFromDoubles) {
  EXPECT_TRUE(parse_json("1")->is_int());
  EXPECT_TRUE(parse_json("1.0")->is_double());
  EXPECT_TRUE(parse_json("9223372036854775808")->is_double());
  EXPECT_FALSE(parse_json("18446744073709551616"));
}

TEST(Json, TheLastOfEqualNamesCounts) {
  const auto v = parse_json(R"({"a":1,"a":2})");
  ASSERT_TRUE(v);
  EXPECT_EQ(v->find("a")->as_int(), 2);
}

TEST(Json, RefusesWhatIsNone) {
  for (const std::string text :
       {"", " ", "{", "[1,]", "{'a':1}", "nul", "NaN", "1 2", "[1]x", "\"\xff\"", "\"\xc3\"", "\"a",
        "01", "+1", "\"\x01\"", "{\"a\"}", "[1 2]"}) {
    const auto v = parse_json(text);
    ASSERT_FALSE(v) << text;
    EXPECT_EQ(v.error().code, errc::invalid_argument) << text;
  }
}

TEST(Json, HoldsItsLimits) {
  EXPECT_TRUE(parse_json("[[[1]]]", {.max_depth = 3}));
  EXPECT_EQ(parse_json("[[[[1]]]]", {.max_depth = 3}).error().code, errc::too_large);
  EXPECT_EQ(parse_json(std::string(100'000, '[')).has_value(), false);
  EXPECT_EQ(parse_json("[1,2,3]", {.max_nodes = 3}).error().code, errc::too_large);
  EXPECT_EQ(parse_json("\"aaaaaaaaaa\"", {.max_bytes = 5}).error().code, errc::too_large);
}

TEST(Json, WritesNoNumberThatIsNone) {
  EXPECT_EQ(to_json(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(to_json(std::nan("")), "null");
}

TEST(Json, EveryTruncationIsRefusedOrEqual) {
  const auto whole = std::string{
      R"({"id":"1","params":{"measurepoints":{"a":1.5,"b":[true,"é"]},"time":1700000000000}})"};
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(parse_json(std::string_view{whole}.substr(0, n))) << n;
}

}  // namespace
}  // namespace orrery::model
