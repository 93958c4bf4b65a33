#include <algorithm>

#include <gtest/gtest.h>

#include "model/tree/order_key.hpp"
#include "model/tree/tree.hpp"
#include "tests/model/tree/map_source.hpp"

namespace orrery::model::tree {
namespace {

const auto now = from_ms(1'700'000'000'000);

entity_id id_of(int n, shard_id shard = 1) {
  return make_entity_id(shard, now,
                        {static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)});
}
entity_id asset_of(int n) {
  return id_of(n, 2);
}
const auto self = id_of(9999);

class Tree : public testing::Test {
 protected:
  Tree() {
    auto c = create_tree{};
    c.organisation = "org";
    c.name = "Sites";
    c.root.node = id_of(0);
    c.root.asset = asset_of(0);
    EXPECT_TRUE(tell(c));
  }
  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), "user:a", {}}, {self, now, nodes});
    if (!d)
      return d.error();
    EXPECT_LE(d->events.size(), 1u);
    const auto bytes = encode_events(d->events);
    const auto again = decode_events(bytes);
    EXPECT_TRUE(again);
    for (const auto& e : *again) {
      apply(s, e);
      nodes.take(e);
      last = e;
    }
    EXPECT_EQ(encode_events(*again), bytes);
    return d->answer;
  }
  std::string reason(order what) {
    const auto got = tell(std::move(what));
    return got ? "" : std::string{got.error().reason};
  }
  placing at(int n, int parent, position where = {}) {
    auto p = placing{};
    p.node = id_of(n);
    p.parent = by_node{id_of(parent)};
    p.where = std::move(where);
    p.asset = asset_of(n);
    p.device = n % 2 == 1;
    return p;
  }
  void add(int n, int parent, position where = {}) {
    auto a = add_nodes{};
    a.together = true;
    a.items.push_back(at(n, parent, std::move(where)));
    const auto got = tell(std::move(a));
    ASSERT_TRUE(got) << got.error().detail;
  }
  std::string reason_of_add(placing p) {
    auto a = add_nodes{};
    a.together = true;
    a.items.push_back(std::move(p));
    return reason(std::move(a));
  }
  std::vector<int> children(int n) {
    auto all = std::vector<int>{};
    EXPECT_TRUE(nodes.children(id_of(n), {}, false, [&](auto, const entity_id& id) {
      for (int i = 0; i < 1'000; ++i)
        if (id_of(i) == id)
          all.push_back(i);
      return true;
    }));
    return all;
  }
  std::vector<std::uint64_t> below(int n) { return nodes.nodes.at(id_of(n)).below; }
  static position after(int n) { return {false, by_node{id_of(n)}}; }
  static position first() { return {true, {}}; }
  move_node to(int n, std::optional<int> parent, position where = {}) {
    auto m = move_node{};
    m.which = by_node{id_of(n)};
    if (parent)
      m.parent = by_node{id_of(*parent)};
    m.where = std::move(where);
    return m;
  }
  static remove_node away(int n, orphans children = orphans::refuse) {
    return {by_node{id_of(n)}, children, {}};
  }

  state s;
  tests::map_source nodes;
  event last;
};

using list = std::vector<int>;
using counts = std::vector<std::uint64_t>;

TEST_F(Tree, NodesStandInTheOrderTheyWereGiven) {
  add(1, 0);
  add(2, 0);
  add(3, 0, first());
  add(4, 0, after(1));
  EXPECT_EQ(children(0), (list{3, 1, 4, 2}));
  ASSERT_TRUE(tell(to(2, {}, first())));
  EXPECT_EQ(children(0), (list{2, 3, 1, 4}));
  ASSERT_TRUE(tell(to(2, {}, after(3))));
  EXPECT_EQ(children(0), (list{3, 2, 1, 4}));
  ASSERT_TRUE(tell(to(3, {})));
  EXPECT_EQ(children(0), (list{2, 1, 4, 3}));
  EXPECT_EQ(reason(to(2, {}, after(2))), "after_unknown");
  EXPECT_EQ(reason(to(2, {}, after(0))), "after_unknown");
  EXPECT_EQ(reason(to(2, {}, after(77))), "node_unknown");
  EXPECT_EQ(s.nodes, 5u);
}

TEST_F(Tree, AMoveTakesWhatIsBelowAlong) {
  add(1, 0);
  add(2, 1);
  add(3, 2);
  add(4, 0);
  EXPECT_EQ(below(0), (counts{2, 1, 1}));
  ASSERT_TRUE(tell(to(2, 4)));
  EXPECT_EQ(children(1), list{});
  EXPECT_EQ(children(4), list{2});
  EXPECT_EQ(below(1), counts{});
  EXPECT_EQ(below(4), (counts{1, 1}));
  EXPECT_EQ(below(0), (counts{2, 1, 1}));
  ASSERT_TRUE(tell(to(2, 0, first())));
  EXPECT_EQ(below(0), (counts{3, 1}));
  EXPECT_EQ(children(0), (list{2, 1, 4}));
}

TEST_F(Tree, RefusesWhatIsNoTree) {
  add(1, 0);
  add(2, 1);
  EXPECT_EQ(reason(to(0, 2)), "root_fixed");
  EXPECT_EQ(reason(to(1, 1)), "cycle");
  EXPECT_EQ(reason(to(1, 2)), "cycle");
  EXPECT_EQ(reason(to(1, 55)), "node_unknown");
  EXPECT_EQ(reason(away(0)), "root_fixed");
  EXPECT_EQ(reason(away(1)), "has_children");
  EXPECT_EQ(reason(away(55)), "node_unknown");
}

TEST_F(Tree, HasSevenLevels) {
  for (int i = 1; i < 7; ++i)
    add(i, i - 1);
  EXPECT_EQ(reason_of_add(at(7, 6)), "depth_exceeded");
  add(8, 0);
  add(9, 8);
  EXPECT_EQ(reason(to(8, 5)), "depth_exceeded");
  EXPECT_EQ(reason(to(8, 4)), "");
  EXPECT_EQ(below(0), (counts{1, 1, 1, 1, 2, 2}));
}

TEST_F(Tree, AnAssetIsOnATreeOnce) {
  add(1, 0);
  auto again = at(2, 0);
  again.asset = asset_of(1);
  EXPECT_EQ(reason_of_add(again), "already_on_tree");
  again.asset = asset_of(0);
  EXPECT_EQ(reason_of_add(again), "already_on_tree");
  auto change = change_node{};
  change.which = by_node{id_of(1)};
  change.asset = binding{asset_of(0), false};
  EXPECT_EQ(reason(change), "already_on_tree");
  change.asset = binding{asset_of(50), true};
  EXPECT_EQ(reason(change), "");
  EXPECT_EQ(reason_of_add(at(1, 0)), "node_exists");
  auto freed = at(3, 0);
  freed.asset = asset_of(1);
  EXPECT_EQ(reason_of_add(freed), "");
}

TEST_F(Tree, ABatchIsOfItemsOrOfOnePiece) {
  auto a = add_nodes{};
  a.items = {at(1, 0), at(2, 99), at(3, 1)};
  a.items[2].parent = by_asset{asset_of(1)};
  const auto got = tell(a);
  ASSERT_TRUE(got);
  const auto& items = std::get<nodes_placed>(*got).items;
  ASSERT_EQ(items.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<node>(items[0]));
  EXPECT_EQ(std::get<refusal>(items[1]).reason, "node_unknown");
  EXPECT_EQ(children(1), list{3});
  EXPECT_EQ(s.nodes, 3u);
  a.items = {at(4, 0), at(5, 99)};
  a.together = true;
  EXPECT_EQ(reason(a), "node_unknown");
  EXPECT_EQ(s.nodes, 3u);
  a.items.assign(max_batch + 1, at(6, 0));
  EXPECT_EQ(reason(a), "too_many_nodes");
}

TEST_F(Tree, WhatIsBelowANodeThatGoesMovesUpOrGoesToo) {
  add(1, 0);
  add(2, 0);
  add(3, 0);
  add(4, 2);
  add(5, 2);
  add(6, 5);
  ASSERT_TRUE(tell(away(2, orphans::promote)));
  EXPECT_EQ(children(0), (list{1, 4, 5, 3}));
  EXPECT_EQ(below(0), (counts{4, 1}));
  const auto gone = tell(away(5, orphans::remove));
  ASSERT_TRUE(gone);
  EXPECT_EQ(std::get<nodes_removed>(*gone).nodes, 2u);
  EXPECT_EQ(std::get<nodes_removed>(*gone).logical, std::vector{asset_of(6)});  // 5 is a device
  EXPECT_EQ(children(0), (list{1, 4, 3}));
  EXPECT_EQ(below(0), counts{3});
  EXPECT_EQ(s.nodes, 4u);
}

TEST_F(Tree, ReleasesAnAssetThatIsGone) {
  add(1, 0);
  add(2, 1);
  ASSERT_TRUE(tell(release_asset{asset_of(1)}));
  EXPECT_EQ(children(0), list{2});
  const auto before = s.revision;
  ASSERT_TRUE(tell(release_asset{asset_of(1)}));
  EXPECT_EQ(s.revision, before) << "nothing to do";
  ASSERT_TRUE(tell(release_asset{asset_of(0)}));
  EXPECT_FALSE(nodes.nodes.at(id_of(0)).asset) << "the root stays";
  EXPECT_EQ(children(0), list{2});
}

TEST_F(Tree, OnlyANodeThatWasChangedHasANewRevision) {
  add(1, 0);
  add(2, 1);
  EXPECT_EQ(nodes.nodes.at(id_of(1)).revision, 2u);
  auto change = change_node{};
  change.which = by_asset{asset_of(1)};
  change.label = "Line 1";
  change.tags["area"] = "A7";
  change.expected = 1;
  EXPECT_EQ(reason(change), "etag_mismatch");
  change.expected = 2;
  ASSERT_TRUE(tell(change));
  EXPECT_EQ(nodes.nodes.at(id_of(1)).label, "Line 1");
  EXPECT_EQ(nodes.nodes.at(id_of(1)).revision, s.revision);
  const auto notes = notes_of(last, s.revision);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].what, change_note::sort::changed);
  add(3, 2);
  EXPECT_EQ(notes_of(last, s.revision).size(), 1u) << "the counts above are no changes";
  ASSERT_TRUE(decode_notes(encode_notes(notes)));
}

TEST_F(Tree, RefusesTextsThatAreTooLong) {
  auto p = at(1, 0);
  p.label = std::string(257, 'x');
  EXPECT_EQ(reason_of_add(p), "label_invalid");
  p = at(1, 0);
  p.tags["a b"] = "c";
  EXPECT_EQ(reason_of_add(p), "tag_invalid");
  auto c = change_tree{};
  c.name = "";
  EXPECT_EQ(reason(c), "name_invalid");
  c.name = "x";
  c.description = std::string(2'001, 'x');
  EXPECT_EQ(reason(c), "description_invalid");
  c.description = "";
  c.tags["k"] = std::string(201, 'x');
  EXPECT_EQ(reason(c), "tag_invalid");
  c.tags["k"] = "v";
  EXPECT_EQ(reason(c), "");
  EXPECT_EQ(s.tags.at("k"), "v");
}

TEST_F(Tree, GoesWithAllItsNodesOnlyIfThatIsMeant) {
  add(1, 0);
  EXPECT_EQ(reason(remove_tree{}), "tree_not_empty");
  EXPECT_EQ(reason(remove_tree{true}), "");
  EXPECT_FALSE(s.exists);
  EXPECT_EQ(reason(read_tree{}), "tree_unknown");
  auto c = create_tree{};
  c.name = "again";
  EXPECT_EQ(reason(c), "tree_exists");
}

TEST_F(Tree, IsNotThereForAnotherOrganisation) {
  const auto asked = [&](std::string who) {
    return decide(s, {read_tree{}, "user:a", {}, std::move(who)}, {self, now, nodes});
  };
  EXPECT_TRUE(asked("org"));
  EXPECT_TRUE(asked(""));
  const auto refused = asked("other");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "tree_unknown");
}

TEST_F(Tree, SiblingsGetNewKeysBeforeTheyGrowLong) {
  add(1, 0);
  add(2, 0);
  for (int i = 3; i < 900; ++i)
    add(i, 0, after(1));
  const auto all = children(0);
  ASSERT_EQ(all.size(), 899u);
  EXPECT_EQ(all[0], 1);
  EXPECT_EQ(all[1], 899);
  EXPECT_EQ(all.back(), 2);
  for (const auto& [id, n] : nodes.nodes)
    EXPECT_LE(n.order.size(), max_order_key);
}

TEST(TreeNode, DecodesAsItWasOrNotAtAll) {
  auto n = node{};
  n.id = id_of(1);
  n.below = {3, 2};
  n.label = "x";
  const auto bytes = encode_node(n);
  ASSERT_TRUE(decode_node(bytes));
  EXPECT_EQ(encode_node(*decode_node(bytes)), bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(decode_node(bytes.substr(0, i)));
  EXPECT_FALSE(decode_node(bytes + "x"));
  auto s = state{};
  EXPECT_FALSE(decode_state("", s));
  EXPECT_FALSE(decode_notes("\x02"));
}

}  // namespace
}  // namespace orrery::model::tree
