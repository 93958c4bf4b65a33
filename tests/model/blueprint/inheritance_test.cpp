#include "model/blueprint/inheritance.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model::blueprint {
namespace {

const auto base =
    *parse_json(R"({"format": "tm/1", "id": "base", "name": "Base", "validate": "mark",
  "tags": {"a": "1"},
  "attributes": [{"id": "site", "type": {"t": "string", "maxLength": 20}}],
  "measurePoints": [
    {"id": "p", "unit": "bar", "signal": "AI", "type": {"t": "double", "min": 0, "max": 10, "step": 0.5}},
    {"id": "mode", "writable": true, "type": {"t": "enum", "values": {"0": "off", "1": "on", "2": "auto"}}},
    {"id": "list", "type": {"t": "array", "maxItems": 4, "items": {"t": "int", "max": 9}}},
    {"id": "pair", "type": {"t": "struct", "fields": [{"id": "x", "type": {"t": "int"}},
                                                      {"id": "y", "type": {"t": "int"}}]}}],
  "services": [{"id": "go", "input": [{"id": "n", "type": {"t": "int", "max": 5}}]}],
  "events": [{"id": "hot", "output": [{"id": "n", "type": {"t": "int"}}]}]})");
const auto base_model = *thing_model::compile(base);

result<resolved> with(const std::string& members) {
  return resolve(*parse_json(R"({"format": "tm/1", "id": "m", "extends": "base")" +
                             (members.empty() ? "" : ", " + members) + "}"),
                 base, base_model);
}
result<resolved> with_point(const std::string& point) {
  return with(R"("measurePoints": [)" + point + "]");
}
/// The code of the first problem, and where it is.
std::string fault(const result<resolved>& got) {
  if (got)
    return "";
  return std::string{got.error().problems.at(0).code} + " " + got.error().problems[0].where;
}

TEST(Inheritance, AChildHasWhatItsParentHas) {
  const auto m = with("");
  ASSERT_TRUE(m) << m.error().detail;
  EXPECT_EQ(m->compiled->id(), "m");
  EXPECT_TRUE(m->compiled->find_point("p"));
  EXPECT_TRUE(m->compiled->find_attribute("site"));
  EXPECT_TRUE(m->compiled->find_service("go"));
  EXPECT_TRUE(m->compiled->find_event("hot"));
  EXPECT_EQ(m->compiled->mode(), validation::mark);
  EXPECT_FALSE(m->document.find("tags")) << "tags are its own";
  EXPECT_EQ(with(R"("validate": "strict")")->compiled->mode(), validation::strict);
}

TEST(Inheritance, ItsOwnElementsComeAfterThose) {
  const auto m = with_point(R"({"id": "own", "type": {"t": "int"}})");
  ASSERT_TRUE(m);
  ASSERT_EQ(m->compiled->points().size(), 5u);
  EXPECT_EQ(m->compiled->points()[0].id, "p");
  EXPECT_EQ(m->compiled->points()[4].id, "own");
}

TEST(Inheritance, AnInheritedElementIsNarrowedByWhatDiffers) {
  const auto m = with_point(R"({"id": "p", "name": "Pressure", "type": {"max": 6, "step": 1.5}})");
  ASSERT_TRUE(m) << fault(m);
  const auto& p = *m->compiled->find_point("p");
  EXPECT_EQ(p.name, "Pressure");
  EXPECT_EQ(p.unit, "bar");
  EXPECT_EQ(p.type.min, 0);
  EXPECT_EQ(p.type.max, 6);
  EXPECT_EQ(m->compiled->points().size(), 4u);
}

TEST(Inheritance, NarrowerIsEveryKindOfLess) {
  for (
      const auto* point :
      {R"({"id": "p", "type": {"exclusiveMax": true}})", R"({"id": "p", "type": {"min": 1}})",
       R"({"id": "mode", "type": {"values": {"0": "off", "1": "on"}}})",
       R"({"id": "list", "type": {"maxItems": 3, "minItems": 1}})",
       R"({"id": "list", "type": {"items": {"t": "int", "max": 3}}})",
       R"({"id": "pair", "type": {"fields": [{"id": "x", "required": true, "type": {"t": "int", "min": 0}},
                                              {"id": "y", "type": {"t": "int"}}]}})"})
    EXPECT_EQ(fault(with_point(point)), "") << point;
  EXPECT_EQ(
      fault(with(R"("attributes": [{"id": "site", "required": true, "type": {"maxLength": 5}}])")),
      "");
  EXPECT_EQ(fault(with(R"("services": [{"id": "go", "input": [{"id": "n", "required": true,
                            "type": {"t": "int", "max": 2}}]}])")),
            "");
}

TEST(Inheritance, WiderIsRefused) {
  for (const auto* point :
       {R"({"id": "p", "type": {"max": 11}})", R"({"id": "p", "type": {"min": null}})",
        R"({"id": "p", "type": {"max": null}})", R"({"id": "p", "type": {"step": 0.25}})",
        R"({"id": "p", "type": {"step": null}})", R"({"id": "p", "type": {"step": 0.75}})",
        R"({"id": "mode", "type": {"values": {"0": "off", "7": "more"}}})",
        R"({"id": "list", "type": {"maxItems": 5}})",
        R"({"id": "list", "type": {"items": {"t": "int", "max": 10}}})"})
    EXPECT_EQ(fault(with_point(point)), "inheritance_widened /measurePoints/0") << point;
  EXPECT_EQ(fault(with(R"("attributes": [{"id": "site", "type": {"maxLength": 21}}])")),
            "inheritance_widened /attributes/0");
  EXPECT_EQ(with_point(R"({"id": "p", "type": {"max": 11}})").error().reason,
            "inheritance_conflict");
}

TEST(Inheritance, OtherIsRefused) {
  EXPECT_EQ(fault(with_point(R"({"id": "list", "type": {"t": "string"}})")),
            "inheritance_retyped /measurePoints/0");
  EXPECT_EQ(fault(with_point(R"({"id": "p", "type": {"t": "float"}})")),
            "inheritance_retyped /measurePoints/0");
  for (const auto* point :
       {R"({"id": "p", "unit": "kPa"})", R"({"id": "p", "signal": "PI"})",
        R"({"id": "p", "hasQuality": true})", R"({"id": "mode", "writable": false})",
        R"({"id": "pair", "type": {"fields": [{"id": "x", "type": {"t": "int"}}]}})"})
    EXPECT_EQ(fault(with_point(point)), "inheritance_changed /measurePoints/0") << point;
  EXPECT_EQ(fault(with(R"("services": [{"id": "go", "callType": "ASYNC"}])")),
            "inheritance_changed /services/0");
  EXPECT_EQ(fault(with(R"("services": [{"id": "go", "input": []}])")),
            "inheritance_changed /services/0");
  EXPECT_EQ(fault(with(R"("events": [{"id": "hot", "level": "error"}])")),
            "inheritance_changed /events/0");
  EXPECT_EQ(fault(with(R"("attributes": [{"id": "site", "access": "cloud"}])")),
            "inheritance_changed /attributes/0");
}

TEST(Inheritance, FaultsAreWhereTheChildSaysThem) {
  const auto m = with_point(R"({"id": "a", "type": {"t": "int"}}, {"id": "b"},
                               {"id": "a", "type": {"t": "int"}})");
  ASSERT_FALSE(m);
  auto places = std::vector<std::string>{};
  for (const auto& p : m.error().problems)
    places.push_back(p.where);
  EXPECT_EQ(places, (std::vector<std::string>{"/measurePoints/1/type/t", "/measurePoints/2/id"}));
  EXPECT_EQ(m.error().reason, "model_invalid");
  // An attribute of its own with the id of an inherited point.
  EXPECT_EQ(fault(with(R"("attributes": [{"id": "p", "type": {"t": "int"}}])")),
            "conflict /extends");
}

TEST(Inheritance, WhatIsNoListIsSaid) {
  EXPECT_EQ(fault(with(R"("measurePoints": 7)")), "type_mismatch /measurePoints");
  EXPECT_EQ(fault(with(R"("measurePoints": [7])")).substr(0, 13), "type_mismatch");
  EXPECT_FALSE(resolve(value{7}, base, base_model));
  EXPECT_EQ(parent_of(value{7}), "");
  EXPECT_EQ(parent_of(*parse_json(R"({"extends": 7})")), "");
}

TEST(Inheritance, AModelOfAnotherOrganisationIsNamedWithIt) {
  EXPECT_EQ(key_of("org", "m"), "org/m");
  EXPECT_EQ(key_of("org", "acme/m"), "acme/m");
}

}  // namespace
}  // namespace orrery::model::blueprint
