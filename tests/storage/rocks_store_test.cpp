#include "storage/rocks_store.hpp"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/keys.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::from_ms;

const auto now = from_ms(1'700'000'000'000);

class RocksStore : public testing::Test {
 protected:
  RocksStore() {
    auto pattern = (fs::temp_directory_path() / "orrery-store-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~RocksStore() override {
    store.reset();
    fs::remove_all(folder);
  }
  model::status open(model::milliseconds retention = std::chrono::hours{24 * 30}) {
    auto made = open_rocks_store({.folder = folder + "/db",
                                  .write_buffer_bytes = 16 << 20,
                                  .block_cache_bytes = 8 << 20,
                                  .sample_retention = retention},
                                 now);
    if (!made)
      return made.error();
    store = std::move(*made);
    return {};
  }
  frame journal(std::uint64_t first, int count, model::timestamp time = now) {
    auto f = frame{.shard = 1, .epoch = 1, .first_offset = first, .records = {}, .rows = {}};
    for (int i = 0; i < count; ++i)
      f.records.push_back({device, model::entity_kind::device,
                           first + static_cast<std::uint64_t>(i), time,
                           "e" + std::to_string(first + static_cast<std::uint64_t>(i))});
    return f;
  }
  std::vector<std::string> replayed(std::uint64_t from) {
    auto all = std::vector<std::string>{};
    EXPECT_TRUE(store->replay(1, from, [&](std::uint64_t, std::uint64_t, const record& r) {
      all.push_back(r.events);
      return true;
    }));
    return all;
  }
  std::string folder;
  std::unique_ptr<entity_store> store;
  model::entity_id device = model::make_entity_id(1, now, {4});
};

TEST_F(RocksStore, AppendsFramesWithTheirRows) {
  ASSERT_TRUE(open());
  auto f = journal(1, 3);
  f.rows.push_back({.family = family::state,
                    .key = keys::state(model::entity_kind::device, device),
                    .value = "snapshot"});
  ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  EXPECT_EQ(store->meta(1)->next_offset, 4u);
  EXPECT_EQ(**store->get(family::state, keys::state(model::entity_kind::device, device)),
            "snapshot");
  EXPECT_EQ(replayed(1), (std::vector<std::string>{"e1", "e2", "e3"}));
  EXPECT_EQ(replayed(3), (std::vector<std::string>{"e3"}));
  store.reset();
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(2), (std::vector<std::string>{"e2", "e3"}));
  auto gone = row{.family = family::state,
                  .key = keys::state(model::entity_kind::device, device),
                  .value = std::nullopt};
  ASSERT_TRUE(store->put(std::span{&gone, 1}, true));
  EXPECT_FALSE(*store->get(family::state, gone.key));
}

TEST_F(RocksStore, TrimsOnlyWhatIsOldAndMaterialised) {
  ASSERT_TRUE(open());
  for (auto f : {journal(1, 2, now), journal(3, 2, now + std::chrono::hours{1}),
                 journal(5, 2, now + std::chrono::hours{2})})
    ASSERT_TRUE(store->append(std::span{&f, 1}, false));
  ASSERT_TRUE(store->trim_journal(1, 4, now + std::chrono::minutes{30}));
  EXPECT_EQ(replayed(1).front(), "e3");
  ASSERT_TRUE(store->trim_journal(1, 4, now + std::chrono::hours{10}));
  EXPECT_EQ(replayed(1).back(), "e6");
  EXPECT_NE(replayed(1).front(), "e1");
}

TEST_F(RocksStore, KeepsSamplesInSlicesAndDropsOldOnes) {
  ASSERT_TRUE(open());
  auto f = frame{.shard = 1, .epoch = 1, .first_offset = 1, .records = {}, .rows = {}};
  const auto old = now - std::chrono::hours{24 * 20};
  for (const auto t : {old, now})
    f.rows.push_back({.family = family::series,
                      .key = keys::segment(device, t, 1),
                      .value = "s",
                      .slice_time = t});
  ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  const auto count = [&](model::timestamp from, bool backwards) {
    auto times = std::vector<model::timestamp>{};
    EXPECT_TRUE(
        store->scan_series(keys::segment_prefix(device), from, now, backwards, [&](auto key, auto) {
          times.push_back(*keys::segment_bucket(key));
          return true;
        }));
    return times;
  };
  EXPECT_EQ(count(old, false), (std::vector{old, now}));
  EXPECT_EQ(count(old, true), (std::vector{now, old}));
  ASSERT_TRUE(store->roll_slices(now - std::chrono::hours{24 * 10}, now));
  EXPECT_EQ(count(old, false), (std::vector{now}));
}

TEST_F(RocksStore, ScansAPrefixInBothDirections) {
  ASSERT_TRUE(open());
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
                              return true;
                            }));
    return found;
  };
  EXPECT_EQ(values(false, {}), "abc");
  EXPECT_EQ(values(true, {}), "cba");
  EXPECT_EQ(values(false, rows[1].key), "bc");
  EXPECT_EQ(values(true, rows[1].key), "ba");
}

TEST_F(RocksStore, IsOpenOnce) {
  ASSERT_TRUE(open());
  auto second = open_rocks_store({.folder = folder + "/db"}, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "storage_locked");
}

TEST_F(RocksStore, TellsANewerFormat) {
  ASSERT_TRUE(open());
  auto newer = row{.family = family::meta, .key = keys::meta("format"), .value = "99"};
  ASSERT_TRUE(store->put(std::span{&newer, 1}, true));
  store.reset();
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "storage_newer_format") << refused.error().detail;
}

TEST_F(RocksStore, TellsADamagedDatabase) {
  ASSERT_TRUE(open());
  auto f = journal(1, 1000);
  ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  store.reset();
  for (const auto& file : fs::directory_iterator{folder + "/db"})
    if (file.path().filename().string().starts_with("MANIFEST"))
      std::ofstream{file.path(), std::ios::binary | std::ios::trunc} << "no manifest";
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, model::errc::corrupted) << refused.error().detail;
}

TEST_F(RocksStore, ReopensAfterAFailure) {
  ASSERT_TRUE(open());
  auto f = journal(1, 2);
  ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  ASSERT_TRUE(store->reopen());
  EXPECT_EQ(replayed(1).size(), 2u);
  f = journal(3, 1);
  EXPECT_TRUE(store->append(std::span{&f, 1}, true));
}

}  // namespace
}  // namespace orrery::storage
