#include "cluster/overview.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/member.hpp"

namespace orrery::cluster {
namespace {

using actors::desk_node_state;
using actors::desk_shard_state;
using testing::ElementsAre;
using testing::IsEmpty;

const auto noon = model::from_ms(1'700'000'000'000);

class Overview : public testing::Test {
 protected:
  Overview() {
    options.shard_count = 3;
    come(1, "a");
    come(2, "b");
    for (model::shard_id s :
         {model::shard_id{0}, model::shard_id{1}, model::shard_id{2}, model::catalogue_shard})
      view.shards[s] = {7, 1, 1, {1, 2}, {1, 2}, 1};
  }
  void come(node_id id, const std::string& name) {
    view.numbers[name] = id;
    auto info = node_info{};
    info.name = name;
    info.version = "0.1.0";
    info.zone = "z";
    info.addresses = {{"mqtt", name + ":1883"}};
    info.incarnation = next_incarnation(0, static_cast<std::uint64_t>(model::to_ms(noon)), id);
    view.nodes[id] = {info, 5};
  }
  actors::desk_node node(const std::string& name) const {
    for (auto& n : nodes_of(view))
      if (n.name == name)
        return n;
    ADD_FAILURE() << name;
    return {};
  }
  actors::desk_shard shard(model::shard_id number) const {
    for (auto& s : shards_of(view, options))
      if (s.number == number)
        return s;
    ADD_FAILURE() << number;
    return {};
  }
  cluster_view view;
  placement_options options;
};

TEST_F(Overview, OfANodeThatIsThere) {
  const auto a = node("a");
  EXPECT_EQ(a.number, 1u);
  EXPECT_EQ(a.state, desk_node_state::up);
  EXPECT_TRUE(a.present);
  EXPECT_EQ(a.started, noon);
  EXPECT_EQ(a.version, "0.1.0");
  EXPECT_EQ(a.addresses.at("mqtt"), "a:1883");
  EXPECT_EQ(a.primaries, 4u);
  EXPECT_EQ(a.in_sync, 4u);
  EXPECT_EQ(node("b").primaries, 0u);
  EXPECT_EQ(node("b").in_sync, 4u);
}

TEST_F(Overview, OfNodesThatAreNotUp) {
  view.nodes.erase(2);
  EXPECT_EQ(node("b").state, desk_node_state::absent);
  EXPECT_FALSE(node("b").started);
  EXPECT_EQ(node("b").in_sync, 4u) << "it may come back with them";
  view.orders[2] = node_order::drain;
  EXPECT_EQ(node("b").state, desk_node_state::absent);
  EXPECT_EQ(node("b").order, "drain");
  come(2, "b");
  EXPECT_EQ(node("b").state, desk_node_state::draining);
  view.orders[2] = node_order::remove;
  EXPECT_EQ(node("b").state, desk_node_state::removed);
  EXPECT_TRUE(node("b").present);
  view.orders.clear();
  view.nodes[2].info.draining = true;
  EXPECT_EQ(node("b").state, desk_node_state::draining) << "it is about to restart";
  EXPECT_EQ(node("b").order, "");
}

TEST_F(Overview, AShardIsWholeWithItsCopies) {
  EXPECT_EQ(shard(0).state, desk_shard_state::whole);
  EXPECT_EQ(shard(0).primary, "a");
  EXPECT_THAT(shard(0).in_sync, ElementsAre("a", "b"));
  EXPECT_EQ(shard(model::catalogue_shard).state, desk_shard_state::whole);
  EXPECT_EQ(shards_of(view, options).back().number, model::catalogue_shard);
  EXPECT_EQ(count(shards_of(view, options)).at(desk_shard_state::whole), 4u);
  EXPECT_EQ(count({}).size(), 5u);
}

TEST_F(Overview, AShardThatIsNot) {
  view.shards.at(0).in_sync = {1};
  EXPECT_EQ(shard(0).state, desk_shard_state::lacking);
  view.shards.at(0) = {7, 1, 1, {1, 2}, {1, 2, 3}, 1};
  EXPECT_EQ(shard(0).state, desk_shard_state::whole) << "whoever learns is not there";
  come(3, "c");
  EXPECT_EQ(shard(0).state, desk_shard_state::moving);
  auto& catalogue = view.shards.at(model::catalogue_shard);
  catalogue.replicas = {1, 2, 3};
  EXPECT_EQ(shard(model::catalogue_shard).state, desk_shard_state::moving);
  come(4, "d");
  catalogue = {7, 1, 1, {1, 2, 3}, {1, 2, 3, 4}, 1};
  EXPECT_EQ(shard(model::catalogue_shard).state, desk_shard_state::whole) << "it only watches";
  view.shards.at(1).preferred = 2;
  EXPECT_EQ(shard(1).state, desk_shard_state::moving);
  view.shards.erase(2);
  EXPECT_EQ(shard(2).state, desk_shard_state::without_primary);
  EXPECT_EQ(shard(2).epoch, 0u);
  view.nodes.erase(1);
  EXPECT_EQ(shard(1).state, desk_shard_state::without_primary);
  view.nodes.erase(2);
  EXPECT_EQ(shard(1).state, desk_shard_state::stuck);
}

TEST_F(Overview, ANodeWithoutANameIsItsNumber) {
  view.shards.at(0).in_sync = {1, 9};
  EXPECT_THAT(shard(0).in_sync, ElementsAre("a", "#9"));
}

TEST_F(Overview, MovesAreWhatIsToHappen) {
  for (auto& [s, record] : view.shards)
    record.preferred = record.primary;
  // What the placement wants of these nodes is made so first.
  for (const auto& c : plan(view, options, {}, {}).changes) {
    view.shards[c.shard] = c.wanted;
    view.shards[c.shard].primary = c.wanted.preferred;
  }
  EXPECT_THAT(moves_of(view, options), IsEmpty());
  come(3, "c");
  const auto moves = moves_of(view, options);
  ASSERT_FALSE(moves.empty());
  for (const auto& m : moves)
    EXPECT_EQ(m.copies, std::vector<std::string>{"c"}) << m.shard;
  EXPECT_EQ(moves.back().shard, model::catalogue_shard);
  view.orders[1] = node_order::drain;
  EXPECT_EQ(moves_of(view, options).size(), 4u) << "all at once, and the catalogue";
  view.nodes.erase(3);
  view.orders.clear();
  EXPECT_THAT(moves_of(view, options), IsEmpty()) << "it is gone again";
}

TEST_F(Overview, WhoIsAbsentKeepsItsPlace) {
  come(3, "c");
  view.nodes.erase(2);
  for (const auto& m : moves_of(view, options))
    EXPECT_EQ(view.shards.at(m.shard).in_sync.size(), 2u);
  options.replace_after = std::chrono::milliseconds{0};
  for (const auto& m : moves_of(view, options))
    EXPECT_NE(m.copies, std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace orrery::cluster
