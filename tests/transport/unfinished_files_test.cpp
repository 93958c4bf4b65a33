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
  auto files = unfinished_files{{.most = 8, .kept = 10s}};
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
  auto files = unfinished_files{{.most = 2, .kept = 1h}};
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

}  // namespace
}  // namespace orrery::transport
