#include "transport/api/device_filter.hpp"

#include <gtest/gtest.h>

#include "model/filter/expression.hpp"

namespace orrery::transport::api {
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
  EXPECT_EQ(both("", "a = 1"), "a = 1");
  EXPECT_EQ(both("a = 1", ""), "a = 1");
  EXPECT_EQ(both("a = 1 or b = 2", "c = 3"), "(a = 1 or b = 2) and (c = 3)");
}

}  // namespace
}  // namespace orrery::transport::api
