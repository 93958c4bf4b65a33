// What every coordinator promises, as tests: TYPED by a stand that makes one and lets time pass.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/coordinator.hpp"

namespace orrery::tests {

/// Keeps what a subscription tells.
class news_reader {
 public:
  cluster::coordinator::listener listener() {
    return [this](const cluster::news& n) {
      const auto hold = std::lock_guard{mutex_};
      lost_ = lost_ || n.lost;
      for (const auto& c : n.changes)
        told_.push_back(c.key + (c.value ? "=" + *c.value : " gone"));
      for (const auto& c : n.changes)
        revisions_.push_back(c.revision);
      changed_.notify_all();
    };
  }
  /// Of what was told so far.
  std::vector<std::uint64_t> revisions() {
    const auto hold = std::lock_guard{mutex_};
    return revisions_;
  }
  /// The first `count`, as "key=value" or "key gone"; fewer only if they do not come.
  std::vector<std::string> wait_for(std::size_t count) {
    auto hold = std::unique_lock{mutex_};
    changed_.wait_for(hold, std::chrono::seconds{20},
                      [&] { return told_.size() >= count || lost_; });
    return told_;
  }
  bool wait_until_lost() {
    auto hold = std::unique_lock{mutex_};
    return changed_.wait_for(hold, std::chrono::seconds{20}, [&] { return lost_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
  std::vector<std::uint64_t> revisions_;
  bool lost_ = false;
};

/// `Stand`: coordinator& get(); void pass(milliseconds) lets at least that much time pass for
/// leases.
template <class Stand>
class CoordinatorContract : public testing::Test {
 protected:
  using outcome = cluster::swap_outcome;
  outcome swap(std::vector<cluster::condition> conditions, std::vector<cluster::change> changes) {
    auto done = at().swap(conditions, changes);
    EXPECT_TRUE(done);
    return done ? *done : outcome{};
  }
  std::uint64_t put(const std::string& key, const std::string& value, cluster::lease_id lease = 0) {
    const auto done = swap({}, {{key, value, lease}});
    EXPECT_TRUE(done.done);
    return done.revision;
  }
  std::vector<std::string> there(const std::string& prefix) {
    const auto all = at().list(prefix);
    EXPECT_TRUE(all);
    auto found = std::vector<std::string>{};
    if (all)
      for (const auto& i : all->items)
        found.push_back(i.key + "=" + i.value);
    return found;
  }
  void wait_until_gone(const std::string& key) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (!there(key).empty())
      ASSERT_LT(std::chrono::steady_clock::now(), until) << key << " does not go";
  }
  cluster::coordinator& at() { return stand.get(); }

  Stand stand;
};
TYPED_TEST_SUITE_P(CoordinatorContract);

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

TYPED_TEST_P(CoordinatorContract, ListsWhatIsUnderAPrefix) {
  EXPECT_THAT(this->there("/a/"), IsEmpty());
  const auto first = this->put("/a/2", "two");
  const auto second = this->put("/a/1", "one");
  this->put("/b/1", "other");
  EXPECT_GT(first, 0u);
  EXPECT_GT(second, first);
  EXPECT_THAT(this->there("/a/"), ElementsAre("/a/1=one", "/a/2=two"));
  const auto all = this->at().list("/a/");
  EXPECT_EQ(all->items[0].revision, second);
  EXPECT_EQ(all->items[1].revision, first);
  EXPECT_GE(all->revision, second);
}

TYPED_TEST_P(CoordinatorContract, ValuesAreAnyBytes) {
  const auto value = std::string{"\0\xff\n\"", 4};
  this->put("/a/bytes", value);
  EXPECT_EQ(this->at().list("/a/")->items.at(0).value, value);
  this->put("/a/none", "");
  EXPECT_EQ(this->at().list("/a/none")->items.at(0).value, "");
}

TYPED_TEST_P(CoordinatorContract, SwapsOnlyWhatIsAsExpected) {
  const auto made = this->swap({{"/k", 0}}, {{"/k", "1"}});
  ASSERT_TRUE(made.done);
  const auto again = this->swap({{"/k", 0}}, {{"/k", "2"}});
  EXPECT_FALSE(again.done);
  EXPECT_THAT(again.now, ElementsAre(cluster::agreed{"/k", "1", made.revision}));
  const auto changed = this->swap({{"/k", made.revision}}, {{"/k", "3"}});
  ASSERT_TRUE(changed.done);
  EXPECT_GT(changed.revision, made.revision);
  EXPECT_FALSE(this->swap({{"/k", made.revision}}, {{"/k", "4"}}).done);
  EXPECT_THAT(this->there("/k"), ElementsAre("/k=3"));
}

TYPED_TEST_P(CoordinatorContract, SwapsAllOrNothing) {
  const auto a = this->put("/a", "1");
  const auto b = this->put("/b", "1");
  EXPECT_FALSE(this->swap({{"/a", a}, {"/b", a}}, {{"/a", "2"}, {"/b", "2"}, {"/c", "2"}}).done);
  EXPECT_THAT(this->there("/"), ElementsAre("/a=1", "/b=1"));
  const auto done = this->swap({{"/a", a}, {"/b", b}, {"/c", 0}},
                               {{"/a", "2"}, {"/b", std::nullopt}, {"/c", "2"}});
  ASSERT_TRUE(done.done);
  EXPECT_THAT(this->there("/"), ElementsAre("/a=2", "/c=2"));
  const auto all = this->at().list("/");
  EXPECT_EQ(all->items[0].revision, done.revision);
  EXPECT_EQ(all->items[1].revision, done.revision);  // one step, one revision
}

TYPED_TEST_P(CoordinatorContract, AKeyThatWentIsNotThere) {
  const auto made = this->put("/k", "1");
  ASSERT_TRUE(this->swap({{"/k", made}}, {{"/k", std::nullopt}}).done);
  EXPECT_THAT(this->there("/k"), IsEmpty());
  EXPECT_FALSE(this->swap({{"/k", made}}, {{"/k", "2"}}).done);
  const auto anew = this->swap({{"/k", 0}}, {{"/k", "2"}});
  EXPECT_TRUE(anew.done);
  EXPECT_GT(anew.revision, made);
}

TYPED_TEST_P(CoordinatorContract, KeysGoWithTheirLease) {
  const auto lease = this->at().grant(milliseconds{4000});
  ASSERT_TRUE(lease);
  this->put("/n/1", "here", *lease);
  this->put("/n/2", "stays");
  this->put("/n/3", "was leased", *lease);
  this->put("/n/3", "no more");
  this->stand.pass(milliseconds{2500});
  const auto good = this->at().renew(*lease);
  ASSERT_TRUE(good);
  EXPECT_TRUE(*good);
  this->stand.pass(milliseconds{2500});
  EXPECT_EQ(this->there("/n/").size(), 3u);
  this->stand.pass_lease(milliseconds{4000});
  this->wait_until_gone("/n/1");
  EXPECT_THAT(this->there("/n/"), ElementsAre("/n/2=stays", "/n/3=no more"));
  const auto late = this->at().renew(*lease);
  ASSERT_TRUE(late);
  EXPECT_FALSE(*late);  // it does not come back
  const auto refused = this->at().swap({}, std::vector<cluster::change>{{"/n/1", "again", *lease}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, model::errc::not_found);
  EXPECT_THAT(this->there("/n/1"), IsEmpty());
}

TYPED_TEST_P(CoordinatorContract, ARevokedLeaseIsOverAtOnce) {
  const auto lease = this->at().grant(milliseconds{60'000});
  ASSERT_TRUE(lease);
  const auto made = this->put("/n/1", "here", *lease);
  EXPECT_TRUE(this->at().revoke(*lease));
  EXPECT_THAT(this->there("/n/"), IsEmpty());
  EXPECT_FALSE(*this->at().renew(*lease));
  EXPECT_TRUE(this->at().revoke(*lease));
  EXPECT_GT(this->put("/n/1", "again"), made + 1);  // going was a change
}

TYPED_TEST_P(CoordinatorContract, TellsChangesInTheirOrder) {
  auto reader = news_reader{};
  const auto from = this->put("/s/0", "before");
  this->put("/s/1", "a");
  const auto following = this->at().follow("/s/", from, reader.listener());
  EXPECT_THAT(reader.wait_for(1), ElementsAre("/s/1=a"));  // also what was before it came
  this->put("/s/2", "b");
  this->put("/t/1", "others");
  this->put("/s/1", "c");
  this->swap({}, {{"/s/2", std::nullopt}});
  EXPECT_THAT(reader.wait_for(4), ElementsAre("/s/1=a", "/s/2=b", "/s/1=c", "/s/2 gone"));
}

TYPED_TEST_P(CoordinatorContract, TellsTheRevisionOfEachChange) {
  auto reader = news_reader{};
  const auto a = this->put("/s/1", "a");
  const auto b = this->put("/s/2", "b");
  const auto gone = this->swap({}, {{"/s/1", std::nullopt}}).revision;
  const auto both = this->swap({}, {{"/s/3", "c"}, {"/s/4", "d"}}).revision;
  const auto following = this->at().follow("/s/", a, reader.listener());
  EXPECT_EQ(reader.wait_for(4).size(), 4u);
  EXPECT_THAT(reader.revisions(), ElementsAre(b, gone, both, both));
}

TYPED_TEST_P(CoordinatorContract, TellsThatALeaseIsOver) {
  auto reader = news_reader{};
  const auto lease = this->at().grant(milliseconds{2000});
  const auto made = this->put("/n/1", "here", *lease);
  const auto following = this->at().follow("/n/", made, reader.listener());
  this->stand.pass_lease(milliseconds{2000});
  EXPECT_THAT(reader.wait_for(1), ElementsAre("/n/1 gone"));
}

TYPED_TEST_P(CoordinatorContract, AnEndedSubscriptionTellsNothing) {
  auto reader = news_reader{};
  auto following = this->at().follow("/s/", this->at().list("/s/")->revision, reader.listener());
  this->put("/s/1", "a");
  EXPECT_EQ(reader.wait_for(1).size(), 1u);
  following.reset();
  this->put("/s/1", "b");
  EXPECT_THAT(this->there("/s/1"), ElementsAre("/s/1=b"));
  EXPECT_EQ(reader.wait_for(0).size(), 1u);
}

TYPED_TEST_P(CoordinatorContract, OneOfManyWins) {
  const auto start = this->put("/k", "0");
  auto winners = std::atomic<int>{0};
  auto threads = std::vector<std::jthread>{};
  for (auto i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      const auto done = this->at().swap(std::vector<cluster::condition>{{"/k", start}},
                                        std::vector<cluster::change>{{"/k", std::to_string(i)}});
      winners += done && done->done ? 1 : 0;
    });
  threads.clear();
  EXPECT_EQ(winners, 1);
}

REGISTER_TYPED_TEST_SUITE_P(CoordinatorContract, ListsWhatIsUnderAPrefix, ValuesAreAnyBytes,
                            SwapsOnlyWhatIsAsExpected, SwapsAllOrNothing, AKeyThatWentIsNotThere,
                            KeysGoWithTheirLease, ARevokedLeaseIsOverAtOnce,
                            TellsChangesInTheirOrder, TellsTheRevisionOfEachChange,
                            TellsThatALeaseIsOver, AnEndedSubscriptionTellsNothing, OneOfManyWins);

}  // namespace orrery::tests
