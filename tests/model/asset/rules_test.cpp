#include <gtest/gtest.h>

#include "model/asset/asset.hpp"

namespace orrery::model::asset {
namespace {

const auto now = from_ms(1'700'000'000'000);
const auto self = make_entity_id(1, now, {1}), other = make_entity_id(1, now, {2});

result<state> tell(state s, order what) {
  auto d = decide(s, {std::move(what), "a", {}}, {self, now});
  if (!d)
    return d.error();
  for (const auto& e : d->events) {
    EXPECT_TRUE(decode_events(encode_events({e})));
    apply(s, e);
  }
  return s;
}

create_node site() {
  auto c = create_node{};
  c.tree = self;
  c.name = "Site";
  c.organisation = "org";
  return c;
}

TEST(Asset, HasAPlaceAndADevice) {
  auto s = tell({}, site());
  ASSERT_TRUE(s);
  EXPECT_FALSE(tell(*s, site()));
  s = tell(*s, bind_device{other});
  ASSERT_TRUE(s);
  s = tell(*s, rename_node{"Plant"});
  ASSERT_TRUE(s);
  const auto bytes = encode_state(*s, 4);
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 4), bytes);
  s = tell(*s, remove_node{});
  ASSERT_TRUE(s);
  EXPECT_FALSE(s->exists);
}

TEST(Asset, IsAtMostSevenDeep) {
  auto deep = site();
  deep.parent = other;
  deep.depth = max_depth + 1;
  EXPECT_FALSE(tell({}, deep));
}

}  // namespace
}  // namespace orrery::model::asset
