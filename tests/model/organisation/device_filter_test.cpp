#include "model/organisation/device_filter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/filter/expression.hpp"
#include "model/organisation/node_filter.hpp"

namespace orrery::model::organisation {
namespace {

const auto products = std::vector<product_facts>{{"p1", "pump", {"base", "turning"}, false},
                                                 {"p2", "fan", {"base"}, false},
                                                 {"p3", "box", {}, true}};

std::string read(std::string_view text) {
  const auto got = device_filter(text, products);
  EXPECT_TRUE(got) << text;
  return got ? *got : "";
}

TEST(DeviceFilter, PutsKeysInThePlaceOfWhatProductsHave) {
  for (const auto& [text, expected] : std::vector<std::pair<const char*, const char*>>{
           {"", ""},
           {"modelId = 'fan'", "productKey in ('p2')"},
           {"modelId != 'fan'", "productKey in ('p1', 'p3')"},
           {"rootModelId = 'base' and name like 'x'",
            "productKey in ('p1', 'p2') and name like 'x'"},
           {"rootModelId = 'box'", "productKey in ('p3')"},
           {"productType = 'Gateway'", "productKey in ('p3')"},
           {"productType in ('device', 'GATEWAY')", "productKey in ('p1', 'p2', 'p3')"},
           {"not (modelId like 'p%')", "not (productKey in ('p1'))"},
           {"modelId = 'nobody'", "productKey in ('')"},
           {"deviceTags.site = 'A' or deviceAttributes.size > 1",
            "tags.site = 'A' or attributes.size > 1"},
           {"deviceName.zh_CN like 'x' or name.default = 'y'", "name like 'x' or name = 'y'"}}) {
    const auto wanted = *expected == '\0' ? std::string{} : print(*model::filter::parse(expected));
    EXPECT_EQ(read(text), wanted) << text;
  }
}

TEST(DeviceFilter, FindsNobodyOutOfService) {
  for (const auto* text : {"status = 'retired'", "status != 'Retired'",
                           "name like 'x' or not (status in ('online', 'retired'))"}) {
    const auto got = device_filter(text, products);
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().reason, "bad_filter");
  }
  EXPECT_TRUE(device_filter("tags.status = 'retired' and name = 'retired'", products));
}

const auto groups = group_facts{{"g1", ""},
                                {"g2", ""},
                                {"r1", "tags.site = 'A' or modelId = 'fan'"},
                                {"r2", "group = 'g1' and name like 'x'"},
                                {"bad", "group = 'r1'"}};

TEST(DeviceFilter, PutsRulesInThePlaceOfGroups) {
  for (const auto& [text, expected] : std::vector<std::pair<const char*, const char*>>{
           {"group = 'g1'", "group in ('g1')"},
           {"group in ('g1', 'g2', 'gone')", "group in ('g1', 'g2')"},
           {"group = 'gone'", "group in ('')"},
           {"group != 'gone'", "group not in ('')"},
           {"group = 'r1'", "tags.site = 'A' or productKey in ('p2')"},
           {"group != 'r1'", "not (tags.site = 'A' or productKey in ('p2'))"},
           {"group = 'r2' and exists(group)",
            "group in ('g1') and name like 'x' and exists(group)"},
           {"group in ('r2', 'g2') and status = 'online'",
            "((group in ('g1') and name like 'x') or group in ('g2')) and status = 'online'"}}) {
    const auto got = device_filter(text, products, groups);
    ASSERT_TRUE(got) << text << ": " << got.error().detail;
    EXPECT_EQ(*got, print(*model::filter::parse(expected))) << text;
    EXPECT_TRUE(model::filter::parse(*got)) << *got;
  }
}

TEST(DeviceFilter, RefusesGroupsItCannotRead) {
  for (const auto* text :
       {"group like 'g'", "group > 'g'", "group = 5", "group = 'bad'", "group in ('g1', true)"}) {
    const auto got = device_filter(text, products, groups);
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().reason, "bad_filter") << text;
  }
  EXPECT_FALSE(rule_filter("group = 'r1'", products, groups));
  EXPECT_EQ(*rule_filter("group = 'g1'", products, groups), "group in (\"g1\")");
  auto many = std::string{"group = 'r1'"};
  for (int i = 0; i < max_rules_named; ++i)
    many += " or group = 'r1'";
  EXPECT_FALSE(device_filter(many, products, groups));
}

TEST(DeviceFilter, RefusesWhatItCannotRead) {
  for (const auto* text : {"modelId", "modelId = 5", "productType = 'pump'", "(", "modelId = "}) {
    const auto got = device_filter(text, products);
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().reason, "bad_filter") << text;
  }
}

TEST(DeviceFilter, QuotesWhatItWrites) {
  EXPECT_TRUE(model::filter::parse(equals("name", "it's \"x\"")));
  EXPECT_EQ(equals("name", "it's"), "name = 'it''s'");
  EXPECT_TRUE(model::filter::parse(mentions("50% o'clock\\")));
  EXPECT_EQ(mentions("a%\\"), "deviceKey like '%a\\%\\\\%' or name like '%a\\%\\\\%'");
  EXPECT_EQ(one_of("name", {"a", "it's"}), "name in ('a', 'it''s')");
  EXPECT_EQ(one_of("name", {}), "name = ''");
  EXPECT_EQ(any_of({}), "productKey = ''");
  EXPECT_EQ(any_of({"a = 1"}), "a = 1");
  EXPECT_EQ(any_of({"a = 1", "b = 2"}), "(a = 1) or (b = 2)");
  EXPECT_EQ(both("", "a = 1"), "a = 1");
  EXPECT_EQ(both("a = 1", ""), "a = 1");
  EXPECT_EQ(both("a = 1 or b = 2", "c = 3"), "(a = 1 or b = 2) and (c = 3)");
}

TEST(DeviceFilter, PutsDevicesInThePlaceOfNodes) {
  EXPECT_THAT(nodes_in("underNode = 'n1' and not (underNode in ('n2', 'n3') or name = 'n4')"),
              testing::ElementsAre("n1", "n2", "n3"));
  EXPECT_THAT(nodes_in("underNode ="), testing::IsEmpty());
  EXPECT_THAT(nodes_in(""), testing::IsEmpty());
  const auto nodes = node_facts{{"n1", {"a", "b"}}, {"n2", {"b", "c"}}, {"n3", {}}};
  for (const auto& [text, expected] : std::vector<std::pair<const char*, const char*>>{
           {"underNode = 'n1'", "assetId in ('a', 'b')"},
           {"underNode = 'n3' or name = 'x'", "assetId in ('') or name = 'x'"},
           {"underNode = 'another'", "assetId in ('')"},
           {"underNode != 'n1'", "not (assetId in ('a', 'b'))"},
           {"underNode in ('n1', 'n2')", "assetId in ('a', 'b', 'b', 'c')"}}) {
    const auto got = device_filter(text, products, {}, nodes);
    ASSERT_TRUE(got) << text;
    EXPECT_EQ(*got, print(*model::filter::parse(expected))) << text;
  }
  for (const auto* text : {"underNode > 'n1'", "underNode = 1", "underNode exists"})
    EXPECT_FALSE(device_filter(text, products, {}, nodes)) << text;
  const auto without = device_filter("underNode = 'n1'", products);
  ASSERT_TRUE(without);
  EXPECT_EQ(*without, print(*model::filter::parse("underNode = 'n1'")))
      << "the index of devices knows no such field";
}

}  // namespace
}  // namespace orrery::model::organisation
