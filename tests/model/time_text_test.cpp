#include "model/time_text.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

std::int64_t ms(std::string_view text) {
  const auto t = parse_time(text);
  EXPECT_TRUE(t) << text;
  return t ? to_ms(*t) : 0;
}

TEST(TimeText, IsWrittenInUtcWithMilliseconds) {
  EXPECT_EQ(to_text(from_ms(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(to_text(from_ms(1'769'860'800'007)), "2026-01-31T12:00:00.007Z");
  EXPECT_EQ(to_text(from_ms(-1)), "1969-12-31T23:59:59.999Z");
}

TEST(TimeText, TimesWithoutATextBecomeTheNearestOne) {
  EXPECT_EQ(to_text(from_ms(std::numeric_limits<std::int64_t>::max())), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(to_text(from_ms(std::numeric_limits<std::int64_t>::min())), "0001-01-01T00:00:00.000Z");
}

TEST(TimeText, ReadsEveryFormOfRfc3339) {
  EXPECT_EQ(ms("2026-01-31T12:00:00Z"), 1'769'860'800'000);
  EXPECT_EQ(ms("2026-01-31t12:00:00z"), 1'769'860'800'000);
  EXPECT_EQ(ms("2026-01-31 12:00:00Z"), 1'769'860'800'000);
  EXPECT_EQ(ms("2026-01-31T14:00:00+02:00"), 1'769'860'800'000);
  EXPECT_EQ(ms("2026-01-31T08:30:00-03:30"), 1'769'860'800'000);
  EXPECT_EQ(ms("2026-01-31T12:00:00.5Z"), 1'769'860'800'500);
  EXPECT_EQ(ms("2026-01-31T12:00:00.1239999999Z"), 1'769'860'800'123);
  EXPECT_EQ(ms("2024-02-29T00:00:00Z"), 1'709'164'800'000);
  EXPECT_EQ(ms("2016-12-31T23:59:60Z"), 1'483'228'800'000) << "a leap second is the next one";
}

TEST(TimeText, ReadsEpochMilliseconds) {
  EXPECT_EQ(ms("1700000000000"), 1'700'000'000'000);
  EXPECT_EQ(ms("0"), 0);
  EXPECT_EQ(ms("-1"), -1);
}

TEST(TimeText, ComesBackAsItWasWritten) {
  for (const auto at : {std::int64_t{0}, std::int64_t{1'769'860'800'007},
                        std::int64_t{-62'135'596'800'000}, std::int64_t{253'402'300'799'999}})
    EXPECT_EQ(ms(to_text(from_ms(at))), at);
}

TEST(TimeText, RefusesWhatIsNoTime) {
  for (const auto* text : {"",
                           "-",
                           "now",
                           "2026-01-31",
                           "2026-01-31T12:00:00",
                           "2026-02-30T12:00:00Z",
                           "2026-13-01T12:00:00Z",
                           "2026-01-31T24:00:00Z",
                           "2026-01-31T12:60:00Z",
                           "2026-01-31T12:00:61Z",
                           "2026-01-31T12:00:00.Z",
                           "2026-01-31T12:00:00+2:00",
                           "2026-01-31T12:00:00+02:00x",
                           "2026-01-31T12:00:00+24:00",
                           "2026-01-31T12:00:00ZZ",
                           "2026/01/31T12:00:00Z",
                           "2026-01-31T12.00.00Z",
                           "20260131T120000Z",
                           "1e12",
                           "12.5",
                           "--1",
                           "99999999999999999999",
                           "2026-01-31T12:00:00.123",
                           "2026-01-31T12:00:00+"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(TimeText, RefusesWhatIsBeyondTheCalendar) {
  EXPECT_TRUE(time_of(253'402'300'799'999));
  EXPECT_FALSE(time_of(253'402'300'800'000));
  EXPECT_TRUE(time_of(-62'135'596'800'000));
  EXPECT_FALSE(time_of(-62'135'596'800'001));
  EXPECT_FALSE(parse_time("9223372036854775807"));
  EXPECT_FALSE(parse_time("9999-12-31T23:59:59-01:00"));
  EXPECT_FALSE(parse_time("0000-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace orrery::model
