#include <gtest/gtest.h>

#include "model/blueprint/blueprint.hpp"
#include "model/json.hpp"

namespace orrery::model::blueprint {
namespace {

value with(const std::string& members) {
  return *parse_json(R"({"format": "tm/1", "id": "m", )" + members + "}");
}
value point(const std::string& members, const std::string& type) {
  return with(R"("measurePoints": [{"id": "p")" + members + R"(, "type": )" + type + "}]");
}
/// The heaviest class of what differs, and where; "" if nothing does.
std::string between(const value& before, const value& after) {
  auto worst = std::string{};
  auto weight = -1;
  for (const auto& f : compare(before, after))
    if (static_cast<int>(f.weight) > weight) {
      constexpr const char* words[] = {"compatible ", "risky ", "breaking "};
      weight = static_cast<int>(f.weight);
      worst = words[weight] + f.what.where;
      EXPECT_FALSE(f.what.detail.empty());
    }
  return worst;
}

TEST(Compare, RangesNarrowAtARiskAndWidenFreely) {
  const auto plain = point("", R"({"t": "double", "min": 0, "max": 10})");
  for (const auto* tighter :
       {R"({"t": "double", "min": 1, "max": 10})", R"({"t": "double", "min": 0, "max": 9})",
        R"({"t": "double", "min": 0, "max": 10, "exclusiveMax": true})",
        R"({"t": "double", "min": 0, "max": 10, "step": 1})"}) {
    EXPECT_EQ(between(plain, point("", tighter)), "risky measurePoints/p") << tighter;
    EXPECT_EQ(between(point("", tighter), plain), "compatible measurePoints/p") << tighter;
  }
  EXPECT_EQ(between(plain, plain), "");
}

TEST(Compare, TextsAndListsToo) {
  const auto text = point("", R"({"t": "string", "maxLength": 10})");
  EXPECT_EQ(between(text, point("", R"({"t": "string", "maxLength": 9})")),
            "risky measurePoints/p");
  EXPECT_EQ(between(text, point("", R"({"t": "string"})")), "compatible measurePoints/p");
  EXPECT_EQ(between(text, point("", R"({"t": "string", "maxLength": 10, "pattern": "a*"})")),
            "risky measurePoints/p");
  const auto two = point("", R"({"t": "enum", "values": {"0": "a", "1": "b"}})"),
             one = point("", R"({"t": "enum", "values": {"0": "a"}})");
  EXPECT_EQ(between(two, one), "risky measurePoints/p");
  EXPECT_EQ(between(one, two), "compatible measurePoints/p");
  EXPECT_EQ(between(point("", R"({"t": "array", "items": {"t": "int"}})"),
                    point("", R"({"t": "array", "items": {"t": "string"}})")),
            "breaking measurePoints/p/items");
}

TEST(Compare, WhatASeriesIsMadeOfBreaksIt) {
  const auto plain = point("", R"({"t": "double"})");
  EXPECT_EQ(between(plain, point("", R"({"t": "int"})")), "breaking measurePoints/p");
  EXPECT_EQ(between(plain, point(R"(, "hasQuality": true)", R"({"t": "double"})")),
            "breaking measurePoints/p");
  EXPECT_EQ(between(plain, point(R"(, "signal": "PI")", R"({"t": "double"})")),
            "breaking measurePoints/p");
  EXPECT_EQ(between(plain, point(R"(, "signal": "AI")", R"({"t": "double"})")),
            "risky measurePoints/p");
  EXPECT_EQ(between(plain, point(R"(, "unit": "K")", R"({"t": "double"})")),
            "risky measurePoints/p");
  EXPECT_EQ(between(plain, with(R"("name": "x")")), "breaking measurePoints/p");
}

TEST(Compare, ServicesAndEvents) {
  const auto plain =
      with(R"("services": [{"id": "s", "input": [{"id": "n", "type": {"t": "int"}}]}])");
  EXPECT_EQ(between(plain, with(R"("services": [{"id": "s", "callType": "ASYNC",
                                   "input": [{"id": "n", "type": {"t": "int"}}]}])")),
            "breaking services/s");
  EXPECT_EQ(between(plain, with(R"("services": [{"id": "s"}])")), "breaking services/s/input/n");
  const auto more = with(R"("services": [{"id": "s", "input": [{"id": "n", "type": {"t": "int"}},
                                         {"id": "k", "required": true, "type": {"t": "int"}}]}])");
  EXPECT_EQ(between(plain, more), "risky services/s/input/k");
  const auto event = with(R"("events": [{"id": "e", "level": "info"}])");
  EXPECT_EQ(between(event, with(R"("events": [{"id": "e", "level": "error"}])")),
            "compatible events/e");
}

TEST(Compare, AttributesThatBecomeRequired) {
  const auto plain = with(R"("attributes": [{"id": "a", "type": {"t": "int"}}])"),
             needed =
                 with(R"("attributes": [{"id": "a", "required": true, "type": {"t": "int"}}])");
  EXPECT_EQ(between(plain, needed), "risky attributes/a");
  EXPECT_EQ(between(needed, plain), "compatible attributes/a");
}

TEST(Compare, TextsAreDifferencesToo) {
  EXPECT_EQ(between(point("", R"({"t": "int"})"), point(R"(, "name": "P")", R"({"t": "int"})")),
            "compatible measurePoints/p");
  EXPECT_EQ(between(with(R"("name": "a")"), with(R"("name": "b")")), "compatible name");
  EXPECT_EQ(between(with(R"("name": "a")"), with(R"("name": "a", "tags": {"k": "v"})")),
            "compatible tags");
}

TEST(Compare, WhatDoesNotCompileHasNoDifferences) {
  EXPECT_TRUE(compare(value{}, with(R"("name": "a")")).empty());
}

}  // namespace
}  // namespace orrery::model::blueprint
