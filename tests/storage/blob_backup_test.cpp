#include "storage/blob_backup.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using model::errc;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BlobBackup : public testing::Test {
 protected:
  static std::string make_folder() {
    const auto parent = fs::exists("/dev/shm") ? fs::path{"/dev/shm"} : fs::temp_directory_path();
    auto name = (parent / "orrery-blob-backup-XXXXXX").string();
    return mkdtemp(name.data());
  }
  BlobBackup() {
    fs::create_directory(folder + "/backups");
    files = *blobs::open(folder + "/blobs");
  }
  ~BlobBackup() override { fs::remove_all(folder); }

  blob_entry put(const std::string& text, const std::string& owner = "a") {
    auto writer = *files->begin();
    EXPECT_TRUE(writer->append(text));
    const auto facts = *writer->finish();
    EXPECT_TRUE(writer->keep(owner));
    return {{owner, facts.sha256}, facts.size};
  }
  /// A whole backup of all that is there.
  std::vector<blob_entry> make(const std::string& id) {
    EXPECT_TRUE(backups.note_begun(id));
    const auto all = backups.take(*files, {}, {});
    if (!all) {
      ADD_FAILURE() << all.error().detail;
      return {};
    }
    EXPECT_TRUE(backups.note_whole(id, *all));
    return *all;
  }
  std::string pooled(const blob_entry& one) const {
    return folder + "/backups/blobs/" + to_string(one.name);
  }
  static std::string text_of(const std::string& file) {
    auto in = std::ifstream{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  static void write(const std::string& file, const std::string& text) {
    std::ofstream{file, std::ios::binary | std::ios::trunc} << text;
  }
  std::size_t count(const std::string& of) const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator{folder + of}, fs::directory_iterator{}));
  }

  const std::string folder = make_folder();
  std::shared_ptr<blobs> files;
  blob_backups backups{folder + "/backups"};
  const std::string target = folder + "/restored";
};

TEST_F(BlobBackup, GivesBackWhatWasThere) {
  const auto small = put("abc"), empty = put("", "b"), large = put(std::string(700'000, 'x'), "c");
  EXPECT_THAT(make("b-1"), ElementsAre(small, empty, large));
  EXPECT_EQ(backups.head("b-1")->bytes, 700'003u);
  EXPECT_EQ(backups.head("b-1")->count, 3u);
  ASSERT_TRUE(backups.verify(*backups.list("b-1")));
  const auto left_out = backups.restore("b-1", target, damaged_blobs::refuse);
  ASSERT_TRUE(left_out) << left_out.error().detail;
  EXPECT_THAT(*left_out, IsEmpty());
  for (const auto& one : {small, empty, large})
    EXPECT_EQ(text_of(target + '/' + to_string(one.name)), *files->read(one.name, 0, 1 << 20));
  EXPECT_EQ(count("/restored"), 3u);
}

TEST_F(BlobBackup, EachGivesBackItsOwn) {
  const auto first = put("first"), both = put("both");
  make("b-1");
  ASSERT_TRUE(files->remove(first.name));
  const auto second = put("second");
  make("b-2");
  ASSERT_TRUE(backups.restore("b-1", folder + "/one", damaged_blobs::refuse));
  ASSERT_TRUE(backups.restore("b-2", folder + "/two", damaged_blobs::refuse));
  EXPECT_EQ(text_of(folder + "/one/" + to_string(first.name)), "first");
  EXPECT_EQ(text_of(folder + "/two/" + to_string(second.name)), "second");
  for (const auto* of : {"/one", "/two"}) {
    EXPECT_EQ(count(of), 2u);
    EXPECT_EQ(text_of(folder + of + '/' + to_string(both.name)), "both");
  }
}

TEST_F(BlobBackup, CopiesAContentOnce) {
  const auto one = put("abc");
  make("b-1");
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours{9};
  fs::last_write_time(pooled(one), long_ago);
  const auto all = make("b-2");
  EXPECT_EQ(fs::last_write_time(pooled(one)), long_ago);
  write(pooled(one), "ab");  // the pool's disk has lost some of it
  EXPECT_EQ(backups.take(*files, all, {})->size(), 1u);
  EXPECT_EQ(text_of(pooled(one)), "ab") << "it was just looked at";
  make("b-3");
  EXPECT_EQ(text_of(pooled(one)), "abc");
}

TEST_F(BlobBackup, DropsWhatNoneNeeds) {
  const auto first = put("first"), both = put("both");
  make("b-1");
  ASSERT_TRUE(files->remove(first.name));
  make("b-2");
  const auto orphan = put("orphan");
  ASSERT_TRUE(backups.note_begun("b-3"));
  ASSERT_TRUE(backups.take(*files, {}, {}));  // and no end of that
  write(folder + "/backups/blobs/incoming-7", "of a crash");
  ASSERT_TRUE(backups.keep({"b-1", "b-2"}));
  EXPECT_EQ(count("/backups/blobs"), 2u);
  EXPECT_EQ(count("/backups/blob_lists"), 2u);
  EXPECT_FALSE(fs::exists(pooled(orphan)));
  ASSERT_TRUE(backups.keep({"b-2"}));
  EXPECT_FALSE(fs::exists(pooled(first)));
  EXPECT_TRUE(fs::exists(pooled(both)));
  EXPECT_TRUE(backups.restore("b-2", target, damaged_blobs::refuse));
  EXPECT_EQ(backups.head("b-1").error().reason, "backup_damaged");
  ASSERT_TRUE(backups.keep({}));
  EXPECT_EQ(count("/backups/blobs"), 0u);
}

TEST_F(BlobBackup, DropsNothingIfItCannotSayWhatIsNeeded) {
  put("abc");
  make("b-1");
  make("b-2");
  fs::remove(folder + "/backups/blob_lists/b-1");
  EXPECT_EQ(backups.keep({"b-1", "b-2"}).error().reason, "backup_damaged");
  EXPECT_EQ(count("/backups/blobs"), 1u);
  EXPECT_EQ(count("/backups/blob_lists"), 1u);
}

TEST_F(BlobBackup, ThatNeverWasHasNothingToDrop) {
  EXPECT_TRUE(backups.keep({}));
  EXPECT_FALSE(fs::exists(folder + "/backups/blobs"));
}

TEST_F(BlobBackup, IsNotFinishedUntilItSaysSo) {
  put("abc");
  ASSERT_TRUE(backups.note_begun("b-1"));
  EXPECT_FALSE(backups.head("b-1")->whole);
  ASSERT_TRUE(backups.note_begun("b-1")) << "once more, after a crash";
  make("b-1");
  EXPECT_TRUE(backups.head("b-1")->whole);
  EXPECT_EQ(backups.note_begun("b-1").error().code, errc::already_exists);
  EXPECT_TRUE(backups.head("b-1")->whole);
  for (const auto* bad : {"", "..", "a/b"}) {
    EXPECT_EQ(backups.note_begun(bad).error().code, errc::invalid_argument);
    EXPECT_EQ(backups.head(bad).error().reason, "backup_damaged");
  }
}

TEST_F(BlobBackup, ThatIsDamagedIsRefused) {
  const auto cut = put("0123456789"), changed = put("abc", "b");
  make("b-1");
  write(pooled(cut), "0123");
  auto why = backups.restore("b-1", target, damaged_blobs::refuse);
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().code, errc::corrupted);
  EXPECT_EQ(why.error().reason, "backup_damaged");
  EXPECT_THAT(why.error().detail, HasSubstr(pooled(cut) + " is damaged"));
  EXPECT_EQ(count("/restored"), 0u) << "its sizes are looked at first";
  write(pooled(cut), "0123456789");
  write(pooled(changed), "abd");
  why = backups.restore("b-1", target, damaged_blobs::refuse);
  ASSERT_FALSE(why);
  EXPECT_THAT(why.error().detail, HasSubstr(pooled(changed) + " is damaged"));
  EXPECT_THAT(backups.verify(*backups.list("b-1")).error().detail, HasSubstr(pooled(changed)));
  fs::remove(pooled(changed));
  why = backups.restore("b-1", target, damaged_blobs::refuse);
  EXPECT_THAT(why.error().detail, HasSubstr(pooled(changed) + " is missing"));
  EXPECT_THAT(backups.verify(*backups.list("b-1")).error().detail, HasSubstr("is missing"));
}

TEST_F(BlobBackup, IsRestoredWithoutWhatIsDamagedIfThatIsWanted) {
  const auto good = put("good"), bad = put("abc", "b"), gone = put("gone", "c");
  make("b-1");
  write(pooled(bad), "abd");
  fs::remove(pooled(gone));
  const auto left_out = backups.restore("b-1", target, damaged_blobs::leave_out);
  ASSERT_TRUE(left_out) << left_out.error().detail;
  EXPECT_THAT(*left_out, ElementsAre(bad, gone));
  EXPECT_EQ(count("/restored"), 1u);
  EXPECT_EQ(text_of(target + '/' + to_string(good.name)), "good");
}

TEST_F(BlobBackup, WithoutAListIsAllThatThereIs) {
  const auto one = put("abc");
  make("b-1");
  write(folder + "/backups/blob_lists/b-1", "nothing of a list");
  EXPECT_THAT(backups.restore("b-1", target, damaged_blobs::refuse).error().detail,
              HasSubstr("/blob_lists/b-1"));
  EXPECT_FALSE(fs::exists(target));
  EXPECT_TRUE(backups.restore("b-1", target, damaged_blobs::leave_out));
  EXPECT_EQ(text_of(target + '/' + to_string(one.name)), "abc");
}

TEST_F(BlobBackup, WithoutItsPoolIsRefused) {
  const auto one = put("abc");
  make("b-1");
  fs::remove_all(folder + "/backups/blobs");
  EXPECT_THAT(backups.restore("b-1", target, damaged_blobs::refuse).error().detail,
              HasSubstr("the whole folder"));
  EXPECT_EQ(backups.verify(*backups.list("b-1")).error().reason, "backup_damaged");
  EXPECT_THAT(*backups.restore("b-1", target, damaged_blobs::leave_out), ElementsAre(one));
  EXPECT_FALSE(fs::exists(folder + "/backups/blobs")) << "a restore changes nothing there";
}

TEST_F(BlobBackup, OfNothingNeedsNoPool) {
  make("b-1");
  fs::remove_all(folder + "/backups/blobs");
  EXPECT_TRUE(backups.verify(*backups.list("b-1")));
  EXPECT_TRUE(backups.restore("b-1", target, damaged_blobs::refuse));
  EXPECT_EQ(count("/restored"), 0u);
}

TEST_F(BlobBackup, FindsADamagedFileOfTheNode) {
  const auto one = put("abc");
  write(folder + "/blobs/" + to_string(one.name), "abd");
  const auto why = backups.take(*files, {}, {});
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().code, errc::corrupted);
  EXPECT_EQ(why.error().reason, "backup_failed");
  EXPECT_THAT(why.error().detail, HasSubstr(to_string(one.name)));
  EXPECT_EQ(count("/backups/blobs"), 0u);
}

TEST_F(BlobBackup, EndsWhenItIsToldTo) {
  put(std::string(1'000'000, 'x'));
  put("abc", "b");
  auto bytes = std::uint64_t{0};
  const auto until = [&](std::uint64_t most) {
    return [&bytes, most](std::uint64_t more) {
      bytes += more;
      return bytes <= most;
    };
  };
  EXPECT_EQ(backups.take(*files, {}, until(500'000)).error().reason, "backup_stopped");
  EXPECT_EQ(count("/backups/blobs"), 0u) << "half of one is none";
  EXPECT_EQ(backups.take(*files, {}, [](auto) { return false; }).error().reason, "backup_stopped");
  bytes = 0;
  ASSERT_TRUE(backups.take(*files, {}, until(1'000'003)));
  EXPECT_EQ(bytes, 1'000'003u) << "it asks for each byte";
  ASSERT_TRUE(backups.take(*files, {}, until(1'000'003)));
  EXPECT_EQ(bytes, 1'000'003u) << "and for none of what is there";
}

/// A limit of the process stands in for a full disk.
TEST_F(BlobBackup, SaysThatItCannotWrite) {
  put(std::string(100'000, 'x'));
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto was = std::signal(SIGXFSZ, SIG_IGN);
  auto small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto why = backups.take(*files, {}, {});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, was);
  ASSERT_FALSE(why);
  EXPECT_EQ(why.error().code, errc::unavailable);
  EXPECT_EQ(why.error().reason, "backup_failed");
  EXPECT_EQ(count("/backups/blobs"), 0u);
}

TEST_F(BlobBackup, NeedsAFolder) {
  put("abc");
  const auto nowhere = blob_backups{folder + "/nowhere"};
  EXPECT_EQ(nowhere.note_begun("b-1").error().reason, "backup_failed");
  EXPECT_EQ(nowhere.take(*files, {}, {}).error().reason, "backup_failed");
  EXPECT_EQ(nowhere.head("b-1").error().reason, "backup_damaged");
}

}  // namespace
}  // namespace orrery::storage
