// Pages of trees and assets, from rows as a node writes them.
#include "actors/tree_reads.hpp"

#include <algorithm>
#include <future>

#include <gtest/gtest.h>

#include "actors/kinds.hpp"
#include "actors/tree_scope.hpp"
#include "actors/wire.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::actors {
namespace {

namespace tree = model::tree;
using model::errc;
using namespace std::chrono_literals;
using words = std::vector<std::string>;

class TreeReads : public testing::Test {
 protected:
  TreeReads() {
    auto c = tree::create_tree{};
    c.organisation = tests::organisation;
    c.name = "Sites";
    c.root.node = node_id(0);
    c.root.asset = asset_id(0);
    c.root.label = "0";
    must(tests::tree_order(c));
  }
  static model::entity_id node_id(int n) {
    return tests::device_id(1, static_cast<std::uint8_t>(100 + n));
  }
  static model::entity_id asset_id(int n) {
    return tests::device_id(0, static_cast<std::uint8_t>(150 + n));
  }
  void must(any_command what) {
    const auto got = node.ask(id, std::move(what));
    ASSERT_TRUE(got) << got.error().detail;
  }
  void add(int n, int parent, bool device = false) {
    auto a = tree::add_nodes{};
    a.together = true;
    auto& one = a.items.emplace_back();
    one.node = node_id(n);
    one.parent = tree::by_node{node_id(parent)};
    one.asset = asset_id(n);
    one.device = device;
    one.label = std::to_string(n);
    must(tests::tree_order(a));
  }
  model::result<tree_page> read(decltype(tree_question::what) what) {
    return read_tree({1, tests::organisation, std::move(what)}, *node.store);
  }
  walk_nodes walk(int from, std::uint8_t levels, std::uint64_t limit = 100) {
    auto w = walk_nodes{};
    w.tree = id;
    w.from = tree::by_node{node_id(from)};
    w.levels = levels;
    w.limit = limit;
    return w;
  }
  /// Labels of all pages.
  words all(walk_nodes w) {
    auto labels = words{};
    for (int pages = 0; pages < 1'000; ++pages) {
      const auto page = read(w);
      EXPECT_TRUE(page) << page.error().detail;
      if (!page)
        break;
      EXPECT_LE(page->nodes.size(), w.limit);
      for (const auto& n : page->nodes)
        labels.push_back(n.what.label);
      if ((w.cursor = page->next).empty())
        break;
    }
    return labels;
  }
  std::string reason(decltype(tree_question::what) what) {
    const auto got = read(std::move(what));
    return got ? "" : std::string{got.error().reason};
  }

  tests::small_node node;
  model::entity_id id = tests::device_id(1, 90);
};

TEST_F(TreeReads, WalksInOrderWhateverThePagesAre) {
  add(1, 0);
  add(2, 0);
  add(3, 1, true);
  add(4, 1);
  add(5, 4, true);
  add(6, 2);
  for (const std::uint64_t limit : {1, 2, 3, 4, 100}) {
    EXPECT_EQ(all(walk(0, 0, limit)), (words{"1", "3", "4", "5", "2", "6"})) << limit;
    EXPECT_EQ(all(walk(0, 1, limit)), (words{"1", "2"})) << limit;
    EXPECT_EQ(all(walk(0, 2, limit)), (words{"1", "3", "4", "2", "6"})) << limit;
    EXPECT_EQ(all(walk(4, 6, limit)), words{"5"}) << limit;
    EXPECT_EQ(all(walk(5, 1, limit)), words{}) << limit;
    auto with = walk(1, 0, limit);
    with.with_first = true;
    EXPECT_EQ(all(with), (words{"1", "3", "4", "5"})) << limit;
    with.devices_only = true;
    EXPECT_EQ(all(with), (words{"3", "5"})) << limit;
  }
  const auto page = read(walk(0, 0));
  EXPECT_EQ(page->nodes.front().level, 2);
  EXPECT_EQ(page->nodes[3].level, 4);
  EXPECT_EQ(page->revision, 7u);
}

TEST_F(TreeReads, AWalkGoesOnWhereItsLastNodeWas) {
  for (int i = 1; i <= 4; ++i)
    add(i, 0);
  add(5, 2);
  auto w = walk(0, 0, 2);
  w.cursor = read(w)->next;
  auto away = tree::remove_node{tree::by_node{node_id(2)}, tree::orphans::remove, {}};
  must(tests::tree_order(away));
  EXPECT_EQ(all(w), (words{"3", "4"}));
}

TEST_F(TreeReads, RefusesCursorsOfOthers) {
  add(1, 0);
  auto w = walk(0, 0);
  for (const auto* cursor : {"x", "\x01",
                             "\x01\x02"
                             "ab",
                             "\xff\xff\xff"}) {
    w.cursor = cursor;
    EXPECT_EQ(reason(w), "bad_cursor") << cursor;
  }
}

TEST_F(TreeReads, FindsNodesAndWhatIsAboveThem) {
  add(1, 0);
  add(2, 1);
  const auto found = read(find_nodes{
      id,
      {tree::by_asset{asset_id(2)}, tree::by_node{node_id(77)}, tree::by_node{node_id(0)}},
      true});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->nodes.size(), 2u);
  ASSERT_EQ(found->nodes[0].above.size(), 2u);
  EXPECT_EQ(found->nodes[0].above[0].label, "1");
  EXPECT_EQ(found->nodes[0].level, 3);
  const auto places = read(find_assets{{asset_id(1), asset_id(9)}});
  ASSERT_EQ(places->nodes.size(), 1u);
  EXPECT_EQ(places->nodes[0].tree, id);
  const auto trees = read(list_trees{});
  ASSERT_EQ(trees->trees.size(), 1u);
  EXPECT_EQ(trees->trees[0].what.nodes, 3u);
}

TEST_F(TreeReads, AnotherOrganisationsTreeIsNotThere) {
  const auto ask = [&](decltype(tree_question::what) what) {
    return read_tree({1, "other", std::move(what)}, *node.store);
  };
  EXPECT_EQ(ask(walk(0, 1)).error().reason, "tree_unknown");
  EXPECT_EQ(ask(find_nodes{id, {tree::by_node{node_id(0)}}, false}).error().reason, "tree_unknown");
  EXPECT_EQ(ask(read_changes{id, 0, 10}).error().reason, "tree_unknown");
  EXPECT_TRUE(ask(list_trees{})->trees.empty());
  EXPECT_TRUE(ask(find_assets{{asset_id(0)}})->nodes.empty());
  EXPECT_EQ(reason(walk(44, 1)), "node_unknown");
  auto elsewhere = walk(0, 1);
  elsewhere.tree.shard = 2;
  EXPECT_EQ(reason(elsewhere), "tree_unknown");
}

TEST_F(TreeReads, TellsWhatChanged) {
  add(1, 0);
  add(2, 1);
  auto page = read(read_changes{id, 1, 1});
  ASSERT_TRUE(page);
  ASSERT_EQ(page->changes.size(), 1u);
  EXPECT_EQ(page->changes[0].revision, 2u);
  EXPECT_EQ(page->next, "2");
  EXPECT_FALSE(page->gap);
  EXPECT_TRUE(read(read_changes{id, 3, 10})->changes.empty());
  for (std::uint64_t i = 0; i < kept_tree_changes; ++i) {
    auto c = tree::change_tree{};
    c.description = std::to_string(i);
    must(tests::tree_order(c));
  }
  page = read(read_changes{id, 1, 10});
  EXPECT_TRUE(page->gap) << "the oldest are not kept";
  EXPECT_FALSE(read(read_changes{id, page->revision - 5, 10})->gap);
}

TEST_F(TreeReads, TellsWhatIsBelowANode) {
  add(1, 0);
  add(2, 1, true);
  add(3, 0, true);
  auto reads = query{node.store, nullptr, 2, 1};
  const auto below = [&](int n, const model::entity_id& asset) {
    auto promised = std::promise<model::result<bool>>{};
    is_below(reads, {tests::organisation, id, node_id(n)}, asset,
             [&](model::result<bool> got) { promised.set_value(std::move(got)); });
    const auto got = promised.get_future().get();
    EXPECT_TRUE(got);
    return got && *got;
  };
  EXPECT_TRUE(below(0, asset_id(2)));
  EXPECT_TRUE(below(1, asset_id(2)));
  EXPECT_TRUE(below(2, asset_id(2)));
  EXPECT_FALSE(below(1, asset_id(3)));
  EXPECT_FALSE(below(1, asset_id(55)));
  EXPECT_FALSE(below(55, asset_id(2)));
  const auto devices = [&](int n) {
    auto all = std::vector<model::entity_id>{};
    auto cursor = std::string{};
    do {
      auto promised = std::promise<model::result<device_ids>>{};
      devices_below(reads, {tests::organisation, id, node_id(n)}, cursor, 1,
                    [&](model::result<device_ids> got) { promised.set_value(std::move(got)); });
      const auto got = promised.get_future().get();
      EXPECT_TRUE(got);
      if (!got)
        break;
      all.insert(all.end(), got->devices.begin(), got->devices.end());
      cursor = got->next;
    } while (!cursor.empty());
    return all;
  };
  EXPECT_EQ(devices(0), (std::vector{asset_id(2), asset_id(3)}));
  EXPECT_EQ(devices(1), std::vector{asset_id(2)});
  EXPECT_TRUE(devices(55).empty());
}

TEST_F(TreeReads, KnowsWhatIsBelowSeveralNodes) {
  add(1, 0);
  add(2, 1, true);
  add(3, 0, true);
  add(4, 0);
  add(5, 4, true);
  auto reads = query{node.store, nullptr, 2, 1};
  const auto below = [&](std::vector<model::entity_id> nodes) {
    auto promised = std::promise<model::result<std::vector<char>>>{};
    are_below(reads, tests::organisation, 1, std::move(nodes),
              {asset_id(2), asset_id(3), asset_id(5), asset_id(77)},
              [&](model::result<std::vector<char>> got) { promised.set_value(std::move(got)); });
    const auto got = promised.get_future().get();
    EXPECT_TRUE(got);
    return got ? std::string(got->begin(), got->end()) : std::string{};
  };
  const auto flags = [](std::initializer_list<char> all) { return std::string(all); };
  EXPECT_EQ(below({node_id(1), node_id(5)}), flags({1, 0, 1, 0}));
  EXPECT_EQ(below({node_id(0)}), flags({1, 1, 1, 0}));
  EXPECT_EQ(below({node_id(99)}), flags({0, 0, 0, 0}));
  const auto all = [&](std::vector<model::entity_id> nodes, std::size_t most) {
    auto promised = std::promise<model::result<std::vector<model::entity_id>>>{};
    all_devices_below(reads, tests::organisation, 1, std::move(nodes), most,
                      [&](model::result<std::vector<model::entity_id>> got) {
                        promised.set_value(std::move(got));
                      });
    return promised.get_future().get();
  };
  EXPECT_EQ(*all({node_id(1), node_id(4), node_id(99)}, 10),
            (std::vector{asset_id(2), asset_id(5)}));
  EXPECT_EQ(all({node_id(0), node_id(1)}, 3)->size(), 3u) << "none twice";
  EXPECT_EQ(all({node_id(0)}, 2).error().reason, "scope_too_wide");
  EXPECT_TRUE(all({}, 2)->empty());
}

/// All shards are on another node, which is asked as nodes ask each other.
class far_ways final : public read_ways {
 public:
  explicit far_ways(query& there) : there_{there} {}
  bool is_here(model::shard_id) const override { return false; }
  void read(model::shard_id, any_read what, then done) override {
    const auto asked = decode_read(encode_read(7, what));
    ASSERT_TRUE(asked);
    there_.serve(asked->what, [done](const model::result<any_page>& got) {
      auto back = decode_page(encode_page(7, got));
      ASSERT_TRUE(back);
      done(std::move(back->what));
    });
  }

 private:
  query& there_;
};

TEST_F(TreeReads, AnotherNodeReadsTheSame) {
  add(1, 0);
  add(2, 1, true);
  auto there = query{node.store, nullptr, 2, 1};
  auto here = query{node.store, nullptr, 2, 1, std::make_shared<far_ways>(there)};
  const auto pages = [&](query& by) {
    auto promised = std::promise<model::result<tree_page>>{};
    by.trees({1, tests::organisation, walk(0, 0)},
             [&](model::result<tree_page> got) { promised.set_value(std::move(got)); });
    auto got = promised.get_future().get();
    EXPECT_TRUE(got) << got.error().detail;
    return encode_page(0, any_page{std::move(*got)});
  };
  EXPECT_EQ(pages(here), pages(there));
  const auto assets = [&](query& by, auto what) {
    auto promised = std::promise<model::result<asset_page>>{};
    by.assets(std::move(what),
              [&](model::result<asset_page> got) { promised.set_value(std::move(got)); });
    auto got = promised.get_future().get();
    EXPECT_TRUE(got) << got.error().detail;
    return encode_page(0, any_page{std::move(*got)});
  };
  const auto device = node.add_device("dk");
  const auto facts = asset_facts_question{device.shard, tests::organisation, {device}};
  EXPECT_EQ(assets(here, facts), assets(there, facts));
  const auto list = asset_list_question{device.shard, tests::organisation, asset_sort::any, {}, 10};
  EXPECT_EQ(assets(here, list), assets(there, list));
  auto unknown = std::promise<model::result<tree_page>>{};
  here.trees({1, "other", walk(0, 0)},
             [&](model::result<tree_page> got) { unknown.set_value(std::move(got)); });
  EXPECT_EQ(unknown.get_future().get().error().reason, "tree_unknown");
}

TEST_F(TreeReads, ListsAssetsOfBothSorts) {
  const auto device = node.add_device("dk");
  auto site = model::asset::create_asset{};
  site.organisation = tests::organisation;
  site.name = "Site";
  auto logical = tests::device_id(device.shard, 250);
  ASSERT_TRUE(node.ask(logical, tests::asset_order(site)));
  auto q = asset_list_question{device.shard, tests::organisation, asset_sort::any, {}, 1};
  auto page = read_assets(q, *node.store);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->assets.size(), 1u);
  EXPECT_TRUE(page->assets[0].device);
  q.cursor = page->next;
  ASSERT_FALSE(q.cursor.empty());
  page = read_assets(q, *node.store);
  ASSERT_EQ(page->assets.size(), 1u);
  EXPECT_EQ(page->assets[0].name, "Site");
  EXPECT_TRUE(page->next.empty());
  q.cursor = "x";
  EXPECT_EQ(read_assets(q, *node.store).error().reason, "bad_cursor");
  q = {device.shard, "other", asset_sort::any, {}, 10};
  EXPECT_TRUE(read_assets(q, *node.store)->assets.empty());
  const auto facts = read_assets(
      asset_facts_question{device.shard, tests::organisation, {logical, device, node_id(3)}},
      *node.store);
  ASSERT_EQ(facts->assets.size(), 2u);
  EXPECT_EQ(facts->assets[1].device_key, "dk");
}

}  // namespace
}  // namespace orrery::actors
