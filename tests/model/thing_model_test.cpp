#include "model/thing_model.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model {
namespace {

thing_model compiled(std::string_view text) {
  auto document = parse_json(text);
  EXPECT_TRUE(document) << text;
  auto m = thing_model::compile(*document);
  EXPECT_TRUE(m) << (m ? "" : m.error().detail);
  return std::move(*m);
}

const thing_model& pump() {
  static const auto m = compiled(R"({
    "format": "tm/1", "id": "Pump", "name": {"default": "Pump", "i18n": {"de_DE": "Pumpe"}},
    "attributes": [
      {"id": "rated", "type": {"t": "double", "min": 0}, "required": true},
      {"id": "zone", "type": {"t": "string", "maxLength": 5}, "default": "north"},
      {"id": "fw", "type": {"t": "string"}, "access": "device"},
      {"id": "site", "type": {"t": "string"}, "access": "cloud"}],
    "measurePoints": [
      {"id": "flow", "type": {"t": "double", "min": 0, "max": 100}, "writable": true},
      {"id": "count", "type": {"t": "int"}},
      {"id": "big", "type": {"t": "long"}},
      {"id": "on", "type": {"t": "bool"}},
      {"id": "mode", "type": {"t": "enum", "values": {"0": "off", "1": "auto"}}},
      {"id": "label", "type": {"t": "string", "maxLength": 4, "pattern": "[a-z]*"}},
      {"id": "phases", "type": {"t": "array", "maxItems": 3, "items": {"t": "double"}}},
      {"id": "place", "type": {"t": "struct", "fields": [
         {"id": "x", "type": {"t": "int"}, "required": true}, {"id": "y", "type": {"t": "int"}}]}},
      {"id": "energy", "type": {"t": "double"}, "hasQuality": true}],
    "services": [{"id": "start", "input": [{"id": "speed", "type": {"t": "int", "min": 1}, "required": true},
                                           {"id": "ramp", "type": {"t": "int"}, "default": 5}],
                  "output": [{"id": "ok", "type": {"t": "bool"}}]}],
    "events": [{"id": "leak", "level": "error", "output": [{"id": "rate", "type": {"t": "double"}}]}]})");
  return m;
}

std::vector<posted_point> posted(std::string_view text) {
  auto all = std::vector<posted_point>{};
  const auto parsed = *parse_json(text);
  for (const auto& [id, v] : parsed.as_object())
    all.push_back({id, v});
  return all;
}

std::string codes(std::string_view text, validation mode = validation::strict) {
  const auto checked = pump().check_points(posted(text), mode);
  auto out = std::string{};
  for (const auto& p : checked ? checked->dropped : checked.error().problems)
    out += p.where + ":" + std::string{p.code} + " ";
  return out;
}

TEST(ThingModel, CompilesEveryKindOfElement) {
  const auto& m = pump();
  EXPECT_EQ(m.id(), "Pump");
  EXPECT_EQ(m.name(), "Pump");
  EXPECT_EQ(m.points().size(), 9u);
  ASSERT_NE(m.find_service("start"), nullptr);
  ASSERT_NE(m.find_event("leak"), nullptr);
  EXPECT_EQ(m.find_event("leak")->level, event_spec::severity::error);
  EXPECT_EQ(m.find_point("nothing"), nullptr);
}

TEST(ThingModel, TellsAllFaultsOfADocument) {
  const auto m = thing_model::compile(*parse_json(R"({
    "format": "tm/2", "id": "a b", "name": "x", "colour": 1,
    "measurePoints": [{"id": "p", "type": {"t": "decimal"}}, {"id": "p", "type": {"t": "int", "min": 5, "max": 1}},
                      {"id": "", "type": {"t": "array", "items": {"t": "array", "items": {"t": "int"}}}}]})"));
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().reason, "model_invalid");
  EXPECT_GE(m.error().problems.size(), 7u);
  auto where = std::vector<std::string>{};
  for (const auto& p : m.error().problems)
    where.push_back(p.where);
  for (const auto* expected : {"/format", "/id", "/colour", "/measurePoints/0/type/t",
                               "/measurePoints/1/id", "/measurePoints/1/type/min"})
    EXPECT_NE(std::find(where.begin(), where.end(), expected), where.end()) << expected;
}

TEST(CheckPoints, AQualityIsADigitHoweverItIsWritten) {
  const auto check = [](const std::string& quality) {
    return pump().check_points(posted(R"({"energy": {"value": 5.5, "quality": )" + quality + "}}"),
                               validation::strict);
  };
  for (const auto* good : {"0", "7", "9.0", R"("7")"}) {
    const auto checked = check(good);
    ASSERT_TRUE(checked) << good;
    EXPECT_EQ(checked->taken.at(0).quality, good[0] == '"' ? 7 : good[0] - '0');
  }
  for (const auto* bad : {"10", "-1", "1.5", R"("10")", R"("")", R"("x")", "true", "[1]"})
    EXPECT_FALSE(check(bad)) << bad;
}

TEST(CheckPoints, TakesWhatFits) {
  const auto checked = pump().check_points(
      posted(
          R"({"flow": 3, "count": 7, "big": 9007199254740993, "on": true, "mode": 1, "label": "abc", "phases": [1,2.5], "place": {"x": 1},
                 "energy": {"value": 5.5, "quality": 3}})"),
      validation::strict);
  ASSERT_TRUE(checked) << checked.error().detail;
  ASSERT_EQ(checked->taken.size(), 9u);
  for (const auto& p : checked->taken) {
    if (p.id == "flow") {
      EXPECT_TRUE(p.v.is_double());
    }
    if (p.id == "big") {
      EXPECT_EQ(p.v.as_int(), 9007199254740993);
    }
    if (p.id == "energy") {
      EXPECT_EQ(p.quality, 3);
      EXPECT_EQ(p.v.as_double(), 5.5);
    }
  }
}

TEST(CheckPoints, NamesEachBadPointAndWhatWasExpected) {
  EXPECT_EQ(codes(R"({"flow": 101})"), "flow:above_max ");
  EXPECT_EQ(codes(R"({"flow": -1})"), "flow:below_min ");
  EXPECT_EQ(codes(R"({"flow": "abc"})"), "flow:type_mismatch ");
  EXPECT_EQ(codes(R"({"nothing": 1})"), "nothing:element_unknown ");
  EXPECT_EQ(codes(R"({"mode": 7})"), "mode:enum_unknown ");
  EXPECT_EQ(codes(R"({"label": "abcde"})"), "label:too_long ");
  EXPECT_EQ(codes(R"({"label": "AB"})"), "label:pattern ");
  EXPECT_EQ(codes(R"({"count": 3000000000})"), "count:type_mismatch ");
  EXPECT_EQ(codes(R"({"phases": [1,2,3,4]})"), "phases:array_size ");
  EXPECT_NE(codes(R"({"place": {"y": 1}})"), "");
  EXPECT_NE(codes(R"({"place": {"x": 1, "z": 2}})"), "");
  EXPECT_NE(codes(R"({"on": "perhaps"})"), "");
}

TEST(CheckPoints, StrictRefusesAllLenientDropsTheBad) {
  const auto strict =
      pump().check_points(posted(R"({"flow": 1, "count": "x"})"), validation::strict);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().reason, "model_validate_failed");
  const auto lenient =
      pump().check_points(posted(R"({"flow": 1, "count": "x"})"), validation::lenient);
  ASSERT_TRUE(lenient);
  EXPECT_EQ(lenient->taken.size(), 1u);
  EXPECT_EQ(lenient->dropped.size(), 1u);
}

TEST(Attributes, ASideWritesWhatItMay) {
  using side = thing_model::side;
  EXPECT_TRUE(pump().check_attributes({{"zone", "south"}}, side::device));
  EXPECT_TRUE(pump().check_attributes({{"fw", "1.2"}}, side::device));
  EXPECT_FALSE(pump().check_attributes({{"fw", "1.2"}}, side::cloud));
  EXPECT_TRUE(pump().check_attributes({{"site", "x"}}, side::cloud));
  EXPECT_FALSE(pump().check_attributes({{"site", "x"}}, side::device));
  EXPECT_FALSE(pump().check_attributes({{"zone", "too long"}}, side::cloud));
  EXPECT_FALSE(pump().check_attributes({{"nothing", 1}}, side::cloud));
}

TEST(Attributes, RegistrationWantsTheRequiredAndFillsDefaults) {
  EXPECT_FALSE(pump().complete_attributes({}));
  const auto made = pump().complete_attributes({{"rated", 5}});
  ASSERT_TRUE(made);
  EXPECT_EQ(value{*made}.find("zone")->as_string(), "north");
}

TEST(Services, InputIsStrictAndGetsItsDefaults) {
  const auto input = pump().check_input("start", {{"speed", 3}});
  ASSERT_TRUE(input);
  EXPECT_EQ(value{*input}.find("ramp")->as_int(), 5);
  EXPECT_FALSE(pump().check_input("start", {}));
  EXPECT_FALSE(pump().check_input("start", {{"speed", 0}}));
  EXPECT_FALSE(pump().check_input("start", {{"speed", 1}, {"other", 1}}));
  EXPECT_EQ(pump().check_input("stop", {}).error().reason, "element_unknown");
  EXPECT_TRUE(pump().check_output("start", {{"ok", true}}).empty());
  EXPECT_FALSE(pump().check_output("start", {{"ok", "maybe"}}).empty());
}

TEST(Writes, OnlyToWritablePoints) {
  EXPECT_TRUE(pump().check_writes({{"flow", 5.0}}));
  EXPECT_EQ(pump().check_writes({{"count", 5}}).error().reason, "not_writable");
  EXPECT_FALSE(pump().check_writes({{"flow", 500.0}}));
}

TEST(Events, OutputIsChecked) {
  EXPECT_TRUE(pump().check_event("leak", {{"rate", 1.0}}, validation::strict));
  EXPECT_FALSE(pump().check_event("leak", {{"rate", "x"}}, validation::strict));
  EXPECT_EQ(pump().check_event("fire", {}, validation::strict).error().problems.front().code,
            "element_unknown");
}

TEST(Time, IsBroughtToMilliseconds) {
  EXPECT_EQ(normalise_time(value{std::int64_t{1'700'000'000'123}}), from_ms(1'700'000'000'123));
  EXPECT_EQ(normalise_time(value{std::int64_t{1'700'000'000'123'456}}), from_ms(1'700'000'000'123));
  EXPECT_EQ(normalise_time(value{1'700'000'000.5}), from_ms(1'700'000'000'500));
  EXPECT_EQ(normalise_time(value{"1700000000123"}), from_ms(1'700'000'000'123));
  EXPECT_FALSE(normalise_time(value{"soon"}));
  EXPECT_FALSE(normalise_time(value{}));
  EXPECT_FALSE(normalise_time(value{1e300}));
}

}  // namespace
}  // namespace orrery::model
