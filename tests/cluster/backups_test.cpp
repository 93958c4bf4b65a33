#include "cluster/backups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using actors::desk_backup_part_state;
using actors::desk_backup_state;
using testing::ElementsAre;
using testing::IsEmpty;

const auto keys = cluster_keys{"plant"};
const auto noon = model::from_ms(1'700'000'000'000);

class Backups : public testing::Test {
 protected:
  Backups() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [] { return std::chrono::milliseconds{1}; });
    EXPECT_TRUE(made);
    at = std::make_shared<tests::far_coordinator>(std::move(*made));
    for (node_id id = 1; id <= 4; ++id)
      put(keys.number(name(id)), encode_number(id));
    for (node_id id = 1; id <= 3; ++id)
      comes(id, 100 + id);
  }
  static std::string name(node_id id) { return {static_cast<char>('a' + id - 1)}; }
  void put(const std::string& key, std::optional<std::string> value) {
    const auto one = change{key, std::move(value)};
    EXPECT_TRUE(at->swap({}, {&one, 1}));
  }
  void comes(node_id id, std::uint64_t process) {
    auto info = node_info{};
    info.name = name(id);
    info.incarnation = process;
    put(keys.node(id), encode(info));
  }
  cluster_view view() { return view_of(keys, *at->list(keys.root()), {}); }
  model::result<actors::desk_backup> order(model::timestamp now = noon, std::size_t keep = 7) {
    return order_backup(*at, "plant", "user:eve", now, keep);
  }
  void report(const std::string& id, node_id node, std::string reason = {}) {
    ASSERT_TRUE(
        report_backup(*at, "plant", id, node,
                      {noon, std::chrono::seconds{4}, reason.empty() ? 9u : 0u, reason, ""}));
  }
  /// One after the other is made.
  void make(int count, std::size_t keep) {
    for (auto i = 0; i < count; ++i) {
      const auto begun = order(noon, keep);
      ASSERT_TRUE(begun) << begun.error().detail;
      for (node_id id = 1; id <= 3; ++id)
        report(begun->id, id);
    }
  }
  std::vector<std::string> ids() {
    auto all = std::vector<std::string>{};
    for (const auto& one : backups_of(view()))
      all.push_back(one.id);
    return all;
  }
  std::vector<std::string> reasons() {
    auto all = std::vector<std::string>{};
    const auto newest = backups_of(view()).at(0);
    for (const auto& one : newest.nodes)
      all.push_back(one.reason);
    return all;
  }
  desk_backup_state state() { return backups_of(view()).at(0).state(); }

  std::shared_ptr<tests::far_coordinator> at;
};

TEST(BackupId, IsTheTimeAndRises) {
  EXPECT_EQ(backup_id(noon, ""), "20231114-221320");
  EXPECT_EQ(backup_id(noon, "20231114-221319"), "20231114-221320");
  EXPECT_EQ(backup_id(noon, "20231114-221320"), "20231114-221321");
  EXPECT_EQ(backup_id(noon, "20241231-235959"), "20250101-000000");
  EXPECT_EQ(backup_id(noon, "?"), "20231114-221320");
}

TEST_F(Backups, EachNodeThatIsThereHasAPart) {
  const auto begun = order();
  ASSERT_TRUE(begun);
  EXPECT_EQ(begun->state(), desk_backup_state::running);
  ASSERT_EQ(begun->nodes.size(), 4u);
  EXPECT_EQ(begun->nodes[2].state, desk_backup_part_state::running);
  EXPECT_EQ(begun->nodes[3].node, "d");
  EXPECT_EQ(begun->nodes[3].state, desk_backup_part_state::absent);
  EXPECT_EQ(backups_of(view()), std::vector{*begun});
  for (node_id id = 1; id <= 3; ++id) {
    EXPECT_EQ(backup_to_make(view(), id, 100 + id)->id, begun->id);
    EXPECT_EQ(backup_to_make(view(), id, 99), std::nullopt) << "another process";
    EXPECT_EQ(state(), desk_backup_state::running);
    report(begun->id, id);
    EXPECT_EQ(backup_to_make(view(), id, 100 + id), std::nullopt);
  }
  EXPECT_EQ(backup_to_make(view(), 4, 104), std::nullopt);
  EXPECT_EQ(state(), desk_backup_state::partial) << "one was absent";
  const auto first = backups_of(view()).at(0).nodes.at(0);
  EXPECT_EQ(first.bytes, 9u);
  EXPECT_EQ(first.took, std::chrono::seconds{4});
}

TEST_F(Backups, IsCompleteWhenAllNodesThatBelongHaveTheirPart) {
  put(keys.order(4), encode(node_order::remove));
  make(1, 7);
  EXPECT_EQ(state(), desk_backup_state::complete);
  EXPECT_EQ(backups_of(view()).at(0).nodes.size(), 3u);
}

TEST_F(Backups, OneThatEndsInTheMiddleHasFailed) {
  const auto begun = order();
  ASSERT_TRUE(begun);
  report(begun->id, 1);
  put(keys.node(2), std::nullopt);
  comes(3, 999);
  EXPECT_THAT(reasons(), ElementsAre("", "node_lost", "node_lost", ""));
  EXPECT_EQ(state(), desk_backup_state::partial);
  EXPECT_EQ(backup_to_make(view(), 3, 999), std::nullopt);
  comes(2, 102);  // its registration had lapsed, and the process goes on
  EXPECT_EQ(state(), desk_backup_state::running);
  report(begun->id, 2, "backup_full");
  EXPECT_THAT(reasons(), ElementsAre("", "backup_full", "node_lost", ""));
}

TEST_F(Backups, OneAtATime) {
  const auto first = order();
  ASSERT_TRUE(first);
  EXPECT_EQ(order().error().reason, "backup_running");
  for (node_id id = 1; id <= 3; ++id)
    report(first->id, id, "backup_off");
  EXPECT_EQ(state(), desk_backup_state::failed);
  const auto second = order();
  ASSERT_TRUE(second);
  EXPECT_GT(second->id, first->id);
}

TEST_F(Backups, TheOldestAreDropped) {
  make(5, 3);
  EXPECT_THAT(ids(), ElementsAre("20231114-221324", "20231114-221323", "20231114-221322"));
  EXPECT_EQ(at->list(keys.backups())->items.size(), 3u * 4u);
  make(1, 1);
  EXPECT_THAT(ids(), ElementsAre("20231114-221325"));
  put(keys.backup("20231114-221325"), std::nullopt);
  EXPECT_THAT(ids(), IsEmpty());
  make(1, 1);  // behind the last one all the same, and the parts that were left are gone
  EXPECT_THAT(ids(), ElementsAre("20231114-221326"));
  EXPECT_EQ(at->list(keys.backups())->items.size(), 4u);
}

TEST_F(Backups, WhatWasDroppedTakesNoPart) {
  report("20231114-221320", 1);
  EXPECT_THAT(at->list(keys.backups())->items, IsEmpty());
}

TEST_F(Backups, WithoutTheCoordinatorNothingIsOrdered) {
  at->cut = true;
  EXPECT_EQ(order().error().code, model::errc::unavailable);
  EXPECT_EQ(report_backup(*at, "plant", "20231114-221320", 1, {}).error().code,
            model::errc::unavailable);
}

}  // namespace
}  // namespace orrery::cluster
