#include "storage/backup.hpp"

#include <fcntl.h>
#include <fstream>
#include <future>
#include <sys/file.h>
#include <thread>

#include <gmock/gmock.h>

#include "storage/restore.hpp"
#include "tests/storage/store_fixture.hpp"

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Backup : public store_fixture {
 protected:
  Backup() {
    fs::create_directory(folder + "/backups");
    to.folder = folder + "/backups/node-1";
    to.note = {"20261125-025746", now, "user:eve", "node-1", "plant", "0.1.0"};
  }
  stored_backup make(const std::string& id) {
    to.note.id = id;
    auto made = store->back_up(to);
    if (!made) {
      ADD_FAILURE() << made.error().detail;
      return {};
    }
    return *made;
  }
  /// Closes the database and opens what is restored into a new folder.
  void restore(const std::string& id) {
    store.reset();
    const auto data = folder + "/restored-" + std::to_string(++restored);
    const auto got = restore_backup(to.folder, id, data);
    ASSERT_TRUE(got) << got.error().detail;
    options.folder = data + "/db";
    ASSERT_TRUE(open());
  }
  model::failure refused(const std::string& id, const std::string& data) {
    const auto got = restore_backup(to.folder, id, data);
    if (got) {
      ADD_FAILURE() << "it is restored";
      return {errc::internal, ""};
    }
    return got.error();
  }
  std::vector<std::string> ids() {
    auto all = std::vector<std::string>{};
    const auto list = list_backups(to.folder);
    EXPECT_TRUE(list) << list.error().detail;
    if (list)
      for (const auto& one : list->whole)
        all.push_back(one.note.id);
    return all;
  }
  std::vector<fs::path> tables() {
    auto all = std::vector<fs::path>{};
    for (const auto& file : fs::directory_iterator{to.folder + "/shared_checksum"})
      all.push_back(file.path());
    std::sort(all.begin(), all.end());
    return all;
  }
  static void damage(const fs::path& file) {
    auto out = std::fstream{file, std::ios::binary | std::ios::in | std::ios::out};
    out.seekp(static_cast<std::streamoff>(fs::file_size(file) / 2));
    out << "damage";
    ASSERT_TRUE(out.flush());
  }
  void flush() {
    with_database([](open_rocks& in) {
      for (const auto& [name, handle] : in.families)
        ASSERT_TRUE(in.db->Flush({}, handle).ok());
    });
    ASSERT_TRUE(open());
  }

  blob_name put_file(const std::string& text) {
    if (!to.files)
      to.files = *blobs::open(folder + "/blobs");
    auto writer = *to.files->begin();
    EXPECT_TRUE(writer->append(text));
    const auto facts = *writer->finish();
    EXPECT_TRUE(writer->keep("a"));
    return {"a", facts.sha256};
  }
  /// What the last restore has of it; "": nothing.
  std::string restored_file(const blob_name& name) {
    const auto in =
        blobs::open_as_it_is(folder + "/restored-" + std::to_string(restored) + "/blobs");
    return in ? (*in)->read(name, 0, 1 << 20).value_or("") : "";
  }
  std::string pooled(const blob_name& name) { return to.folder + "/blobs/" + to_string(name); }

  backup_target to;
  int restored = 0;
};

TEST_F(Backup, HasWhatNoFileHasYet) {
  ASSERT_TRUE(open());
  append(journal(1, 50));
  flush();
  append(journal(51, 50));
  put({.family = family::state, .key = "k", .value = "v"});
  const auto made = make("20261125-025746");
  EXPECT_EQ(made.note, to.note);
  EXPECT_GT(made.bytes, 0u);
  append(journal(101, 1));
  restore("");
  EXPECT_EQ(replayed(1).size(), 100u);
  EXPECT_EQ(**store->get(family::state, "k"), "v");
}

TEST_F(Backup, IsMarkedUntilThatIsCleared) {
  ASSERT_TRUE(open());
  EXPECT_EQ(*restored_from(*store), std::nullopt);
  make("20261125-025746");
  EXPECT_EQ(*restored_from(*store), std::nullopt);
  restore("");
  EXPECT_EQ(*restored_from(*store), to.note);
  ASSERT_TRUE(clear_restored(*store));
  ASSERT_TRUE(open());
  EXPECT_EQ(*restored_from(*store), std::nullopt);
}

/// Each write has a record and a row: a backup that has one has the other, and all before it.
TEST_F(Backup, IsOneMomentOfAllFamilies) {
  ASSERT_TRUE(open());
  auto over = std::atomic<bool>{false};
  auto written = std::atomic<std::uint64_t>{0};
  auto writer = std::thread{[&] {
    for (std::uint64_t n = 1; !over; ++n) {
      auto f = journal(n, 1);
      f.rows.push_back({.family = family::state, .key = "last", .value = std::to_string(n)});
      f.rows.push_back({.family = family::latest,
                        .key = keys::latest(device) + std::to_string(n),
                        .value = std::string(500, 'x')});
      EXPECT_TRUE(store->append(std::span{&f, 1}, false));
      written = n;
    }
  }};
  auto least = std::vector<std::uint64_t>{};
  for (auto i = 1; i <= 4; ++i) {
    while (written < (least.empty() ? 0 : least.back()) + 300)
      std::this_thread::yield();
    least.push_back(written);
    make("20261125-00000" + std::to_string(i));
  }
  over = true;
  writer.join();
  for (std::size_t i = 0; i < least.size(); ++i) {
    restore("20261125-00000" + std::to_string(i + 1));
    const auto records = replayed(1).size();
    EXPECT_GE(records, least[i]);
    EXPECT_EQ(**store->get(family::state, "last"), std::to_string(records));
    auto rows = std::size_t{0};
    ASSERT_TRUE(store->scan(family::latest, keys::latest(device), "", false, [&](auto, auto) {
      ++rows;
      return true;
    }));
    EXPECT_EQ(rows, records);
  }
}

TEST_F(Backup, CopiesAFileOnce) {
  ASSERT_TRUE(open());
  append(journal(1, 1000));
  flush();
  make("20261125-000001");
  const auto before = tables();
  ASSERT_FALSE(before.empty());
  const auto time = fs::last_write_time(before[0]);
  append(journal(1001, 1));
  make("20261125-000002");
  EXPECT_EQ(tables(), before);
  EXPECT_EQ(fs::last_write_time(before[0]), time);
  EXPECT_THAT(ids(), ElementsAre("20261125-000001", "20261125-000002"));
}

TEST_F(Backup, KeepsTheNewest) {
  ASSERT_TRUE(open());
  for (auto i = 1; i <= 4; ++i)
    make("20261125-00000" + std::to_string(i));
  ASSERT_TRUE(keep_backups(to.folder, 2));
  EXPECT_THAT(ids(), ElementsAre("20261125-000003", "20261125-000004"));
  restore("20261125-000003");
}

TEST_F(Backup, DamageIsFoundAndNotRestored) {
  ASSERT_TRUE(open());
  append(journal(1, 1000));
  flush();
  const auto made = make("20261125-000001");
  ASSERT_TRUE(verify_backup(to.folder, made.number));
  store.reset();
  auto files = tables();
  damage(*std::max_element(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return fs::file_size(a) < fs::file_size(b);
  }));
  EXPECT_EQ(verify_backup(to.folder, made.number).error().reason, "backup_damaged");
  const auto why = refused("", folder + "/new");
  EXPECT_EQ(why.code, errc::corrupted);
  EXPECT_EQ(why.reason, "backup_damaged");
  EXPECT_FALSE(fs::exists(folder + "/new"));
}

TEST_F(Backup, TheLogIsVerifiedToo) {
  ASSERT_TRUE(open());
  append(journal(1, 1000));
  const auto made = make("20261125-000001");
  store.reset();
  for (const auto& file :
       fs::directory_iterator{to.folder + "/private/" + std::to_string(made.number)})
    if (file.path().extension() == ".log" && fs::file_size(file.path()) > 1000)
      damage(file.path());
  EXPECT_EQ(refused("", folder + "/new").reason, "backup_damaged");
}

TEST_F(Backup, ADamagedNewestIsNotPassedOverInSilence) {
  ASSERT_TRUE(open());
  append(journal(1, 10));
  make("20261125-000001");
  const auto newest = make("20261125-000002");
  store.reset();
  for (const auto& file :
       fs::directory_iterator{to.folder + "/private/" + std::to_string(newest.number)})
    if (file.path().filename() == "CURRENT")
      fs::remove(file.path());
  EXPECT_THAT(list_backups(to.folder)->damaged, ElementsAre(newest.number));
  EXPECT_THAT(ids(), ElementsAre("20261125-000001"));
  EXPECT_EQ(refused("", folder + "/new").reason, "backup_damaged");
  EXPECT_THAT(refused("20261125-000002", folder + "/new").detail,
              HasSubstr("there are: 20261125-000001"));
  restore("20261125-000001");
  EXPECT_EQ(replayed(1).size(), 10u);
}

TEST_F(Backup, IsRestoredIntoAnEmptyFolderAlone) {
  ASSERT_TRUE(open());
  make("20261125-000001");
  store.reset();
  const auto why = refused("", folder);
  EXPECT_EQ(why.reason, "folder_not_empty");
  EXPECT_THAT(why.detail, HasSubstr("move that away"));
  fs::create_directories(folder + "/volume/lost+found");
  ASSERT_TRUE(restore_backup(to.folder, "", folder + "/volume"));
  EXPECT_EQ(refused("", folder + "/volume").reason, "folder_not_empty");
}

TEST_F(Backup, SaysWhatIsWrongWithAFolder) {
  ASSERT_TRUE(open());
  auto lost = to;
  lost.folder = folder + "/nowhere/node-1";
  auto why = store->back_up(lost);
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().reason, "backup_failed");
  EXPECT_THAT(why.error().detail, HasSubstr("mount what is to be there"));
  std::ofstream{folder + "/file"} << "x";
  lost.folder = folder + "/file/node-1";
  EXPECT_FALSE(store->back_up(lost));
  EXPECT_EQ(list_backups(to.folder).error().reason, "backup_unknown");
  make("20261125-000001");
  EXPECT_THAT(list_backups(folder + "/backups").error().detail,
              HasSubstr("give the folder of one node: " + to.folder));
  EXPECT_EQ(refused("20261125-000009", folder + "/new").reason, "backup_unknown");
  EXPECT_EQ(keep_backups(folder, 1).error().reason, "backup_unknown");
}

TEST_F(Backup, OneProcessAtATimeHasAFolder) {
  ASSERT_TRUE(open());
  make("20261125-000001");
  const auto other = ::open((to.folder + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  EXPECT_EQ(store->back_up(to).error().reason, "backup_running");
  EXPECT_EQ(keep_backups(to.folder, 1).error().reason, "backup_running");
  EXPECT_EQ(refused("", folder + "/new").reason, "backup_running");
  ::close(other);
  make("20261125-000002");
}

TEST_F(Backup, ClosingTheDatabaseEndsIt) {
  ASSERT_TRUE(open());
  for (std::uint64_t i = 0; i < 200; ++i)
    append(journal(1 + 1000 * i, 1000));
  to.bytes_per_second = 4096;
  auto slow = std::async(std::launch::async, [&] { return store->back_up(to); });
  const auto copies = [&] {
    return fs::exists(to.folder + "/private") && !fs::is_empty(to.folder + "/private");
  };
  while (!copies() && slow.wait_for(std::chrono::seconds{0}) != std::future_status::ready)
    std::this_thread::yield();
  EXPECT_EQ(store->back_up(to).error().reason, "backup_running");
  ASSERT_TRUE(store->reopen());
  EXPECT_EQ(slow.get().error().reason, "backup_stopped");
  to.bytes_per_second = 0;
  make("20261125-000002");
  EXPECT_THAT(ids(), ElementsAre("20261125-000002"));
}

TEST_F(Backup, HasTheBytesOfFiles) {
  ASSERT_TRUE(open());
  const auto first = put_file("first"), both = put_file("both");
  const auto made = make("20261125-000001");
  EXPECT_TRUE(made.note.blobs);
  EXPECT_EQ(made.files, 2u);
  ASSERT_TRUE(to.files->remove(first)) << "it is held no longer";
  const auto second = put_file("second");
  const auto next = make("20261125-000002");
  EXPECT_THAT(list_backups(to.folder)->whole, ElementsAre(made, next));
  to.files.reset();
  restore("20261125-000001");
  EXPECT_EQ(restored_file(first), "first");
  EXPECT_EQ(restored_file(both), "both");
  EXPECT_EQ(restored_file(second), "");
  restore("");
  EXPECT_EQ(restored_file(first), "");
  EXPECT_EQ(restored_file(both), "both");
  EXPECT_EQ(restored_file(second), "second");
}

TEST_F(Backup, CountsTheBytesOfFiles) {
  ASSERT_TRUE(open());
  put_file("");
  const auto without = make("20261125-000001");
  put_file(std::string(1'000'000, 'x'));
  const auto with = make("20261125-000002");
  EXPECT_GE(with.bytes, without.bytes + 1'000'000);
  EXPECT_LT(with.bytes, without.bytes + 1'100'000);
  EXPECT_EQ(list_backups(to.folder)->whole.back().bytes, with.bytes);
}

TEST_F(Backup, DropsFilesWithTheBackupsThatHadThem) {
  ASSERT_TRUE(open());
  const auto first = put_file("first"), both = put_file("both");
  make("20261125-000001");
  ASSERT_TRUE(to.files->remove(first));
  make("20261125-000002");
  ASSERT_TRUE(keep_backups(to.folder, 2));
  EXPECT_TRUE(fs::exists(pooled(first)));
  ASSERT_TRUE(keep_backups(to.folder, 1));
  EXPECT_FALSE(fs::exists(pooled(first)));
  EXPECT_TRUE(fs::exists(pooled(both)));
  restore("");
  EXPECT_EQ(restored_file(both), "both");
}

TEST_F(Backup, DamageOfAFileIsFoundAndNotRestored) {
  ASSERT_TRUE(open());
  append(journal(1, 10));
  const auto good = put_file("good"), bad = put_file("0123456789");
  const auto made = make("20261125-000001");
  ASSERT_TRUE(verify_backup(to.folder, made.number));
  damage(pooled(bad));
  EXPECT_EQ(verify_backup(to.folder, made.number).error().reason, "backup_damaged");
  store.reset();
  const auto why = refused("", folder + "/new");
  EXPECT_EQ(why.code, errc::corrupted);
  EXPECT_EQ(why.reason, "backup_damaged");
  EXPECT_THAT(why.detail, HasSubstr(to_string(bad)));
  EXPECT_FALSE(fs::exists(folder + "/new"));
  fs::create_directory(folder + "/there");
  refused("", folder + "/there");
  EXPECT_TRUE(fs::is_empty(folder + "/there"));
  const auto got = restore_backup(to.folder, "", folder + "/new", damaged_blobs::leave_out);
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_THAT(got->left_out, ElementsAre(blob_entry{bad, 10}));
  EXPECT_TRUE(fs::exists(folder + "/new/blobs/" + to_string(good)));
  EXPECT_FALSE(fs::exists(folder + "/new/blobs/" + to_string(bad)));
  options.folder = folder + "/new/db";
  ASSERT_TRUE(open());
  EXPECT_EQ(replayed(1).size(), 10u);
}

TEST_F(Backup, WithoutItsListOfFilesIsDamaged) {
  ASSERT_TRUE(open());
  put_file("abc");
  make("20261125-000001");
  const auto newest = make("20261125-000002");
  fs::remove(to.folder + "/blob_lists/20261125-000002");
  EXPECT_THAT(ids(), ElementsAre("20261125-000001"));
  EXPECT_THAT(list_backups(to.folder)->damaged, ElementsAre(newest.number));
  EXPECT_EQ(verify_backup(to.folder, newest.number).error().reason, "backup_damaged");
  EXPECT_EQ(keep_backups(to.folder, 2).error().reason, "backup_damaged") << "what does it need?";
  store.reset();
  EXPECT_EQ(refused("", folder + "/new").reason, "backup_damaged");
  const auto got = restore_backup(to.folder, "", folder + "/new", damaged_blobs::leave_out);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->list_lost);
}

/// It made one of a database alone.
TEST_F(Backup, OfAnEarlierReleaseHasNoFiles) {
  ASSERT_TRUE(open());
  append(journal(1, 10));
  make("20261125-000001");
  const auto name = put_file("abc");
  make("20261125-000002");
  ASSERT_TRUE(keep_backups(to.folder, 2));
  EXPECT_THAT(ids(), ElementsAre("20261125-000001", "20261125-000002"));
  EXPECT_FALSE(list_backups(to.folder)->whole[0].note.blobs);
  restore("20261125-000001");
  EXPECT_EQ(replayed(1).size(), 10u);
  EXPECT_FALSE(fs::exists(folder + "/restored-1/blobs"));
  restore("20261125-000002");
  EXPECT_EQ(restored_file(name), "abc");
}

/// As a crash leaves it: the database is copied, and what came meanwhile may not be.
TEST_F(Backup, ThatWasNotFinishedIsNone) {
  ASSERT_TRUE(open());
  const auto name = put_file("abc");
  make("20261125-000001");
  const auto other = put_file("other");
  make("20261125-000002");
  fs::remove(to.folder + "/blob_lists/20261125-000002");
  ASSERT_TRUE(blob_backups{to.folder}.note_begun("20261125-000002"));
  EXPECT_THAT(ids(), ElementsAre("20261125-000001"));
  EXPECT_TRUE(list_backups(to.folder)->damaged.empty());
  ASSERT_TRUE(keep_backups(to.folder, 1)) << "it does not count";
  EXPECT_THAT(ids(), ElementsAre("20261125-000001"));
  EXPECT_FALSE(fs::exists(pooled(other)));
  restore("");
  EXPECT_EQ(restored_file(name), "abc");
}

TEST_F(Backup, ADamagedFileOfTheNodeIsTold) {
  ASSERT_TRUE(open());
  const auto name = put_file("0123456789");
  damage(folder + "/blobs/" + to_string(name));
  const auto why = store->back_up(to);
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().reason, "backup_failed");
  EXPECT_THAT(why.error().detail, HasSubstr(to_string(name)));
  EXPECT_THAT(ids(), IsEmpty());
  ASSERT_TRUE(to.files->remove(name));
  make("20261125-000002");
}

/// Files come and go while backups are made: what the database of one names is in it.
TEST_F(Backup, HasWhateverItsDatabaseNames) {
  ASSERT_TRUE(open());
  const auto seed = put_file("seed");
  put({.family = family::state, .key = "file", .value = to_string(seed)});
  auto over = std::atomic<bool>{false};
  auto written = std::atomic<int>{0};
  auto writer = std::thread{[&] {
    auto last = seed;
    for (auto n = 1; !over; ++n) {
      const auto next = put_file(std::to_string(n));
      const auto row =
          storage::row{.family = family::state, .key = "file", .value = to_string(next)};
      EXPECT_TRUE(store->put(std::span{&row, 1}, false));
      while (!to.files->remove(last) && !over)  // held by a backup
        std::this_thread::yield();
      last = next;
      written = n;
    }
  }};
  for (auto i = 1; i <= 4; ++i) {
    const auto before = written.load();
    while (written < before + 20)
      std::this_thread::yield();
    make("20261125-00000" + std::to_string(i));
  }
  over = true;
  writer.join();
  for (auto i = 1; i <= 4; ++i) {
    restore("20261125-00000" + std::to_string(i));
    const auto named = parse_blob_name(**store->get(family::state, "file"));
    ASSERT_TRUE(named);
    EXPECT_NE(restored_file(*named), "");
  }
}

TEST_F(Backup, FilesAreCopiedAtItsPaceAndItsEndEndsThat) {
  ASSERT_TRUE(open());
  put_file(std::string(3'000'000, 'x'));
  to.bytes_per_second = 64 * 1024;
  auto slow = std::async(std::launch::async, [&] { return store->back_up(to); });
  const auto copies = [&] {
    const auto pool = to.folder + "/blobs";
    return fs::exists(pool) && !fs::is_empty(pool);
  };
  while (!copies() && slow.wait_for(std::chrono::seconds{0}) != std::future_status::ready)
    std::this_thread::yield();
  EXPECT_EQ(store->back_up(to).error().reason, "backup_running");
  store->stop_backup();
  EXPECT_EQ(slow.get().error().reason, "backup_stopped");
  EXPECT_FALSE(copies());
  to.bytes_per_second = 0;
  make("20261125-000002");
  EXPECT_THAT(ids(), ElementsAre("20261125-000002"));
}

}  // namespace
}  // namespace orrery::storage
