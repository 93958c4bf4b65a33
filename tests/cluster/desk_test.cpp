#include "cluster/desk.hpp"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "cluster/membership.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using actors::desk_shard_state;
using kind = actors::desk_order::kind;

const auto keys = cluster_keys{"plant"};

template <class T, class Ask>
model::result<T> wait(Ask ask) {
  auto done = std::promise<model::result<T>>{};
  ask([&](model::result<T> got) { done.set_value(std::move(got)); });
  return done.get_future().get();
}

class Desk : public testing::Test {
 protected:
  Desk() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [] { return std::chrono::milliseconds{1}; });
    EXPECT_TRUE(made);
    at = std::make_shared<tests::far_coordinator>(std::move(*made));
    for (const auto* name : {"a", "b"}) {
      const auto id = join(*at, "plant", name, 2, "ab", {});
      EXPECT_TRUE(id);
      auto info = node_info{};
      info.name = name;
      put(keys.node(*id), encode(info));
    }
    put(keys.controller(), "2");
    for (model::shard_id s : {model::shard_id{0}, model::shard_id{1}, model::catalogue_shard})
      put(keys.shard(s), encode(shard_record{0, 3, 1, {1, 2}, {1, 2}, 1}));
    auto parts = desk_parts{};
    parts.at = at;
    parts.cluster = "plant";
    parts.node = "a";
    parts.placement.shard_count = 2;
    parts.makes_backups = true;
    parts.now = [] { return model::from_ms(1'700'000'000'000); };
    parts.seen = [] {
      auto old = cluster_view{};
      old.numbers = {{"a", 1}};
      return std::make_shared<const cluster_view>(old);
    };
    desk = std::make_unique<cluster::desk>(std::move(parts));
  }
  void put(const std::string& key, std::string value) {
    const auto one = change{key, std::move(value)};
    EXPECT_TRUE(at->swap({}, {&one, 1}));
  }
  model::result<actors::desk_status> status() {
    return wait<actors::desk_status>([&](auto done) { desk->status(done); });
  }
  model::result<actors::desk_node> give(actors::desk_order order) {
    return wait<actors::desk_node>([&](auto done) { desk->give(order, done); });
  }
  std::shared_ptr<tests::far_coordinator> at;
  std::unique_ptr<cluster::desk> desk;
};

TEST_F(Desk, TellsHowTheClusterIs) {
  const auto s = status();
  ASSERT_TRUE(s);
  EXPECT_EQ(s->name, "plant");
  EXPECT_EQ(s->coordinator, "etcd");
  EXPECT_FALSE(s->trouble);
  EXPECT_EQ(s->node, "a");
  EXPECT_EQ(s->controller, "b");
  EXPECT_EQ(s->nodes.size(), 2u);
  EXPECT_EQ(s->shards.at(desk_shard_state::whole), 3u);
  const auto shards = wait<std::vector<actors::desk_shard>>([&](auto done) { desk->shards(done); });
  ASSERT_TRUE(shards);
  EXPECT_EQ(shards->size(), 3u);
}

TEST_F(Desk, WithoutTheCoordinatorTellsWhatWasSeen) {
  at->cut = true;
  const auto s = status();
  ASSERT_TRUE(s);
  EXPECT_EQ(s->trouble, "cut off");
  ASSERT_EQ(s->nodes.size(), 1u);
  EXPECT_EQ(s->nodes[0].state, actors::desk_node_state::absent);
  EXPECT_EQ(s->shards.at(desk_shard_state::without_primary), 3u);
  EXPECT_TRUE(wait<std::vector<actors::desk_shard>>([&](auto done) { desk->shards(done); }));
  EXPECT_EQ(
      wait<std::vector<actors::desk_move>>([&](auto done) { desk->moves(done); }).error().code,
      model::errc::unavailable);
  EXPECT_EQ(give({kind::drain, "a", {}, {}}).error().code, model::errc::unavailable);
}

TEST_F(Desk, GivesOrders) {
  const auto b = give({kind::drain, "b", {}, "user:eve"});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->name, "b");
  EXPECT_EQ(b->order, "drain");
  EXPECT_EQ(b->state, actors::desk_node_state::draining);
  EXPECT_EQ(b->in_sync, 3u);
  EXPECT_EQ(give({kind::drain, "a", {}, {}}).error().reason, "too_few_nodes");
  const auto moves = wait<std::vector<actors::desk_move>>([&](auto done) { desk->moves(done); });
  ASSERT_TRUE(moves);
}

TEST_F(Desk, BeginsBackupsAndLists) {
  const auto begin = [&] {
    return wait<actors::desk_backup>([&](auto done) { desk->back_up("user:eve", done); });
  };
  const auto begun = begin();
  ASSERT_TRUE(begun) << begun.error().detail;
  EXPECT_EQ(begun->id, "20231114-221320");
  EXPECT_EQ(begun->by, "user:eve");
  EXPECT_EQ(begin().error().reason, "backup_running");
  const auto list = [&] {
    return wait<std::vector<actors::desk_backup>>([&](auto done) { desk->backups(done); });
  };
  EXPECT_EQ(*list(), std::vector{*begun});
  at->cut = true;
  EXPECT_EQ(begin().error().code, model::errc::unavailable);
  EXPECT_TRUE(list()->empty()) << "as it was seen last";
}

TEST_F(Desk, WhoComesAfterTheEndIsTold) {
  desk->stop();
  EXPECT_EQ(status().error().code, model::errc::unavailable);
  desk->stop();
}

/// A coordinator that answers when it is let.
class slow final : public coordinator {
 public:
  model::result<listing> list(std::string_view) override {
    if (!said_.exchange(true))
      asked.set_value();
    gone_.wait();
    return listing{};
  }
  model::result<swap_outcome> swap(std::span<const condition>, std::span<const change>) override {
    return swap_outcome{};
  }
  model::result<lease_id> grant(std::chrono::milliseconds) override { return lease_id{1}; }
  model::result<bool> renew(lease_id) override { return true; }
  model::status revoke(lease_id) override { return {}; }
  std::unique_ptr<subscription> follow(std::string, std::uint64_t, listener) override {
    return nullptr;
  }
  std::promise<void> asked, go;

 private:
  std::atomic<bool> said_{false};
  std::shared_future<void> gone_{go.get_future()};
};

TEST_F(Desk, QuestionsThatWaitAreBoundAndEnd) {
  const auto far = std::make_shared<slow>();
  auto parts = desk_parts{};
  parts.at = far;
  parts.cluster = "plant";
  auto busy = std::make_unique<cluster::desk>(std::move(parts));
  auto good = std::atomic<int>{0}, refused = std::atomic<int>{0}, ended = std::atomic<int>{0};
  const auto done = [&](const model::result<std::vector<actors::desk_move>>& got) {
    ++(got ? good : got.error().code == model::errc::too_many_requests ? refused : ended);
  };
  busy->moves(done);
  far->asked.get_future().wait();
  for (auto i = 0; i < 100; ++i)
    busy->moves(done);
  EXPECT_EQ(refused, 100 - 64);
  auto stopping = std::thread{[&] { busy->stop(); }};
  far->go.set_value();
  stopping.join();
  EXPECT_EQ(good + refused + ended, 101);
  EXPECT_GE(good, 1);
}

TEST(LoneDesk, IsAClusterOfOne) {
  auto desk = lone_desk{{.cluster = "orrery",
                         .name = "n",
                         .zone = "",
                         .shard_count = 4,
                         .started = model::from_ms(5)}};
  desk.listens({{"api", "n:8090"}});
  const auto s = wait<actors::desk_status>([&](auto done) { desk.status(done); });
  ASSERT_TRUE(s);
  EXPECT_EQ(s->coordinator, "embedded");
  EXPECT_EQ(s->copies, 1u);
  ASSERT_EQ(s->nodes.size(), 1u);
  EXPECT_EQ(s->nodes[0].primaries, 5u);
  EXPECT_EQ(s->nodes[0].addresses.at("api"), "n:8090");
  EXPECT_EQ(s->shards.at(desk_shard_state::whole), 5u);
  const auto shards = wait<std::vector<actors::desk_shard>>([&](auto done) { desk.shards(done); });
  ASSERT_TRUE(shards);
  ASSERT_EQ(shards->size(), 5u);
  EXPECT_EQ(shards->at(3).number, 3);
  EXPECT_EQ(shards->back().number, model::catalogue_shard);
  const auto moves = wait<std::vector<actors::desk_move>>([&](auto done) { desk.moves(done); });
  ASSERT_TRUE(moves);
  EXPECT_TRUE(moves->empty());
  const auto order = [&](const std::string& node) {
    return wait<actors::desk_node>([&](auto done) {
      desk.give({kind::drain, node, {}, {}}, done);
    });
  };
  const auto back_up = [&] {
    return wait<actors::desk_backup>([&](auto done) { desk.back_up("user:eve", done); });
  };
  EXPECT_EQ(back_up().error().reason, "backup_off");
  desk.makes({.begin =
                  [](std::string by) {
                    return actors::desk_backup{"1", {}, by, {}};
                  },
              .all = [] { return std::vector<actors::desk_backup>(2); }});
  EXPECT_EQ(back_up()->by, "user:eve");
  EXPECT_EQ(wait<std::vector<actors::desk_backup>>([&](auto done) { desk.backups(done); })->size(),
            2u);
  EXPECT_EQ(order("n").error().reason, "not_clustered");
  EXPECT_EQ(order("m").error().reason, "node_unknown");
}

}  // namespace
}  // namespace orrery::cluster
