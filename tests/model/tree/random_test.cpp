// Random changes of a tree against a plain one, with rows that lag behind what was decided.
#include <deque>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "model/tree/tree.hpp"
#include "tests/model/tree/map_source.hpp"

namespace orrery::model::tree {
namespace {

const auto now = from_ms(1'700'000'000'000);
const auto self = make_entity_id(1, now, {99, 99, 99});

entity_id id_of(int n, shard_id shard = 1) {
  return make_entity_id(shard, now,
                        {static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)});
}
entity_id asset_of(int n) {
  return id_of(n, 2);
}

/// The plain tree: lists of children by parent, nodes and assets by number; 0 is the root.
struct plain_tree {
  std::map<int, std::vector<int>> below{{0, {}}};
  std::map<int, int> parent;
  std::map<int, int> asset{{0, 0}};  // of a node

  bool has(int n) const { return below.contains(n); }
  std::size_t depth(int n) const { return n == 0 ? 1 : depth(parent.at(n)) + 1; }
  std::size_t height(int n) const {
    auto most = std::size_t{0};
    for (const auto child : below.at(n))
      most = std::max(most, height(child) + 1);
    return most;
  }
  bool is_above(int up, int n) const { return n == up || (n != 0 && is_above(up, parent.at(n))); }
  std::optional<int> holder(int a) const {
    for (const auto& [n, held] : asset)
      if (held == a)
        return n;
    return std::nullopt;
  }
  void take(int n) { std::erase(below.at(parent.at(n)), n); }
  /// `where`: 0 last, 1 first, 2 behind `after`.
  void put(int n, int under, int where, int after) {
    auto& all = below.at(under);
    const auto at = where == 0   ? all.end()
                    : where == 1 ? all.begin()
                                 : std::find(all.begin(), all.end(), after) + 1;
    all.insert(at, n);
    parent[n] = under;
  }
  void forget(int n) {
    below.erase(n);
    parent.erase(n);
    asset.erase(n);
  }
  void remove_all(int n) {
    for (const auto child : std::vector{below.at(n)})
      remove_all(child);
    take(n);
    forget(n);
  }
  void promote(int n) {
    auto& all = below.at(parent.at(n));
    const auto at = std::find(all.begin(), all.end(), n);
    const auto children = below.at(n);
    for (const auto child : children)
      parent[child] = parent.at(n);
    all.insert(all.erase(at), children.begin(), children.end());
    forget(n);
  }
};

class random_tree {
 public:
  explicit random_tree(unsigned seed) : random_{seed} {
    auto c = create_tree{};
    c.name = "t";
    c.root.node = id_of(0);
    c.root.asset = asset_of(0);
    tell(c, true);
  }

  void step() {
    switch (pick(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return add();
      case 4:
      case 5:
      case 6:
        return move();
      case 7:
        return remove();
      case 8:
        return release();
      default:
        return rebind();
    }
  }

  /// What was decided first is in the rows now, up to so many records.
  void write(std::size_t records) {
    for (; records > 0 && !waiting_.empty(); --records) {
      rows_.take(waiting_.front());
      waiting_.pop_front();
      ++written_;
    }
  }

  void compare() {
    const auto nodes = changed_nodes{unwritten_, rows_};
    auto seen = std::size_t{0};
    compare(nodes, 0, seen);
    EXPECT_EQ(seen, plain_.below.size());
    EXPECT_EQ(s_.nodes, plain_.below.size());
    for (int a = 0; a <= last_; ++a) {
      const auto holder = nodes.holder(asset_of(a));
      ASSERT_TRUE(holder);
      const auto wanted = plain_.holder(a);
      ASSERT_EQ(*holder, wanted ? std::optional{id_of(*wanted)} : std::nullopt);
    }
  }
  std::size_t unwritten() const { return waiting_.size(); }
  bool window_is_empty() const { return unwritten_.empty(); }

 private:
  int pick(std::size_t of) { return static_cast<int>(random_() % of); }
  int any_node() {
    auto at = plain_.below.begin();
    std::advance(at, pick(plain_.below.size()));
    return at->first;
  }
  node_ref ref(int n) {
    const auto held = plain_.asset.find(n);
    if (pick(2) == 0 && held != plain_.asset.end())
      return by_asset{asset_of(held->second)};
    return by_node{id_of(n)};
  }
  /// A place under `parent`, behind a sibling that is not `self` if that is drawn.
  std::pair<int, int> any_place(int parent, int self) {
    auto siblings = plain_.below.at(parent);
    std::erase(siblings, self);
    const auto where = pick(siblings.empty() ? 2 : 3);
    return {where, where == 2 ? siblings[static_cast<std::size_t>(pick(siblings.size()))] : -1};
  }
  position as_position(std::pair<int, int> place) {
    auto p = position{.first = place.first == 1, .after = {}};
    if (place.first == 2)
      p.after = ref(place.second);
    return p;
  }

  bool tell(tree::order what, bool wanted) {
    unwritten_.forget(written_);
    const auto nodes = changed_nodes{unwritten_, rows_};
    const auto d = decide(s_, {std::move(what), "a", {}}, {self, now, nodes});
    EXPECT_EQ(d.has_value(), wanted) << (d ? "" : d.error().detail);
    if (!d)
      return false;
    for (const auto& e : d->events) {
      apply(s_, e);
      if (const auto* changed = std::get_if<nodes_changed>(&e))
        unwritten_.add(changed->all, s_.revision);
      else if (const auto* made = std::get_if<created>(&e))
        unwritten_.put(made->root, {}, s_.revision);
      waiting_.push_back(e);
    }
    return true;
  }

  void add() {
    const auto parent = any_node(), n = ++last_;
    const auto a = pick(5) == 0 ? pick(static_cast<std::size_t>(n)) : n;
    const auto place = any_place(parent, n);
    auto p = placing{};
    p.node = id_of(n);
    p.parent = ref(parent);
    p.where = as_position(place);
    p.asset = asset_of(a);
    auto what = add_nodes{};
    what.together = true;
    what.items.push_back(p);
    if (!tell(what, plain_.depth(parent) < max_depth && !plain_.holder(a)))
      return;
    plain_.below[n];
    plain_.put(n, parent, place.first, place.second);
    plain_.asset[n] = a;
  }
  void move() {
    const auto n = any_node(), parent = any_node();
    const auto place = any_place(parent, n);
    auto m = move_node{};
    m.which = ref(n);
    m.parent = ref(parent);
    m.where = as_position(place);
    const auto may = n != 0 && !plain_.is_above(n, parent) &&
                     plain_.depth(parent) + 1 + plain_.height(n) <= max_depth;
    if (!tell(m, may))
      return;
    plain_.take(n);
    plain_.put(n, parent, place.first, place.second);
  }
  void remove() {
    const auto n = any_node();
    const auto mode = static_cast<orphans>(pick(3));
    const auto leaf = plain_.below.at(n).empty();
    if (mode == orphans::remove && plain_.height(n) > 2)
      return;  // trees are to grow
    if (!tell(remove_node{ref(n), mode, {}}, n != 0 && (leaf || mode != orphans::refuse)))
      return;
    if (mode == orphans::promote)
      plain_.promote(n);
    else
      plain_.remove_all(n);
  }
  void release() {
    const auto a = pick(static_cast<std::size_t>(last_) + 1);
    tell(release_asset{asset_of(a)}, true);
    const auto n = plain_.holder(a);
    if (!n)
      return;
    if (*n == 0)
      plain_.asset.erase(0);
    else
      plain_.promote(*n);
  }
  void rebind() {
    const auto n = any_node(), a = pick(static_cast<std::size_t>(last_) + 1);
    const auto holder = plain_.holder(a);
    auto c = change_node{};
    c.which = ref(n);
    c.asset = binding{asset_of(a), false};
    if (tell(c, !holder || *holder == n))
      plain_.asset[n] = a;
  }

  void compare(const node_source& nodes, int n, std::size_t& seen) {
    ++seen;
    const auto found = nodes.find(id_of(n));
    ASSERT_TRUE(found && *found) << n;
    auto children = std::vector<entity_id>{}, backwards = children, wanted = children;
    ASSERT_TRUE(nodes.children(id_of(n), {}, false, [&](auto, const entity_id& child) {
      children.push_back(child);
      return true;
    }));
    ASSERT_TRUE(nodes.children(id_of(n), {}, true, [&](auto, const entity_id& child) {
      backwards.insert(backwards.begin(), child);
      return true;
    }));
    for (const auto child : plain_.below.at(n))
      wanted.push_back(id_of(child));
    ASSERT_EQ(children, wanted);
    ASSERT_EQ(backwards, wanted);
    auto levels = std::vector<std::uint64_t>(plain_.height(n));
    count(n, 0, levels);
    ASSERT_EQ((*found)->below, levels);
    for (const auto child : plain_.below.at(n))
      compare(nodes, child, seen);
  }
  void count(int n, std::size_t depth, std::vector<std::uint64_t>& levels) {
    for (const auto child : plain_.below.at(n)) {
      ++levels[depth];
      count(child, depth + 1, levels);
    }
  }

  std::mt19937 random_;
  plain_tree plain_;
  state s_;
  tests::map_source rows_;
  node_changes unwritten_;
  std::deque<event> waiting_;
  std::uint64_t written_ = 0;
  int last_ = 0;
};

TEST(TreeAtRandom, IsAsAPlainTreeWhateverIsWritten) {
  for (auto seed = 1u; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto tree = random_tree{seed};
    auto random = std::mt19937{seed};
    for (int i = 0; i < 250; ++i) {
      tree.step();
      tree.write(random() % 3);
      if (i % 10 == 0)
        tree.compare();
      if (testing::Test::HasFailure())
        return;
    }
    tree.compare();
    tree.write(tree.unwritten());
    tree.step();  // lets go of what is written
    tree.compare();
  }
}

}  // namespace
}  // namespace orrery::model::tree
