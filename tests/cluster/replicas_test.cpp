// Nodes of a cluster as far as shards are concerned: the real replicas over stores in memory, with
// a network and a coordinator that a test holds in its hand.
#include "cluster/replicas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/frame.hpp"
#include "storage/keys.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using actors::shard_progress;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
namespace keys = storage::keys;

constexpr model::shard_id shard = 0;

/// What the nodes share.
struct world {
  milliseconds now{10'000};
  std::map<model::shard_id, shard_record> records;
  node_set registered;
  std::map<node_id, incarnation_id> incarnations;
  std::uint64_t versions = 100;
  struct packet {
    node_id from, to;
    std::string bytes;
  };
  std::deque<packet> network;
  std::set<std::pair<node_id, node_id>> cut;
  std::size_t dropped = 0;

  bool linked(node_id a, node_id b) const {
    return registered.contains(a) && registered.contains(b) && !cut.contains({a, b}) &&
           !cut.contains({b, a});
  }
};

struct node {
  world& at;
  node_id id;
  std::shared_ptr<tests::memory_store> store = std::make_shared<tests::memory_store>();
  std::shared_ptr<replicas_figures> figures = std::make_shared<replicas_figures>();
  std::unique_ptr<cluster::replicas> replicas;
  std::vector<std::pair<model::shard_id, proposal>> proposals;
  std::vector<shard_progress> told;
  std::vector<model::shard_id> asked_to_leave, loaded;
  std::size_t catalogue_rows = 0;
  bool lease = true;

  node(world& w, node_id n) : at{w}, id{n} {}

  replicas_options options() const {
    return {.self = id,
            .shard_count = 1,
            .trim_interval = milliseconds{100},
            .journal_retention = milliseconds{0}};
  }

  void start() {
    replicas = std::make_unique<cluster::replicas>(
        store, options(),
        replicas_ports{
            .send =
                [this](node_id to, std::string bytes) {
                  if (!at.linked(id, to))
                    return false;
                  at.network.push_back({id, to, std::move(bytes)});
                  return true;
                },
            .propose = [this](model::shard_id s,
                              const proposal& p) { proposals.emplace_back(s, p); },
            .clock = [this] { return at.now; },
            .serves_until = [this] { return lease ? at.now + milliseconds{1} : milliseconds{0}; },
            .now = [this] { return model::from_ms(at.now.count()); },
            .applied = [this](model::shard_id, const auto& rows) { catalogue_rows += rows.size(); },
            .loaded = [this](model::shard_id s) { loaded.push_back(s); },
            .leave = [this](model::shard_id s) { asked_to_leave.push_back(s); },
            .stay = [](model::shard_id) {}},
        figures);
    ASSERT_TRUE(replicas->open());
    told.clear();
    proposals.clear();
    asked_to_leave.clear();
  }

  /// What the journal's writer does.
  void pump() {
    if (!replicas)
      return;
    do {
      auto round = actors::write_round{};
      replicas->collect(round);
      const auto ok = !round.needed || store->put(round.rows, round.sync);
      replicas->written(static_cast<bool>(ok));
      if (!ok || replicas->failed()) {
        store->faults.putting = false;
        replicas->start_again();
      }
      for (const auto& p : replicas->take_progress())
        told.push_back(p);
    } while (replicas->has_more());
  }

  std::optional<std::uint64_t> write(const std::string& key, const std::string& value,
                                     model::shard_id where = shard) {
    auto f = storage::frame{};
    f.shard = where;
    f.records.push_back({.entity = {.shard = where, .ulid = {}},
                         .kind = model::entity_kind::device,
                         .revision = 1,
                         .time = model::from_ms(1),
                         .events = value});
    f.rows.push_back(
        {.family = storage::family::state, .key = keys::shard_prefix(where) + key, .value = value});
    const auto at_offset = replicas->write(f);
    pump();
    return at_offset;
  }
  std::string read(const std::string& key, model::shard_id where = shard) const {
    const auto got = store->get(storage::family::state, keys::shard_prefix(where) + key);
    return got && *got ? **got : "";
  }
  bool serves(model::shard_id s = shard) const {
    auto now = false;
    for (const auto& p : told)
      if (p.shard == s && p.happened == shard_progress::what::began)
        now = true;
      else if (p.shard == s && p.happened == shard_progress::what::ended)
        now = false;
    return now;
  }
  std::uint64_t committed(model::shard_id s = shard) const {
    auto last = std::uint64_t{0};
    for (const auto& p : told)
      if (p.shard == s && p.happened == shard_progress::what::committed)
        last = p.offset;
    return last;
  }
};

class Replicas : public testing::Test {
 protected:
  void record(model::shard_id s, node_id primary, node_set in_sync, node_set all) {
    at.records[s] = {.version = ++at.versions,
                     .epoch = 1,
                     .primary = primary,
                     .in_sync = std::move(in_sync),
                     .replicas = std::move(all)};
  }

  void enter(node& n) {
    n.start();
    at.registered.insert(n.id);
    at.incarnations[n.id] = ++at.versions;
    n.replicas->registered(at.incarnations[n.id], at.records);
    for (auto* other : all)
      if (other->id != n.id && at.registered.contains(other->id)) {
        n.replicas->link_up(other->id);
        other->replicas->link_up(n.id);
      }
    tell_records();
  }
  void leave(node& n) {
    at.registered.erase(n.id);
    for (auto* other : all)
      if (other->id != n.id && other->replicas) {
        other->replicas->link_down(n.id);
      }
    n.replicas.reset();
    tell_records();
  }
  void tell_records() {
    for (auto* n : all)
      if (n->replicas)
        n->replicas->records(at.records, at.registered, {});
  }

  void decide(node& n) {
    for (auto& [s, p] : std::exchange(n.proposals, {})) {
      auto& now = at.records[s];
      auto good = now.version == p.wanted.version && !(p.gone && at.registered.contains(*p.gone));
      for (const auto& [who, incarnation] : p.registered)
        good = good && at.registered.contains(who) && at.incarnations[who] == incarnation;
      if (good) {
        now = p.wanted;
        now.version = ++at.versions;
      }
      n.replicas->decided(s, p.wanted.version, now);
      tell_records();
    }
  }
  /// Until nothing more happens.
  void settle(int ticks = 40) {
    for (int i = 0; i < ticks; ++i) {
      at.now += milliseconds{100};
      for (auto* n : all)
        if (n->replicas) {
          n->replicas->tick();
          n->pump();
          decide(*n);
          n->pump();
        }
      while (!at.network.empty()) {
        auto p = std::move(at.network.front());
        at.network.pop_front();
        for (auto* n : all)
          if (n->id == p.to && n->replicas && at.linked(p.from, p.to)) {
            auto message = decode_replica(p.bytes);
            ASSERT_TRUE(message);
            n->replicas->received(p.from, std::move(*message));
            n->pump();
            decide(*n);
            n->pump();
          }
      }
    }
  }

  world at;
  node a{at, 1}, b{at, 2}, c{at, 3};
  std::vector<node*> all{&a, &b, &c};
};

TEST_F(Replicas, AWriteIsCommittedOnceAllInSyncHaveIt) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  ASSERT_TRUE(a.serves());
  const auto before = a.committed();
  at.cut.insert({1, 2});
  const auto offset = a.write("k", "v");
  ASSERT_TRUE(offset);
  EXPECT_EQ(a.committed(), before) << "the other one has not got it";
  EXPECT_EQ(a.read("k"), "") << "rows come with the commit";
  at.cut.clear();
  a.replicas->link_up(2);
  settle();
  EXPECT_EQ(a.committed(), *offset);
  EXPECT_EQ(a.read("k"), "v");
  EXPECT_EQ(b.read("k"), "v");
}

TEST_F(Replicas, AWriteWhileAReplicaIsGivenUpKeepsTheRowsOfTheOneBefore) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  at.cut.insert({1, 2});
  ASSERT_TRUE(a.write("before", "v"));
  at.now += milliseconds{3'500};
  a.replicas->tick();  // gives it up: all is to be synced first
  ASSERT_TRUE(a.write("after", "w"));
  settle();
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1));
  EXPECT_EQ(a.read("before"), "v");
  EXPECT_EQ(a.read("after"), "w");
}

TEST_F(Replicas, AFollowerGoesOnFromWhereThePrimaryWas) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  for (int i = 0; i < 10; ++i)
    a.write("k" + std::to_string(i), "v");
  settle(3);
  leave(a);
  settle();
  ASSERT_TRUE(b.serves());
  EXPECT_EQ(at.records[shard].primary, 2u);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(b.read("k" + std::to_string(i)), "v");
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(2)) << "the dead one was given up";
  ASSERT_TRUE(b.write("later", "w"));
  enter(a);
  settle(60);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2)) << "and taken in again";
  EXPECT_EQ(a.read("later"), "w");
}

TEST_F(Replicas, AnIdleShardIsTakenInToo) {
  record(shard, 1, {1}, {1, 2});
  enter(a);
  settle();
  enter(b);
  settle(60);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
}

TEST_F(Replicas, ANewReplicaOfAnOldShardGetsACopyOfIt) {
  record(shard, 1, {1}, {1});
  enter(a);
  settle();
  for (int i = 0; i < 100; ++i)
    a.write("k" + std::to_string(i), std::string(100, 'x'));
  settle();
  // Materialised up to here: the journal is trimmed, so the log alone does not do.
  auto f = storage::frame{};
  f.shard = shard;
  f.rows.push_back(
      storage::shard_meta_row(shard, {.epoch = 1, .next_offset = 100, .checkpoint_offset = 99}));
  a.replicas->write(f);
  a.pump();
  settle();
  ASSERT_GT(a.store->journal(shard).begin()->first, 50u) << "trimmed";
  at.records[shard].replicas = {1, 2};
  at.records[shard].version = ++at.versions;
  enter(b);
  // The copy goes by a thread of its own.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (at.records[shard].in_sync.size() < 2 && std::chrono::steady_clock::now() < until)
    settle(1);
  EXPECT_THAT(at.records[shard].in_sync, ElementsAre(1, 2));
  EXPECT_THAT(b.loaded, ElementsAre(shard));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(b.read("k" + std::to_string(i)), std::string(100, 'x'));
  ASSERT_TRUE(a.write("more", "m"));
  settle();
  EXPECT_EQ(b.read("more"), "m");
}

TEST_F(Replicas, APlannedMoveGoesThroughTheHost) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  at.records[shard].preferred = 2;
  at.records[shard].version = ++at.versions;
  tell_records();
  settle(5);
  EXPECT_THAT(a.asked_to_leave, ElementsAre(shard));
  EXPECT_TRUE(a.serves()) << "until the host has let go";
  a.replicas->host_left(shard);
  settle();
  EXPECT_FALSE(a.serves());
  EXPECT_TRUE(b.serves());
  EXPECT_EQ(at.records[shard].epoch, 2u);
}

TEST_F(Replicas, AfterALostWriteEverythingIsReadAnew) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  ASSERT_TRUE(a.write("k", "v"));
  settle();
  a.store->faults.putting = true;
  a.write("lost", "w");
  EXPECT_FALSE(a.serves());
  settle();
  EXPECT_TRUE(a.serves() || b.serves());
  EXPECT_GT(at.records[shard].epoch, 1u) << "never the same epoch again";
  auto& leads = a.serves() ? a : b;
  ASSERT_TRUE(leads.write("next", "n"));
  settle();
  for (auto* n : {&a, &b}) {
    EXPECT_EQ(n->read("k"), "v");
    EXPECT_EQ(n->read("next"), "n");
    EXPECT_EQ(n->read("lost"), a.read("lost")) << "the same everywhere, whatever it is";
  }
}

TEST_F(Replicas, ALapsedNodeServesNothing) {
  record(shard, 1, {1, 2}, {1, 2});
  enter(a);
  enter(b);
  settle();
  a.replicas->lapsed();
  a.pump();
  EXPECT_FALSE(a.serves());
  EXPECT_FALSE(a.write("k", "v"));
  a.lease = false;
  EXPECT_FALSE(a.replicas->may_answer());
}

TEST_F(Replicas, AChangeOfTheCatalogueIsToldOnceEveryNodeHasIt) {
  const auto catalogue = model::catalogue_shard;
  record(catalogue, 1, {1, 2}, {1, 2, 3});
  for (auto* n : all)
    enter(*n);
  settle();
  ASSERT_TRUE(a.serves(catalogue));
  at.cut = {{1, 3}, {3, 1}};
  const auto rows = c.catalogue_rows;
  auto offset = a.write("k", "v", catalogue);
  ASSERT_TRUE(offset);
  settle(5);
  EXPECT_LT(a.committed(catalogue), *offset) << "the third node has not applied it";
  at.cut.clear();
  a.replicas->link_up(3);
  settle(20);
  EXPECT_EQ(a.committed(catalogue), *offset);
  EXPECT_GT(c.catalogue_rows, rows);
  at.cut = {{1, 3}, {3, 1}};
  offset = a.write("k", "w", catalogue);
  settle(120);
  EXPECT_EQ(a.committed(catalogue), *offset) << "it does not wait for ever";
}

}  // namespace
}  // namespace orrery::cluster
