#include "model/blueprint/library.hpp"

#include <gtest/gtest.h>

#include "model/blueprint/blueprint.hpp"
#include "model/json.hpp"

namespace orrery::model::blueprint {
namespace {

object elements(const std::string& text) {
  return parse_json(text)->as_object();
}
/// Where the first fault is, "" if there is none.
std::string fault(const std::string& text) {
  const auto ok = check_library(elements(text));
  return ok ? "" : ok.error().problems.at(0).where;
}

TEST(Library, ElementsAreWhatAModelWouldTake) {
  EXPECT_EQ(
      fault(
          R"({"T": {"elementTypes": ["measurePoint", "attribute"], "type": {"t": "double", "min": 0},
                       "unit": "Cel", "name": "T", "category": "c", "version": "1", "deprecated": true}})"),
      "");
  EXPECT_EQ(fault(R"({"S": {"elementTypes": ["service"]}, "E": {"elementTypes": ["event"]}})"), "");
  EXPECT_EQ(fault(R"({"gone": null})"), "");
  EXPECT_EQ(fault(R"({"a b": {"elementTypes": ["event"]}})"), "a b");
  EXPECT_EQ(fault(R"({"a": 7})"), "a");
  EXPECT_EQ(fault(R"({"a": {}})"), "a/elementTypes");
  EXPECT_EQ(fault(R"({"a": {"elementTypes": ["thing"]}})"), "a/elementTypes");
  EXPECT_EQ(fault(R"({"a": {"elementTypes": ["attribute"]}})"), "a/type/t");
  EXPECT_EQ(fault(R"({"a": {"elementTypes": ["event"], "type": {"t": "int"}}})"), "a/type");
  EXPECT_EQ(fault(R"({"a": {"elementTypes": ["event"], "what": 1}})"), "a/what");
  EXPECT_EQ(
      fault(R"({"a": {"elementTypes": ["event"], "name": ")" + std::string(40'000, 'x') + "\"}}"),
      "a");
}

TEST(Library, IsKeptByIdAndHasABound) {
  auto s = state{};
  const auto put = [&](object what) {
    auto d = decide(s, {change_library{"org", std::move(what)}, "user:a", {}}, {});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events)
      apply(s, e);
    return std::string_view{};
  };
  EXPECT_EQ(
      put(elements(R"({"b": {"elementTypes": ["event"]}, "a": {"elementTypes": ["event"]}})")), "");
  EXPECT_EQ(s.model_id, library_id);
  EXPECT_EQ(s.library.as_object().at(0).first, "a");
  EXPECT_EQ(put(elements(R"({"a": null, "none": null})")), "");
  EXPECT_EQ(s.library.as_object().size(), 1u);
  EXPECT_EQ(put(elements(R"({"a": 7})")), "library_invalid");
  auto many = object{};
  for (std::size_t i = 0; i < max_library_elements; ++i)
    many.emplace_back("e" + std::to_string(i), object{{"elementTypes", array{"event"}}});
  EXPECT_EQ(put(many), "quota_exceeded");
  many.pop_back();
  EXPECT_EQ(put(many), "");
}

TEST(Library, AStandardSaysTypeUnitAndKind) {
  const auto library = value{elements(R"({
    "T": {"elementTypes": ["measurePoint"], "type": {"t": "double"}, "unit": "Cel"},
    "S": {"elementTypes": ["service"]}})")};
  const auto with = [&](const std::string& members) {
    const auto own = *parse_json("{" + members + "}");
    const auto ok = check_standards(own, own, library);
    return ok ? std::string{} : std::string{ok.error().problems.at(0).code};
  };
  EXPECT_EQ(
      with(
          R"("measurePoints": [{"id": "p", "standardRef": "T", "type": {"t": "double", "max": 3}, "unit": "Cel"}])"),
      "");
  EXPECT_EQ(with(R"("measurePoints": [{"id": "p", "standardRef": "T", "type": {"t": "double"}}])"),
            "standard_mismatch");
  EXPECT_EQ(
      with(
          R"("measurePoints": [{"id": "p", "standardRef": "T", "type": {"t": "float"}, "unit": "Cel"}])"),
      "standard_mismatch");
  EXPECT_EQ(
      with(
          R"("attributes": [{"id": "p", "standardRef": "T", "type": {"t": "double"}, "unit": "Cel"}])"),
      "standard_mismatch");
  EXPECT_EQ(with(R"("measurePoints": [{"id": "p", "standardRef": "X", "type": {"t": "double"}}])"),
            "standard_unknown");
  EXPECT_EQ(with(R"("measurePoints": [{"id": "p", "standardRef": 7, "type": {"t": "double"}}])"),
            "standard_unknown");
  EXPECT_EQ(with(R"("services": [{"id": "s", "standardRef": "S"}])"), "");
  EXPECT_TRUE(check_standards(*parse_json(R"({"events": [{"id": "e", "standardRef": "X"}]})"), {},
                              object{}))
      << "a library without elements says nothing";
}

}  // namespace
}  // namespace orrery::model::blueprint
