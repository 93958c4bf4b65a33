#include "model/tree/order_key.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace orrery::model::tree {
namespace {

TEST(OrderKey, ThereIsRoomEverywhere) {
  auto keys = std::vector<std::string>{key_between({}, {})};
  auto random = std::mt19937{7};
  for (int i = 0; i < 3'000; ++i) {
    const auto at = random() % (keys.size() + 1);
    const auto lower = at == 0 ? std::string{} : keys[at - 1];
    const auto upper = at == keys.size() ? std::string{} : keys[at];
    const auto key = key_between(lower, upper);
    ASSERT_FALSE(key.empty());
    ASSERT_LT(lower, key);
    ASSERT_TRUE(upper.empty() || key < upper) << lower << ' ' << key << ' ' << upper;
    ASSERT_NE(key.back(), '0');
    keys.insert(keys.begin() + static_cast<std::ptrdiff_t>(at), key);
  }
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

TEST(OrderKey, StaysShortAtTheEnds) {
  auto last = key_between({}, {}), first = last;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto next = key_between(last, {});
    ASSERT_GT(next, last);
    last = next;
  }
  for (int i = 0; i < 100'000; ++i) {
    const auto next = key_between({}, first);
    ASSERT_LT(next, first);
    first = next;
  }
  EXPECT_LE(last.size(), 6u);
  EXPECT_LE(first.size(), 6u);
}

TEST(OrderKey, GrowsSlowlyAtOnePlace) {
  const auto lower = key_between({}, {});
  auto upper = key_between(lower, {});
  for (int i = 0; i < 500; ++i) {
    const auto key = key_between(lower, upper);
    ASSERT_LT(lower, key);
    ASSERT_LT(key, upper);
    upper = key;
  }
  EXPECT_LE(upper.size(), max_order_key + 20);
}

TEST(OrderKey, ManyAtOnceAreInOrderAndBetween) {
  for (const auto* upper : {"", "V", "A1"})
    for (const auto* lower : {"", "A"}) {
      const auto keys = keys_between(lower, upper, 1'000);
      EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
      EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
      EXPECT_LT(lower, keys.front());
      EXPECT_TRUE(*upper == 0 || keys.back() < upper);
    }
  EXPECT_TRUE(keys_between("A", "B", 0).empty());
}

TEST(OrderKey, EndsWhateverItIsGiven) {
  for (const auto* lower : {"A", "\x01", "zzzz", "A00"})
    for (const auto* upper : {"A", "\xff", "A0", "0"})
      EXPECT_FALSE(key_between(lower, upper).empty());
}

}  // namespace
}  // namespace orrery::model::tree
