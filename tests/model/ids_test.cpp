#include "model/ids.hpp"

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(EntityId, RoundTripsAsText) {
  const auto id =
      make_entity_id(32767, from_ms(1'700'000'000'000), {1, 2, 3, 4, 5, 6, 7, 8, 9, 255});
  const auto text = to_string(id);
  EXPECT_EQ(text.size(), entity_id_text_size);
  EXPECT_EQ(parse_entity_id(text), id);
  auto upper = text;
  for (auto& c : upper)
    c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(parse_entity_id(upper), id);
}

TEST(EntityId, TextSortsByShardThenTime) {
  const auto a = make_entity_id(1, from_ms(1000), {255}), b = make_entity_id(1, from_ms(1001), {}),
             c = make_entity_id(2, from_ms(0), {});
  EXPECT_LT(to_string(a), to_string(b));
  EXPECT_LT(to_string(b), to_string(c));
}

TEST(EntityId, RefusesOtherTexts) {
  const auto good = to_string(make_entity_id(5, from_ms(5), {}));
  EXPECT_FALSE(parse_entity_id(""));
  EXPECT_FALSE(parse_entity_id(good.substr(1)));
  EXPECT_FALSE(parse_entity_id(good + "0"));
  for (const auto bad : {'i', 'l', 'o', 'u', ' ', '\0', '-'}) {
    auto text = good;
    text[10] = bad;
    EXPECT_FALSE(parse_entity_id(text)) << bad;
  }
  auto over = good;
  over[3] = '8';  // 129 bits
  EXPECT_FALSE(parse_entity_id(over));
}

TEST(Key, AllowsWhatPeopleChoose) {
  EXPECT_TRUE(is_valid_key("inv-01_a.B"));
  EXPECT_FALSE(is_valid_key(""));
  EXPECT_FALSE(is_valid_key("a b"));
  EXPECT_FALSE(is_valid_key("a/b"));
  EXPECT_FALSE(is_valid_key(std::string(65, 'a')));
  EXPECT_FALSE(is_valid_key("a", 2));
}

}  // namespace
}  // namespace orrery::model
