#include "cluster/embedded_coordinator.hpp"

#include <atomic>
#include <thread>

#include "tests/support/coordinator_contract.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::tests {

class embedded_stand {
 public:
  embedded_stand() { restart(); }
  cluster::coordinator& get() { return *made_; }
  void pass(milliseconds time) { now_ += time.count(); }
  void pass_lease(milliseconds life) { pass(life); }
  void restart() {
    made_.reset();
    auto made = cluster::make_embedded_coordinator(store, [this] { return milliseconds{now_}; });
    ASSERT_TRUE(made);
    made_ = std::move(*made);
  }
  std::shared_ptr<memory_store> store = std::make_shared<memory_store>();

 private:
  std::atomic<std::int64_t> now_{1000};
  std::unique_ptr<cluster::coordinator> made_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Embedded, CoordinatorContract, embedded_stand);

class EmbeddedCoordinator : public CoordinatorContract<embedded_stand> {};

TEST_F(EmbeddedCoordinator, KeepsWhatHasNoLease) {
  put("/shard/1", "mine");
  const auto changed = put("/shard/1", "still mine");
  put("/shard/2", "gone");
  swap({}, {{"/shard/2", std::nullopt}});
  put("/node/1", "here", *at().grant(milliseconds{60'000}));
  const auto last = at().list("/")->revision;
  stand.restart();
  EXPECT_THAT(there("/"), ElementsAre("/shard/1=still mine"));
  EXPECT_EQ(at().list("/")->items[0].revision, changed);
  EXPECT_EQ(at().list("/")->revision, last);
  EXPECT_GT(put("/node/1", "again"), last);  // no revision comes twice
}

TEST_F(EmbeddedCoordinator, ALeasedKeyDoesNotBringItsOldValueBack) {
  put("/k", "kept");
  put("/k", "leased", *at().grant(milliseconds{60'000}));
  stand.restart();
  EXPECT_THAT(there("/k"), IsEmpty());
}

TEST_F(EmbeddedCoordinator, WhatIsNotWrittenIsNotAgreed) {
  const auto made = put("/k", "1");
  stand.store->faults.putting = true;
  const auto failed = at().swap({}, std::vector<cluster::change>{{"/k", "2"}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, model::errc::unavailable);
  EXPECT_EQ(at().list("/k")->items.at(0), (cluster::agreed{"/k", "1", made}));
  stand.store->faults.putting = false;
  put("/k", "3");
  EXPECT_THAT(there("/k"), ElementsAre("/k=3"));
}

TEST_F(EmbeddedCoordinator, WhoFollowsFromLongAgoIsToldToListAgain) {
  const auto first = put("/k", "0");
  for (auto i = 0; i < 5000; ++i)
    put("/k", std::to_string(i));
  auto reader = news_reader{};
  const auto following = at().follow("/k", first, reader.listener());
  EXPECT_TRUE(reader.wait_until_lost());
  auto fresh = news_reader{};
  const auto again = at().follow("/k", at().list("/k")->revision, fresh.listener());
  put("/k", "new");
  EXPECT_THAT(fresh.wait_for(1), ElementsAre("/k=new"));
}

TEST_F(EmbeddedCoordinator, AStoreThatCannotBeReadIsTold) {
  stand.store->faults.rows = true;
  const auto made = cluster::make_embedded_coordinator(stand.store, [] { return milliseconds{0}; });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, model::errc::unavailable);
}

}  // namespace orrery::tests
