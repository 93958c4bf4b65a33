#include "storage/time_series.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace orrery::storage {
namespace {

using model::from_ms;

const auto begin = from_ms(1'700'000'000'000);

TEST(Segment, KeepsEveryValueExactly) {
  auto all = std::vector<sample>{};
  const auto doubles = std::vector<double>{
      0, -0.0, 0.1, 1e300, 5e-324, -1.5, 12345.678, std::numeric_limits<double>::infinity(), 3};
  for (std::size_t i = 0; i < doubles.size(); ++i)
    all.push_back({begin + std::chrono::milliseconds{static_cast<int>(i * i)},
                   {{"b", i % 2 == 0, -1},
                    {"d", doubles[i], static_cast<std::int8_t>(i % 2 == 0 ? -1 : 3)},
                    {"i", std::int64_t{1} << (6 * i), -1},
                    {"o", model::array{1, "x"}, -1},
                    {"s", "text " + std::to_string(i % 3), -1}}});
  const auto bytes = encode_segment(all);
  const auto again = decode_segment(bytes);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(*again, all);
  const auto range = segment_range(bytes);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, all.front().time);
  EXPECT_EQ(range->last, all.back().time);
}

TEST(Segment, SortsByTimeAndTheLastOfEqualOnesWins) {
  const auto bytes =
      encode_segment(std::vector<sample>{{begin + std::chrono::seconds{2}, {{"p", 1.0, -1}}},
                                         {begin, {{"p", 2.0, -1}}},
                                         {begin, {{"p", 3.0, -1}, {"q", 4, -1}}}});
  const auto got = decode_segment(bytes);
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 2u);
  EXPECT_EQ((*got)[0].time, begin);
  EXPECT_EQ((*got)[0].points.size(), 2u);
  EXPECT_EQ((*got)[0].points[0].v.as_double(), 3.0);
}

TEST(Segment, OneColumnAlone) {
  const auto bytes =
      encode_segment(std::vector<sample>{{begin, {{"p", 1.0, -1}, {"q", 2.0, -1}}},
                                         {begin + std::chrono::seconds{1}, {{"q", 3.0, -1}}}});
  const auto got = decode_segment(bytes, "q");
  ASSERT_TRUE(got);
  auto values = std::vector<double>{};
  for (const auto& s : *got)
    for (const auto& p : s.points) {
      EXPECT_EQ(p.id, "q");
      values.push_back(p.v.as_double());
    }
  EXPECT_EQ(values, (std::vector<double>{2, 3}));
  const auto none = decode_segment(bytes, "x");
  ASSERT_TRUE(none);
}

TEST(Segment, RandomSamplesRoundTrip) {
  auto random = std::mt19937{7};
  for (int round = 0; round < 200; ++round) {
    auto all = std::vector<sample>{};
    auto t = begin;
    for (auto n = random() % 50; n > 0; --n) {
      t += std::chrono::milliseconds{1 + random() % 100'000};
      auto s = sample{t, {}};
      for (const auto* id : {"a", "b", "c"})
        if (random() % 3 != 0) {
          auto v = model::value{};
          switch (random() % 5) {
            case 0:
              v = static_cast<double>(random()) / 1000;
              break;
            case 1:
              v = static_cast<std::int64_t>(random()) - (1 << 30);
              break;
            case 2:
              v = std::to_string(random() % 4);
              break;
            case 3:
              v = random() % 2 == 0;
              break;
            default:
              v = std::bit_cast<double>(std::uint64_t{random()} << 32 | random());
          }
          if (v.is_double() && std::isnan(v.as_double()))
            v = 0.0;
          s.points.push_back(
              {id, v, static_cast<std::int8_t>(static_cast<int>(random() % 11) - 1)});
        }
      if (!s.points.empty())
        all.push_back(std::move(s));
    }
    const auto again = decode_segment(encode_segment(all));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, all);
  }
}

TEST(Segment, RegularTelemetryTakesFewBytes) {
  auto all = std::vector<sample>{};
  auto level = 50.0;
  auto random = std::mt19937{3};
  for (int i = 0; i < 3600; ++i) {
    level += (static_cast<int>(random() % 21) - 10) / 100.0;
    all.push_back(
        {begin + std::chrono::seconds{i}, {{"power", std::round(level * 100) / 100, -1}}});
  }
  const auto bytes = encode_segment(all).size();
  EXPECT_LT(static_cast<double>(bytes) / 3600, 2.0) << bytes;
}

TEST(Segment, NoBytesCrashTheDecoder) {
  auto all = std::vector<sample>{};
  for (int i = 0; i < 20; ++i)
    all.push_back({begin + std::chrono::seconds{i}, {{"p", i * 0.5, -1}, {"s", "x", 1}}});
  const auto good = encode_segment(all);
  auto random = std::mt19937{11};
  for (std::size_t n = 0; n < good.size(); ++n)
    (void)decode_segment(std::string_view{good}.substr(0, n));
  for (int i = 0; i < 20'000; ++i) {
    auto bad = good;
    bad[random() % bad.size()] = static_cast<char>(random());
    (void)decode_segment(bad);
    (void)segment_range(bad);
  }
}

TEST(Bucket, IsAnHour) {
  EXPECT_EQ(bucket_of(from_ms(3'600'000)), from_ms(3'600'000));
  EXPECT_EQ(bucket_of(from_ms(3'599'999)), from_ms(0));
  EXPECT_EQ(bucket_of(from_ms(-1)), from_ms(-3'600'000));
}

}  // namespace
}  // namespace orrery::storage
