#include "storage/keys.hpp"

#include <gtest/gtest.h>

namespace orrery::storage::keys {
namespace {

using model::from_ms;

const auto device = model::make_entity_id(258, from_ms(5), {1, 2, 3});

TEST(Keys, StartWithTheirShardAndSortAsTheirParts) {
  for (const auto& key :
       {journal(258, 7), state(model::entity_kind::device, device), latest(device),
        command(device, device), bucket(device, from_ms(9)), event(device, from_ms(9), 1),
        index(258, "name", "v", device), meta(258, "x")})
    EXPECT_TRUE(key.starts_with(shard_prefix(258)));
  EXPECT_LT(journal(1, 255), journal(1, 256));
  EXPECT_LT(journal(1, 1000), journal(2, 0));
  EXPECT_LT(bucket(device, from_ms(-1)), bucket(device, from_ms(0)));
  EXPECT_LT(event(device, from_ms(5), 9), event(device, from_ms(6), 0));
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
  EXPECT_EQ(shard_of(journal(258, 7)), 258);
  EXPECT_EQ(journal_offset(journal(258, 7)), 7u);
  for (const auto t : {from_ms(0), from_ms(-5), from_ms(1'700'000'000'000)})
    EXPECT_EQ(from_ordered(ordered(t)), t);
  EXPECT_FALSE(entity_of("x"));
  EXPECT_FALSE(shard_of("x"));
  EXPECT_FALSE(journal_offset("x"));
}

TEST(Keys, TellSamplesFromEvents) {
  const auto samples = parse_series(bucket(device, from_ms(77)));
  ASSERT_TRUE(samples);
  EXPECT_EQ(samples->what, series_key::content::samples);
  EXPECT_EQ(samples->time, from_ms(77));
  const auto raised = parse_series(event(device, from_ms(-78), 3));
  ASSERT_TRUE(raised);
  EXPECT_EQ(raised->what, series_key::content::event);
  EXPECT_EQ(raised->time, from_ms(-78));
  const auto came = parse_series(presence(device, from_ms(78), 3));
  ASSERT_TRUE(came);
  EXPECT_EQ(came->what, series_key::content::event);
  EXPECT_EQ(came->time, from_ms(78));
  EXPECT_TRUE(presence(device, from_ms(78), 3).starts_with(presence_prefix(device)));
  EXPECT_FALSE(parse_series("x"));
  EXPECT_FALSE(parse_series(bucket(device, from_ms(77)) + "x"));
  EXPECT_FALSE(parse_series(latest(device)));
}

TEST(Keys, ValuesOfAnIndexDoNotMeet) {
  EXPECT_FALSE(index(1, "name", "ab", device).starts_with(index_prefix(1, "name", "a")));
  EXPECT_TRUE(index(1, "name", "a", device).starts_with(index_prefix(1, "name", "a")));
}

}  // namespace
}  // namespace orrery::storage::keys
