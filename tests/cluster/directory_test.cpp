#include "cluster/directory.hpp"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

const auto keys = cluster_keys{"plant"};

class Directory : public testing::Test {
 protected:
  Directory() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [this] { return milliseconds{now}; });
    EXPECT_TRUE(made);
    real = std::move(*made);
    put(keys.about(), encode(cluster_about{1, 64, {}, "ab"}));
  }
  std::unique_ptr<directory> follow(std::shared_ptr<coordinator> at,
                                    milliseconds relisting = milliseconds{600'000}) {
    return std::make_unique<directory>(
        std::move(at), "plant",
        [this](const directory::view_pointer& view) {
          const auto hold = std::lock_guard{mutex};
          told.push_back(view);
          changed.notify_all();
        },
        directory_options{milliseconds{1}, milliseconds{4}, relisting});
  }
  template <class Condition>
  directory::view_pointer wait_for(Condition holds) {
    auto hold = std::unique_lock{mutex};
    EXPECT_TRUE(changed.wait_for(hold, std::chrono::seconds{20},
                                 [&] { return !told.empty() && holds(*told.back()); }));
    return told.empty() ? std::make_shared<const cluster_view>() : told.back();
  }
  static bool any(const cluster_view&) { return true; }
  std::uint64_t put(const std::string& key, std::optional<std::string> value, lease_id lease = 0) {
    const auto one = change{key, std::move(value), lease};
    const auto done = real->swap({}, {&one, 1});
    EXPECT_TRUE(done && done->done);
    return done ? done->revision : 0;
  }
  static std::string led_by(node_id id) {
    return encode(shard_record{.epoch = 1, .primary = id, .in_sync = {id}, .replicas = {id}});
  }

  std::atomic<std::int64_t> now{1000};
  std::shared_ptr<coordinator> real;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<directory::view_pointer> told;
};

TEST_F(Directory, TellsWhatIsThereAndThenWhatChanges) {
  put(keys.shard(1), led_by(1));
  const auto d = follow(real);
  EXPECT_EQ(wait_for(any)->shards.at(1).primary, 1u);
  const auto lease = real->grant(milliseconds{3000});
  auto info = node_info{};
  info.name = "a";
  const auto registered = put(keys.node(4), encode(info), *lease);
  EXPECT_EQ(wait_for([](const auto& v) { return v.nodes.contains(4); })->nodes.at(4).incarnation,
            registered);
  put(keys.shard(1), led_by(2));
  put(keys.shard(1), std::nullopt);
  put("/orrery/other/shard/1", led_by(9));
  put(keys.controller(), "4");
  const auto view = wait_for([](const auto& v) { return v.controller.has_value(); });
  EXPECT_TRUE(view->shards.empty());
  now += 3000;
  EXPECT_TRUE(wait_for([](const auto& v) { return v.nodes.empty(); })->nodes.empty());
  EXPECT_EQ(*d->current(), *wait_for(any));
}

TEST_F(Directory, AnEmptyClusterIsToldToo) {
  put(keys.about(), std::nullopt);
  const auto d = follow(real);
  EXPECT_GT(wait_for(any)->revision, 0u);
}

TEST_F(Directory, ComesWhenTheCoordinatorDoes) {
  const auto far = std::make_shared<tests::far_coordinator>(real);
  far->cut = true;
  put(keys.shard(1), led_by(1));
  const auto d = follow(far);
  EXPECT_EQ(d->refresh().error().code, model::errc::unavailable);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (far->lists < 5)
    ASSERT_LT(std::chrono::steady_clock::now(), until);
  EXPECT_EQ(d->current()->revision, 0u);
  far->cut = false;
  EXPECT_EQ(wait_for(any)->shards.size(), 1u);
}

TEST_F(Directory, ListsAgainWhenNewsWereLost) {
  const auto at = std::make_shared<tests::far_coordinator>(real);
  put(keys.shard(1), led_by(1));
  const auto d = follow(at);
  wait_for(any);
  at->deaf = true;
  put(keys.shard(1), led_by(2));
  at->deaf = false;
  at->lose();
  wait_for([](const auto& v) { return v.shards.at(1).primary == 2u; });
  put(keys.shard(1), led_by(3));
  wait_for([](const auto& v) { return v.shards.at(1).primary == 3u; });
  EXPECT_EQ(at->followed, 2);
}

TEST_F(Directory, ADeadConnectionIsFoundInTheEnd) {
  const auto at = std::make_shared<tests::far_coordinator>(real);
  at->deaf = true;
  const auto d = follow(at, milliseconds{5});
  wait_for(any);
  put(keys.shard(1), led_by(2));
  wait_for([](const auto& v) { return v.shards.contains(1); });
  EXPECT_EQ(at->followed, 1);
}

TEST_F(Directory, RefreshHasEverythingFromBefore) {
  const auto at = std::make_shared<tests::far_coordinator>(real);
  at->deaf = true;
  const auto d = follow(at);
  wait_for(any);
  const auto version = put(keys.shard(1), led_by(2));
  const auto fresh = d->refresh();
  ASSERT_TRUE(fresh);
  EXPECT_EQ((*fresh)->shards.at(1).version, version);
  EXPECT_EQ(d->current(), *fresh);
}

TEST_F(Directory, WhatIsNotedIsThereAtOnceAndTold) {
  const auto at = std::make_shared<tests::far_coordinator>(real);
  const auto d = follow(at);
  wait_for(any);
  at->deaf = true;
  auto record = *decode_shard("k", led_by(2), put(keys.shard(1), led_by(2)));
  d->note(1, record);
  EXPECT_EQ(d->current()->shards.at(1), record);
  wait_for([](const auto& v) { return v.shards.contains(1); });
  auto older = record;
  older.primary = 3;
  --older.version;
  d->note(1, older);
  EXPECT_EQ(d->current()->shards.at(1), record);
}

TEST_F(Directory, WhatCannotBeReadStopsNobody) {
  put(keys.shard(1), "{");
  put(keys.shard(2), led_by(2));
  const auto d = follow(real);
  const auto view = wait_for(any);
  EXPECT_EQ(view->shards.size(), 1u);
  EXPECT_THAT(view->malformed, ElementsAre(keys.shard(1)));
}

TEST_F(Directory, ManyChangesEndInTheNewest) {
  const auto d = follow(real);
  auto last = std::uint64_t{0};
  for (auto i = 0; i < 10'000; ++i)  // more than a coordinator remembers
    last = put(keys.shard(static_cast<model::shard_id>(i % 64)), led_by(1 + i % 1000));
  const auto view = wait_for([&](const auto& v) { return v.revision >= last; });
  EXPECT_EQ(view->shards.size(), 64u);
  EXPECT_EQ(view->shards.at((10'000 - 1) % 64).version, last);
}

}  // namespace
}  // namespace orrery::cluster
