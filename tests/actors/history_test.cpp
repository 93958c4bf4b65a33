#include "actors/history.hpp"

#include <filesystem>
#include <map>
#include <random>
#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_store.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using model::from_ms;
using model::sample;
using model::timestamp;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const auto now = from_ms(1'700'000'000'000);

class History : public testing::Test {
 protected:
  History() {
    auto pattern = (std::filesystem::temp_directory_path() / "orrery-history-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    open(hours{24 * 30});
  }
  ~History() override {
    store.reset();
    std::filesystem::remove_all(folder);
  }
  void open(model::milliseconds retention) {
    store.reset();
    auto made = storage::open_rocks_store({.folder = folder + "/db",
                                           .write_buffer_bytes = 16 << 20,
                                           .block_cache_bytes = 8 << 20,
                                           .sample_retention = retention},
                                          now);
    ASSERT_TRUE(made) << made.error().detail;
    store = std::move(*made);
  }
  static sample at(timestamp t, double value, const char* point = "p") {
    return {t, {{point, value, -1}}};
  }
  /// As a checkpoint does.
  void save(std::vector<sample> samples) {
    ++revision;
    auto buckets = std::map<timestamp, std::vector<sample>>{};
    for (auto& s : samples)
      buckets[storage::bucket_of(s.time)].push_back(s);
    for (const auto& [start, some] : buckets)
      rows.push_back({.family = storage::family::series,
                      .key = keys::bucket(device, start),
                      .value = storage::bucket_part(revision, some),
                      .slice_time = start,
                      .operation = storage::row_operation::append});
    ASSERT_TRUE(store->put(std::exchange(rows, {}), false));
  }
  void accept(std::vector<sample> samples) {
    auto batch = std::make_shared<model::device::points_accepted>();
    batch->samples = std::move(samples);
    unsaved.push_back(std::move(batch));
  }
  /// All pages of a question, one behind the other.
  std::vector<history_row> all(history_question q) {
    auto found = std::vector<history_row>{};
    for (;;) {
      auto page = merge_history(q, *store, unsaved);
      if (!page) {
        ADD_FAILURE() << page.error().detail;
        return found;
      }
      ++pages;
      std::move(page->rows.begin(), page->rows.end(), std::back_inserter(found));
      if (!page->next)
        return found;
      (q.newest_first ? q.to : q.from) = *page->next;
    }
  }
  std::vector<double> values(const history_question& q) {
    auto found = std::vector<double>{};
    for (const auto& r : all(q))
      found.push_back(r.point.v.as_double());
    return found;
  }
  history_question question(bool newest_first = false, std::size_t limit = 1000) {
    return {.device = device,
            .points = {},
            .from = now - hours{48},
            .to = now,
            .limit = limit,
            .newest_first = newest_first};
  }

  std::string folder;
  std::unique_ptr<storage::entity_store> store;
  model::entity_id device = model::make_entity_id(1, now, {4});
  std::uint64_t revision = 0;
  std::vector<storage::row> rows;
  unsaved_batches unsaved;
  std::size_t pages = 0;
};

TEST_F(History, MergesWhatIsStoredWithWhatIsNot) {
  save({at(now - hours{3}, 1), at(now - hours{1}, 3)});
  save({at(now - hours{2}, 2)});
  accept({at(now - minutes{1}, 4)});
  EXPECT_EQ(values(question()), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(values(question(true)), (std::vector<double>{4, 3, 2, 1}));
  auto q = question();
  q.from = now - hours{2};
  q.to = now - hours{1};
  EXPECT_EQ(values(q), (std::vector<double>{2, 3}));
}

TEST_F(History, TheLastAcceptedCounts) {
  save({at(now - hours{1}, 1), at(now - minutes{1}, 1)});
  save({at(now - hours{1}, 2), at(now - minutes{1}, 2)});
  accept({at(now - minutes{1}, 3), at(now - minutes{1}, 4)});
  accept({at(now - minutes{1}, 5)});
  for (const auto newest_first : {false, true}) {
    auto got = values(question(newest_first));
    std::sort(got.begin(), got.end());
    EXPECT_EQ(got, (std::vector<double>{2, 5}));
  }
}

TEST_F(History, GivesThePointsThatAreAskedFor) {
  save({{now - hours{1}, {{"a", 1.0, -1}, {"b", 2.0, -1}, {"c", 3.0, 2}}}});
  accept({{now - minutes{1}, {{"a", 4.0, -1}, {"c", 5.0, -1}}}});
  auto q = question();
  EXPECT_EQ(values(q).size(), 5u);
  q.points = {"c"};
  EXPECT_EQ(values(q), (std::vector<double>{3, 5}));
  EXPECT_EQ(all(q).front().point.quality, 2);
  q.points = {"a", "b"};
  EXPECT_EQ(values(q), (std::vector<double>{1, 2, 4}));
  q.points = {"x"};
  EXPECT_TRUE(values(q).empty());
}

TEST_F(History, APageNeverSplitsATime) {
  for (int i = 3; i > 0; --i)
    save({{now - hours{i}, {{"a", i * 1.0, -1}, {"b", i * 1.0, -1}, {"c", i * 1.0, -1}}}});
  for (const auto newest_first : {false, true})
    for (const std::size_t limit : {1, 2, 3, 4, 7, 9, 10}) {
      pages = 0;
      EXPECT_EQ(all(question(newest_first, limit)).size(), 9u) << limit;
      EXPECT_EQ(pages, limit <= 3                 ? 3u
                       : limit <= 6               ? 2u
                       : limit == 7 || limit >= 9 ? 1u
                                                  : 2u)
          << limit;
    }
}

TEST_F(History, WhatIsOlderThanTheRetentionIsHidden) {
  save({at(now - hours{3}, 1), at(now - minutes{61}, 2), at(now - minutes{59}, 3)});
  accept({at(now - hours{2}, 4), at(now - minutes{1}, 5)});
  open(hours{1});
  EXPECT_EQ(values(question()), (std::vector<double>{3, 5}));
}

TEST_F(History, TellsDamage) {
  save({at(now - hours{5}, 1)});
  ASSERT_TRUE(
      store->put(std::array{storage::row{.family = storage::family::series,
                                         .key = keys::bucket(device, storage::bucket_of(now)),
                                         .value = "damage",
                                         .slice_time = now,
                                         .operation = storage::row_operation::append}},
                 false));
  const auto page = merge_history(question(), *store, {});
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, model::errc::corrupted);
  auto q = question();
  q.to = now - hours{4};  // what is not damaged can be read
  EXPECT_EQ(values(q), (std::vector<double>{1}));
}

/// Reads no more of the store than a page needs: a damaged bucket behind it does not matter.
TEST_F(History, ReadsNoMoreThanThePageNeeds) {
  for (int i = 0; i < 100; ++i)
    save({at(now - hours{2} + seconds{i}, i)});
  const auto damage = storage::row{.family = storage::family::series,
                                   .key = keys::bucket(device, storage::bucket_of(now)),
                                   .value = "damage",
                                   .slice_time = now,
                                   .operation = storage::row_operation::append};
  ASSERT_TRUE(store->put(std::span{&damage, 1}, false));
  const auto page = merge_history(question(false, 50), *store, {});
  ASSERT_TRUE(page) << page.error().detail;
  EXPECT_EQ(page->rows.size(), 50u);
  EXPECT_EQ(page->next, now - hours{2} + seconds{50});
}

/// Whatever comes in whatever order, checkpoints anywhere, pages of any size: the same as a map.
TEST_F(History, IsTheSameAsAMap) {
  auto random = std::mt19937{29};
  for (int round = 0; round < 40; ++round) {
    device.ulid[15] = static_cast<std::uint8_t>(round);
    revision = 0;
    unsaved.clear();
    auto expected = std::map<std::pair<timestamp, std::string>, double>{};
    for (auto batches = random() % 30; batches > 0; --batches) {
      auto some = std::vector<sample>{};
      for (auto n = 1 + random() % 20; n > 0; --n) {
        const auto t = now - minutes{random() % 600} + seconds{random() % 3};
        const auto* point = random() % 2 ? "a" : "b";
        some.push_back(at(t, static_cast<double>(random() % 1000), point));
        expected[{t, point}] = some.back().points.front().v.as_double();
      }
      accept(some);
      if (random() % 3 == 0) {
        auto gone = std::vector<sample>{};
        for (const auto& batch : unsaved)
          gone.insert(gone.end(), batch->samples.begin(), batch->samples.end());
        save(gone);
        if (random() % 2)  // else they come twice: a checkpoint between the two reads
          unsaved.clear();
      }
    }
    for (const auto newest_first : {false, true}) {
      auto q = question(newest_first, 1 + random() % 40);
      q.from = now - hours{24};
      q.to = now + hours{1};
      auto got = std::map<std::pair<timestamp, std::string>, double>{};
      auto last = newest_first ? timestamp::max() : timestamp::min();
      for (const auto& r : all(q)) {
        EXPECT_TRUE(got.emplace(std::pair{r.time, r.point.id}, r.point.v.as_double()).second);
        EXPECT_TRUE(newest_first ? r.time <= last : r.time >= last);
        last = r.time;
      }
      ASSERT_EQ(got, expected);
    }
  }
}

}  // namespace
}  // namespace orrery::actors
