#include "transport/unfinished_files.hpp"

#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/blobs.hpp"

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;

class UnfinishedFiles : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = storage::blobs::open(folder_);
    ASSERT_TRUE(opened);
    store_ = *opened;
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  unfinished_files::incoming some(const char* bytes) {
    auto made = store_->begin();
    EXPECT_TRUE(made);
    auto writer = unfinished_files::incoming{std::move(*made)};
    EXPECT_TRUE(writer->append(bytes));
    return writer;
  }
  static unfinished_files::name named(const char* file) { return {{}, file}; }
  static unfinished_files::limits limited(std::size_t most, model::milliseconds kept) {
    auto l = unfinished_files::limits{};
    l.most = most;
    l.kept = kept;
    return l;
  }
  static model::timestamp at(int seconds) { return model::from_ms(seconds * 1000); }

  std::string folder_ = testing::TempDir() + "/unfinished-" + std::to_string(::getpid());
  std::shared_ptr<storage::blobs> store_;
};

TEST_F(UnfinishedFiles, AreForOneAtATime) {
  auto files = unfinished_files{};
  const auto a = named("a"), b = named("b");
  EXPECT_EQ(*files.size(a), 0u);
  auto first = files.take(a);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, nullptr) << "nothing has come";
  EXPECT_EQ(files.take(a).error().reason, "upload_busy");
  EXPECT_EQ(files.size(a).error().reason, "upload_busy");
  EXPECT_EQ(*files.size(b), 0u) << "of another file";
  EXPECT_TRUE(files.give_back(a, some("abc"), at(0)).empty());
  EXPECT_EQ(*files.size(a), 3u);
  auto again = files.take(a);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->size(), 3u);
  EXPECT_TRUE(files.give_back(a, nullptr, at(0)).empty()) << "it is whole";
  EXPECT_EQ(files.count(), 0u);
}

TEST_F(UnfinishedFiles, GoWhenNobodyGoesOnWithThem) {
  auto files = unfinished_files{limited(8, 10s)};
  (void)files.give_back(named("a"), some("1"), at(0));
  (void)files.give_back(named("b"), some("2"), at(5));
  ASSERT_TRUE(files.take(named("c")));
  EXPECT_TRUE(files.sweep(at(9)).empty());
  EXPECT_EQ(files.sweep(at(10)).size(), 1u);
  EXPECT_EQ(*files.size(named("a")), 0u);
  EXPECT_EQ(*files.size(named("b")), 1u);
  EXPECT_EQ(files.sweep(at(100)).size(), 1u);
  EXPECT_EQ(files.count(), 1u) << "somebody has it";
}

TEST_F(UnfinishedFiles, AreSoManyAtMost) {
  auto files = unfinished_files{limited(2, 1h)};
  (void)files.give_back(named("a"), some("1"), at(2));
  (void)files.give_back(named("b"), some("2"), at(1));
  const auto gone = files.give_back(named("c"), some("3"), at(3));
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(*files.size(named("b")), 0u) << "it rested the longest";
  EXPECT_EQ(*files.size(named("a")), 1u);
  // What somebody has is not taken from him.
  ASSERT_TRUE(files.take(named("a")));
  ASSERT_TRUE(files.take(named("d")));
  EXPECT_EQ(files.give_back(named("e"), some("5"), at(4)).size(), 2u);
  EXPECT_EQ(files.count(), 2u);
}

TEST_F(UnfinishedFiles, NobodyTakesAwayThoseOfOthers) {
  auto files =
      unfinished_files{{.most_of_device = 2, .most_of_organisation = 3, .most = 100, .kept = 1h}};
  const auto of = [](std::uint8_t device, const char* file, const char* organisation) {
    auto id = model::entity_id{};
    id.ulid[0] = device;
    return unfinished_files::name{id, file, organisation};
  };
  (void)files.give_back(of(1, "a", "own"), some("1"), at(1));
  (void)files.give_back(of(9, "a", "other"), some("1"), at(0));
  EXPECT_TRUE(files.give_back(of(1, "b", "own"), some("1"), at(2)).empty());
  EXPECT_EQ(files.give_back(of(1, "c", "own"), some("1"), at(3)).size(), 1u);
  EXPECT_EQ(*files.size(of(1, "a", "own")), 0u) << "the oldest of that device";
  EXPECT_TRUE(files.give_back(of(2, "a", "own"), some("1"), at(4)).empty());
  EXPECT_EQ(files.give_back(of(3, "a", "own"), some("1"), at(5)).size(), 1u);
  EXPECT_EQ(*files.size(of(1, "b", "own")), 0u) << "the oldest of that organisation";
  EXPECT_EQ(*files.size(of(9, "a", "other")), 1u);
  EXPECT_EQ(files.count(), 4u);
}

TEST_F(UnfinishedFiles, AreDroppedUnlessSomebodyHasThem) {
  auto files = unfinished_files{};
  EXPECT_TRUE(files.drop(named("a")).empty());
  (void)files.give_back(named("a"), some("1"), at(0));
  EXPECT_EQ(files.drop(named("a")).size(), 1u);
  EXPECT_EQ(files.count(), 0u);
  ASSERT_TRUE(files.take(named("a")));
  EXPECT_TRUE(files.drop(named("a")).empty());
  EXPECT_EQ(files.take(named("a")).error().reason, "upload_busy");
}

}  // namespace
}  // namespace orrery::transport
