// The store in memory does what the real one does: the same tests on both.
#include "tests/support/memory_store.hpp"

#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/bucket.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_store.hpp"

namespace orrery::tests {
namespace {

namespace fs = std::filesystem;
namespace keys = storage::keys;
using storage::family;
using storage::frame;
using storage::row;

const auto now = model::from_ms(1'700'000'000'000);
const auto device = model::make_entity_id(1, now, {4});

class EveryStore : public testing::TestWithParam<std::string> {
 protected:
  EveryStore() {
    if (GetParam() == "memory") {
      store = std::make_unique<memory_store>();
      return;
    }
    auto pattern = (fs::temp_directory_path() / "orrery-store-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    store = std::move(*storage::open_rocks_store(
        {.folder = folder + "/db", .write_buffer_bytes = 16 << 20, .block_cache_bytes = 8 << 20},
        now));
  }
  ~EveryStore() override {
    store.reset();
    if (!folder.empty())
      fs::remove_all(folder);
  }
  void append(model::shard_id shard, std::uint64_t first, int count, model::timestamp time = now) {
    auto f = frame{.shard = shard, .epoch = 3, .first_offset = first, .records = {}, .rows = {}};
    for (auto offset = first; offset < first + static_cast<std::uint64_t>(count); ++offset)
      f.records.push_back({{shard, device.ulid},
                           model::entity_kind::device,
                           offset,
                           time,
                           "e" + std::to_string(offset)});
    ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  }
  std::vector<std::string> replayed(model::shard_id shard, std::uint64_t from) {
    auto all = std::vector<std::string>{};
    EXPECT_TRUE(store->replay(shard, from, [&](std::uint64_t offset, std::uint64_t epoch, auto& r) {
      EXPECT_EQ(epoch, 3u);
      EXPECT_EQ(r.events, "e" + std::to_string(offset));
      EXPECT_EQ(r.entity.shard, shard);
      all.push_back(r.events);
      return true;
    }));
    return all;
  }

  std::string folder;
  std::unique_ptr<storage::entity_store> store;
};

TEST_P(EveryStore, ReplaysAShardFromAnyOffset) {
  append(1, 1, 3);
  append(2, 1, 1);
  append(1, 4, 2);
  EXPECT_EQ(replayed(1, 1), (std::vector<std::string>{"e1", "e2", "e3", "e4", "e5"}));
  EXPECT_EQ(replayed(1, 3), (std::vector<std::string>{"e3", "e4", "e5"}));
  EXPECT_EQ(replayed(1, 6), std::vector<std::string>{});
  EXPECT_EQ(replayed(2, 1), std::vector<std::string>{"e1"});
  EXPECT_EQ(store->meta(1)->next_offset, 6u);
  EXPECT_EQ(store->meta(3)->next_offset, 1u);
}

TEST_P(EveryStore, KnowsItsPositionWithoutAJournal) {
  ASSERT_TRUE(store->put_meta(1, {.epoch = 3, .next_offset = 8, .checkpoint_offset = 7}));
  EXPECT_EQ(store->meta(1)->next_offset, 8u);
  EXPECT_EQ(store->meta(1)->checkpoint_offset, 7u);
  append(1, 8, 1);
  EXPECT_EQ(store->meta(1)->next_offset, 9u);
}

TEST_P(EveryStore, KeepsAndDropsRows) {
  auto r = row{.family = family::state, .key = "\1\2key", .value = "x"};
  ASSERT_TRUE(store->put(std::span{&r, 1}, true));
  EXPECT_EQ(**store->get(family::state, r.key), "x");
  EXPECT_FALSE(*store->get(family::latest, r.key));
  r.operation = storage::row_operation::remove;
  ASSERT_TRUE(store->put(std::span{&r, 1}, true));
  EXPECT_FALSE(*store->get(family::state, r.key));
}

TEST_P(EveryStore, ScansAPrefixBothWaysFromAKey) {
  auto rows = std::vector<row>{};
  for (const auto* v : {"a", "b", "c"})
    rows.push_back(
        {.family = family::index, .key = keys::index(1, "name", v, device), .value = ""});
  rows.push_back(
      {.family = family::index, .key = keys::index(2, "name", "z", device), .value = ""});
  ASSERT_TRUE(store->put(rows, false));
  const auto values = [&](bool backwards, std::string_view from) {
    auto found = std::string{};
    EXPECT_TRUE(store->scan(family::index, keys::index_prefix(1, "name"), from, backwards,
                            [&](auto key, auto) {
                              found += *keys::index_value_of(key);
                              return found.size() < 3;
                            }));
    return found;
  };
  EXPECT_EQ(values(false, {}), "abc");
  EXPECT_EQ(values(true, {}), "cba");
  EXPECT_EQ(values(false, rows[1].key), "bc");
  EXPECT_EQ(values(true, rows[1].key), "ba");
}

TEST_P(EveryStore, AppendsToBucketsAndScansThemInOrder) {
  const auto fresh = storage::bucket_of(now), old = fresh - std::chrono::hours{24 * 20};
  auto rows = std::vector<row>{};
  for (const std::uint64_t revision : {1, 2})
    for (const auto t : {fresh, old}) {
      const auto sample =
          model::sample{t, {{"p", model::value{static_cast<std::int64_t>(revision)}}}};
      rows.push_back({.family = family::series,
                      .key = keys::bucket(device, t),
                      .value = storage::bucket_part(revision, std::span{&sample, 1}),
                      .slice_time = t,
                      .operation = storage::row_operation::append});
    }
  ASSERT_TRUE(store->put(rows, false));
  const auto found = [&](model::timestamp from, bool backwards) {
    auto all = std::string{};
    EXPECT_TRUE(store->scan_series(keys::bucket_prefix(device), from, now, backwards,
                                   [&](auto key, auto value) {
                                     all += keys::parse_series(key)->time == old ? "old" : "new";
                                     const auto parts = storage::parts_of(value);
                                     for (const auto& part : *parts)
                                       all += std::to_string(part.revision);
                                     return true;
                                   }));
    return all;
  };
  EXPECT_EQ(found(old, false), "old12new12");
  EXPECT_EQ(found(old, true), "new12old12");
  EXPECT_EQ(found(fresh, false), "new12");
  ASSERT_TRUE(store->roll_slices(now - std::chrono::hours{24 * 10}, now));
  EXPECT_EQ(found(old, false), "new12");
}

TEST_P(EveryStore, TrimsFramesThatAreOldAndMaterialised) {
  append(1, 1, 2, now - std::chrono::hours{3});
  append(1, 3, 2, now - std::chrono::hours{2});
  append(1, 5, 2, now);
  ASSERT_TRUE(store->trim_journal(1, 6, now - std::chrono::hours{5}));
  EXPECT_EQ(replayed(1, 1).front(), "e1");
  ASSERT_TRUE(store->trim_journal(1, 4, now - std::chrono::hours{1}));
  EXPECT_EQ(replayed(1, 1), (std::vector<std::string>{"e5", "e6"}));
  ASSERT_TRUE(store->trim_journal(1, 6, now + std::chrono::hours{1}));
  EXPECT_EQ(store->meta(1)->next_offset, 7u);
}

TEST_P(EveryStore, OpensAgain) {
  append(1, 1, 2);
  ASSERT_TRUE(store->reopen());
  EXPECT_EQ(replayed(1, 1).size(), 2u);
  append(1, 3, 1);
  EXPECT_EQ(store->meta(1)->next_offset, 4u);
}

INSTANTIATE_TEST_SUITE_P(Stores, EveryStore, testing::Values("memory", "rocks"),
                         [](const auto& store) { return store.param; });

class MemoryStore : public testing::Test {
 protected:
  model::status append() {
    auto f = frame{.shard = 1, .epoch = 1, .first_offset = 1, .records = {}, .rows = {}};
    f.records.push_back({device, model::entity_kind::device, 1, now, "e"});
    f.rows.push_back({.family = family::state, .key = "k", .value = "v"});
    return store.append(std::span{&f, 1}, true);
  }
  memory_store store;
};

TEST_F(MemoryStore, FailsAsOftenAsItIsTold) {
  store.faults.appends = 1;
  EXPECT_FALSE(append());
  EXPECT_TRUE(store.journal(1).empty());
  EXPECT_TRUE(append());
  EXPECT_EQ(store.journal(1).size(), 1u);
}

TEST_F(MemoryStore, FindsAFailedWriteInItsLog) {
  store.faults = {.appends = 1, .kept_by_log = true};
  EXPECT_FALSE(append());
  EXPECT_TRUE(store.journal(1).empty());
  ASSERT_TRUE(store.reopen());
  EXPECT_EQ(store.journal(1).size(), 1u);
  EXPECT_EQ(**store.get(family::state, "k"), "v");
}

TEST_F(MemoryStore, StaysClosedUntilItOpens) {
  ASSERT_TRUE(append());
  store.faults.reopening = true;
  EXPECT_FALSE(store.reopen());
  EXPECT_FALSE(append());
  EXPECT_EQ(store.get(family::state, "k").error().code, model::errc::unavailable);
  EXPECT_FALSE(store.meta(1));
  store.faults = {};
  ASSERT_TRUE(store.reopen());
  EXPECT_EQ(**store.get(family::state, "k"), "v");
}

}  // namespace
}  // namespace orrery::tests
