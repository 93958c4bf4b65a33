#include "cluster/remote_blobs.hpp"

#include <condition_variable>
#include <filesystem>
#include <future>
#include <set>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using model::errc;

constexpr model::shard_id shard = 3;
const auto owner = std::string{"device"};

/// Nodes with a store each; messages go straight to the other one's remote_blobs.
class RemoteBlobs : public ::testing::Test {
 protected:
  struct member {
    std::shared_ptr<actors::blob_access> local;
    std::shared_ptr<remote_blobs> remote;
  };

  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("orrery-remote-blobs-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    auto view = std::make_shared<cluster_view>();
    for (node_id n = 1; n <= 3; ++n)
      view->nodes[n] = {};
    view->shards[shard].in_sync = {1, 2};
    view_ = view;
    for (node_id n = 1; n <= 3; ++n) {
      auto& m = nodes_[n];
      m.local = std::make_shared<actors::blob_access>(
          *storage::blobs::open((folder_ / std::to_string(n)).string()));
      m.remote = std::make_shared<remote_blobs>(
          blob_links{n,
                     [this, n](node_id to, std::string_view bytes) { return carry(n, to, bytes); },
                     [this] {
                       const auto hold = std::lock_guard{mutex_};
                       return view_;
                     }},
          m.local,
          remote_blobs::options{
              .piece_bytes = 1000, .answer_timeout = 300ms, .patience = 600ms, .silence = 100ms});
      m.local->set_elsewhere(m.remote);
    }
    ticker_ = std::thread{[this] {
      auto hold = std::unique_lock{mutex_};
      while (!wake_.wait_for(hold, 10ms, [this] { return over_; })) {
        hold.unlock();
        for (auto& [n, m] : nodes_)
          m.remote->tick();
        hold.lock();
      }
    }};
  }
  void TearDown() override {
    {
      const auto hold = std::lock_guard{mutex_};
      over_ = true;
    }
    wake_.notify_all();
    ticker_.join();
    for (auto& [n, m] : nodes_)
      m.remote->stop();
    for (auto& [n, m] : nodes_)
      m.local->stop();
    for (auto& [n, m] : nodes_)
      m.local->set_elsewhere(nullptr);
    nodes_.clear();
    fs::remove_all(folder_);
  }

  bool carry(node_id from, node_id to, std::string_view bytes) {
    {
      const auto hold = std::lock_guard{mutex_};
      ++messages_;
      if (gone_.contains(to) || gone_.contains(from))
        return false;
      if (deaf_.contains(to))
        return true;
    }
    nodes_.at(to).remote->take(from, bytes);
    return true;
  }
  void set_in_sync(node_set who) {
    auto view = std::make_shared<cluster_view>(*view_);
    view->shards[shard].in_sync = std::move(who);
    const auto hold = std::lock_guard{mutex_};
    view_ = view;
  }

  template <class T, class F>
  static T wait_for(F start) {
    auto over = std::make_shared<std::promise<T>>();
    start([over](T what) { over->set_value(std::move(what)); });
    auto result = over->get_future();
    if (result.wait_for(20s) != std::future_status::ready) {
      ADD_FAILURE() << "nobody calls back";
      return model::failure{errc::internal, "nothing"};
    }
    return result.get();
  }
  model::status put(node_id at, const std::string& text, storage::blob_name& name) {
    auto& local = *nodes_[at].local;
    auto file = wait_for<model::result<actors::blob_access::incoming>>(
        [&](auto done) { local.begin(done); });
    EXPECT_TRUE(wait_for<model::status>([&](auto done) { local.append(*file, text, done); }));
    const auto facts =
        wait_for<model::result<storage::blob_facts>>([&](auto done) { local.finish(*file, done); });
    name = {owner, facts->sha256};
    return wait_for<model::status>([&](auto done) { local.keep(*file, shard, owner, done); });
  }
  model::result<std::uint64_t> find(node_id at, const storage::blob_name& name) {
    return wait_for<model::result<std::uint64_t>>(
        [&](auto done) { nodes_[at].local->find(shard, name, done); });
  }
  bool has(node_id n, const storage::blob_name& name) {
    return nodes_[n].local->store()->size(name).has_value();
  }
  std::string content(node_id n, const storage::blob_name& name) {
    auto got = nodes_[n].local->store()->read(name, 0, 1'000'000);
    return got ? *got : "nothing";
  }
  static std::string long_text() {
    auto text = std::string{};
    for (int i = 0; i < 2000; ++i)
      text += std::to_string(i);
    return text;
  }

  fs::path folder_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::set<node_id> gone_, deaf_;
  std::size_t messages_ = 0;
  std::shared_ptr<const cluster_view> view_;
  std::map<node_id, member> nodes_;
  std::thread ticker_;
};

TEST_F(RemoteBlobs, AreKeptByAllThatHaveTheShardInSync) {
  for (const auto& text : {std::string{}, std::string{"abc"}, std::string(1000, 'x'), long_text()})
    for (const node_id at : {1u, 3u}) {
      auto name = storage::blob_name{};
      ASSERT_TRUE(put(at, text + std::to_string(at).substr(text.empty() ? 1 : 0), name));
      for (const node_id n : {1u, 2u})
        EXPECT_TRUE(has(n, name)) << n;
      EXPECT_EQ(has(3, name), at == 3);
    }
}

TEST_F(RemoteBlobs, ThatAreThereAreNotSentAgain) {
  auto name = storage::blob_name{};
  ASSERT_TRUE(put(1, long_text(), name));
  const auto before = messages_;
  ASSERT_TRUE(put(1, long_text(), name));
  EXPECT_EQ(messages_, before + 2);  // a look and its answer
}

TEST_F(RemoteBlobs, AreNotAcknowledgedWhileOneLacksThem) {
  auto name = storage::blob_name{};
  gone_ = {2};
  EXPECT_EQ(put(1, "abc", name).error().reason, "file_not_copied");
  gone_ = {};
  deaf_ = {2};
  EXPECT_EQ(put(1, "abc", name).error().reason, "file_not_copied");
  deaf_ = {};
  EXPECT_TRUE(put(1, "abc", name));
  EXPECT_TRUE(has(2, name));
}

TEST_F(RemoteBlobs, NeedNotBeWhereTheShardIsNoMore) {
  auto name = storage::blob_name{};
  gone_ = {2};
  auto over = std::async(std::launch::async, [&] { return put(1, "abc", name); });
  set_in_sync({1});
  EXPECT_TRUE(over.get());
  set_in_sync({});
  EXPECT_EQ(put(1, "abcd", name).error().reason, "file_not_copied") << "nobody knows who has it";
}

TEST_F(RemoteBlobs, AreFetchedFromWhoeverHasThem) {
  auto name = storage::blob_name{};
  ASSERT_TRUE(put(1, long_text(), name));
  EXPECT_EQ(*find(3, name), long_text().size());
  EXPECT_EQ(content(3, name), long_text());
  gone_ = {1, 2};
  EXPECT_TRUE(find(3, name)) << "it is here now";
  // Somebody that is not in sync is asked too.
  gone_ = {1};
  set_in_sync({1});
  ASSERT_TRUE(nodes_[2].local->store()->remove(name));
  EXPECT_TRUE(find(2, name));
}

TEST_F(RemoteBlobs, ThatNobodyHasAreToldApartFromThoseOutOfReach) {
  const auto name = storage::blob_name{owner, std::string(64, '0')};
  EXPECT_EQ(find(3, name).error().reason, "blob_unknown");
  gone_ = {2};
  EXPECT_EQ(find(3, name).error().reason, "file_unreachable");
  gone_ = {};
  deaf_ = {1};
  EXPECT_EQ(find(3, name).error().code, errc::unavailable);
}

TEST_F(RemoteBlobs, AreWaitedForByMany) {
  auto name = storage::blob_name{};
  ASSERT_TRUE(put(1, long_text(), name));
  auto all = std::vector<std::future<model::result<std::uint64_t>>>{};
  for (int i = 0; i < 8; ++i)
    all.push_back(std::async(std::launch::async, [&] { return find(3, name); }));
  for (auto& one : all)
    EXPECT_TRUE(one.get());
  EXPECT_EQ(nodes_[3].local->store()->count(), 1u);
}

TEST_F(RemoteBlobs, ThatAreDamagedAreTakenFromTheNext) {
  auto name = storage::blob_name{};
  ASSERT_TRUE(put(1, "abc", name));
  for (const node_id n : {1u, 2u}) {
    const auto path = folder_ / std::to_string(n) / (owner + "." + name.sha256);
    std::FILE* file = std::fopen(path.c_str(), "w");
    std::fputs("abd", file);
    std::fclose(file);
    if (n == 2)
      EXPECT_EQ(find(3, name).error().reason, "blob_unknown");
    else
      EXPECT_TRUE(find(3, name));
    (void)nodes_[3].local->store()->remove(name);
  }
}

TEST_F(RemoteBlobs, ThatStopHalfwayLeaveNothing) {
  const auto name = storage::blob_name{owner, std::string(64, '1')};
  auto& store = *nodes_[2].local->store();
  const auto take = [&](const blob_question& q) { nodes_[2].remote->take(1, encode(q)); };
  const auto files = [&] {
    auto e = std::error_code{};
    return std::distance(fs::directory_iterator{folder_ / "2", e}, fs::directory_iterator{});
  };
  take({blob_question::kind::put, 1, name, 0, 100, "half"});
  const auto until = std::chrono::steady_clock::now() + 10s;
  auto seen = false;
  while ((!seen || files() > 0) && std::chrono::steady_clock::now() < until) {
    seen = seen || files() > 0;
    std::this_thread::yield();
  }
  EXPECT_TRUE(seen);
  EXPECT_EQ(files(), 0);
  take({blob_question::kind::put, 2, name, 7, 100, "no beginning"});
  take({blob_question::kind::put, 3, name, 0, 3, "too long"});
  take({blob_question::kind::put, 4, name, 0, 3, "bad"});  // another digest
  nodes_[2].remote->take(1, "no message");
  auto last = wait_for<model::result<std::uint64_t>>(
      [&](auto done) { nodes_[2].local->find(shard, name, done); });
  EXPECT_FALSE(last);
  EXPECT_EQ(store.count(), 0u);
}

}  // namespace
}  // namespace orrery::cluster
