#include <random>
#include <thread>

#include "storage/time_series.hpp"
#include "tests/storage/store_fixture.hpp"

namespace orrery::storage {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RocksSeries : public store_fixture {
 protected:
  static constexpr auto hour = bucket_length;
  model::timestamp bucket = bucket_of(now);

  row part(model::timestamp start, std::uint64_t revision, std::vector<sample> samples) {
    return {.family = family::series,
            .key = keys::bucket(device, start),
            .value = bucket_part(revision, samples),
            .slice_time = start,
            .operation = row_operation::append};
  }
  row raised(model::timestamp time) {
    return {.family = family::series,
            .key = keys::event(device, time, 1),
            .value = "event",
            .slice_time = time};
  }
  static sample one(model::timestamp time, double value) { return {time, {{"p", value, -1}}}; }

  /// The samples of all buckets, in the order of the walk and of the parts.
  model::result<std::vector<double>> samples(model::timestamp from, model::timestamp to,
                                             bool backwards = false) {
    auto values = std::vector<double>{};
    auto failed = model::status{};
    const auto ok =
        store->scan_series(keys::bucket_prefix(device), from, to, backwards,
                           [&](std::string_view, std::string_view row) {
                             const auto parts = parts_of(row);
                             if (!parts) {
                               failed = parts.error();
                               return false;
                             }
                             for (const auto& p : *parts)
                               for (const auto& s : decode_segment(p.segment).value_or({}))
                                 values.push_back(s.points.front().v.as_double());
                             return true;
                           });
    EXPECT_TRUE(ok) << ok.error().detail;
    if (!failed)
      return failed.error();
    return values;
  }
  std::vector<model::timestamp> times(std::string_view prefix, model::timestamp from,
                                      model::timestamp to, bool backwards = false) {
    auto found = std::vector<model::timestamp>{};
    const auto ok = store->scan_series(prefix, from, to, backwards, [&](auto key, auto) {
      found.push_back(keys::parse_series(key)->time);
      return true;
    });
    EXPECT_TRUE(ok) << ok.error().detail;
    return found;
  }
  /// Flushes and compacts all families, as the database itself does in time.
  void compact(model::timestamp horizon = model::timestamp::min()) {
    const auto work = [](open_rocks& in) {
      for (const auto& [name, handle] : in.families) {
        ASSERT_TRUE(in.db->Flush({}, handle).ok());
        auto how = rocksdb::CompactRangeOptions{};
        how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
        ASSERT_TRUE(in.db->CompactRange(how, handle, nullptr, nullptr).ok());
      }
    };
    with_database(work, horizon);
    ASSERT_TRUE(open());
  }
  std::size_t stored_parts() {
    auto count = std::size_t{0};
    EXPECT_TRUE(store->scan_series(keys::bucket_prefix(device), model::timestamp::min(),
                                   model::timestamp::max(), false, [&](auto, auto row) {
                                     count += parts_of(row)->size();
                                     return true;
                                   }));
    return count;
  }
};

TEST_F(RocksSeries, ABucketGrowsByParts) {
  ASSERT_TRUE(open());
  for (int i = 0; i < 5; ++i)
    put(part(bucket, static_cast<std::uint64_t>(i) + 1, {one(bucket + seconds{i}, i)}));
  EXPECT_EQ(*samples(bucket, now), (std::vector<double>{0, 1, 2, 3, 4}));
  EXPECT_EQ(times(keys::bucket_prefix(device), bucket, now).size(), 1u);
  ASSERT_TRUE(open());  // the log is read again
  EXPECT_EQ(*samples(bucket, now), (std::vector<double>{0, 1, 2, 3, 4}));
}

TEST_F(RocksSeries, ReadersGetPartsAndCompactionsJoinThem) {
  ASSERT_TRUE(open());
  for (int i = 0; i < 40; ++i)
    put(part(bucket, static_cast<std::uint64_t>(i) + 1, {one(bucket + seconds{i}, i)}));
  EXPECT_EQ(stored_parts(), 40u);
  const auto before = *samples(bucket, now);
  compact();
  EXPECT_LE(stored_parts(), 4u);
  EXPECT_EQ(*samples(bucket, now), before);
}

TEST_F(RocksSeries, ADamagedPartFailsTheReadAndNothingElse) {
  ASSERT_TRUE(open());
  put(part(bucket, 1, {one(bucket, 1)}));
  auto bad = part(bucket, 2, {one(bucket + seconds{1}, 2)});
  bad.value[bad.value.size() / 2] ^= 1;
  put(bad);
  put(part(bucket, 3, {one(bucket + seconds{2}, 3)}));
  put(part(bucket - hour, 1, {one(bucket - hour, 9)}));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(samples(bucket, now).error().code, model::errc::corrupted);
    EXPECT_EQ(*samples(bucket - hour, bucket - milliseconds{1}), (std::vector<double>{9}));
    compact();
  }
  // It still takes what comes, and the other parts are there.
  const auto later = part(bucket, 4, {one(bucket + seconds{3}, 4)});
  put(later);
  auto row = std::string{};
  ASSERT_TRUE(store->scan_series(keys::bucket_prefix(device), bucket, now, false,
                                 [&](auto, std::string_view bytes) {
                                   row = bytes;
                                   return true;
                                 }));
  for (const auto& good :
       {part(bucket, 1, {one(bucket, 1)}), part(bucket, 3, {one(bucket + seconds{2}, 3)}), later})
    EXPECT_NE(row.find(good.value), std::string::npos);
}

TEST_F(RocksSeries, ScansBucketsOfATimeInBothDirections) {
  ASSERT_TRUE(open());
  const auto first = bucket - hours{24 * 20};
  auto all = std::vector<model::timestamp>{};
  for (int i = 0; i < 20; ++i) {
    all.push_back(first + hours{24 * i});
    put(part(all.back(), 1, {one(all.back(), i)}));
    put(raised(all.back() + seconds{5}));
  }
  auto reversed = all;
  std::reverse(reversed.begin(), reversed.end());
  const auto prefix = keys::bucket_prefix(device);
  EXPECT_EQ(times(prefix, first, now), all);
  EXPECT_EQ(times(prefix, first, now, true), reversed);
  EXPECT_EQ(times(prefix, model::timestamp::min(), model::timestamp::max()), all);
  EXPECT_EQ(times(prefix, all[3], all[5]), (std::vector{all[3], all[4], all[5]}));
  EXPECT_EQ(times(prefix, all[3] + milliseconds{1}, all[5] - milliseconds{1}, true),
            (std::vector{all[4]}));
  EXPECT_EQ(times(keys::event_prefix(device), all[3] + seconds{5}, all[4] + seconds{4}),
            (std::vector{all[3] + seconds{5}}));
  auto seen = 0;
  ASSERT_TRUE(
      store->scan_series(prefix, first, now, false, [&](auto, auto) { return ++seen < 7; }));
  EXPECT_EQ(seen, 7);
}

TEST_F(RocksSeries, TimesFarOffShareAFamilyAndComeInOrder) {
  ASSERT_TRUE(open());
  const auto soon = bucket + slice_length * 10;  // no slice is made for it yet
  put(part(soon, 1, {one(soon, 1)}));
  put(part(bucket, 1, {one(bucket, 0)}));
  put(part(soon + hour, 1, {one(soon + hour, 3)}));
  // Weeks later the slice is there, and the bucket goes on in it.
  ASSERT_TRUE(store->roll_slices(now - hours{24 * 300}, soon));
  put(part(soon, 2, {one(soon + seconds{1}, 2)}));
  put(part(soon + 2 * hour, 2, {one(soon + 2 * hour, 4)}));
  const auto prefix = keys::bucket_prefix(device);
  const auto last = soon + 5 * hour;
  EXPECT_EQ(times(prefix, bucket, last), (std::vector{bucket, soon, soon + hour, soon + 2 * hour}));
  EXPECT_EQ(times(prefix, bucket, last, true),
            (std::vector{soon + 2 * hour, soon + hour, soon, bucket}));
  EXPECT_EQ(*samples(bucket, last), (std::vector<double>{0, 1, 2, 3, 4}));
  auto seen = 0;
  ASSERT_TRUE(
      store->scan_series(prefix, bucket, last, true, [&](auto, auto) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3);
}

TEST_F(RocksSeries, WhatIsOlderThanTheRetentionDoesNotAppear) {
  options.sample_retention = hours{2};
  ASSERT_TRUE(open());
  EXPECT_EQ(store->sample_horizon(), now - hours{2});
  auto written = std::vector<model::timestamp>{};
  for (const auto back : {200, 4, 3, 2, 1, 0}) {
    written.push_back(bucket - hours{back});
    put(part(written.back(), 1, {one(written.back(), back)}));
    put(raised(written.back()));
  }
  const auto seen = times(keys::bucket_prefix(device), model::timestamp::min(), now);
  // The bucket that the horizon falls in still has something to show.
  EXPECT_EQ(seen, (std::vector{bucket - hours{2}, bucket - hours{1}, bucket}));
  ASSERT_TRUE(store->roll_slices(now - hours{1}, now + hours{1}));
  EXPECT_EQ(store->sample_horizon(), now - hours{1});
  EXPECT_EQ(times(keys::bucket_prefix(device), model::timestamp::min(), now),
            (std::vector{bucket - hours{1}, bucket}));
}

TEST_F(RocksSeries, CompactionsDropWhatIsWhollyOlder) {
  ASSERT_TRUE(open());
  for (const auto back : {4, 3, 2, 1}) {
    put(part(bucket - hours{back}, 1, {one(bucket - hours{back}, back)}));
    put(part(bucket - hours{back}, 2, {one(bucket - hours{back} + seconds{1}, back)}));
    put(raised(bucket - hours{back}));
    put({.family = family::state, .key = keys::bucket(device, bucket - hours{back}), .value = "x"});
  }
  const auto horizon = bucket - hours{2} + seconds{30};
  compact(horizon);
  EXPECT_EQ(times(keys::bucket_prefix(device), model::timestamp::min(), now),
            (std::vector{bucket - hours{2}, bucket - hours{1}}));
  EXPECT_EQ(times(keys::event_prefix(device), model::timestamp::min(), now),
            (std::vector{bucket - hours{1}}));
  // Other families have no age.
  EXPECT_TRUE(*store->get(family::state, keys::bucket(device, bucket - hours{4})));
}

TEST_F(RocksSeries, WholeSlicesAreDropped) {
  ASSERT_TRUE(open());
  const auto old = now - hours{24 * 20};
  for (const auto t : {old, now})
    put(part(bucket_of(t), 1, {one(t, 1)}));
  EXPECT_EQ(times(keys::bucket_prefix(device), old - hour, now).size(), 2u);
  ASSERT_TRUE(store->roll_slices(now - hours{24 * 10}, now));
  ASSERT_TRUE(open());
  EXPECT_EQ(times(keys::bucket_prefix(device), old - hour, now), (std::vector{bucket_of(now)}));
}

/// Whatever is written when, flushed, compacted and opened again in between: the same as a map.
TEST_F(RocksSeries, IsTheSameAsAMap) {
  auto random = std::mt19937{23};
  auto expected = std::map<model::timestamp, double>{};
  auto revision = std::uint64_t{0};
  ASSERT_TRUE(open());
  for (int round = 0; round < 60; ++round) {
    for (auto n = random() % 20; n > 0; --n) {
      const auto start = bucket - hours{random() % 300};
      auto some = std::vector<sample>{};
      ++revision;
      for (auto m = 1 + random() % 10; m > 0; --m) {
        const auto t = start + seconds{random() % 100};
        some.push_back(one(t, static_cast<double>(random() % 10'000) / 8));
        expected[t] = some.back().points.front().v.as_double();
      }
      put(part(start, revision, some));
    }
    if (random() % 8 == 0)
      compact();
    auto got = std::map<model::timestamp, double>{};
    ASSERT_TRUE(store->scan_series(keys::bucket_prefix(device), model::timestamp::min(), now,
                                   random() % 2 == 0, [&](auto, std::string_view row) {
                                     auto parts = *parts_of(row);
                                     std::stable_sort(parts.begin(), parts.end(),
                                                      [](const auto& a, const auto& b) {
                                                        return a.revision < b.revision;
                                                      });
                                     for (const auto& p : parts)
                                       for (const auto& s : decode_segment(p.segment).value_or({}))
                                         got[s.time] = s.points.front().v.as_double();
                                     return true;
                                   }));
    ASSERT_EQ(got, expected);
  }
}

}  // namespace
}  // namespace orrery::storage
