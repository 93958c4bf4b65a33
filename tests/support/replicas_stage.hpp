// Nodes of a cluster as far as shards are concerned: the real replicas over stores in memory, with
// a network and a coordinator that a test holds in its hand.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cluster/replicas.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::tests::replicas_stage {

using namespace cluster;  // NOLINT(google-build-using-namespace): this is the cluster's own stage
using actors::shard_progress;
using std::chrono::milliseconds;
namespace keys = storage::keys;

inline constexpr model::shard_id shard = 0;

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
  std::map<model::shard_id, offered_copy> offers;
  std::vector<std::uint64_t> stayed_with;  // the end of the log, each time it was to stay
  std::vector<std::string> applied_then;   // and the value of "last"
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
            .stay =
                [this](model::shard_id) {
                  stayed_with.push_back(replicas->end_of(shard));
                  applied_then.push_back(read("last"));
                },
            .offer = [this](model::shard_id s, const offered_copy& c) { offers[s] = c; }},
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
    const auto at_offset = give(key, value, where);
    pump();
    return at_offset;
  }
  /// The first half of a write: the round that takes it to the disk comes with pump().
  std::optional<std::uint64_t> give(const std::string& key, const std::string& value,
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
    return replicas->write(f);
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

/// Three nodes.
class stage {
 public:
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

  /// The controller's wish who leads a shard.
  void prefer(node_id who, model::shard_id s = shard) {
    auto& now = at.records[s];
    now.preferred = who;
    now.version = ++at.versions;
    tell_records();
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

}  // namespace orrery::tests::replicas_stage
