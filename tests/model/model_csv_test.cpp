#include "model/model_csv.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "model/thing_model.hpp"

namespace orrery::model {
namespace {

const auto sheet = std::string{
    "\xef\xbb\xbfkind,id,name,name.de,type,signal,unit,min,max,enum,required,default,hasQuality\r\n"
    "attribute,maker,\"Maker, of it\",,string,,,,,,true,\"\"\"x\"\"\",\r\n"
    "\n"
    "measurePoint,p,Power,Leistung,double,AI,kW,-1,2.5,,,,true\n"
    "measurePoint,mode,,,enum,DI,,,,0=off|1=on,,,\n"
    "measurePoint,list,,,int[],,,,,,,,\n"
    "event,hot,,,,,,,,,,,"};
const auto document = *parse_json(R"({"format": "tm/1", "id": "m",
  "attributes": [{"id": "maker", "name": "Maker, of it", "type": {"t": "string"}, "required": true, "default": "x"}],
  "measurePoints": [
    {"id": "p", "name": {"default": "Power", "i18n": {"de": "Leistung"}}, "type": {"t": "double", "min": -1, "max": 2.5},
     "signal": "AI", "unit": "kW", "hasQuality": true},
    {"id": "mode", "type": {"t": "enum", "values": {"0": "off", "1": "on"}}, "signal": "DI"},
    {"id": "list", "type": {"t": "array", "items": {"t": "int"}}}],
  "services": [], "events": [{"id": "hot"}]})");

TEST(ModelCsv, ARowIsAnElement) {
  const auto got = from_csv(sheet, "m");
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_TRUE(says_the_same(*got, document)) << to_json(*got);
  EXPECT_TRUE(thing_model::compile(*got));
}

TEST(ModelCsv, ComesBack) {
  const auto text = to_csv(document);
  ASSERT_TRUE(text) << text.error().detail;
  const auto again = from_csv(*text, "m");
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_TRUE(says_the_same(*again, document)) << *text << to_json(*again);
  EXPECT_EQ(*to_csv(*again), *text);
}

TEST(ModelCsv, BadRowsSayWhere) {
  const auto fault = [](const std::string& text) {
    const auto got = from_csv(text, "m");
    return got ? std::string{} : got.error().problems.at(0).where;
  };
  EXPECT_EQ(fault(""), "/1");
  EXPECT_EQ(fault("kind,id,colour\n"), "/1/colour");
  EXPECT_EQ(fault("kind,id,id\n"), "/1/id");
  EXPECT_EQ(fault("kind,id\nthing,a"), "/2/kind");
  EXPECT_EQ(fault("kind,id\nevent,a\n,b"), "/3/kind");
  EXPECT_EQ(fault("kind,id,min\nattribute,a,x"), "/2/min");
  EXPECT_EQ(fault("kind,id,required\nattribute,a,yes"), "/2/required");
  EXPECT_EQ(fault("kind,id\nevent,a,b"), "/2/");
  EXPECT_EQ(fault("kind,id\nevent,\"a"), "/2");
  EXPECT_EQ(fault(std::string(70, ',')), "/1");
  auto many = std::string{"kind,id\n"};
  for (int i = 0; i < 6001; ++i)
    many += "event,a\n";
  EXPECT_FALSE(fault(many).empty());
  EXPECT_EQ(fault("kind,id\n"), "");
}

TEST(ModelCsv, WhatARowCannotSayIsNamed) {
  const auto refused = to_csv(*parse_json(R"({"measurePoints": [
      {"id": "s", "type": {"t": "struct", "fields": [{"id": "x", "type": {"t": "int"}}]}}, {"id": "ok", "type": {"t": "int"}},
      {"id": "bar", "type": {"t": "enum", "values": {"0": "a|b"}}}],
    "services": [{"id": "go", "input": [{"id": "n", "type": {"t": "int"}}]}]})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "csv_unsupported");
  auto places = std::vector<std::string>{};
  for (const auto& p : refused.error().problems)
    places.push_back(p.where);
  EXPECT_EQ(places,
            (std::vector<std::string>{"measurePoints/s", "measurePoints/bar", "services/go"}));
}

}  // namespace
}  // namespace orrery::model
