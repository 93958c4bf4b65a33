#include "model/bytes.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model {
namespace {

TEST(Bytes, RoundTrip) {
  auto w = byte_writer{};
  w.u8(200);
  w.u16(60000);
  w.u32(4'000'000'000u);
  w.u64(std::numeric_limits<std::uint64_t>::max());
  for (const auto v : {0ull, 127ull, 128ull, 300ull, ~0ull})
    w.varint(v);
  for (const auto v : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
                       std::numeric_limits<std::int64_t>::max()})
    w.svarint(v);
  w.f64(-0.1);
  w.text("text\0with nul");
  const auto tree = *parse_json(R"({"a":[1,2.5,"x",null,true,{"b":[]}]})");
  w.any(tree);
  const auto id = make_entity_id(3, from_ms(99), {7});
  w.id(id);
  auto r = byte_reader{w.bytes()};
  EXPECT_EQ(r.u8(), 200);
  EXPECT_EQ(r.u16(), 60000);
  EXPECT_EQ(r.u32(), 4'000'000'000u);
  EXPECT_EQ(r.u64(), std::numeric_limits<std::uint64_t>::max());
  for (const auto v : {0ull, 127ull, 128ull, 300ull, ~0ull})
    EXPECT_EQ(r.varint(), v);
  for (const auto v : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
                       std::numeric_limits<std::int64_t>::max()})
    EXPECT_EQ(r.svarint(), v);
  EXPECT_EQ(r.f64(), -0.1);
  EXPECT_EQ(r.text(), "text\0with nul");
  EXPECT_EQ(r.any(), tree);
  EXPECT_EQ(r.id(), id);
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.at_end());
}

TEST(Bytes, ReadingPastTheEndFailsForGood) {
  auto r = byte_reader{"\x01"};
  EXPECT_EQ(r.u64(), 0u);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.u8(), 0u);
  EXPECT_EQ(r.text(), "");
}

TEST(Bytes, ADamagedCountTakesNoMemory) {
  auto w = byte_writer{};
  w.varint(1ull << 40);
  auto r = byte_reader{w.bytes()};
  EXPECT_EQ(r.count(), 0u);
  EXPECT_FALSE(r.ok());
}

TEST(Bytes, DeepNestingIsRefused) {
  auto deep = value{1};
  for (int i = 0; i < 1000; ++i)
    deep = value{array{deep}};
  auto w = byte_writer{};
  w.any(deep);
  auto r = byte_reader{w.bytes()};
  r.any();
  EXPECT_FALSE(r.ok());
}

TEST(Bytes, NoInputCrashesTheReader) {
  auto w = byte_writer{};
  w.any(*parse_json(R"({"a":[1,2.5,"x",null,true,{"b":["c"]}]})"));
  const auto good = w.bytes();
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      auto bad = good;
      bad[at] = static_cast<char>(byte);
      auto r = byte_reader{bad};
      r.any();
      auto cut = byte_reader{std::string_view{bad}.substr(0, at)};
      cut.any();
      EXPECT_FALSE(cut.ok());
    }
}

}  // namespace
}  // namespace orrery::model
