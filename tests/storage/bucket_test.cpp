#include "storage/bucket.hpp"

#include <array>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace orrery::storage {
namespace {

using model::from_ms;

const auto begin = from_ms(1'700'000'000'000);

/// What a row says: the value of each point at each time, the later revision counts.
using table = std::map<std::pair<model::timestamp, std::string>, model::value>;

model::result<table> read(std::string_view row) {
  auto parts = parts_of(row);
  if (!parts)
    return parts.error();
  auto revisions = std::map<table::key_type, std::uint64_t>{};
  auto all = table{};
  for (const auto& p : *parts) {
    auto samples = decode_segment(p.segment);
    if (!samples)
      return samples.error();
    for (const auto& s : *samples)
      for (const auto& point : s.points) {
        const auto key = table::key_type{s.time, point.id};
        if (const auto known = revisions.find(key);
            known != revisions.end() && known->second > p.revision)
          continue;
        revisions[key] = p.revision;
        all[key] = point.v;
      }
  }
  return all;
}

sample at(int second, double value, const char* point = "p") {
  return {begin + std::chrono::seconds{second}, {{point, value, -1}}};
}
std::string part_of(std::uint64_t revision, std::vector<sample> samples) {
  return bucket_part(revision, samples);
}
std::string row_of(const std::vector<std::string>& values) {
  return concatenate(std::vector<std::string_view>(values.begin(), values.end()));
}

TEST(BucketRow, APartTellsItsRevisionAndItsTimes) {
  const auto parts = parts_of(part_of(7, {at(3, 1), at(1, 2)}));
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->size(), 1u);
  EXPECT_EQ(parts->front().revision, 7u);
  EXPECT_EQ(parts->front().range.first, begin + std::chrono::seconds{1});
  EXPECT_EQ(parts->front().range.last, begin + std::chrono::seconds{3});
  EXPECT_TRUE(parts_of("")->empty());
}

TEST(BucketRow, JoiningKeepsTheLaterRevision) {
  const auto row = row_of({part_of(1, {at(0, 1), at(1, 1)}), part_of(2, {at(1, 2), at(2, 2)}),
                           part_of(3, {at(2, 3), at(2, 4, "q")})});
  const auto joined = join_parts(row);
  EXPECT_EQ(parts_of(joined)->size(), 1u);
  EXPECT_EQ(parts_of(joined)->front().revision, 3u);
  const auto got = read(joined);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, *read(row));
  EXPECT_EQ(got->at({begin + std::chrono::seconds{1}, "p"}).as_double(), 2);
  EXPECT_EQ(got->at({begin + std::chrono::seconds{2}, "p"}).as_double(), 3);
}

TEST(BucketRow, APartThatComesAgainLosesToWhatCameAfterIt) {
  const auto first = part_of(1, {at(0, 1), at(1, 1)}), second = part_of(2, {at(1, 2)});
  const auto got = read(join_parts(row_of({first, second, first})));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->at({begin + std::chrono::seconds{1}, "p"}).as_double(), 2);
  EXPECT_EQ(got->size(), 2u);
}

TEST(BucketRow, DamageHidesNoOtherPartAndIsTold) {
  const auto good = std::array{part_of(1, {at(0, 1)}), part_of(2, {at(1, 2)})};
  auto random = std::mt19937{5};
  for (int round = 0; round < 5000; ++round) {
    auto bad = part_of(9, {at(5, 5), at(6, 5)});
    switch (random() % 3) {
      case 0:
        bad.resize(random() % bad.size());
        break;
      case 1:
        bad[random() % bad.size()] ^= static_cast<char>(1 + random() % 255);
        break;
      default:
        for (auto& c : bad)
          c = static_cast<char>(random());
    }
    if (bad.empty())
      continue;
    const auto later = part_of(3, {at(2, 3)});
    auto row = join_parts(row_of({good[0], bad, good[1]}));
    row = join_parts(row_of({row, later}));
    const auto refused = parts_of(row);
    ASSERT_FALSE(refused) << round;
    EXPECT_EQ(refused.error().code, model::errc::corrupted);
    EXPECT_NE(row.find(good[0]), std::string::npos) << round;
    EXPECT_NE(row.find(join_parts(row_of({good[1], later}))), std::string::npos) << round;
  }
}

TEST(BucketRow, NoBytesCrashTheJoin) {
  auto random = std::mt19937{11};
  const auto good = row_of({part_of(1, {at(0, 1)}), part_of(2, {at(1, 2), at(2, 3)})});
  for (std::size_t n = 0; n < good.size(); ++n)
    (void)join_parts(std::string_view{good}.substr(0, n));
  for (int i = 0; i < 20'000; ++i) {
    auto bad = good;
    for (auto n = random() % 4; n < 4; ++n)
      bad[random() % bad.size()] = static_cast<char>(random());
    const auto joined = join_parts(bad);
    EXPECT_EQ(parts_of(joined).has_value(), parts_of(bad).has_value());
  }
}

TEST(BucketRow, JoinsInStepsOfSizeAndLeavesFewParts) {
  auto row = std::string{};
  auto written = std::size_t{0};
  for (int i = 0; i < 360; ++i) {
    row = join_parts(
        row_of({row, part_of(static_cast<std::uint64_t>(i) + 1, {at(10 * i, i * 0.5)})}));
    EXPECT_LE(parts_of(row)->size(), 8u) << i;
    written += row.size();
  }
  EXPECT_EQ(read(row)->size(), 360u);
  EXPECT_LT(row.size(), 360 * 4);
}

TEST(BucketRow, LargePartsAreNotWrittenAnew) {
  auto random = std::mt19937{3};
  auto text = [&] {
    auto s = std::string(1000, ' ');
    for (auto& c : s)
      c = static_cast<char>(random());
    return s;
  };
  auto big = [&](std::uint64_t revision) {
    auto samples = std::vector<sample>{};
    for (int i = 0; i < 200; ++i)
      samples.push_back({begin + std::chrono::milliseconds{i}, {{"s", text(), -1}}});
    return bucket_part(revision, samples);
  };
  const auto row = row_of({big(1), big(2)});
  EXPECT_EQ(join_parts(row), row);
}

/// Whatever comes, however it is grouped: joined and not joined say the same.
TEST(BucketRow, GroupingChangesNothing) {
  auto random = std::mt19937{17};
  for (int round = 0; round < 100; ++round) {
    auto parts = std::vector<std::string>{};
    for (std::uint64_t revision = 1; revision <= 1 + random() % 20; ++revision) {
      auto samples = std::vector<sample>{};
      for (auto n = 1 + random() % 30; n > 0; --n)
        samples.push_back(at(static_cast<int>(random() % 60),
                             static_cast<double>(random() % 1000) / 8, random() % 2 ? "p" : "q"));
      parts.push_back(bucket_part(revision, samples));
    }
    const auto expected = read(row_of(parts));
    ASSERT_TRUE(expected);
    while (parts.size() > 1) {
      const auto from = random() % (parts.size() - 1);
      const auto to = from + 1 + random() % (parts.size() - from - 1) + 1;
      auto some = row_of({parts.begin() + static_cast<std::ptrdiff_t>(from),
                          parts.begin() + static_cast<std::ptrdiff_t>(std::min(to, parts.size()))});
      if (random() % 3 != 0)
        some = join_parts(some);
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(from),
                  parts.begin() + static_cast<std::ptrdiff_t>(std::min(to, parts.size())));
      parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(from), some);
      const auto got = read(row_of(parts));
      ASSERT_TRUE(got);
      ASSERT_EQ(*got, *expected);
    }
  }
}

}  // namespace
}  // namespace orrery::storage
