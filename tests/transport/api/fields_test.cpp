#include "transport/api/fields.hpp"

#include <gmock/gmock.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

using testing::ElementsAre;
using testing::Pair;

model::value parsed(std::string_view text) {
  auto v = model::parse_json(text);
  EXPECT_TRUE(v) << text;
  return v ? *v : model::value{};
}

/// "pointer code" of each finding.
std::vector<std::string> findings(const model::status& s) {
  auto all = std::vector<std::string>{};
  if (!s)
    for (const auto& p : s.error().problems)
      all.push_back(p.where + " " + std::string{p.code});
  return all;
}

TEST(Fields, ReadsEachTypeByItsName) {
  const auto from = parsed(R"({"a":"x","b":true,"c":7,"d":"2026-01-31T12:00:00Z","e":{"k":1},
                              "f":["p","q"],"g":[1,2],"h":{"t":"v"},"i":null,"j":1700000000000})");
  auto f = fields{from};
  EXPECT_EQ(f.text("a"), "x");
  EXPECT_EQ(f.truth("b"), true);
  EXPECT_EQ(f.integer("c", 0, 10), 7);
  EXPECT_EQ(model::to_ms(f.time("d").value()), 1'769'860'800'000);
  EXPECT_EQ(model::to_ms(f.time("j").value()), 1'700'000'000'000);
  EXPECT_EQ(f.object("e")->size(), 1u);
  EXPECT_THAT(f.texts("f", 2).value(), ElementsAre("p", "q"));
  EXPECT_EQ(f.array("g", 2)->size(), 2u);
  EXPECT_THAT(f.text_map("h", false), ElementsAre(Pair("t", std::optional<std::string>{"v"})));
  EXPECT_TRUE(f.any("i")->is_null());
  EXPECT_FALSE(f.text("not there"));
  EXPECT_TRUE(f.finish());
}

TEST(Fields, NamesEveryFieldThatDoesNotFit) {
  const auto from = parsed(R"({"a":1,"b":"yes","c":11,"d":"soon","e":[],"f":{},"g":["x",1],
                              "h":{"k":null},"i":"toolong","j":1.5,"k":"w","l":9e99})");
  auto f = fields{from};
  EXPECT_FALSE(f.text("a"));
  EXPECT_FALSE(f.truth("b"));
  EXPECT_FALSE(f.integer("c", 0, 10));
  EXPECT_FALSE(f.time("d"));
  EXPECT_FALSE(f.object("e"));
  EXPECT_EQ(f.array("f", 1), nullptr);
  f.texts("g", 5);
  f.text_map("h", false);
  EXPECT_FALSE(f.text("i", 3));
  EXPECT_FALSE(f.integer("j", 0, 10));
  EXPECT_FALSE(f.word("k", {"x", "y"}));
  EXPECT_FALSE(f.time("l"));
  const auto done = f.finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, model::errc::invalid_argument);
  EXPECT_EQ(done.error().reason, "validation_failed");
  EXPECT_THAT(findings(done),
              ElementsAre("/a type_mismatch", "/b type_mismatch", "/c out_of_range",
                          "/d type_mismatch", "/e type_mismatch", "/f type_mismatch",
                          "/g/1 type_mismatch", "/h/k type_mismatch", "/i too_long",
                          "/j type_mismatch", "/k not_allowed", "/l type_mismatch"));
}

TEST(Fields, WhatNobodyAskedForIsAnError) {
  const auto from = parsed(R"({"name":"x","nmae":"y","a/b~c":1})");
  auto f = fields{from, "/items/4"};
  f.text("name");
  const auto done = f.finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "unknown_field");
  EXPECT_THAT(findings(done),
              ElementsAre("/items/4/nmae unknown_field", "/items/4/a~1b~0c unknown_field"));
}

TEST(Fields, AListHasALimitAndAMapMayTakeAway) {
  const auto from = parsed(R"({"list":["a","b","c"],"map":{"x":"1","y":null,"z/z":5}})");
  auto f = fields{from};
  EXPECT_FALSE(f.texts("list", 2));
  EXPECT_THAT(f.text_map("map", true), ElementsAre(Pair("x", std::optional<std::string>{"1"}),
                                                   Pair("y", std::optional<std::string>{})));
  EXPECT_THAT(findings(f.finish()), ElementsAre("/list too_long", "/map/z~1z type_mismatch"));
}

TEST(Fields, AnythingButAnObjectIsSaidOnce) {
  for (const auto* text : {"[]", "7", "\"x\"", "null", "true"}) {
    const auto from = parsed(text);
    auto f = fields{from};
    EXPECT_FALSE(f.text("name"));
    EXPECT_THAT(findings(f.finish()), ElementsAre(" type_mismatch")) << text;
  }
}

}  // namespace
}  // namespace orrery::transport::api
