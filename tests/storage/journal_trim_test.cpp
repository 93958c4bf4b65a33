#include "storage/journal_trim.hpp"

#include <random>

#include "tests/storage/store_fixture.hpp"

namespace orrery::storage {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class JournalTrim : public store_fixture {
 protected:
  void note_checkpoint(model::shard_id shard, std::uint64_t offset) {
    ASSERT_TRUE(store->put_meta(
        shard, {.epoch = 1, .next_offset = offset + 1, .checkpoint_offset = offset}));
  }
  /// Frames of a shard with records that do not compress, one frame per hour.
  void fill(model::shard_id shard, int frames, model::timestamp from, std::size_t bytes = 100'000) {
    for (int i = 0; i < frames; ++i) {
      auto f = frame{
          .shard = shard, .epoch = 1, .first_offset = next_[shard] + 1, .records = {}, .rows = {}};
      f.records.push_back({device, model::entity_kind::device, 1, from + hours{i}, noise(bytes)});
      append(f);
      ++next_[shard];
    }
  }
  /// Puts it into tables: their sizes are known well, those in memory only by a random sample.
  void flush(const std::function<void(open_rocks&, rocksdb::ColumnFamilyHandle*)>& more =
                 [](open_rocks&, rocksdb::ColumnFamilyHandle*) {}) {
    with_database([&](open_rocks& in) {
      for (const auto& [name, handle] : in.families)
        if (name == journal_family) {
          ASSERT_TRUE(in.db->Flush({}, handle).ok());
          more(in, handle);
        }
    });
    ASSERT_TRUE(open());
  }
  std::size_t kept(model::shard_id shard) { return replayed(1, shard).size(); }
  double journal_size() {
    for (const auto& [name, value] : store->figures())
      if (name == "journal_bytes")
        return value;
    return -1;
  }
  std::string noise(std::size_t bytes) {
    auto text = std::string(bytes, ' ');
    for (auto& c : text)
      c = static_cast<char>(random_());
    return text;
  }

 private:
  std::mt19937 random_{3};
  std::map<model::shard_id, std::uint64_t> next_;
};

TEST_F(JournalTrim, ByAgeTakesOnlyWhatIsOldAndMaterialised) {
  ASSERT_TRUE(open());
  for (const auto& f : {journal(1, 2, now), journal(3, 2, now + hours{1}),
                        journal(5, 2, now + hours{2}), journal(7, 2, now + hours{3})})
    append(f);
  append(journal(1, 2, now, 2));
  append(journal(3, 2, now, 2));
  ASSERT_TRUE(store->trim_journal(1, 0, now + hours{10}));
  EXPECT_EQ(replayed(1).front(), "e1");
  ASSERT_TRUE(store->trim_journal(1, 6, now + minutes{30}));
  EXPECT_EQ(replayed(1).front(), "e3");
  ASSERT_TRUE(store->trim_journal(1, 5, now + hours{10}));  // in the middle of the third frame
  EXPECT_EQ(replayed(1).front(), "e5");
  ASSERT_TRUE(store->trim_journal(1, 100, now + hours{10}));
  EXPECT_EQ(replayed(1), (std::vector<std::string>{"e7", "e8"}));  // the newest always stays
  EXPECT_EQ(store->meta(1)->next_offset, 9u);
  EXPECT_EQ(kept(2), 4u);                         // another shard's journal
  ASSERT_TRUE(store->trim_journal(3, 100, now));  // no journal at all
}

TEST_F(JournalTrim, BySizeTakesTheOldestOfAllShards) {
  ASSERT_TRUE(open());
  fill(1, 20, now);              // hours 0 to 19
  fill(2, 20, now + hours{10});  // hours 10 to 29
  fill(3, 20, now + hours{30});  // hours 30 to 49
  for (model::shard_id shard : {1, 2, 3})
    note_checkpoint(shard, 20);
  flush();
  const auto before = journal_size();
  EXPECT_NEAR(before, 6'000'000, 500'000);
  ASSERT_TRUE(store->limit_journal(10'000'000));
  EXPECT_EQ(kept(1) + kept(2) + kept(3), 60u);
  ASSERT_TRUE(store->limit_journal(static_cast<std::uint64_t>(before / 2)));
  EXPECT_LE(journal_size(), before / 2);
  EXPECT_EQ(kept(1), 1u);
  EXPECT_EQ(kept(3), 20u);
  EXPECT_GT(kept(2), 1u);
  EXPECT_LT(kept(2), 15u);
  ASSERT_TRUE(open());
  EXPECT_EQ(kept(1), 1u);
  EXPECT_EQ(store->meta(1)->next_offset, 21u);
}

TEST_F(JournalTrim, BySizeTakesNothingThatNoCheckpointIsBehind) {
  ASSERT_TRUE(open());
  fill(1, 20, now);
  fill(2, 20, now + hours{100});
  note_checkpoint(1, 5);
  flush();
  ASSERT_TRUE(store->limit_journal(1));
  EXPECT_EQ(kept(1), 15u);
  EXPECT_EQ(kept(2), 20u);
  note_checkpoint(2, 20);
  ASSERT_TRUE(store->limit_journal(1));
  EXPECT_EQ(kept(1), 15u);
  EXPECT_EQ(kept(2), 1u);
}

TEST_F(JournalTrim, BySizeTellsADamagedPosition) {
  ASSERT_TRUE(open());
  fill(1, 3, now);
  put({.family = family::meta, .key = keys::meta(1, "shard"), .value = ""});
  EXPECT_EQ(store->limit_journal(1).error().code, model::errc::corrupted);
  EXPECT_EQ(kept(1), 3u);
}

/// What is trimmed leaves the disk without a compaction of what stays.

}  // namespace
}  // namespace orrery::storage
