#include "model/enos_dialect.hpp"

#include <random>

#include <gtest/gtest.h>

#include "model/json.hpp"
#include "model/merge_patch.hpp"
#include "model/thing_model.hpp"

namespace orrery::model {
namespace {

const auto exported = *parse_json(R"({
  "thingModelId": "inv", "ou": "o1", "thingModelName": {"defaultValue": "Inverter", "i18nValue": {"de_DE": "Wechselrichter"}},
  "thingModelDesc": {"defaultValue": "", "i18nValue": {}}, "thingModelCatagory": "PV",
  "tag": {"tagMap": {"domain": "solar"}},
  "allowAdditionalAttribute": false, "allowAdditionalMeasurepoint": false,
  "inheritedAttributeIds": [], "inheritedMeasurepointIds": [], "inheritedServiceIds": [], "inheritedEventIds": [],
  "extraInfo": {"createBy": "x", "createTime": 1, "ns": 1},
  "thingAttributeMap": {"cap": {"$class": "a.b.FloatAttribute", "identifier": "cap", "name": {"defaultValue": "Capacity"},
      "minimum": -3.4028235E38, "maximum": 3.4028235E38, "unit": {"unitId": "W", "multiplier": "KILO"}, "required": true,
      "accessMode": false, "createTime": "1600000000000", "priority": 3}},
  "thingMeasurepointMap": {
    "power": {"$class": "a.b.ThingDoubleMeasurepoint", "identifier": "power", "name": {"defaultValue": "Power"},
      "minimum": 0, "maximum": 100, "exclusiveMinimum": false, "signalType": "AI", "hasQuality": true, "tags": {"tagMap": {"k": "v"}}},
    "state": {"$class": "a.b.ThingEnumMeasurepoint", "identifier": "state", "signalType": "UNKNOWN", "accessMode": true,
      "specsMap": {"0": "{\"defaultValue\":\"off\",\"i18nValue\":{\"de_DE\":\"aus\"}}", "1": "on"}, "valueType": "int"}},
  "thingServiceMap": {"go": {"identifier": "go", "callType": "SYNC",
      "inputData": [{"$class": "a.b.Int", "identifier": "n", "required": true, "defaultValue": 3, "minimum": -2147483648, "maximum": 9}],
      "outputData": []}},
  "thingEventMap": {"hot": {"identifier": "hot", "outputData": [{"$class": "a.b.DateTime", "identifier": "at"}]}}
})");

TEST(EnosDialect, AnExportedModelIsRead) {
  ASSERT_TRUE(is_enos_model(exported));
  const auto ours = from_enos(exported);
  ASSERT_TRUE(ours) << ours.error().detail;
  const auto expected =
      *parse_json(R"({"format": "tm/1", "id": "inv", "category": "PV", "tags": {"domain": "solar"},
    "name": {"default": "Inverter", "i18n": {"de_DE": "Wechselrichter"}},
    "attributes": [{"id": "cap", "name": "Capacity", "order": 3, "createdAt": "1600000000000", "type": {"t": "float"},
                    "unit": "kW", "required": true, "access": "cloud"}],
    "measurePoints": [
      {"id": "power", "name": "Power", "tags": {"k": "v"}, "type": {"t": "double", "min": 0, "max": 100}, "signal": "AI", "hasQuality": true},
      {"id": "state", "type": {"t": "enum", "values": {"0": {"default": "off", "i18n": {"de_DE": "aus"}}, "1": "on"}}, "writable": true}],
    "services": [{"id": "go", "callType": "SYNC", "input": [{"id": "n", "type": {"t": "int", "max": 9}, "required": true, "default": 3}]}],
    "events": [{"id": "hot", "output": [{"id": "at", "type": {"t": "timestamp"}}]}]})");
  EXPECT_TRUE(says_the_same(*ours, expected)) << to_json(*ours);
  EXPECT_TRUE(thing_model::compile(*ours)) << thing_model::compile(*ours).error().detail;
}

TEST(EnosDialect, WhatIsInheritedIsLeftToTheParent) {
  auto child = exported.as_object();
  set_member(child, "parentThingModelId", "base");
  set_member(child, "inheritedMeasurepointIds", array{"power"});
  const auto ours = from_enos(child);
  ASSERT_TRUE(ours);
  EXPECT_EQ(*ours->find("extends"), value{"base"});
  EXPECT_EQ(ours->find("measurePoints")->as_array().size(), 1u);
}

TEST(EnosDialect, LaxModelsAreLenient) {
  auto lax = exported.as_object();
  set_member(lax, "allowAdditionalMeasurepoint", true);
  EXPECT_EQ(*from_enos(lax)->find("validate"), value{"lenient"});
}

TEST(EnosDialect, BadExportsSayWhere) {
  const auto fault = [](const char* text) {
    const auto got = from_enos(*parse_json(text));
    return got ? std::string{} : got.error().problems.at(0).where;
  };
  EXPECT_EQ(fault("{}"), "/thingModelId");
  EXPECT_EQ(fault("7"), "/thingModelId");
  EXPECT_EQ(fault(R"({"thingModelId": "m", "thingAttributeMap": []})"), "/thingAttributeMap");
  EXPECT_EQ(fault(R"({"thingModelId": "m", "thingAttributeMap": {"a": 7}})"),
            "/thingAttributeMap/a");
  EXPECT_EQ(
      fault(R"({"thingModelId": "m", "thingAttributeMap": {"a": {"$class": "IntAttribute"}}})"),
      "/thingAttributeMap/a/identifier");
  EXPECT_EQ(
      fault(
          R"({"thingModelId": "m", "thingAttributeMap": {"a": {"identifier": "a", "$class": "Quux"}}})"),
      "/thingAttributeMap/a/$class");
  EXPECT_EQ(
      fault(
          R"({"thingModelId": "m", "thingMeasurepointMap": {"a": {"identifier": "a", "$class": "EnumMeasurepoint"}}})"),
      "/thingMeasurepointMap/a/specsMap");
  EXPECT_EQ(
      fault(
          R"({"thingModelId": "m", "thingServiceMap": {"s": {"identifier": "s", "inputData": 7}}})"),
      "/thingServiceMap/s/inputData");
  EXPECT_EQ(from_enos(value{}).error().reason, "import_invalid");
}

TEST(EnosDialect, OurOwnTypesAreNamed) {
  const auto refused = to_enos(*parse_json(R"({"format": "tm/1", "id": "m",
    "attributes": [{"id": "m1", "type": {"t": "map", "values": {"t": "int"}}}],
    "measurePoints": [{"id": "l", "type": {"t": "long"}},
                      {"id": "ok", "type": {"t": "array", "items": {"t": "int"}}},
                      {"id": "b", "type": {"t": "array", "items": {"t": "bool"}}}],
    "services": [{"id": "s", "input": [{"id": "n", "type": {"t": "long"}}]}]})"),
                               {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "enos_unsupported");
  auto places = std::vector<std::string>{};
  for (const auto& p : refused.error().problems)
    places.push_back(p.where);
  EXPECT_EQ(places, (std::vector<std::string>{"attributes/m1", "measurePoints/l", "measurePoints/b",
                                              "services/s"}));
}

TEST(EnosDialect, InheritedIdsAreThoseThatAreNotItsOwn) {
  const auto own = *parse_json(
      R"({"id": "m", "extends": "base", "measurePoints": [{"id": "b", "type": {"t": "int"}}]})");
  const auto whole = *parse_json(R"({"id": "m", "extends": "base", "measurePoints": [
      {"id": "a", "type": {"t": "int"}}, {"id": "b", "type": {"t": "int"}}]})");
  const auto theirs = to_enos(whole, own);
  ASSERT_TRUE(theirs);
  EXPECT_EQ(*theirs->find("inheritedMeasurepointIds"), (value{array{"a"}}));
  EXPECT_EQ(*theirs->find("parentThingModelId"), value{"base"});
  EXPECT_EQ(*theirs->find("thingMeasurepointMap")->find("a")->find("$class"),
            value{"IntMeasurepoint"});
  auto back = own.as_object();
  back.emplace_back("format", "tm/1");
  EXPECT_TRUE(says_the_same(*from_enos(*theirs), back)) << to_json(*from_enos(*theirs));
}

/// Models of whatever EnOS has words for.
class maker {
 public:
  explicit maker(unsigned seed) : random_{seed} {}

  value document() {
    auto d = object{{"format", "tm/1"}, {"id", "m" + std::to_string(pick(99))}};
    named(d);
    if (maybe())
      d.emplace_back("category", "pumps");
    if (maybe())
      d.emplace_back("validate", pick(2) == 0 ? "lenient" : pick(2) == 0 ? "mark" : "strict");
    auto n = 0;
    const auto elements = [&](const char* kind, auto make) {
      auto all = array{};
      for (auto left = pick(4); left > 0; --left) {
        auto e = object{{"id", "e" + std::to_string(n++)}};
        named(e);
        make(e);
        all.emplace_back(std::move(e));
      }
      if (!all.empty())
        d.emplace_back(kind, std::move(all));
    };
    elements("attributes", [&](object& e) {
      typed(e);
      if (maybe())
        e.emplace_back("required", true);
      if (maybe())
        e.emplace_back("access",
                       std::array{"cloud", "device", "ro"}[static_cast<std::size_t>(pick(3))]);
    });
    elements("measurePoints", [&](object& e) {
      typed(e);
      if (maybe())
        e.emplace_back("signal", std::array{"AI", "DI", "PI"}[static_cast<std::size_t>(pick(3))]);
      if (maybe())
        e.emplace_back("hasQuality", true);
      if (maybe())
        e.emplace_back("writable", true);
      if (maybe())
        e.emplace_back("deadband", object{{"abs", 0.5}});
    });
    elements("services", [&](object& e) {
      e.emplace_back("callType", pick(2) == 0 ? "SYNC" : "ASYNC");
      if (maybe())
        e.emplace_back("timeoutDefault", 7);
      e.emplace_back("input", parameters());
    });
    elements("events", [&](object& e) {
      if (maybe())
        e.emplace_back("level", "error");
      e.emplace_back("output", parameters());
    });
    return d;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool maybe() { return pick(3) == 0; }

  value text() {
    if (maybe())
      return object{{"default", "Text"}, {"i18n", object{{"de", "Wort"}}}};
    return "A name";
  }
  void named(object& o) {
    if (maybe())
      o.emplace_back("name", text());
    if (maybe())
      o.emplace_back("description", text());
    if (maybe())
      o.emplace_back("tags", object{{"k", "v"}});
  }
  void typed(object& o) {
    o.emplace_back("type", type(0));
    if (maybe())
      o.emplace_back("unit",
                     std::array{"kW.h", "Cel", "parsnip", "%"}[static_cast<std::size_t>(pick(4))]);
  }
  array parameters() {
    auto all = array{};
    for (auto left = 1 + pick(2); left > 0; --left) {
      auto p = object{{"id", "p" + std::to_string(left)}};
      typed(p);
      if (maybe())
        p.emplace_back("required", true);
      all.emplace_back(std::move(p));
    }
    return all;
  }
  value type(int depth) {
    static constexpr std::array simple{"int",  "float",     "double", "string",
                                       "date", "timestamp", "enum",   "bool"};
    const auto* const t = depth == 1 ? simple[static_cast<std::size_t>(pick(4))]
                          : depth == 2
                              ? simple[static_cast<std::size_t>(pick(8))]
                              : std::array{simple[static_cast<std::size_t>(pick(8))], "array",
                                           "struct", "file"}[static_cast<std::size_t>(pick(4))];
    auto o = object{{"t", t}};
    const auto is = [&](const char* other) { return std::string_view{t} == other; };
    if (is("int") || is("float") || is("double")) {
      if (maybe())
        o.emplace_back("min", -pick(50));
      if (maybe())
        o.emplace_back("max", 50 + pick(50));
      if (maybe())
        o.emplace_back("exclusiveMax", true);
      if (maybe())
        o.emplace_back("step", 1);
    } else if (is("string")) {
      if (maybe())
        o.emplace_back("maxLength", 20);
      if (maybe())
        o.emplace_back("pattern", "[a-z]*");
      if (maybe())
        o.emplace_back("subtype", "url");
    } else if (is("enum")) {
      const auto of_texts = maybe();
      if (of_texts)
        o.emplace_back("base", "string");
      o.emplace_back("values", object{{"0", text()}, {"1", "{odd"}, {"2", text()}});
    } else if (is("array")) {
      if (maybe())
        o.emplace_back("maxItems", 9);
      o.emplace_back("items", type(1));
    } else if (is("struct")) {
      if (maybe())
        o.emplace_back("unknown", "drop");
      o.emplace_back("fields", array{object{{"id", "x"}, {"type", type(2)}},
                                     object{{"id", "y"}, {"required", true}, {"type", type(2)}}});
    }
    return o;
  }

  std::mt19937 random_;
};

TEST(EnosDialect, EveryModelThatItHasWordsForComesBack) {
  for (auto seed = 0u; seed < 500; ++seed) {
    const auto document = maker{seed}.document();
    const auto compiled = thing_model::compile(document);
    ASSERT_TRUE(compiled) << seed << ": " << compiled.error().detail;
    const auto theirs = to_enos(document, {});
    ASSERT_TRUE(theirs) << seed << ": " << theirs.error().detail;
    ASSERT_TRUE(is_enos_model(*theirs));
    const auto back = from_enos(*theirs);
    ASSERT_TRUE(back) << seed << ": " << back.error().detail;
    auto expected = document.as_object();
    std::erase_if(expected, [](const auto& m) {
      return m.first == "validate" && m.second == value{"strict"};
    });
    EXPECT_TRUE(says_the_same(*back, expected)) << seed << "\n"
                                                << to_json(document) << "\n"
                                                << to_json(*back) << "\n"
                                                << to_json(*theirs);
  }
}

TEST(EnosDialect, LibraryElementsAreRead) {
  const auto e = library_element_from_enos(
      *parse_json(R"({"identifier": "A56.1", "name": {"defaultValue": "Power"},
    "description": {"defaultValue": "d"}, "category": "A56", "elementType": ["ATTRIBUTE", "MEASUREPOINT"], "dataType": "double",
    "unit": {"unitId": "kW"}, "deprecated": false, "version": "1.0"})"));
  ASSERT_TRUE(e) << e.error().detail;
  EXPECT_TRUE(says_the_same(
      *e,
      *parse_json(R"({"id": "A56.1", "name": "Power", "description": "d", "type": {"t": "double"},
    "unit": "kW", "elementTypes": ["attribute", "measurePoint"], "category": "A56", "version": "1.0"})")))
      << to_json(*e);
  EXPECT_TRUE(
      library_element_from_enos(*parse_json(R"({"identifier": "s", "elementType": ["service"]})")));
  EXPECT_FALSE(library_element_from_enos(*parse_json(R"({"elementType": ["attribute"]})")));
}

}  // namespace
}  // namespace orrery::model
