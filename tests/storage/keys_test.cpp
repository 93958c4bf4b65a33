#include "storage/keys.hpp"

#include <gtest/gtest.h>

namespace orrery::storage::keys {
namespace {

using model::from_ms;

const auto device = model::make_entity_id(258, from_ms(5), {1, 2, 3});

TEST(Keys, StartWithTheirShardAndSortAsTheirParts) {
  for (const auto& key :
       {journal(258, 7), state(model::entity_kind::device, device), latest(device),
        command(device, device), segment(device, from_ms(9), 1), event(device, from_ms(9), 1),
        index(258, "name", "v", device), meta(258, "x")})
    EXPECT_TRUE(key.starts_with(shard_prefix(258)));
  EXPECT_LT(journal(1, 255), journal(1, 256));
  EXPECT_LT(journal(1, 1000), journal(2, 0));
  EXPECT_LT(segment(device, from_ms(-1), 0), segment(device, from_ms(0), 0));
  EXPECT_LT(segment(device, from_ms(5), 9), segment(device, from_ms(6), 0));
}

TEST(Keys, GiveTheirPartsBack) {
  EXPECT_EQ(entity_of(index(258, "name",
                            "pk\x1f"
                            "dk",
                            device)),
            device);
  EXPECT_EQ(index_value_of(index(258, "name",
                                 "pk\x1f"
                                 "dk",
                                 device)),
            "pk\x1f"
            "dk");
  EXPECT_EQ(entity_of(state(model::entity_kind::device, device)), device);
  EXPECT_EQ(segment_bucket(segment(device, from_ms(77), 3)), from_ms(77));
  for (const auto t : {from_ms(0), from_ms(-5), from_ms(1'700'000'000'000)})
    EXPECT_EQ(from_ordered(ordered(t)), t);
  EXPECT_FALSE(entity_of("x"));
  EXPECT_FALSE(segment_bucket("x"));
}

TEST(Keys, ValuesOfAnIndexDoNotMeet) {
  EXPECT_FALSE(index(1, "name", "ab", device).starts_with(index_prefix(1, "name", "a")));
  EXPECT_TRUE(index(1, "name", "a", device).starts_with(index_prefix(1, "name", "a")));
}

}  // namespace
}  // namespace orrery::storage::keys
