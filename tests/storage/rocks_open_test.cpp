#include <fstream>

#include <gmock/gmock.h>
#include <rocksdb/db.h>

#include "tests/storage/store_fixture.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using testing::HasSubstr;

class RocksOpen : public store_fixture {
 protected:
  model::failure refused() {
    const auto ok = open();
    if (ok) {
      ADD_FAILURE() << "it opens";
      return {errc::internal, ""};
    }
    EXPECT_THAT(ok.error().detail, HasSubstr(options.folder));
    return ok.error();
  }
  /// Files of the database whose name ends so.
  std::vector<fs::path> files(std::string_view end) {
    auto found = std::vector<fs::path>{};
    for (const auto& file : fs::directory_iterator{options.folder})
      if (file.path().filename().string().ends_with(end))
        found.push_back(file.path());
    return found;
  }
  static void overwrite(const fs::path& file, std::size_t at, std::string_view bytes) {
    auto out = std::fstream{file, std::ios::binary | std::ios::in | std::ios::out};
    out.seekp(static_cast<std::streamoff>(at));
    out << bytes;
    ASSERT_TRUE(out.flush());
  }
  void with_database_as_it_is(const std::function<void(rocksdb::DB&)>& work) {
    store.reset();
    auto names = std::vector<std::string>{};
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, options.folder, &names).ok());
    auto families = std::vector<rocksdb::ColumnFamilyDescriptor>{};
    for (const auto& name : names)
      families.emplace_back(name, rocksdb::ColumnFamilyOptions{});
    auto handles = std::vector<rocksdb::ColumnFamilyHandle*>{};
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, options.folder, families, &handles, &opened).ok());
    const auto db = std::unique_ptr<rocksdb::DB>{opened};
    work(*db);
    for (auto* handle : handles)
      db->DestroyColumnFamilyHandle(handle);
  }
  /// One with 100 frames in its log.
  void with_log() {
    ASSERT_TRUE(open());
    for (std::uint64_t i = 1; i <= 100; ++i)
      append(journal(i, 1));
    store.reset();
  }
  /// One with 100 frames in a table.
  void with_tables() {
    with_log();
    with_database([](open_rocks& in) {
      for (const auto& [name, handle] : in.families) {
        ASSERT_TRUE(in.db->Flush({}, handle).ok());
      }
    });
  }
  /// A database of another program.
  void make_foreign(const std::vector<std::string>& families, bool with_data) {
    auto o = rocksdb::Options{};
    o.create_if_missing = true;
    rocksdb::DB* made = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(o, options.folder, &made).ok());
    auto db = std::unique_ptr<rocksdb::DB>{made};
    for (const auto& name : families) {
      rocksdb::ColumnFamilyHandle* handle = nullptr;
      ASSERT_TRUE(db->CreateColumnFamily({}, name, &handle).ok());
      db->DestroyColumnFamilyHandle(handle);
    }
    if (with_data) {
      ASSERT_TRUE(db->Put({}, "key", "value").ok());
    }
  }
};

TEST_F(RocksOpen, IsOpenOnce) {
  ASSERT_TRUE(open());
  const auto second = open_rocks_store(options, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "storage_locked");
  EXPECT_THAT(second.error().detail, HasSubstr("stop that one"));
}

TEST_F(RocksOpen, AFolderThatIsNamedLikeALockIsNotLocked) {
  options.folder = folder + "/block/db";
  fs::create_directories(folder + "/block");
  std::ofstream{options.folder} << "a file where the folder should be";
  EXPECT_EQ(refused().reason, "storage_failed");
}

TEST_F(RocksOpen, TellsANewerFormat) {
  ASSERT_TRUE(open());
  put({.family = family::meta, .key = keys::meta("format"), .value = "\x03"});
  const auto why = refused();
  EXPECT_EQ(why.code, errc::conflict);
  EXPECT_EQ(why.reason, "storage_newer_format");
  EXPECT_THAT(why.detail, HasSubstr("has format 3, this program reads up to 2"));
  EXPECT_THAT(why.detail, HasSubstr("install that one"));
}

TEST_F(RocksOpen, TellsAFormatFromBeforeTheFirstRelease) {
  ASSERT_TRUE(open());
  put({.family = family::meta, .key = keys::meta("format"), .value = "\x01"});
  const auto why = refused();
  EXPECT_EQ(why.code, errc::conflict);
  EXPECT_EQ(why.reason, "storage_older_format");
  EXPECT_THAT(why.detail, HasSubstr("has format 1"));
  EXPECT_THAT(why.detail, HasSubstr("begin with a new folder"));
}

TEST_F(RocksOpen, TellsANewerFormatThatHasMoreFamilies) {
  ASSERT_TRUE(open());
  put({.family = family::meta, .key = keys::meta("format"), .value = "\x03"});
  with_database_as_it_is([](rocksdb::DB& db) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    ASSERT_TRUE(db.CreateColumnFamily({}, "of-a-newer-release", &handle).ok());
    db.DestroyColumnFamilyHandle(handle);
  });
  EXPECT_EQ(refused().reason, "storage_newer_format");
}

TEST_F(RocksOpen, TellsADatabaseWithoutFormat) {
  ASSERT_TRUE(open());
  put({.family = family::meta, .key = keys::meta("format"), .operation = row_operation::remove});
  append(journal(1, 1));
  EXPECT_EQ(refused().reason, "storage_corrupt");
}

TEST_F(RocksOpen, LeavesADatabaseOfOthersAsItIs) {
  for (const auto& families : {std::vector<std::string>{}, std::vector<std::string>{"theirs"}}) {
    make_foreign(families, true);
    const auto why = refused();
    EXPECT_EQ(why.code, errc::conflict);
    EXPECT_EQ(why.reason, "storage_foreign");
    auto found = std::vector<std::string>{};
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, options.folder, &found).ok());
    EXPECT_EQ(found.size(), families.size() + 1);
    fs::remove_all(options.folder);
  }
}

TEST_F(RocksOpen, GoesOnWithAFirstStartThatWasCutShort) {
  make_foreign({"journal", "state"}, false);
  ASSERT_TRUE(open());
  append(journal(1, 1));
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(1).size(), 1u);
}

TEST_F(RocksOpen, TellsADamagedManifest) {
  ASSERT_TRUE(open());
  append(journal(1, 1000));
  store.reset();
  for (const auto& file : fs::directory_iterator{options.folder})
    if (file.path().filename().string().starts_with("MANIFEST"))
      std::ofstream{file.path(), std::ios::binary | std::ios::trunc} << "no manifest";
  const auto why = refused();
  EXPECT_EQ(why.code, errc::corrupted);
  EXPECT_THAT(why.detail, HasSubstr("restore a backup"));
}

TEST_F(RocksOpen, NeverBeginsAnewOverDataThatIsThere) {
  ASSERT_TRUE(open());
  append(journal(1, 3));
  store.reset();
  fs::rename(options.folder + "/CURRENT", folder + "/CURRENT");
  const auto why = refused();
  EXPECT_EQ(why.code, errc::corrupted);
  EXPECT_THAT(why.detail, HasSubstr("CURRENT"));
  fs::rename(folder + "/CURRENT", options.folder + "/CURRENT");
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(1).size(), 3u);
}

TEST_F(RocksOpen, TellsAMissingTable) {
  with_tables();
  for (const auto& file : files(".sst"))
    fs::remove(file);
  EXPECT_EQ(refused().code, errc::corrupted);
}

TEST_F(RocksOpen, TellsADamagedTableWhenItIsRead) {
  with_tables();
  auto tables = files(".sst");
  const auto journal = std::max_element(
      tables.begin(), tables.end(),
      [](const auto& a, const auto& b) { return fs::file_size(a) < fs::file_size(b); });
  overwrite(*journal, 20, "damage");
  ASSERT_TRUE(open());
  const auto ok = store->replay(1, 1, [](auto, auto, const auto&) { return true; });
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().code, errc::corrupted);
}

TEST_F(RocksOpen, ARecordCutShortByACrashEndsTheLog) {
  with_log();
  const auto log = files(".log").back();
  fs::resize_file(log, fs::file_size(log) - 10);
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(1).size(), 99u);
}

TEST_F(RocksOpen, DamageInsideASyncedLogStopsTheStart) {
  with_log();
  const auto log = files(".log").back();
  overwrite(log, fs::file_size(log) / 2, "damage");
  EXPECT_EQ(refused().code, errc::corrupted);
}

TEST_F(RocksOpen, DamageInsideALogThatWasNotSyncedEndsIt) {
  options.synced = false;
  with_log();
  const auto log = files(".log").back();
  overwrite(log, fs::file_size(log) / 2, "damage");
  ASSERT_TRUE(open());
  const auto kept = replayed(1).size();
  EXPECT_GT(kept, 10u);
  EXPECT_LT(kept, 90u);
}

TEST_F(RocksOpen, TellsWhenItCannotBeMade) {
  std::ofstream{options.folder} << "a file where the folder should be";
  const auto why = refused();
  EXPECT_EQ(why.code, errc::unavailable);
  EXPECT_EQ(why.reason, "storage_failed");
}

}  // namespace
}  // namespace orrery::storage
