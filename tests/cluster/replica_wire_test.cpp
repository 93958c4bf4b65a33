#include "cluster/replica_wire.hpp"

#include <gtest/gtest.h>

#include "cluster/shard_log.hpp"

namespace orrery::cluster {
namespace {

log_entry entry(std::uint64_t epoch, std::uint64_t index) {
  auto f = storage::frame{};
  f.shard = 3;
  f.epoch = epoch;
  f.first_offset = index;
  return {{epoch, index},
          std::make_shared<const std::string>(encode_entry(std::move(f), model::from_ms(1)))};
}

std::vector<replica_envelope> examples() {
  return {append_entries{5, {4, 9}, {entry(4, 10), entry(5, 11)}, 8},
          append_done{5, 11, 77},
          append_refused{6, 3},
          copy_begun{1, 5, {4, 9}},
          copy_rows{1, 2, {{.family = storage::family::latest, .key = "k", .value = "v"}}},
          copy_ended{1, 2},
          copy_taken{1, 3, true},
          applied_up_to{5, 11}};
}

TEST(ReplicaWire, EveryMessageComesBack) {
  auto seen = std::set<std::size_t>{};
  for (const auto& m : examples()) {
    seen.insert(m.index());
    const auto bytes = encode_replica(3, m);
    const auto got = decode_replica(bytes);
    ASSERT_TRUE(got) << m.index();
    EXPECT_EQ(got->shard, 3);
    ASSERT_EQ(got->what.index(), m.index());
    EXPECT_EQ(encode_replica(3, got->what), bytes);
  }
  EXPECT_EQ(seen.size(), std::variant_size_v<replica_envelope>);
}

TEST(ReplicaWire, CutOrChangedBytesDoNoHarm) {
  for (const auto& m : examples()) {
    const auto bytes = encode_replica(3, m);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      EXPECT_FALSE(decode_replica(std::string_view{bytes}.substr(0, i))) << m.index() << " " << i;
      for (const auto flip : {0x01, 0x80, 0xff}) {
        auto bad = bytes;
        bad[i] = static_cast<char>(bad[i] ^ flip);
        const auto got = decode_replica(bad);
        // Some are other messages: then they are whole.
        EXPECT_TRUE(!got || decode_replica(encode_replica(got->shard, got->what)));
      }
    }
    EXPECT_FALSE(decode_replica(bytes + "x"));
  }
}

TEST(ReplicaWire, EntriesMustFollowEachOther) {
  const auto refused = [](append_entries m) {
    return !decode_replica(encode_replica(3, replica_envelope{std::move(m)}));
  };
  EXPECT_FALSE(refused({5, {4, 9}, {entry(4, 10)}, 8}));
  EXPECT_TRUE(refused({5, {4, 9}, {entry(4, 11)}, 8})) << "a hole";
  EXPECT_TRUE(refused({5, {4, ~std::uint64_t{0}}, {entry(4, 0)}, 8})) << "behind the last number";
  EXPECT_TRUE(refused({5, {4, 9}, {entry(3, 10)}, 8})) << "an older epoch";
  EXPECT_TRUE(refused({5, {4, 9}, {entry(6, 10)}, 8})) << "newer than its sender";
  auto lies = entry(4, 10);
  lies.at.epoch = 5;
  EXPECT_TRUE(refused({5, {4, 9}, {lies}, 8})) << "the frame is of another epoch";
}

}  // namespace
}  // namespace orrery::cluster
