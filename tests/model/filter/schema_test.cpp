#include "model/filter/schema.hpp"

#include <gtest/gtest.h>

#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

result<checked_filter> checked(std::string_view text) {
  const auto e = parse(text);
  EXPECT_TRUE(e) << text << ": " << e.error().detail;
  return check(*e, small_schema());
}

TEST(Schema, FindsNamesAndPrefixes) {
  const auto s = schema{{{"name"}, {"name.*"}, {"a.b"}, {"a.*"}, {"a.b.*"}}};
  EXPECT_EQ(s.find({"name"}), (field_place{0, ""}));
  EXPECT_EQ(s.find({"name", "zh_CN"}), (field_place{1, "zh_CN"}));
  EXPECT_EQ(s.find({"a", "b"}), (field_place{2, ""}));
  EXPECT_EQ(s.find({"a.b"}), (field_place{2, ""}));
  EXPECT_EQ(s.find({"a", "c", "d"}), (field_place{3, "c.d"}));
  EXPECT_EQ(s.find({"a", "b", "c"}), (field_place{4, "c"}));
  EXPECT_EQ(s.find({"a"}), std::nullopt);
  EXPECT_EQ(s.find({"named"}), std::nullopt);
  EXPECT_EQ(s.find({""}), std::nullopt);
  EXPECT_EQ(s.names(), "name, name.*, a.b, a.*, a.b.*");
}

TEST(Schema, TypesWhatIsCompared) {
  const auto f = checked("at > '2023-11-14T22:13:20Z'");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->test.values, (std::vector<operand>{from_ms(1'700'000'000'000)}));
  const auto in = checked("size in (3, 1, 1.0, 2.5)");
  ASSERT_TRUE(in);
  EXPECT_EQ(in->test.values, (std::vector<operand>{std::int64_t{1}, 2.5, std::int64_t{3}}));
}

TEST(Schema, BringsNegationsToTheConditions) {
  const auto f = checked("not (name = 'a' and not (size < 1 or on != true))");
  ASSERT_TRUE(f);
  ASSERT_EQ(f->what, checked_filter::kind::any);
  ASSERT_EQ(f->parts.size(), 3U);
  EXPECT_TRUE(f->parts[0].test.negated);
  EXPECT_FALSE(f->parts[1].test.negated);
  EXPECT_TRUE(f->parts[2].test.negated);
  EXPECT_EQ(f->parts[2].test.how, comparison::equal);
}

TEST(Schema, SaysWhatAFieldMayBe) {
  for (const auto& [text, detail] : {
           std::pair{"size = 'x'", R"(size: expected a number, got "x")"},
           {"name = 5", "name: expected a text in quotes, got 5"},
           {"at = 'noon'", R"(at: expected a time: RFC 3339 in quotes, or epoch ms, got "noon")"},
           {"at = 1.5", "at: expected a time: RFC 3339 in quotes, or epoch ms, got 1.5"},
           {"on = 1", "on: expected true or false, got 1"},
           {"status = 'gone'", R"(status: expected one of "online" "offline", got "gone")"},
           {"status in ('online', 'x')", R"(status: expected one of "online" "offline", got "x")"},
           {"tags.floor = 3", "tags.floor: expected a text in quotes, got 3"},
           {"on > true", "on: cannot be compared by >; it may be by =, !=, in, exists"},
           {"roles < 'x'", "roles: cannot be compared by <; it may be by =, !=, in, like, exists"},
           {"size like '5'",
            "size: cannot be compared by like; it may be by =, !=, <, <=, >, >=, in, exists"},
           {"nmae = 'x'",
            "nmae: no such field; there are name, size, at, on, status, roles, tags.*, "
            "attributes.*, note"},
       }) {
    const auto f = checked(text);
    ASSERT_FALSE(f) << text;
    EXPECT_EQ(f.error().reason, "bad_filter");
    EXPECT_EQ(f.error().detail, detail);
  }
  const auto long_text = checked("size = '" + std::string(500, 'x') + "'");
  EXPECT_EQ(long_text.error().detail, "size: expected a number, got a text of 502 bytes");
}

TEST(Schema, NamesEveryConditionThatIsWrong) {
  const auto f = checked("size = 'x' or (name = 'a' and not nothing exists)");
  ASSERT_FALSE(f);
  ASSERT_EQ(f.error().problems.size(), 2U);
  EXPECT_EQ(f.error().problems[0].where, "size");
  EXPECT_EQ(f.error().problems[0].code, "type_mismatch");
  EXPECT_EQ(f.error().problems[1].where, "nothing");
  EXPECT_EQ(f.error().problems[1].code, "unknown_field");
}

}  // namespace
}  // namespace orrery::model::filter
