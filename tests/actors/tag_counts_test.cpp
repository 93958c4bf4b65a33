// What parts have counted, put together in any order, is what one would have counted of all.
#include "actors/tag_counts.hpp"

#include <algorithm>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::actors {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::vector<std::string> keys_of(const tag_counts& c) {
  auto all = std::vector<std::string>{};
  for (const auto& [key, of] : c.keys())
    all.push_back(key);
  return all;
}

TEST(TagCounts, CountKeysAndValues) {
  auto c = tag_counts{};
  c.add("site", "A", 2);
  c.add("site", "", 1);
  c.add("line", "A", 1);
  c.add("site", "A", 1);
  EXPECT_THAT(keys_of(c), ElementsAre("line", "site"));
  EXPECT_EQ(c.keys().at("site").devices, 4u);
  EXPECT_THAT(c.keys().at("site").values, ElementsAre(Pair("", 1u), Pair("A", 3u)));
  EXPECT_TRUE(c.is_whole());
  EXPECT_EQ(c.counts().of.at(R"(["site"])"), 4u);
  EXPECT_EQ(c.counts().of.at(R"(["site","A"])"), 3u);
}

TEST(TagCounts, KeepTheFirstValuesAndCountAllDevices) {
  auto c = tag_counts{};
  for (auto n = 300; n > 0; --n)
    c.add("serial", std::to_string(1000 + n), 1);
  const auto& of = c.keys().at("serial");
  EXPECT_EQ(of.devices, 300u);
  EXPECT_EQ(of.values.size(), tag_counts::max_values + 1);
  EXPECT_EQ(of.values.begin()->first, "1001");
  EXPECT_EQ(of.values.rbegin()->first, std::to_string(1001 + tag_counts::max_values));
  EXPECT_TRUE(c.is_whole());
}

TEST(TagCounts, KeepTheFirstKeys) {
  auto c = tag_counts{};
  for (auto n = 0; n < 1'200; ++n)
    c.add("k" + std::to_string(3'000 - n), "v", 1);
  EXPECT_EQ(c.keys().size(), tag_counts::max_keys);
  EXPECT_EQ(c.keys().begin()->first, "k1801");
  EXPECT_FALSE(c.is_whole());
  c.add("k2900", "v", 1);
  EXPECT_EQ(c.keys().size(), tag_counts::max_keys) << "what was left out does not come back";
}

TEST(TagCounts, HaveARoomThatFitsIntoAMessage) {
  auto c = tag_counts{};
  for (auto key = 0; key < 300; ++key)
    for (auto n = 0; n < 150; ++n)
      c.add("key" + std::to_string(100 + key), std::string(190, 'x') + std::to_string(n), 1);
  auto bytes = std::size_t{0};
  for (const auto& [group, n] : c.counts().of)
    bytes += group.size() + 8;
  EXPECT_LE(c.counts().of.size(), tag_counts::max_entries + 1);
  EXPECT_LE(bytes, tag_counts::max_bytes + 1'000);
  EXPECT_GT(bytes, tag_counts::max_bytes / 2);
  EXPECT_FALSE(c.is_whole());
}

TEST(TagCounts, OfPartsComeToThoseOfAll) {
  auto random = std::mt19937{5};
  for (auto round = 0; round < 20; ++round) {
    const auto keys = round % 4 == 0 ? 1'100u : 20u, values = round % 2 == 0 ? 130u : 5u;
    auto whole = tag_counts{};
    auto parts = std::vector<tag_counts>(4);
    for (auto n = 0; n < 6'000; ++n) {
      const auto key = "k" + std::to_string(1'000 + random() % keys);
      const auto value = "v" + std::to_string(random() % values);
      whole.add(key, value, 1);
      parts[random() % parts.size()].add(key, value, 1);
    }
    auto together = tag_counts{};
    std::shuffle(parts.begin(), parts.end(), random);
    for (const auto& part : parts)
      together.add(part.counts());
    ASSERT_EQ(together.counts().of, whole.counts().of) << round;
    ASSERT_EQ(together.is_whole(), whole.is_whole());
  }
}

TEST(TagCounts, PassOverWhatIsNoneOfTheirs) {
  auto c = tag_counts{};
  c.add(device_counts{{{"", 1}, {"{}", 1}, {"[]", 2}, {"[1,2]", 3}, {R"(["a"])", 4}}});
  EXPECT_THAT(keys_of(c), ElementsAre("a"));
}

}  // namespace
}  // namespace orrery::actors
