#include "cluster/controller.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "cluster/etcd_coordinator.hpp"
#include "cluster/in_sync.hpp"
#include "cluster/membership.hpp"
#include "cluster/registration.hpp"
#include "tests/support/etcd_server.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto catalogue = model::catalogue_shard;
const auto keys = cluster_keys{"plant"};

milliseconds real_now() {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch());
}

struct embedded_place {
  static constexpr auto life = milliseconds{1000};
  static std::shared_ptr<coordinator> make() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(), real_now);
    EXPECT_TRUE(made);
    return std::move(*made);
  }
};
struct etcd_place {
  static constexpr auto life = milliseconds{3000};
  static std::shared_ptr<coordinator> make() {
    static auto server = tests::etcd_server{};
    server.call("/v3/kv/deleterange", R"({"key":"AA==","range_end":"AA=="})");
    return make_etcd_coordinator({.endpoints = {server.endpoint()}});
  }
};

/// All that a node has for its part in the cluster, but the shards.
class node {
 public:
  node(std::shared_ptr<coordinator> at, const std::string& name, milliseconds life,
       placement_options options)
      : at_{std::make_shared<tests::far_coordinator>(std::move(at))} {
    const auto number = join(*at_, "plant", name, options.shard_count, "ab", {});
    EXPECT_TRUE(number);
    id_ = *number;
    auto info = node_info{};
    info.name = name;
    registrar_ = std::make_shared<registrar>(
        at_, keys.node(id_), encode(info), registration_options{life, life / 3, life / 3, life / 9},
        registration_events{[](incarnation_id) {}, [] {}, [] {}}, real_now);
    beat();
    directory_ = std::make_shared<directory>(at_, "plant", [this](const directory::view_pointer&) {
      const auto hold = std::lock_guard{mutex_};
      if (controller_)
        controller_->wake();
    });
    turns_ = std::make_shared<controller>(
        at_, directory_, "plant", id_, [this] { return registrar_->lease(); }, options, real_now);
    const auto hold = std::lock_guard{mutex_};
    controller_ = std::make_unique<running_controller>(turns_, milliseconds{50});
  }
  /// Stops as a process that is killed does: what it had goes when its lease is over.
  ~node() {
    at_->cut = true;
    auto last = std::unique_ptr<running_controller>{};  // goes without the lock
    const auto hold = std::lock_guard{mutex_};
    last.swap(controller_);
  }
  void end() { registrar_->end(); }
  void beat() {
    if (real_now() >= next_)
      next_ = real_now() + registrar_->turn();
  }
  node_id id() const { return id_; }
  controller_figures figures() const { return turns_->figures(); }

 private:
  std::shared_ptr<tests::far_coordinator> at_;
  node_id id_ = 0;
  milliseconds next_{0};
  std::shared_ptr<registrar> registrar_;
  std::mutex mutex_;
  std::unique_ptr<running_controller> controller_;
  std::shared_ptr<controller> turns_;
  std::shared_ptr<directory> directory_;
};

template <class Place>
class Controllers : public testing::Test {
 protected:
  Controllers() {
    options.shard_count = 16;
    options.replace_after = milliseconds{0};
    options.moves_at_once = 2;
  }
  node& come(const std::string& name) {
    auto& one = nodes[name];
    one = std::make_unique<node>(at, name, Place::life, options);
    return *one;
  }
  cluster_view view() {
    const auto all = at->list(keys.root());
    EXPECT_TRUE(all);
    return all ? view_of(keys, *all, {}) : cluster_view{};
  }
  void put(const std::string& key, std::optional<std::string> value) {
    const auto one = change{key, std::move(value)};
    EXPECT_TRUE(at->swap({}, {&one, 1}));
  }
  /// What the replicas of a shard do with its record.
  void serve(const cluster_view& v, model::shard_id shard, const shard_record& r) {
    auto p = proposal{.wanted = r, .registered = {}, .gone = {}};
    auto& w = p.wanted;
    if (!r.primary || !v.nodes.contains(*r.primary)) {
      for (const auto id : r.in_sync)
        if (v.nodes.contains(id))
          w.primary = id;
      p.gone = r.primary;
      ++w.epoch;
    } else {
      std::erase_if(w.in_sync, [&](auto id) {
        return id != r.primary && !(v.nodes.contains(id) && r.replicas.contains(id));
      });
      for (const auto id : r.replicas)
        if (v.nodes.contains(id) &&
            is_to_be_in_sync(shard, w, options.catalogue_factor, leaving_nodes(v), id))
          w.in_sync.insert(id);
      if (w == r && r.preferred != r.primary && r.preferred && r.in_sync.contains(*r.preferred)) {
        w.primary = r.preferred;
        ++w.epoch;
      }
    }
    if (w == r || !w.primary || !v.nodes.contains(*w.primary))
      return;
    p.registered = {{*w.primary, v.nodes.at(*w.primary).incarnation}};
    EXPECT_TRUE(swap_record(*at, "plant", shard, p));
  }
  /// Lets the cluster live until `holds`.
  template <class Condition>
  cluster_view wait_for(Condition holds) {
    const auto until = steady_clock::now() + std::chrono::seconds{40};
    for (;;) {
      for (auto& [name, n] : nodes)
        n->beat();
      const auto v = view();
      if (holds(v))
        return v;
      for (const auto& [shard, r] : v.shards)
        serve(v, shard, r);
      if (steady_clock::now() > until) {
        ADD_FAILURE() << "it does not come to that";
        return v;
      }
    }
  }
  /// Every shard has all the copies that it can have, and none on other nodes.
  bool is_well(const cluster_view& v, const node_set& on) const {
    auto good = v.shards.size() == 17u;
    for (const auto& [shard, r] : v.shards) {
      good = good && r.primary && r.primary == r.preferred && r.in_sync.contains(*r.primary) &&
             std::includes(on.begin(), on.end(), r.replicas.begin(), r.replicas.end());
      if (shard == catalogue)
        good = good && r.replicas == on && r.in_sync.size() == std::min<std::size_t>(3, on.size());
      else
        good = good && r.replicas == r.in_sync &&
               r.replicas.size() == std::min<std::size_t>(2, on.size());
    }
    return good;
  }
  auto well_on(node_set on) {
    return [this, on = std::move(on)](const cluster_view& v) { return is_well(v, on); };
  }

  placement_options options;
  std::shared_ptr<coordinator> at = Place::make();
  std::map<std::string, std::unique_ptr<node>> nodes;
};

using places = testing::Types<embedded_place, etcd_place>;
class place_names {
 public:
  template <class Place>
  static std::string GetName(int) {  // NOLINT(readability-identifier-naming)
    return std::is_same_v<Place, embedded_place> ? "Embedded" : "Etcd";
  }
};
TYPED_TEST_SUITE(Controllers, places, place_names);

TYPED_TEST(Controllers, KeepAClusterWell) {
  this->come("a");
  this->wait_for(this->well_on({1}));
  this->come("b");
  this->come("c");
  // Each leads something, too.
  const auto all_lead = [well = this->well_on({1, 2, 3})](const cluster_view& now) {
    return well(now) && std::ranges::all_of(now.nodes, [&](const auto& n) {
             return std::ranges::any_of(now.shards, [&](const auto& s) {
               return s.first != catalogue && s.second.primary == n.first;
             });
           });
  };
  auto v = this->wait_for(all_lead);
  EXPECT_EQ(v.controller, 1u);

  // The one that decides is killed: another one does, and the copies are made up for.
  this->nodes.erase("a");
  v = this->wait_for(this->well_on({2, 3}));
  EXPECT_TRUE(v.controller == 2u || v.controller == 3u);
  EXPECT_FALSE(v.nodes.contains(1));

  // It comes back under its number, and one more.
  this->come("a");
  this->come("d");
  v = this->wait_for(this->well_on({1, 2, 3, 4}));
  EXPECT_EQ(v.numbers.size(), 4u);

  // An operator wants the one that decides to be empty. It goes on deciding.
  const auto leaves = *v.controller;
  auto rest = node_set{1, 2, 3, 4};
  rest.erase(leaves);
  this->put(keys.order(leaves), encode(node_order::drain));
  v = this->wait_for(this->well_on(rest));
  EXPECT_EQ(v.controller, leaves);
  EXPECT_TRUE(v.nodes.contains(leaves));
  this->put(keys.order(leaves), std::nullopt);
  v = this->wait_for(this->well_on({1, 2, 3, 4}));

  // It ends in order: nobody waits for its lease.
  for (auto& [name, n] : this->nodes)
    if (n->id() == leaves) {
      n->end();
      this->nodes.erase(name);
      break;
    }
  v = this->view();
  EXPECT_FALSE(v.nodes.contains(leaves));
  this->wait_for(this->well_on(rest));
}

// ---- turns --------------------------------------------------------------------------------------

/// One controller by hand.
class Controller : public testing::Test {
 protected:
  Controller() {
    auto made = make_embedded_coordinator(std::make_shared<tests::memory_store>(),
                                          [this] { return milliseconds{now}; });
    EXPECT_TRUE(made);
    real = std::move(*made);
    at = std::make_shared<tests::far_coordinator>(real);
    options.shard_count = 8;
    for (const auto* name : {"a", "b", "c"}) {
      const auto id = join(*real, "plant", name, 8, "ab", {});
      EXPECT_TRUE(id);
      auto info = node_info{};
      info.name = name;
      leases[*id] = *real->grant(milliseconds{60'000});
      put(keys.node(*id), encode(info), leases[*id]);
    }
    seen = look();
  }
  /// Has the picture of now, and no other before it is refreshed.
  std::shared_ptr<directory> look() {
    at->deaf = true;
    const auto followed = at->followed.load();
    auto d = std::make_shared<directory>(
        at, "plant", [](const auto&) {},
        directory_options{milliseconds{1}, milliseconds{1}, milliseconds{600'000}});
    const auto until = steady_clock::now() + std::chrono::seconds{20};
    while (at->followed == followed && steady_clock::now() < until) {
    }
    EXPECT_GT(at->followed, followed);
    return d;
  }
  std::unique_ptr<controller> make(node_id self) {
    return std::make_unique<controller>(
        at, seen, "plant", self, [this, self] { return leases[self]; }, options,
        [this] { return milliseconds{now}; });
  }
  void put(const std::string& key, std::optional<std::string> value, lease_id lease = 0) {
    const auto one = change{key, std::move(value), lease};
    EXPECT_TRUE(real->swap({}, {&one, 1}));
  }
  cluster_view view() { return view_of(keys, *real->list(keys.root()), {}); }
  void turn(controller& c) {
    EXPECT_TRUE(at->cut || seen->refresh());
    c.turn();
  }

  std::atomic<std::int64_t> now{1000};
  placement_options options;
  std::map<node_id, lease_id> leases;
  std::shared_ptr<coordinator> real;
  std::shared_ptr<tests::far_coordinator> at;
  std::shared_ptr<directory> seen;
};

TEST_F(Controller, TakesTheRoleThenPlaces) {
  const auto c = make(1);
  turn(*c);
  EXPECT_EQ(view().controller, 1u);
  EXPECT_TRUE(view().shards.empty());
  EXPECT_FALSE(c->figures().leads);
  turn(*c);
  EXPECT_EQ(view().shards.size(), 9u);
  EXPECT_TRUE(c->figures().leads);
  EXPECT_EQ(c->figures().changes, 9u);
  EXPECT_EQ(seen->current()->shards, view().shards);  // without waiting for the news
  turn(*c);
  EXPECT_EQ(c->figures().changes, 9u);
}

TEST_F(Controller, TheRoleGoesWithTheRegistration) {
  const auto first = make(1), second = make(2);
  turn(*first);
  turn(*second);
  turn(*first);
  EXPECT_EQ(view().controller, 1u);
  EXPECT_FALSE(second->figures().leads);
  EXPECT_TRUE(real->revoke(leases[1]));
  turn(*second);
  EXPECT_EQ(view().controller, 2u);
  leases[1] = 0;  // it knows that it lapsed
  turn(*first);
  EXPECT_FALSE(first->figures().leads);
  EXPECT_EQ(view().controller, 2u);
}

TEST_F(Controller, WithoutALeaseItTakesNothing) {
  const auto c = make(1);
  leases[1] = 0;
  turn(*c);
  EXPECT_EQ(view().controller, std::nullopt);
  leases[1] = 999;  // it is over
  turn(*c);
  EXPECT_EQ(view().controller, std::nullopt);
}

TEST_F(Controller, TwoAtOnceDoNoHarm) {
  const auto c = make(1);
  turn(*c);
  turn(*c);
  const auto before = view();
  // The other one believes in its role and in what is not true any more.
  put(keys.order(2), encode(node_order::drain));
  const auto old = look();
  put(keys.order(2), std::nullopt);
  put(keys.order(3), encode(node_order::drain));
  turn(*c);
  const auto after = view();
  auto late = controller{
      at, old, "plant", 1, [] { return lease_id{0}; }, options, [] { return milliseconds{1000}; }};
  late.turn();
  EXPECT_GT(late.figures().changes, 0u);
  auto kept = 0;
  for (const auto& [shard, r] : view().shards) {
    const auto& first = before.shards.at(shard);
    const auto& second = after.shards.at(shard);
    EXPECT_TRUE(r.epoch == first.epoch && r.primary == first.primary && r.in_sync == first.in_sync);
    if (second.version != first.version) {
      EXPECT_EQ(r, second) << shard;
      ++kept;
    }
  }
  EXPECT_GT(kept, 0);
  turn(*c);
  for (const auto& [shard, r] : view().shards)
    EXPECT_EQ(r.replicas, after.shards.at(shard).replicas) << shard;
}

TEST_F(Controller, GoesOnAfterACallThatFailed) {
  const auto c = make(1);
  turn(*c);
  at->swap_answers_lost = true;
  turn(*c);
  EXPECT_EQ(view().shards.size(), 1u);  // it was made, and who knows
  EXPECT_EQ(c->figures().changes, 0u);
  at->swap_answers_lost = false;
  turn(*c);
  EXPECT_EQ(view().shards.size(), 9u);
  EXPECT_EQ(c->figures().changes, 8u);
  at->cut = true;
  put(keys.order(3), encode(node_order::drain));
  turn(*c);
}

TEST_F(Controller, MakesNoRecordForANodeThatHasJustGone) {
  const auto c = make(1);
  turn(*c);
  EXPECT_TRUE(seen->refresh());
  put(keys.node(2), std::nullopt);
  put(keys.node(3), std::nullopt);
  c->turn();  // whatever it has heard
  for (const auto& [shard, r] : view().shards)
    EXPECT_EQ(r.primary, 1u) << shard;
}

TEST_F(Controller, WritesNotOverWhatItCannotRead) {
  put(keys.shard(3), "{}");
  const auto c = make(1);
  turn(*c);
  const auto before = at->swaps.load();
  turn(*c);
  EXPECT_EQ(view().shards.size(), 8u);
  EXPECT_EQ(at->swaps, before + 8);
  put(keys.controller(), "?");
  turn(*c);
  EXPECT_EQ(at->swaps, before + 8);
}

TEST_F(Controller, SaysHowManyShardsWait) {
  const auto c = make(1);
  turn(*c);
  turn(*c);
  auto lost = view().shards.at(2);
  lost.primary = 9;
  lost.in_sync = {9};
  put(keys.shard(2), encode(lost));
  turn(*c);
  EXPECT_EQ(c->figures().stuck, 1u);
  EXPECT_EQ(view().shards.at(2).in_sync, node_set{9});
  put(keys.controller(), "2");
  turn(*c);
  EXPECT_EQ(c->figures().stuck, 0u);
}

TEST_F(Controller, ReplacesANodeOnlyAfterAWhile) {
  const auto c = make(1);
  turn(*c);
  turn(*c);
  put(keys.node(3), std::nullopt);
  // Those that it led are another one's by now.
  for (auto [shard, r] : view().shards)
    if (r.primary == 3u) {
      r.primary = *r.replicas.begin();
      r.in_sync = {*r.primary};
      put(keys.shard(shard), encode(r));
    }
  turn(*c);
  const auto counts_on_it = [&] {
    const auto v = view();
    return std::any_of(v.shards.begin(), v.shards.end(),
                       [](const auto& s) { return s.second.replicas.contains(3); });
  };
  EXPECT_TRUE(counts_on_it());
  now += 10 * 60 * 1000 - 1;
  turn(*c);
  EXPECT_TRUE(counts_on_it());
  now += 1;
  put(keys.controller(), "1");  // not under a lease: this test's leases are over by then
  for (const auto id : {1u, 2u}) {
    auto info = node_info{};
    info.name = id == 1 ? "a" : "b";
    put(keys.node(id), encode(info));
  }
  turn(*c);
  EXPECT_FALSE(counts_on_it());
}

TEST_F(Controller, PlacesNothingInAClusterThatIsGone) {
  const auto c = make(1);
  turn(*c);
  turn(*c);
  EXPECT_EQ(view().shards.size(), 9u);
  put(keys.about(), {});
  for (const auto& [shard, record] : view().shards)
    put(keys.shard(shard), {});
  turn(*c);
  EXPECT_TRUE(view().shards.empty());
}

}  // namespace
}  // namespace orrery::cluster
