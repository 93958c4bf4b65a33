#include "model/tags.hpp"

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(Tags, ComeGoAndAreChecked) {
  const auto tags = tags_after({{"a", "1"}, {"b", "2"}}, {{"a", std::nullopt}, {"c/d-e_9", "x y"}});
  ASSERT_TRUE(tags);
  EXPECT_EQ(*tags, (tag_map{{"b", "2"}, {"c/d-e_9", "x y"}}));
  for (const auto& wrong : {tag_changes{{"", "x"}},
                            {{"a b", "x"}},
                            {{std::string(51, 'a'), "x"}},
                            {{"a", std::string(201, 'x')}},
                            {{"a", " x"}},
                            {{"a", "x "}},
                            {{"\xc3\xa4", "x"}}}) {
    const auto got = tags_after({}, wrong);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().reason, "tag_invalid");
    EXPECT_EQ(got.error().problems.size(), 1u);
  }
  auto many = tag_changes{};
  for (int i = 0; i < 101; ++i)
    many["k" + std::to_string(i)] = "v";
  EXPECT_FALSE(tags_after({}, many));
  many.erase("k0");
  EXPECT_TRUE(tags_after({}, many));
}

}  // namespace
}  // namespace orrery::model
