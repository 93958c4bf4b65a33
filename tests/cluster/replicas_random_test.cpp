// The executor of the replication protocol under random schedules: what was acknowledged is in the
// state of every replica in the end, and all of them hold the same. ORRERY_SCHEDULES: how many.
#include <cstdlib>
#include <random>

#include <gmock/gmock.h>

#include "tests/support/replicas_stage.hpp"

namespace orrery::cluster {
namespace {

using namespace tests::replicas_stage;  // NOLINT(google-build-using-namespace)

class schedule : public stage {
 public:
  explicit schedule(std::uint64_t seed) : random_{seed} {
    for (const auto s : {shard, model::catalogue_shard})
      record(s, 1, {1, 2}, {1, 2, 3});
    for (auto* n : all)
      enter(*n);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step(*all[pick(all.size())]);
      for (auto* n : all)
        take_answers(*n);
    }
  }

  /// Everything is mended, and comes to rest.
  void mend() {
    at.cut.clear();
    for (auto* n : all) {
      n->store->faults = {};
      n->lease = true;
      if (!n->replicas)
        enter(*n);
      else if (!at.registered.contains(n->id))
        register_anew(*n);
    }
    for (auto* n : all)
      link(*n);
    for (int i = 0; i < 40 && !is_whole(); ++i) {
      let_go();
      settle(10);
      for (auto* n : all)
        take_answers(*n);
    }
    settle(20);
  }

  void check() {
    for (const auto s : {shard, model::catalogue_shard}) {
      EXPECT_THAT(at.records[s].in_sync, testing::SizeIs(3)) << "shard " << s;
      const auto& first = rows_of(a, s);
      EXPECT_EQ(rows_of(b, s), first) << "shard " << s;
      EXPECT_EQ(rows_of(c, s), first) << "shard " << s;
    }
    for (const auto& [where, key] : acknowledged_)
      for (auto* n : all)
        EXPECT_EQ(n->read(key, where), key) << "node " << n->id << ", shard " << where;
  }
  std::size_t acknowledged() const { return acknowledged_.size(); }

 private:
  struct waiting_write {
    model::shard_id where;
    std::uint64_t index;
    std::string key;
  };
  using row_map = std::map<std::string, std::string>;

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  bool chance(double p) { return std::uniform_real_distribution{}(random_) < p; }

  static row_map rows_of(const node& n, model::shard_id s) {
    auto rows = row_map{};
    EXPECT_TRUE(n.store->scan(storage::family::state, keys::shard_prefix(s), {}, false,
                              [&](auto key, auto value) {
                                rows.emplace(key, value);
                                return true;
                              }));
    return rows;
  }

  bool is_whole() const {
    return std::ranges::all_of(
        at.records, [](const auto& r) { return r.second.primary && r.second.in_sync.size() == 3; });
  }

  /// What the journal's writer does with the news.
  void take_answers(node& n) {
    auto& waiting = waiting_[n.id];
    for (const auto& p : std::exchange(n.told, {})) {
      const auto is_its = [&](const waiting_write& w) { return w.where == p.shard; };
      if (p.happened == shard_progress::what::began)
        told_to_serve_.insert({n.id, p.shard});
      if (p.happened == shard_progress::what::ended) {
        told_to_serve_.erase({n.id, p.shard});
        std::erase_if(waiting, is_its);
      }
      if (p.happened != shard_progress::what::committed)
        continue;
      std::erase_if(waiting, [&](const waiting_write& w) {
        if (!is_its(w) || w.index > p.offset)
          return false;
        if (p.acknowledged && n.lease)
          acknowledged_.emplace(w.where, w.key);
        return true;
      });
    }
  }

  void step(node& n) {
    if (!n.replicas) {
      if (chance(0.2))
        enter(n);
      return;
    }
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
        return n.pump();
      case 3:
      case 4:
      case 5: {
        const auto where = chance(0.8) ? shard : model::catalogue_shard;
        if (!told_to_serve_.contains({n.id, where}))
          return;  // its host asks nothing before
        const auto key = "k" + std::to_string(++writes_);
        if (const auto index = n.give(key, key, where))
          waiting_[n.id].push_back({where, *index, key});
        return;
      }
      case 6:
      case 7:
      case 8:
        return deliver();
      case 9:
      case 10:
        at.now += milliseconds{pick(4) == 0 ? pick(4000) : pick(200)};
        return n.replicas->tick();
      case 11:
        return chance(0.8) ? decide(n) : forget_answers(n);
      case 12:
        return chance(0.15) ? crash(n) : deliver();
      case 13:
        if (chance(0.15))
          lapse(n);
        else if (!at.registered.contains(n.id))
          register_anew(n);
        return;
      case 14:
        return cut_or_join();
      default:
        if (chance(0.1))
          n.store->faults.putting = true;  // once: pump() takes it away
        else if (chance(0.2))
          prefer(1 + static_cast<node_id>(pick(3)));
        else
          let_go();
    }
  }

  void deliver() {
    if (at.network.empty())
      return;
    auto p = std::move(at.network.front());
    at.network.pop_front();
    for (auto* n : all)
      if (n->id == p.to && n->replicas && at.linked(p.from, p.to))
        n->replicas->received(p.from, *decode_replica(p.bytes));
  }

  /// The coordinator did it, or not, and nobody heard of it.
  void forget_answers(node& n) {
    for (const auto& [s, p] : std::exchange(n.proposals, {})) {
      auto& now = at.records[s];
      const auto fits =
          now.version == p.wanted.version && !p.gone &&
          std::ranges::all_of(p.registered, [&](const auto& one) {
            return at.registered.contains(one.first) && at.incarnations[one.first] == one.second;
          });
      if (fits && chance(0.5)) {
        now = p.wanted;
        now.version = ++at.versions;
      }
      n.replicas->undecided(s);
    }
  }

  void crash(node& n) {
    waiting_[n.id].clear();
    std::erase_if(told_to_serve_, [&](const auto& t) { return t.first == n.id; });
    n.told.clear();
    leave(n);
    // Its connections are gone with it.
    std::erase_if(at.network, [&](const auto& p) { return p.from == n.id || p.to == n.id; });
  }

  void lapse(node& n) {
    at.registered.erase(n.id);
    n.lease = false;
    n.replicas->lapsed();
    for (auto* other : all)
      if (other->id != n.id && other->replicas) {
        other->replicas->link_down(n.id);
        n.replicas->link_down(other->id);
      }
    tell_records();
  }

  void register_anew(node& n) {
    n.lease = true;
    at.registered.insert(n.id);
    at.incarnations[n.id] = ++at.versions;
    n.replicas->registered(at.incarnations[n.id], at.records);
    link(n);
    tell_records();
  }

  void link(node& n) {
    for (auto* other : all)
      if (other->id != n.id && other->replicas && at.linked(n.id, other->id)) {
        n.replicas->link_up(other->id);
        other->replicas->link_up(n.id);
      }
  }

  void cut_or_join() {
    if (!at.cut.empty()) {
      at.cut.clear();
      for (auto* n : all)
        if (n->replicas)
          link(*n);
      return;
    }
    if (!chance(0.3))
      return;
    auto& x = *all[pick(3)];
    auto& y = *all[pick(3)];
    if (x.id == y.id)
      return;
    at.cut.insert({x.id, y.id});
    if (x.replicas)
      x.replicas->link_down(y.id);
    if (y.replicas)
      y.replicas->link_down(x.id);
  }

  /// Hosts let go of shards that are to move.
  void let_go() {
    for (auto* n : all)
      for (const auto s : std::exchange(n->asked_to_leave, {}))
        if (n->replicas)
          n->replicas->host_left(s);
  }

  std::mt19937_64 random_;
  std::map<node_id, std::vector<waiting_write>> waiting_;
  std::set<std::pair<model::shard_id, std::string>> acknowledged_;
  std::set<std::pair<node_id, model::shard_id>> told_to_serve_;
  std::uint64_t writes_ = 0;
};

TEST(ReplicasAtRandom, WhatWasAcknowledgedIsOnEveryReplicaInTheEnd) {
  const auto* wanted = std::getenv("ORRERY_SCHEDULES");
  const auto schedules = wanted ? std::strtoull(wanted, nullptr, 10) : 150;
  auto acknowledged = std::size_t{0};
  for (auto seed = std::uint64_t{1}; seed <= schedules && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto one = schedule{seed};
    one.run(1500);
    one.mend();
    one.check();
    acknowledged += one.acknowledged();
  }
  EXPECT_GT(acknowledged, 1000u) << "or nothing was tried";
}

}  // namespace
}  // namespace orrery::cluster
