// Bytes that are on somebody's disk: files under tests/data that every later release must read.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "storage/bucket.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"
#include "storage/time_series.hpp"

namespace orrery::storage {
namespace {

using model::from_ms;

std::string golden(const std::string& name) {
  auto in = std::ifstream{std::string{"tests/data/"} + name, std::ios::binary};
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::string hex(std::string_view bytes) {
  auto text = std::ostringstream{};
  for (const auto c : bytes)
    text << "0123456789abcdef"[static_cast<unsigned char>(c) >> 4]
         << "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  return text.str();
}

const auto device =
    model::make_entity_id(258, from_ms(1'700'000'000'000), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
const auto begin = from_ms(1'700'000'000'000);

frame example_frame() {
  auto f = frame{.shard = 258, .epoch = 3, .first_offset = 1000, .records = {}, .rows = {}};
  f.records.push_back({device, model::entity_kind::device, 41, begin, "first"});
  f.records.push_back({device, model::entity_kind::asset, 300, begin - std::chrono::hours{1}, ""});
  f.records.push_back({device, model::entity_kind::product, 1, begin + std::chrono::seconds{1},
                       std::string(200, 'x')});
  return f;
}

/// Every kind of column, with gaps, qualities and unequal steps of time.
std::vector<sample> example_samples() {
  auto all = std::vector<sample>{};
  for (int i = 0; i < 6; ++i) {
    auto s = sample{begin + std::chrono::milliseconds{1000 * i + (i % 5) * 7}, {}};
    s.points.push_back({"decimal", (i * 17 - 40) / 8.0, 1});
    if (i % 3 != 0)
      s.points.push_back({"flag", i % 2 == 0, -1});
    if (i == 4)
      s.points.push_back({"other", model::object{{"a", model::array{1, true, nullptr}}}, -1});
    s.points.push_back({"real", 1.0 / (i + 1), static_cast<std::int8_t>(i % 4)});
    if (i % 2 == 0)
      s.points.push_back({"text", "state " + std::to_string(i), -1});
    s.points.push_back({"whole", std::int64_t{1} << (12 * i), -1});
    all.push_back(std::move(s));
  }
  return all;
}

/// The same, long enough to be compressed.
std::vector<sample> many_samples() {
  auto all = std::vector<sample>{};
  for (int i = 0; i < 1000; ++i)
    all.push_back({begin + std::chrono::seconds{i},
                   {{"power", (i * 37 % 1000) / 10.0, -1}, {"state", i / 100, -1}}});
  return all;
}

TEST(Golden, Frame) {
  const auto bytes = golden("frame-1.bin");
  const auto f = decode_frame(258, 1000, bytes);
  ASSERT_TRUE(f) << f.error().detail;
  const auto expected = example_frame();
  EXPECT_EQ(f->epoch, expected.epoch);
  ASSERT_EQ(f->records.size(), expected.records.size());
  for (std::size_t i = 0; i < f->records.size(); ++i) {
    EXPECT_EQ(f->records[i].entity, expected.records[i].entity);
    EXPECT_EQ(f->records[i].kind, expected.records[i].kind);
    EXPECT_EQ(f->records[i].revision, expected.records[i].revision);
    EXPECT_EQ(f->records[i].time, expected.records[i].time);
    EXPECT_EQ(f->records[i].events, expected.records[i].events);
  }
  EXPECT_EQ(frame_time(bytes), begin + std::chrono::seconds{1});
  auto written = std::string{};
  encode_frame(expected, written);
  EXPECT_EQ(hex(written), hex(bytes));
}

TEST(Golden, Segment) {
  const auto bytes = golden("segment-1.bin");
  const auto got = decode_segment(bytes);
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(*got, example_samples());
}

TEST(Golden, CompressedSegment) {
  const auto bytes = golden("segment-1-zstd.bin");
  const auto got = decode_segment(bytes);
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(*got, many_samples());
}

TEST(Golden, Bucket) {
  const auto bytes = golden("bucket-1.bin");
  const auto parts = parts_of(bytes);
  ASSERT_TRUE(parts) << parts.error().detail;
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].revision, 12u);
  EXPECT_EQ(*decode_segment((*parts)[0].segment), example_samples());
  EXPECT_EQ((*parts)[1].revision, 1'000'000u);
  EXPECT_EQ(*decode_segment((*parts)[1].segment), many_samples());
}

TEST(Golden, Keys) {
  auto lines = std::istringstream{golden("keys-1.txt")};
  const auto t = from_ms(1'700'000'000'000);
  const auto expected = std::vector<std::pair<std::string, std::string>>{
      {"journal", keys::journal(258, 1000)},
      {"state", keys::state(model::entity_kind::device, device)},
      {"command", keys::command(device, device)},
      {"latest", keys::latest(device)},
      {"bucket", keys::bucket(device, t)},
      {"event", keys::event(device, from_ms(-1), 7)},
      {"presence", keys::presence(device, from_ms(-1), 7)},
      {"index", keys::index(258, "name", "key", device)},
      {"meta-of-shard", keys::meta(258, "shard")},
      {"meta", keys::meta("format")},
      {"operation-input", keys::operation_input(device, 7)},
      {"operation-result", keys::operation_result(device, 7)}};
  for (const auto& [name, key] : expected) {
    auto named = std::string{}, bytes = std::string{};
    lines >> named >> bytes;
    EXPECT_EQ(named, name);
    EXPECT_EQ(bytes, hex(key)) << name;
  }
}

}  // namespace
}  // namespace orrery::storage
