#include "cluster/placement.hpp"

#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/in_sync.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto catalogue = model::catalogue_shard;

/// A cluster whose primaries do what the records ask of them, at once or when they are told to.
class Placement : public testing::Test {
 protected:
  void come(node_id id, const std::string& zone = "", std::uint32_t weight = 100) {
    auto info = node_info{};
    info.name = "node-" + std::to_string(id);
    info.zone = zone;
    info.weight = weight;
    view.nodes[id] = {info, ++view.revision};
    seen.take(view, now);
  }
  void go(node_id id) {
    view.nodes.erase(id);
    seen.take(view, now);
  }
  placement_plan make() {
    seen.take(view, now);
    return plan(view, options, seen.missing(), now);
  }
  /// Carries a plan out; gives how many records it has changed.
  std::size_t carry_out() {
    const auto p = make();
    for (const auto& c : p.changes) {
      const auto old = view.shards.find(c.shard);
      EXPECT_EQ(c.wanted.version, old == view.shards.end() ? 0 : old->second.version);
      if (old != view.shards.end()) {  // those are not the controller's
        EXPECT_EQ(c.wanted.epoch, old->second.epoch);
        EXPECT_EQ(c.wanted.primary, old->second.primary);
        EXPECT_EQ(c.wanted.in_sync, old->second.in_sync);
      }
      view.shards[c.shard] = c.wanted;
      view.shards[c.shard].version = ++view.revision;
      for (const auto id : c.wanted.in_sync)
        EXPECT_TRUE(c.wanted.replicas.contains(id) || old != view.shards.end());
    }
    EXPECT_THAT(make().changes, IsEmpty());  // the same once more changes nothing
    return p.changes.size();
  }
  bool is_wanted_in_sync(model::shard_id shard, const shard_record& r, node_id who) const {
    return is_to_be_in_sync(shard, r, options.catalogue_factor, leaving_nodes(view), who);
  }
  /// What a primary does: learners come in, who is not wanted goes out, the preferred one leads.
  void serve(model::shard_id shard) {
    auto& r = view.shards.at(shard);
    const auto before = r;
    if (!r.primary || !view.nodes.contains(*r.primary))
      for (const auto id : before.in_sync)
        if (view.nodes.contains(id)) {
          r.primary = id;
          ++r.epoch;
          break;
        }
    if (!r.primary || !view.nodes.contains(*r.primary))
      return;
    std::erase_if(r.in_sync, [&](auto id) { return id != r.primary && !view.nodes.contains(id); });
    for (const auto id : before.replicas)
      if (view.nodes.contains(id) && is_wanted_in_sync(shard, r, id))
        r.in_sync.insert(id);
    if (r.preferred && r.in_sync.contains(*r.preferred) && r.preferred != r.primary) {
      r.primary = r.preferred;
      ++r.epoch;
    }
    std::erase_if(r.in_sync, [&](auto id) { return id != r.primary && !r.replicas.contains(id); });
    if (r != before)
      r.version = ++view.revision;
  }
  void serve_all() {
    for (auto& [shard, record] : view.shards)
      serve(shard);
  }
  /// Until nothing is left to do; gives in how many rounds.
  int settle() {
    for (auto round = 1; round < 200; ++round) {
      const auto changed = carry_out();
      const auto before = view.revision;
      serve_all();
      if (changed == 0 && view.revision == before)
        return round;
    }
    ADD_FAILURE() << "it does not settle";
    return 0;
  }
  void expect_all_well(std::size_t copies) {
    for (const auto& [shard, r] : view.shards) {
      if (shard == catalogue)
        continue;
      EXPECT_EQ(r.replicas.size(), copies) << shard;
      EXPECT_EQ(r.in_sync, r.replicas) << shard;
      EXPECT_EQ(r.primary, r.preferred) << shard;
    }
  }
  std::map<node_id, int> count(const std::function<bool(const shard_record&, node_id)>& has) const {
    auto n = std::map<node_id, int>{};
    for (const auto& [id, entry] : view.nodes)
      for (const auto& [shard, r] : view.shards)
        n[id] += shard != catalogue && has(r, id) ? 1 : 0;
    return n;
  }
  std::map<node_id, int> held() const {
    return count([](const auto& r, node_id id) { return r.replicas.contains(id); });
  }
  std::map<node_id, int> led() const {
    return count([](const auto& r, node_id id) { return r.primary == id; });
  }

  placement_options options;
  cluster_view view;
  attendance seen;
  milliseconds now{1'000'000};
};

TEST_F(Placement, MakesWhatIsMissing) {
  come(1);
  come(2);
  come(3);
  const auto p = make();
  ASSERT_EQ(p.changes.size(), 65u);
  for (const auto& c : p.changes) {
    EXPECT_EQ(c.wanted.version, 0u);
    EXPECT_EQ(c.wanted.epoch, 1u);
    EXPECT_EQ(c.wanted.in_sync, node_set{*c.wanted.primary});
    EXPECT_TRUE(c.wanted.replicas.contains(*c.wanted.primary));
    EXPECT_EQ(c.wanted.preferred, c.wanted.primary);
    EXPECT_EQ(c.wanted.replicas.size(), c.shard == catalogue ? 3u : 2u);
  }
  EXPECT_EQ(p.changes, make().changes);
  settle();
  expect_all_well(2);
}

TEST_F(Placement, WithNobodyThereIsNothingToDo) {
  EXPECT_THAT(make().changes, IsEmpty());
  come(1);
  view.orders[1] = node_order::drain;
  EXPECT_THAT(make().changes, IsEmpty());
}

TEST_F(Placement, OneNodeHoldsAll) {
  come(1);
  EXPECT_EQ(carry_out(), 65u);
  EXPECT_EQ(view.shards.at(0).replicas, node_set{1});
  EXPECT_EQ(settle(), 1);
}

TEST_F(Placement, MoreNodesThanOneGetCopiesAtOnce) {
  come(1);
  settle();
  come(2);
  EXPECT_EQ(carry_out(), 65u);  // of each shard there is but one copy: this does not wait
  settle();
  expect_all_well(2);
}

TEST_F(Placement, SharesAreFairForAnyNumberOfNodes) {
  for (const auto factor : {1u, 2u, 3u}) {
    options.replication_factor = factor;
    view = {};
    seen = {};
    for (auto nodes = 1u; nodes <= 20; ++nodes) {
      come(nodes);
      settle();
      const auto copies = std::min<std::size_t>(factor, nodes);
      expect_all_well(copies);
      const auto leads = led(), holds = held();
      const auto share = 64.0 / nodes;
      if (factor > 1) {  // else who holds it leads
        for (const auto& [id, n] : leads)
          EXPECT_LE(n, std::ceil(share) + 1) << "of " << nodes << " nodes, factor " << factor;
      }
      for (const auto& [id, n] : holds) {
        EXPECT_LE(n, share * static_cast<double>(copies) * 1.6 + 4) << nodes << " " << factor;
        EXPECT_GE(n, share * static_cast<double>(copies) * 0.4 - 2) << nodes << " " << factor;
      }
    }
  }
}

TEST_F(Placement, ANewNodeOnlyTakes) {
  for (auto nodes = 3u; nodes <= 12; ++nodes) {
    view = {};
    seen = {};
    for (auto id = 1u; id <= nodes; ++id)
      come(id, id % 2 == 0 ? "north" : "south");
    settle();
    const auto before = view.shards;
    come(nodes + 1, "west");
    settle();
    auto moved = 0;
    for (const auto& [shard, r] : view.shards) {
      const auto& old = before.at(shard).replicas;
      if (r.replicas == old)
        continue;
      ++moved;
      EXPECT_TRUE(r.replicas.contains(nodes + 1));
      for (const auto id : r.replicas)
        EXPECT_TRUE(id == nodes + 1 || old.contains(id)) << shard;
    }
    EXPECT_GT(moved, 3);
    // It goes again, for good: all is as it was.
    view.orders[nodes + 1] = node_order::remove;
    settle();
    for (const auto& [shard, r] : view.shards)
      EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
  }
}

TEST_F(Placement, ALeavingNodesShardsAreAllThatMoves) {
  for (auto id = 1u; id <= 6; ++id)
    come(id);
  settle();
  const auto before = view.shards;
  go(4);
  now += options.replace_after;
  settle();
  expect_all_well(2);
  for (const auto& [shard, r] : view.shards)
    if (before.at(shard).replicas.contains(4)) {
      EXPECT_FALSE(r.replicas.contains(4)) << shard;
    } else {
      EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
    }
}

TEST_F(Placement, WeightsAreShares) {
  options.shard_count = 1000;
  options.replication_factor = 1;
  come(1, "", 100);
  come(2, "", 200);
  come(3, "", 500);
  settle();
  const auto n = held();
  EXPECT_NEAR(n.at(1), 125, 40);
  EXPECT_NEAR(n.at(2), 250, 50);
  EXPECT_NEAR(n.at(3), 625, 60);
}

TEST_F(Placement, ZonesAreKeptApart) {
  options.replication_factor = 3;
  for (auto id = 1u; id <= 9; ++id)
    come(id, id <= 6 ? "a" : id <= 8 ? "b" : "c");
  const auto zones = [&](const shard_record& r) {
    auto found = std::set<std::string>{};
    for (const auto id : r.replicas)
      found.insert(view.nodes.at(id).info.zone);
    return found.size();
  };
  settle();
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(zones(r), 3u) << shard;
  // Two zones for three copies: both are used, and there are three copies.
  view.orders[9] = node_order::drain;
  settle();
  expect_all_well(3);
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(zones(r), 2u) << shard;
}

TEST_F(Placement, AShortAbsenceMovesNothing) {
  for (auto id = 1u; id <= 4; ++id)
    come(id, "", 50 + 40 * id);
  settle();
  const auto before = view.shards;
  go(2);
  now += milliseconds{1};
  settle();
  for (const auto& [shard, r] : view.shards) {
    EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
    EXPECT_NE(r.preferred, 2u);
    if (before.at(shard).preferred != 2u) {
      EXPECT_EQ(r.preferred, before.at(shard).preferred) << shard;
    }
  }
  now += options.replace_after - milliseconds{2};
  EXPECT_THAT(make().changes, IsEmpty());
  come(2, "", 130);
  settle();
  for (const auto& [shard, r] : view.shards) {
    EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
    if (shard != catalogue) {  // of that one another node has become a copy
      EXPECT_EQ(r.primary, before.at(shard).primary) << shard;
    }
  }
}

TEST_F(Placement, ALongAbsenceIsMadeUpFor) {
  for (auto id = 1u; id <= 4; ++id)
    come(id);
  settle();
  go(2);
  serve_all();
  now += options.replace_after;
  settle();
  expect_all_well(2);
  EXPECT_FALSE(view.shards.at(catalogue).replicas.contains(2));
}

TEST_F(Placement, ANewControllerMovesNothingForWhomItNeverSaw) {
  for (auto id = 1u; id <= 4; ++id)
    come(id, id % 2 == 0 ? "north" : "south", 50 + 40 * id);
  settle();
  const auto before = view.shards;
  view.nodes.erase(2);
  seen = {};
  settle();
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
  now += options.replace_after;
  settle();
  expect_all_well(2);
  EXPECT_EQ(held().contains(2), false);
}

TEST_F(Placement, AMissingNodeGetsNothingNew) {
  for (auto id = 1u; id <= 4; ++id)
    come(id);
  settle();
  go(2);
  serve_all();
  const auto before = view.shards;
  view.orders[3] = node_order::drain;
  settle();
  for (const auto& [shard, r] : view.shards)
    EXPECT_TRUE(!r.replicas.contains(2) || before.at(shard).replicas.contains(2)) << shard;
}

TEST_F(Placement, BalanceIsSoughtAFewShardsAtATime) {
  for (auto id = 1u; id <= 4; ++id)
    come(id);
  settle();
  come(5);
  const auto learning = [&] {
    return std::count_if(view.shards.begin(), view.shards.end(), [](const auto& s) {
      return s.first != catalogue && s.second.replicas.size() > 2;
    });
  };
  EXPECT_EQ(make().moving, 4u);
  carry_out();
  EXPECT_EQ(learning(), 4);
  EXPECT_EQ(make().moving, 4u);
  // One of them has come to its end: the next one begins.
  const auto first = std::find_if(view.shards.begin(), view.shards.end(),
                                  [](const auto& s) { return s.second.replicas.size() > 2; });
  ASSERT_NE(first, view.shards.end());
  serve(first->first);
  carry_out();
  EXPECT_EQ(learning(), 4);
  // Lost copies do not wait for that.
  go(1);
  serve_all();
  now += options.replace_after;
  carry_out();
  for (const auto& [shard, r] : view.shards)
    EXPECT_GE(r.replicas.size(), 2u);
  settle();
  expect_all_well(2);
}

TEST_F(Placement, AMoveKeepsTheOldCopiesUntilItIsDone) {
  for (auto id = 1u; id <= 3; ++id)
    come(id);
  settle();
  const auto before = view.shards;
  view.orders[1] = node_order::drain;
  options.moves_at_once = 100;
  carry_out();
  for (const auto& [shard, r] : view.shards) {
    EXPECT_NE(r.preferred, 1u);
    if (shard != catalogue) {  // of that one the others are copies already
      for (const auto id : before.at(shard).replicas)
        EXPECT_TRUE(r.replicas.contains(id)) << shard;
    }
  }
  // The new ones are in sync, and still the old one leads.
  for (auto& [shard, r] : view.shards)
    r.in_sync.insert(r.replicas.begin(), r.replicas.end());
  carry_out();
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(r.replicas.contains(1), r.primary == 1u) << shard;
  settle();
  EXPECT_EQ(held().at(1), 0);
  EXPECT_FALSE(view.shards.at(catalogue).replicas.contains(1));
  view.orders.clear();
  settle();
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
}

TEST_F(Placement, TheLastNodeCanBeLeftAlone) {
  come(1);
  come(2);
  settle();
  view.orders[2] = node_order::drain;
  settle();
  expect_all_well(1);
  view.orders[1] = node_order::drain;  // there is nobody to go to
  EXPECT_THAT(make().changes, IsEmpty());
}

TEST_F(Placement, WhoIsAboutToRestartLeadsNothingAndKeepsItsCopies) {
  for (auto id = 1u; id <= 3; ++id)
    come(id);
  settle();
  const auto before = view.shards;
  view.nodes.at(2).info.draining = true;
  settle();
  EXPECT_EQ(led().at(2), 0);
  for (const auto& [shard, r] : view.shards)
    EXPECT_EQ(r.replicas, before.at(shard).replicas) << shard;
  view.nodes.at(1).info.draining = view.nodes.at(3).info.draining = true;
  EXPECT_THAT(make().changes, IsEmpty());  // nobody is better than another
}

TEST_F(Placement, WhatHasNoLivingPrimaryIsLeftAlone) {
  come(1);
  come(2);
  settle();
  go(1);
  now += options.replace_after;
  come(3);
  const auto p = make();
  EXPECT_THAT(p.stuck, IsEmpty());  // node 2 has it all, and is about to take over
  for (const auto& c : p.changes)
    EXPECT_EQ(view.shards.at(c.shard).primary, 2u);
  EXPECT_LT(p.changes.size(), 65u);
  settle();
  expect_all_well(2);
}

TEST_F(Placement, WhoWaitsForALostNodeIsToldAndNotTouched) {
  for (auto id = 1u; id <= 3; ++id)
    come(id);
  settle();
  auto& r = view.shards.at(5);
  r.primary = 9;
  r.in_sync = {9};
  now += options.replace_after;
  const auto p = make();
  EXPECT_THAT(p.stuck, ElementsAre(5));
  EXPECT_THAT(p.changes, IsEmpty());
  r.primary.reset();
  EXPECT_THAT(make().stuck, ElementsAre(5));
}

TEST_F(Placement, AllNodesFollowTheCatalogue) {
  for (auto id = 1u; id <= 5; ++id)
    come(id);
  settle();
  const auto& r = view.shards.at(catalogue);
  EXPECT_EQ(r.replicas, (node_set{1, 2, 3, 4, 5}));
  EXPECT_EQ(r.in_sync.size(), 3u);
  EXPECT_TRUE(r.in_sync.contains(*r.primary));
  EXPECT_EQ(r.primary, r.preferred);
  const auto before = r;
  come(6);  // one more that watches
  settle();
  EXPECT_EQ(r.in_sync, before.in_sync);
  EXPECT_EQ(r.replicas.size(), 6u);
  const auto leaves = *r.primary;
  view.orders[leaves] = node_order::drain;
  settle();
  EXPECT_FALSE(r.replicas.contains(leaves) || r.in_sync.contains(leaves));
  EXPECT_EQ(r.in_sync.size(), 3u);
  EXPECT_EQ(r.replicas.size(), 5u);
  // In every round there were as many copies as there should be: the new one came first.
  const auto fails = *r.primary;
  go(fails);
  serve_all();
  EXPECT_EQ(r.in_sync.size(), 3u);
  EXPECT_FALSE(r.in_sync.contains(fails));
  EXPECT_TRUE(r.replicas.contains(fails));
  come(fails);
  settle();
  EXPECT_EQ(r.in_sync.size(), 3u);
}

TEST_F(Placement, OthersMayWatchButAreNotTakenIn) {
  for (auto id = 1u; id <= 5; ++id)
    come(id);
  settle();
  const auto& r = view.shards.at(catalogue);
  for (auto id = 1u; id <= 5; ++id)
    EXPECT_EQ(is_wanted_in_sync(catalogue, r, id), r.in_sync.contains(id));
  EXPECT_FALSE(is_wanted_in_sync(catalogue, r, 6));
  const auto& s = view.shards.at(0);
  for (auto id = 1u; id <= 5; ++id)
    EXPECT_EQ(is_wanted_in_sync(0, s, id), s.replicas.contains(id));
}

TEST_F(Placement, ClustersComeAndGoInAnyOrder) {
  auto random = std::mt19937{11};
  for (auto run = 0; run < 20; ++run) {
    view = {};
    seen = {};
    options.replication_factor = 1 + random() % 3;
    come(1);
    settle();
    for (auto step = 0; step < 40; ++step) {
      const auto id = static_cast<node_id>(2 + random() % 8);  // node 1 stays, so nothing is lost
      switch (random() % 5) {
        case 0:
          if (!view.nodes.contains(id))
            come(id, std::string{"abc"[random() % 3]}, 50 + random() % 200);
          break;
        case 1:
          view.orders[id] = node_order::drain;
          break;
        case 2:
          view.orders.erase(id);
          break;
        case 3:
          now += options.replace_after / 3;
          break;
        default:
          carry_out();
          serve_all();
      }
    }
    view.orders.clear();
    settle();
    expect_all_well(std::min(options.replication_factor, view.nodes.size()));
    const auto leads = led();
    EXPECT_EQ(std::accumulate(leads.begin(), leads.end(), 0,
                              [](int n, const auto& l) { return n + l.second; }),
              64);
  }
}

TEST(Attendance, KnowsWhoIsMissingAndSinceWhen) {
  auto seen = attendance{};
  auto view = cluster_view{};
  view.nodes[1].info.zone = "a";
  view.shards[0] = {.version = 1, .epoch = 1, .primary = 1, .in_sync = {1}, .replicas = {1, 2}};
  seen.take(view, milliseconds{10});
  ASSERT_EQ(seen.missing().size(), 1u);
  EXPECT_EQ(seen.missing().at(2).since, milliseconds{10});
  EXPECT_FALSE(seen.missing().at(2).was);
  view.nodes.clear();
  seen.take(view, milliseconds{20});
  seen.take(view, milliseconds{30});
  EXPECT_EQ(seen.missing().at(2).since, milliseconds{10});
  EXPECT_EQ(seen.missing().at(1).since, milliseconds{20});
  EXPECT_EQ(seen.missing().at(1).was->zone, "a");
  view.nodes[2];
  seen.take(view, milliseconds{40});
  EXPECT_FALSE(seen.missing().contains(2));
  view.shards.clear();  // nobody counts on it any more
  seen.take(view, milliseconds{50});
  EXPECT_TRUE(seen.missing().empty());
}

}  // namespace
}  // namespace orrery::cluster
