#include "model/filter/projection.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model::filter {
namespace {

std::string part(std::string_view fields, std::string_view from) {
  const auto p = projection::parse(fields);
  EXPECT_TRUE(p) << fields << ": " << p.error().detail;
  return to_json(p->of(*parse_json(from)));
}

TEST(Projection, KeepsWhatItNames) {
  constexpr auto from =
      R"({"id":"x","name":{"default":"a","de":"b"},"tags":{"a b":"1","c":"2"},"list":[{"k":1,"v":2},{"v":3},4],"n":null})";
  for (const auto& [fields, expected] : {
           std::pair{"id", R"({"id":"x"})"},
           {"n,id", R"({"id":"x","n":null})"},
           {"name.de", R"({"name":{"de":"b"}})"},
           {"name.de,name", R"({"name":{"default":"a","de":"b"}})"},
           {"name,name.de", R"({"name":{"default":"a","de":"b"}})"},
           {R"(tags."a b",tags.no)", R"({"tags":{"a b":"1"}})"},
           {"tags.no", R"({"tags":{}})"},
           {"list.v", R"({"list":[{"v":2},{"v":3},{}]})"},
           {"id.more,none", "{}"},
       })
    EXPECT_EQ(part(fields, from), expected) << fields;
  EXPECT_EQ(part("a", "5"), "{}");
}

TEST(Projection, RefusesWhatIsNoList) {
  auto many = std::string{"a"};
  for (std::size_t i = 0; i < max_projected; ++i)
    many += ",a" + std::to_string(i);
  for (const auto& text :
       {std::string{}, std::string{"a,"}, std::string{"-a"}, std::string{"a b"}, many}) {
    const auto p = projection::parse(text);
    ASSERT_FALSE(p) << text;
    EXPECT_EQ(p.error().reason, "bad_fields");
  }
}

}  // namespace
}  // namespace orrery::model::filter
