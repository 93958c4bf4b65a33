#include <gtest/gtest.h>

#include "model/asset/asset.hpp"

namespace orrery::model::asset {
namespace {

const auto now = from_ms(1'700'000'000'000);
const auto self = make_entity_id(1, now, {1});

class Asset : public testing::Test {
 protected:
  result<reply> tell(order what, const thing_model* of = nullptr) {
    auto d = decide(s, {std::move(what), "a", {}}, {self, now, of});
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
    }
    return d->answer;
  }
  std::string reason(order what, const thing_model* of = nullptr) {
    const auto got = tell(std::move(what), of);
    return got ? "" : std::string{got.error().reason};
  }
  static create_asset site() {
    auto c = create_asset{};
    c.organisation = "org";
    c.name = "Site A";
    c.attributes = {{"area", 12.5}};
    c.tags = {{"region", "north"}};
    return c;
  }
  state s;
};

TEST_F(Asset, HasANameAttributesAndTags) {
  ASSERT_TRUE(tell(site()));
  EXPECT_EQ(reason(site()), "asset_exists");
  auto u = update_asset{};
  u.name = "Site B";
  u.attributes = {{"area", {}}, {"floors", 3}};
  u.tags = {{"region", std::nullopt}, {"owner", "x"}};
  ASSERT_TRUE(tell(u));
  EXPECT_EQ(s.name, "Site B");
  EXPECT_EQ(s.attributes, (object{{"floors", 3}}));
  EXPECT_EQ(s.tags, (tag_map{{"owner", "x"}}));
  const auto bytes = encode_state(s, 4);
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 4), bytes);
  ASSERT_TRUE(tell(remove_asset{}));
  EXPECT_FALSE(s.exists);
  EXPECT_EQ(reason(read_asset{}), "asset_unknown");
}

TEST_F(Asset, RefusesWhatCannotBeKept) {
  auto c = site();
  c.name = "";
  EXPECT_EQ(reason(c), "name_invalid");
  c = site();
  c.description = std::string(2'001, 'x');
  EXPECT_EQ(reason(c), "description_invalid");
  c = site();
  c.tags["a b"] = "c";
  EXPECT_EQ(reason(c), "tag_invalid");
  c = site();
  for (int i = 0; i < 201; ++i)
    c.attributes.emplace_back("a" + std::to_string(i), i);
  EXPECT_EQ(reason(c), "too_many_attributes");
  c = site();
  c.model_id = "unknown";
  EXPECT_EQ(reason(c), "model_unknown");
}

TEST_F(Asset, IsNotThereForAnotherOrganisation) {
  ASSERT_TRUE(tell(site()));
  EXPECT_TRUE(decide(s, {read_asset{}, "a", {}, "org"}, {self, now, nullptr}));
  const auto refused = decide(s, {read_asset{}, "a", {}, "other"}, {self, now, nullptr});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "asset_unknown");
}

TEST_F(Asset, IsHeldToItsModel) {
  const auto document =
      value{object{{"format", "tm/1"},
                   {"id", "Site"},
                   {"name", "Site"},
                   {"attributes",
                    array{object{{"id", "area"}, {"type", object{{"t", "double"}, {"min", 0}}}}}}}};
  const auto of = thing_model::compile(document);
  ASSERT_TRUE(of) << of.error().detail;
  auto c = site();
  c.model_id = "Site";
  c.attributes = {{"area", -1.0}};
  EXPECT_NE(reason(c, &*of), "");
  c.attributes = {{"area", 3.0}};
  ASSERT_TRUE(tell(c, &*of));
  auto u = update_asset{};
  u.attributes = {{"height", 3}};
  EXPECT_NE(reason(u, &*of), "");
}

}  // namespace
}  // namespace orrery::model::asset
