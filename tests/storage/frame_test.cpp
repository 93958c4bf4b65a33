#include "storage/frame.hpp"

#include <gtest/gtest.h>

namespace orrery::storage {
namespace {

frame example() {
  auto f = frame{.shard = 3, .epoch = 2, .first_offset = 10, .records = {}, .rows = {}};
  for (int i = 0; i < 3; ++i)
    f.records.push_back({model::make_entity_id(3, model::from_ms(i), {}),
                         model::entity_kind::device, static_cast<std::uint64_t>(i),
                         model::from_ms(1000 + i), "events " + std::to_string(i)});
  return f;
}

TEST(Frame, RoundTrips) {
  auto bytes = std::string{};
  encode_frame(example(), bytes);
  const auto again = decode_frame(3, 10, bytes);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->epoch, 2u);
  ASSERT_EQ(again->records.size(), 3u);
  EXPECT_EQ(again->records[2].events, "events 2");
  EXPECT_EQ(again->records[2].time, model::from_ms(1002));
  EXPECT_EQ(frame_time(bytes), model::from_ms(1002));
}

frame with_rows() {
  auto f = example();
  f.rows.push_back({.family = family::state, .key = "key", .value = "value"});
  f.rows.push_back({.family = family::series,
                    .key = "bucket",
                    .value = "part",
                    .slice_time = model::from_ms(-5),
                    .operation = row_operation::append});
  return f;
}

TEST(Frame, CarriesRowsIfItIsToTravel) {
  auto bytes = std::string{}, alone = std::string{};
  encode_frame(with_rows(), bytes, true);
  encode_frame(with_rows(), alone);
  const auto again = decode_frame(3, 10, bytes);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->records.size(), 3u);
  ASSERT_EQ(again->rows.size(), 2u);
  EXPECT_EQ(again->rows[1].key, "bucket");
  EXPECT_EQ(again->rows[1].slice_time, model::from_ms(-5));
  EXPECT_EQ(again->rows[1].operation, row_operation::append);
  EXPECT_TRUE(decode_frame(3, 10, alone)->rows.empty());
  const auto outline = outline_of_frame(bytes);
  ASSERT_TRUE(outline);
  EXPECT_EQ(outline->epoch, 2u);
  EXPECT_EQ(outline->records, 3u);
  EXPECT_TRUE(outline->has_rows);
  EXPECT_FALSE(outline_of_frame(alone)->has_rows);
  EXPECT_EQ(frame_time(bytes), frame_time(alone));
  EXPECT_FALSE(outline_of_frame(""));
}

TEST(Frame, AnyChangedByteIsFound) {
  auto bytes = std::string{};
  encode_frame(with_rows(), bytes, true);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    const auto got = decode_frame(3, 10, bad);
    ASSERT_FALSE(got) << i;
    EXPECT_EQ(got.error().code, model::errc::corrupted);
    EXPECT_FALSE(decode_frame(3, 10, std::string_view{bytes}.substr(0, i)));
  }
}

}  // namespace
}  // namespace orrery::storage
