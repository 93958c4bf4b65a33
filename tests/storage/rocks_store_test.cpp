#include "storage/rocks_store.hpp"

#include "tests/storage/store_fixture.hpp"

namespace orrery::storage {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class RocksStore : public store_fixture {
 protected:
  std::string values(bool backwards, std::string_view from) {
    auto found = std::string{};
    EXPECT_TRUE(store->scan(family::index, keys::index_prefix(1, "name"), from, backwards,
                            [&](auto key, auto) {
                              found += *keys::index_value_of(key);
                              return true;
                            }));
    return found;
  }
};

TEST_F(RocksStore, AppendsFramesWithTheirRows) {
  ASSERT_TRUE(open());
  const auto key = keys::state(model::entity_kind::device, device);
  auto f = journal(1, 3);
  f.rows.push_back({.family = family::state, .key = key, .value = "snapshot"});
  ASSERT_TRUE(store->append(std::span{&f, 1}, true));
  EXPECT_EQ(store->meta(1)->next_offset, 4u);
  EXPECT_EQ(**store->get(family::state, key), "snapshot");
  EXPECT_EQ(replayed(1), (std::vector<std::string>{"e1", "e2", "e3"}));
  EXPECT_EQ(replayed(3), (std::vector<std::string>{"e3"}));
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(2), (std::vector<std::string>{"e2", "e3"}));
  put({.family = family::state, .key = key, .operation = row_operation::remove});
  EXPECT_FALSE(*store->get(family::state, key));
}

TEST_F(RocksStore, AppendsOnlyToSamples) {
  ASSERT_TRUE(open());
  auto f = journal(1, 1);
  f.rows.push_back({.family = family::state,
                    .key = keys::state(model::entity_kind::device, device),
                    .value = "x",
                    .operation = row_operation::append});
  const auto refused = store->append(std::span{&f, 1}, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, model::errc::internal);
  EXPECT_TRUE(replayed(1).empty());  // all or nothing
}

TEST_F(RocksStore, KnowsThePositionOfAShard) {
  ASSERT_TRUE(open());
  EXPECT_EQ(store->meta(1)->next_offset, 1u);
  append(journal(1, 10));
  ASSERT_TRUE(store->put_meta(1, {.epoch = 7, .next_offset = 9, .checkpoint_offset = 8}));
  ASSERT_TRUE(open());
  const auto meta = store->meta(1);
  EXPECT_EQ(meta->epoch, 7u);
  EXPECT_EQ(meta->checkpoint_offset, 8u);
  EXPECT_EQ(meta->next_offset, 11u);  // the journal goes further than the note
  EXPECT_EQ(store->meta(2)->next_offset, 1u);
  put({.family = family::meta, .key = keys::meta(2, "shard"), .value = ""});
  EXPECT_EQ(store->meta(2).error().code, model::errc::corrupted);
}

TEST_F(RocksStore, ReplayEndsWhenTheVisitorSaysSo) {
  ASSERT_TRUE(open());
  append(journal(1, 3));
  append(journal(4, 3));
  auto seen = 0;
  ASSERT_TRUE(store->replay(1, 1, [&](auto, auto, const auto&) { return ++seen < 5; }));
  EXPECT_EQ(seen, 5);
}

TEST_F(RocksStore, TellsADamagedFrameByItsShardAndOffset) {
  ASSERT_TRUE(open());
  append(journal(1, 3));
  plant(journal_family, keys::journal(1, 4), "no frame");
  ASSERT_TRUE(open());
  const auto refused = store->replay(1, 1, [](auto, auto, const auto&) { return true; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, model::errc::corrupted);
  EXPECT_NE(refused.error().detail.find("shard 1"), std::string::npos);
  EXPECT_NE(refused.error().detail.find("offset 4"), std::string::npos);
  EXPECT_EQ(store->meta(1).error().code, model::errc::corrupted);
}

TEST_F(RocksStore, ScansAPrefixInBothDirections) {
  ASSERT_TRUE(open());
  auto rows = std::vector<row>{};
  for (const auto* v : {"a", "b", "c"})
    rows.push_back({.family = family::index, .key = keys::index(1, "name", v, device)});
  rows.push_back({.family = family::index, .key = keys::index(2, "name", "z", device)});
  rows.push_back({.family = family::index, .key = keys::index(1, "a", "y", device)});
  ASSERT_TRUE(store->put(rows, false));
  EXPECT_EQ(values(false, {}), "abc");
  EXPECT_EQ(values(true, {}), "cba");
  EXPECT_EQ(values(false, rows[1].key), "bc");
  EXPECT_EQ(values(true, rows[1].key), "ba");
  auto first = 0;
  ASSERT_TRUE(store->scan(family::index, keys::index_prefix(1, "name"), {}, false,
                          [&](auto, auto) { return ++first < 1; }));
  EXPECT_EQ(first, 1);
}

TEST_F(RocksStore, AMomentStaysAsItWas) {
  ASSERT_TRUE(open());
  const auto put = [&](std::string key, std::string value) {
    const auto r = row{.family = family::state, .key = std::move(key), .value = std::move(value)};
    ASSERT_TRUE(store->put(std::span{&r, 1}, false));
  };
  put("ka", "1");
  {
    const auto then = store->moment();
    ASSERT_TRUE(then);
    put("ka", "2");
    put("kb", "3");
    EXPECT_EQ(**(*then)->get(family::state, "ka"), "1");
    EXPECT_FALSE(*(*then)->get(family::state, "kb"));
    for (const auto backwards : {false, true}) {
      auto seen = std::string{};
      ASSERT_TRUE((*then)->scan(family::state, "k", {}, backwards, [&](auto key, auto value) {
        seen.append(key).append(value);
        return true;
      }));
      EXPECT_EQ(seen, "ka1");
    }
  }
  EXPECT_EQ(**store->get(family::state, "ka"), "2");
  EXPECT_EQ(**(*store->moment())->get(family::state, "kb"), "3");
}

TEST_F(RocksStore, ReopensAfterAFailure) {
  ASSERT_TRUE(open());
  append(journal(1, 2));
  ASSERT_TRUE(store->reopen());
  EXPECT_EQ(replayed(1).size(), 2u);
  append(journal(3, 1));
  EXPECT_EQ(replayed(1).size(), 3u);
}

TEST_F(RocksStore, IsClosedWhenItCannotBeReopened) {
  ASSERT_TRUE(open());
  append(journal(1, 2));
  std::filesystem::rename(options.folder + "/CURRENT", options.folder + "/hidden");
  EXPECT_FALSE(store->reopen());
  for (const auto& failed : {store->put({}, false), store->reopen(), store->limit_journal(1),
                             store->trim_journal(1, 1, now), store->roll_slices(now, now),
                             store->scan(family::index, "x", {}, false, {}),
                             store->scan_series("x", now, now, false, {}), store->replay(1, 1, {})})
    EXPECT_FALSE(failed);
  EXPECT_EQ(store->get(family::state, "x").error().code, model::errc::unavailable);
  EXPECT_EQ(store->meta(1).error().code, model::errc::unavailable);
  EXPECT_TRUE(store->figures().empty());
  std::filesystem::rename(options.folder + "/hidden", options.folder + "/CURRENT");
  ASSERT_TRUE(store->reopen());
  EXPECT_EQ(replayed(1).size(), 2u);
}

TEST_F(RocksStore, TellsItsFigures) {
  ASSERT_TRUE(open());
  append(journal(1, 1000));
  auto figures = std::map<std::string, double>{};
  for (const auto& [name, value] : store->figures())
    figures.emplace(name, value);
  EXPECT_GT(figures.at("memtable_bytes"), 0);
  EXPECT_GT(figures.at("journal_bytes"), 0);
  EXPECT_TRUE(figures.contains("block_cache_bytes"));
  EXPECT_EQ(figures.at("write_stopped"), 0);
}

}  // namespace
}  // namespace orrery::storage
