#include "storage/blobs.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>

#include <gtest/gtest.h>

namespace orrery::storage {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using model::errc;

const auto abc = std::string{"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
const auto owner = std::string{"07z01kb3q1y8v0000000000000001"};

class Blobs : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("orrery-blobs-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    open();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void open() {
    store_.reset();
    auto opened = blobs::open(folder_);
    ASSERT_TRUE(opened);
    store_ = *opened;
  }
  blob_name put(const std::string& whose, const std::string& text) {
    auto writer = store_->begin();
    EXPECT_TRUE(writer);
    EXPECT_TRUE((*writer)->append(text));
    const auto facts = (*writer)->finish();
    EXPECT_TRUE(facts);
    EXPECT_TRUE((*writer)->keep(whose));
    return {whose, facts->sha256};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator{folder_}, fs::directory_iterator{}));
  }

  std::string folder_;
  std::shared_ptr<blobs> store_;
};

TEST_F(Blobs, AreNamedByOwnerAndDigest) {
  auto writer = store_->begin();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->append("a"));
  ASSERT_TRUE((*writer)->append(""));
  ASSERT_TRUE((*writer)->append("bc"));
  EXPECT_EQ((*writer)->size(), 3u);
  const auto facts = (*writer)->finish();
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->sha256, abc);
  EXPECT_EQ(facts->md5, "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(facts->size, 3u);
  EXPECT_EQ(*(*writer)->read(1, 10), "bc");
  EXPECT_EQ(store_->size({owner, abc}).error().reason, "blob_unknown");  // not before it is kept
  ASSERT_TRUE((*writer)->keep(owner));
  EXPECT_TRUE(fs::exists(folder_ + '/' + owner + '.' + abc));
  EXPECT_EQ(*store_->size({owner, abc}), 3u);
  EXPECT_EQ(store_->size({"another", abc}).error().code, errc::not_found);
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(store_->bytes(), 3u);
}

TEST_F(Blobs, AreKeptOnceMoreWhereWhatCameAfterItFailed) {
  auto writer = store_->begin();
  ASSERT_TRUE(writer && (*writer)->append("abc"));
  EXPECT_TRUE((*writer)->takes_more());
  EXPECT_FALSE((*writer)->is_finished());
  ASSERT_TRUE((*writer)->finish());
  EXPECT_FALSE((*writer)->takes_more());
  EXPECT_TRUE((*writer)->is_finished());
  ASSERT_TRUE((*writer)->keep(owner));
  EXPECT_TRUE((*writer)->keep(owner));
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(store_->bytes(), 3u);
  EXPECT_TRUE((*writer)->is_finished());
  ASSERT_TRUE(store_->remove({owner, abc}));
  EXPECT_EQ((*writer)->keep(owner).error().reason, "blob_not_written") << "it went meanwhile";
  EXPECT_FALSE((*writer)->is_finished());
  EXPECT_EQ(store_->count(), 0u);
}

TEST_F(Blobs, AreReadInPieces) {
  const auto name = put(owner, "0123456789");
  EXPECT_EQ(*store_->read(name, 0, 4), "0123");
  EXPECT_EQ(*store_->read(name, 8, 4), "89");
  EXPECT_EQ(*store_->read(name, 10, 4), "");
  EXPECT_EQ(*store_->read(name, UINT64_MAX, 4), "");
  EXPECT_EQ(*store_->read(put(owner, ""), 0, 4), "");
}

TEST_F(Blobs, AreCountedOnceHoweverOftenTheyAreWritten) {
  const auto name = put(owner, "abc");
  EXPECT_EQ(put(owner, "abc"), name);
  put("other", "abc");
  EXPECT_EQ(store_->count(), 2u);
  EXPECT_EQ(store_->bytes(), 6u);
  EXPECT_TRUE(store_->remove(name));
  EXPECT_EQ(store_->remove(name).error().reason, "blob_unknown");
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(store_->bytes(), 3u);
  open();  // counted again from what is there
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(store_->bytes(), 3u);
}

TEST_F(Blobs, ThatAreWrittenAgainAreNotRemoved) {
  const auto name = put(owner, "abc");
  fs::last_write_time(folder_ + '/' + owner + '.' + abc, fs::file_time_type::clock::now() - 2h);
  const auto before = store_->list({}, 9)->at(0).written_at;
  EXPECT_EQ(*store_->touch(name), 3u);
  EXPECT_GT(store_->list({}, 9)->at(0).written_at, before);
  EXPECT_EQ(store_->remove(name, before).error().code, errc::conflict);
  EXPECT_TRUE(store_->remove(name, store_->list({}, 9)->at(0).written_at));
  EXPECT_EQ(store_->touch(name).error().reason, "blob_unknown");
}

TEST_F(Blobs, StayWhileSomebodyHoldsThem) {
  const auto name = put(owner, "abc");
  {
    const auto one = blob_hold{store_}, another = blob_hold{store_};
    EXPECT_EQ(store_->remove(name).error().code, errc::conflict);
    put(owner, "more comes all the same");
  }
  EXPECT_TRUE(store_->remove(name));
}

TEST_F(Blobs, AreVerifiedByTheirNames) {
  const auto name = put(owner, std::string(600'000, 'x')), empty = put(owner, "");
  EXPECT_TRUE(store_->verify(name));
  EXPECT_TRUE(store_->verify(empty));
  std::ofstream{folder_ + '/' + to_string(name), std::ios::app} << "x";
  EXPECT_EQ(store_->verify(name).error().code, errc::corrupted);
  EXPECT_EQ(store_->verify({"other", abc}).error().reason, "blob_unknown");
  EXPECT_EQ(store_->verify({"..", abc}).error().code, errc::invalid_argument);
}

TEST_F(Blobs, AreReadAsTheyAre) {
  const auto name = put(owner, "abc");
  std::ofstream{folder_ + "/incoming-7"} << "another process's";
  const auto again = blobs::open_as_it_is(folder_);
  ASSERT_TRUE(again);
  EXPECT_EQ(*(*again)->read(name, 0, 9), "abc");
  EXPECT_TRUE(fs::exists(folder_ + "/incoming-7"));
  EXPECT_FALSE(blobs::open_as_it_is(folder_ + "-not-there"));
  EXPECT_FALSE(fs::exists(folder_ + "-not-there"));
}

TEST_F(Blobs, ThatAreNotKeptLeaveNothing) {
  {
    auto writer = store_->begin();
    ASSERT_TRUE((*writer)->append("abc"));
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
  {
    auto writer = store_->begin();
    ASSERT_TRUE((*writer)->finish());
    EXPECT_EQ((*writer)->append("x").error().reason, "blob_not_written");
    EXPECT_EQ((*writer)->keep("../etc").error().code, errc::invalid_argument);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(Blobs, OfACrashAreSweptAtTheNextStart) {
  const auto name = put(owner, "abc");
  std::ofstream{folder_ + "/incoming-0"} << "half a fi";
  std::ofstream{folder_ + "/incoming-77"} << "";
  std::ofstream{folder_ + "/notes.txt"} << "somebody's own";
  open();
  EXPECT_FALSE(fs::exists(folder_ + "/incoming-0"));
  EXPECT_FALSE(fs::exists(folder_ + "/incoming-77"));
  EXPECT_TRUE(fs::exists(folder_ + "/notes.txt"));
  EXPECT_EQ(store_->count(), 1u);
  EXPECT_EQ(*store_->read(name, 0, 9), "abc");
  EXPECT_TRUE(store_->begin());
}

TEST_F(Blobs, HaveNamesThatLeadNowhereElse) {
  for (const auto& bad :
       {blob_name{"", abc}, blob_name{"..", abc}, blob_name{"a/b", abc}, blob_name{"A", abc},
        blob_name{"a.b", abc}, blob_name{std::string(65, 'a'), abc}, blob_name{owner, ""},
        blob_name{owner, abc.substr(1)}, blob_name{owner, abc + "0"},
        blob_name{owner, "../" + abc.substr(3)}}) {
    EXPECT_FALSE(is_valid(bad));
    EXPECT_EQ(store_->size(bad).error().code, errc::invalid_argument);
    EXPECT_EQ(store_->read(bad, 0, 1).error().code, errc::invalid_argument);
    EXPECT_EQ(store_->remove(bad).error().code, errc::invalid_argument);
  }
  EXPECT_TRUE(is_valid({std::string(64, 'a'), abc}));
}

TEST_F(Blobs, AreListedInPages) {
  auto names = std::vector<blob_name>{};
  for (int i = 0; i < 7; ++i)
    names.push_back(put("owner-" + std::to_string(i % 2), std::to_string(i)));
  std::sort(names.begin(), names.end());
  auto got = std::vector<blob_name>{};
  auto after = blob_name{};
  for (;;) {
    const auto page = store_->list(after, 3);
    ASSERT_TRUE(page);
    ASSERT_LE(page->size(), 3u);
    for (const auto& b : *page) {
      EXPECT_EQ(b.size, 1u);
      EXPECT_GT(b.written_at, 1'500'000'000);
      got.push_back(b.name);
    }
    if (page->size() < 3)
      break;
    after = page->back().name;
  }
  EXPECT_EQ(got, names);
  EXPECT_TRUE(store_->list({}, 0)->empty());
}

TEST_F(Blobs, SayThatThereIsNoRoom) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto was = std::signal(SIGXFSZ, SIG_IGN);
  auto small = before;
  small.rlim_cur = 4096;
  auto writer = store_->begin();
  ASSERT_TRUE(writer);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto ok = (*writer)->append(std::string(10'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, was);
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().code, errc::unavailable);
  EXPECT_FALSE((*writer)->append("x"));
  EXPECT_FALSE((*writer)->finish());
  EXPECT_FALSE((*writer)->keep(owner));
  writer->reset();
  EXPECT_EQ(files(), 0u);
}

TEST_F(Blobs, NeedAFolder) {
  std::ofstream{folder_ + "-file"} << "x";
  EXPECT_EQ(blobs::open(folder_ + "-file").error().reason, "blob_not_written");
  EXPECT_EQ(blobs::open(folder_ + "/a/b").error().reason, "blob_not_written");
  fs::remove(folder_ + "-file");
}

}  // namespace
}  // namespace orrery::storage
