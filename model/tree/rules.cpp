#include <algorithm>

#include "model/tags.hpp"
#include "model/tree/nodes.hpp"
#include "model/tree/order_key.hpp"
#include "model/tree/tree.hpp"

namespace orrery::model::tree {
namespace {

constexpr std::size_t max_text = 256, max_description = 2'000;

failure refusal_of(errc code, std::string_view reason, std::string detail) {
  return {code, reason, std::move(detail)};
}
failure unknown_node() {
  return refusal_of(errc::not_found, "node_unknown", "the tree has no such node");
}
failure too_deep() {
  return refusal_of(errc::invalid_argument, "depth_exceeded", "a tree has at most 7 levels");
}
failure too_many() {
  return refusal_of(errc::conflict, "too_many_nodes", "more than 10,000 nodes in one step");
}

status check_label(const std::string& label) {
  if (label.size() > max_text)
    return refusal_of(errc::invalid_argument, "label_invalid",
                      "a node's label is at most 256 characters");
  return {};
}

status check_texts(const std::string* name, const std::string* description) {
  if (name && (name->empty() || name->size() > max_text))
    return refusal_of(errc::invalid_argument, "name_invalid",
                      "a tree's name is 1 to 256 characters");
  if (description && description->size() > max_description)
    return refusal_of(errc::invalid_argument, "description_invalid",
                      "a description is at most 2,000 characters");
  return {};
}

former former_of(const node& n) {
  return {n.parent, n.order, n.asset};
}

/// Adds (or takes away) a node and what is below it, `distance` levels below `to`.
void count(node& to, std::size_t distance, const std::vector<std::uint64_t>& below, bool add) {
  if (add)
    to.below.resize(std::max(to.below.size(), distance + below.size()));
  const auto change = [&](std::size_t level, std::uint64_t by) {
    if (level > to.below.size())
      return;
    auto& n = to.below[level - 1];
    n = add ? n + by : n - std::min(n, by);
  };
  change(distance, 1);
  for (std::size_t i = 0; i < below.size(); ++i)
    change(distance + 1 + i, below[i]);
  while (!to.below.empty() && to.below.back() == 0)
    to.below.pop_back();
}

/// One decision under way: nodes as they are with what it has changed so far.
class step {
 public:
  step(const state& s, const surroundings& around)
      : tree_{s}, around_{around}, view_{changes_, around.nodes} {}

  result<placed> add(const placing& what);
  status change(const change_node& what, node& changed);
  status move(const move_node& what, node& moved);
  status remove(const remove_node& what, nodes_removed& gone);
  status release(const entity_id& asset);

  decision over(reply answer) {
    auto d = decision{{}, std::move(answer)};
    auto e = nodes_changed{{}, around_.now};
    for (auto& [id, now] : now_) {
      auto& before = before_[id];
      if (now || before)
        e.all.push_back({id, std::move(now), std::move(before)});
    }
    if (!e.all.empty())
      d.events.emplace_back(std::move(e));
    return d;
  }

 private:
  std::uint64_t revision() const { return tree_.revision + 1; }

  void put(const node& was, node now) {
    before_.try_emplace(was.id, former_of(was));
    keep(former_of(was), std::move(now));
  }
  void put_new(node now) {
    before_.try_emplace(now.id, std::nullopt);
    keep({}, std::move(now));
  }
  void keep(const std::optional<former>& before, node now) {
    changes_.put(now, before, revision());
    const auto id = now.id;
    now_.insert_or_assign(id, std::move(now));
  }
  void erase(const node& was) {
    before_.try_emplace(was.id, former_of(was));
    changes_.erase(was.id, former_of(was), revision());
    now_.insert_or_assign(was.id, std::nullopt);
  }
  /// It was changed itself, and not only the count below it.
  node touched(node n) const {
    n.revision = revision();
    n.updated_at = around_.now;
    return n;
  }

  result<node> find(const node_ref& which,
                    const std::optional<std::uint64_t>& expected = {}) const {
    auto found = resolve(view_, which);
    if (!found)
      return found.error();
    if (!*found)
      return unknown_node();
    if (expected && (*found)->revision != *expected)
      return refusal_of(errc::conflict, "etag_mismatch",
                        "the node is at revision " + std::to_string((*found)->revision) + " now");
    return std::move(**found);
  }
  result<node> find(const entity_id& id) const { return find(by_node{id}); }

  status recount(const std::vector<node>& ancestors, std::size_t distance,
                 const std::vector<std::uint64_t>& below, bool add) {
    for (const auto& a : ancestors) {
      auto now = find(a.id);  // as this step left it
      if (!now)
        return now.error();
      auto counted = *now;
      count(counted, distance++, below, add);
      put(*now, std::move(counted));
    }
    return {};
  }

  result<std::optional<node>> neighbour(const entity_id& parent, std::string_view from,
                                        bool backwards, const entity_id& but) const {
    auto id = std::optional<entity_id>{};
    auto ok = view_.children(parent, from, backwards, [&](auto, const entity_id& child) {
      if (child != but)
        id = child;
      return !id;
    });
    if (!ok)
      return ok.error();
    if (!id)
      return std::optional<node>{};
    return view_.find(*id);
  }
  result<std::vector<node>> children(const entity_id& parent) const;
  /// The key of a place under `parent`; `self` is to get it, and does not count where it is now.
  result<std::string> key_for(const node& parent, const position& where, const entity_id& self);
  result<std::string> key_beside(const node& parent, const position& where, const entity_id& self);
  status spread_anew(const entity_id& parent, const entity_id& but);
  status lift_children(const node& n, const std::vector<node>& ancestors);
  status take_out(const node& n, const std::vector<node>& ancestors, bool promote);
  status gather(const node& top, std::vector<node>& all) const;

  const state& tree_;
  const surroundings& around_;
  node_changes changes_;
  changed_nodes view_;
  std::map<entity_id, std::optional<former>> before_;
  std::map<entity_id, std::optional<node>> now_;
};

result<std::vector<node>> step::children(const entity_id& parent) const {
  auto ids = std::vector<entity_id>{};
  auto ok = view_.children(parent, {}, false, [&](auto, const entity_id& child) {
    ids.push_back(child);
    return ids.size() <= max_at_once;
  });
  if (!ok)
    return ok.error();
  if (ids.size() > max_at_once)
    return too_many();
  auto all = std::vector<node>{};
  all.reserve(ids.size());
  for (const auto& id : ids) {
    auto n = find(id);
    if (!n)
      return n.error();
    all.push_back(std::move(*n));
  }
  return all;
}

result<std::string> step::key_beside(const node& parent, const position& where,
                                     const entity_id& self) {
  if (where.after) {
    const auto after = find(*where.after);
    if (!after)
      return after.error();
    if (after->parent != parent.id || after->id == self)
      return refusal_of(errc::invalid_argument, "after_unknown",
                        "`after` is no other child of the same node");
    const auto next = neighbour(parent.id, place_of(*after), false, self);
    if (!next)
      return next.error();
    return key_between(after->order, *next ? (*next)->order : std::string{});
  }
  const auto end = neighbour(parent.id, {}, !where.first, self);
  if (!end)
    return end.error();
  const auto key = *end ? (*end)->order : std::string{};
  return where.first ? key_between({}, key) : key_between(key, {});
}

result<std::string> step::key_for(const node& parent, const position& where,
                                  const entity_id& self) {
  auto key = key_beside(parent, where, self);
  if (!key || key->size() <= max_order_key)
    return key;
  if (auto ok = spread_anew(parent.id, self); !ok)
    return ok.error();
  return key_beside(parent, where, self);
}

status step::spread_anew(const entity_id& parent, const entity_id& but) {
  auto all = children(parent);
  if (!all)
    return all.error();
  std::erase_if(*all, [&](const node& n) { return n.id == but; });
  const auto keys = keys_between({}, {}, all->size());
  for (const auto& n : *all)  // first all places are free
    changes_.erase(n.id, former_of(n), revision());
  for (std::size_t i = 0; i < all->size(); ++i) {
    const auto& was = (*all)[i];
    auto now = was;
    now.order = keys[i];
    before_.try_emplace(was.id, former_of(was));
    keep({}, std::move(now));
  }
  return {};
}

result<placed> step::add(const placing& what) {
  if (auto ok = check_label(what.label); !ok)
    return ok.error();
  auto tags = tags_after({}, all_tags(what.tags));
  if (!tags)
    return tags.error();
  const auto parent = find(what.parent.value_or(node_ref{by_node{tree_.root}}));
  if (!parent)
    return parent.error();
  auto ancestors = above(view_, *parent);
  if (!ancestors)
    return ancestors.error();
  if (ancestors->size() + 2 > max_depth)
    return too_deep();
  const auto there = view_.holder(what.asset);
  if (!there)
    return there.error();
  if (*there)
    return refusal_of(errc::conflict, "already_on_tree",
                      to_string(what.asset) + " is on the tree already");
  if (const auto same = view_.find(what.node); !same || *same)
    return same ? refusal_of(errc::already_exists, "node_exists", "there is such a node")
                : same.error();
  auto key = key_for(*parent, what.where, what.node);
  if (!key)
    return key.error();
  auto n = touched({.id = what.node,
                    .parent = parent->id,
                    .order = std::move(*key),
                    .asset = what.asset,
                    .device = what.device,
                    .label = what.label,
                    .tags = std::move(*tags),
                    .below = {}});
  n.created_at = around_.now;
  put_new(n);
  ancestors->insert(ancestors->begin(), *parent);
  if (auto ok = recount(*ancestors, 1, {}, true); !ok)
    return ok.error();
  return placed{std::move(n)};
}

status step::change(const change_node& what, node& changed) {
  const auto was = find(what.which, what.expected);
  if (!was)
    return was.error();
  auto now = touched(*was);
  if (what.label)
    now.label = *what.label;
  if (auto ok = check_label(now.label); !ok)
    return ok;
  auto tags = tags_after(std::move(now.tags), what.tags);
  if (!tags)
    return tags.error();
  now.tags = std::move(*tags);
  if (what.asset && what.asset->asset != was->asset) {
    const auto there = view_.holder(what.asset->asset);
    if (!there)
      return there.error();
    if (*there)
      return refusal_of(errc::conflict, "already_on_tree",
                        to_string(what.asset->asset) + " is on the tree already");
    now.asset = what.asset->asset;
    now.device = what.asset->device;
  }
  changed = now;
  put(*was, std::move(now));
  return {};
}

status step::move(const move_node& what, node& moved) {
  const auto was = find(what.which, what.expected);
  if (!was)
    return was.error();
  if (!was->parent)
    return refusal_of(errc::conflict, "root_fixed", "the root of a tree does not move");
  const auto parent = find(what.parent.value_or(node_ref{by_node{*was->parent}}));
  if (!parent)
    return parent.error();
  auto to = above(view_, *parent);
  if (!to)
    return to.error();
  to->insert(to->begin(), *parent);
  if (std::any_of(to->begin(), to->end(), [&](const node& n) { return n.id == was->id; }))
    return refusal_of(errc::conflict, "cycle", "a node cannot stand below itself");
  if (to->size() + 1 + was->below.size() > max_depth)
    return too_deep();
  auto key = key_for(*parent, what.where, was->id);
  if (!key)
    return key.error();
  auto now = touched(*was);
  now.parent = parent->id;
  now.order = std::move(*key);
  moved = now;
  put(*was, std::move(now));
  if (*was->parent == parent->id)
    return {};
  const auto from = above(view_, *was);
  if (!from)
    return from.error();
  if (auto ok = recount(*from, 1, was->below, false); !ok)
    return ok;
  return recount(*to, 1, was->below, true);
}

/// What is below `n` takes its place; `n` itself has been taken out.
status step::lift_children(const node& n, const std::vector<node>& ancestors) {
  const auto all = children(n.id);
  if (!all)
    return all.error();
  const auto next = neighbour(*n.parent, place_of(n), false, n.id);
  if (!next)
    return next.error();
  auto keys = keys_between(n.order, *next ? (*next)->order : std::string{}, all->size());
  for (std::size_t i = 0; i < all->size(); ++i) {
    const auto& was = (*all)[i];
    auto now = touched(was);
    now.parent = n.parent;
    now.order = std::move(keys[i]);
    put(was, std::move(now));
    if (auto ok = recount(ancestors, 1, was.below, true); !ok)
      return ok;
  }
  return {};
}

status step::take_out(const node& n, const std::vector<node>& ancestors, bool promote) {
  if (auto ok = recount(ancestors, 1, n.below, false); !ok)
    return ok;
  if (promote && !n.below.empty())
    if (auto ok = lift_children(n, ancestors); !ok)
      return ok;
  erase(n);
  return {};
}

status step::gather(const node& top, std::vector<node>& all) const {
  auto below = children(top.id);
  if (!below)
    return below.error();
  for (auto& n : *below) {
    const auto leaf = n.below.empty();
    all.push_back(std::move(n));
    if (!leaf)
      if (auto ok = gather(node{all.back()}, all); !ok)
        return ok;
  }
  return {};
}

status step::remove(const remove_node& what, nodes_removed& gone) {
  const auto n = find(what.which, what.expected);
  if (!n)
    return n.error();
  if (!n->parent)
    return refusal_of(errc::conflict, "root_fixed", "the root goes with its tree");
  if (what.children == orphans::refuse && !n->below.empty())
    return refusal_of(errc::conflict, "has_children", "the node has children");
  const auto ancestors = above(view_, *n);
  if (!ancestors)
    return ancestors.error();
  auto below = std::vector<node>{};
  if (what.children == orphans::remove) {
    if (count_below(*n) >= max_at_once)
      return too_many();
    if (auto ok = gather(*n, below); !ok)
      return ok;
  }
  if (auto ok = take_out(*n, *ancestors, what.children == orphans::promote); !ok)
    return ok;
  for (const auto& other : below)
    erase(other);
  below.push_back(*n);
  gone.nodes = below.size();
  for (const auto& other : below)
    if (other.asset && !other.device)
      gone.logical.push_back(*other.asset);
  return {};
}

status step::release(const entity_id& asset) {
  const auto holder = view_.holder(asset);
  if (!holder)
    return holder.error();
  if (!*holder)
    return {};
  const auto n = find(**holder);
  if (!n)
    return n.error();
  if (n->parent && children_of(*n) <= max_at_once) {
    const auto ancestors = above(view_, *n);
    if (!ancestors)
      return ancestors.error();
    return take_out(*n, *ancestors, true);
  }
  auto now = touched(*n);
  now.asset = std::nullopt;
  now.device = false;
  put(*n, std::move(now));
  return {};
}

// ---- commands -----------------------------------------------------------------------------------

decision shown(const state& s, event e, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  tree::apply(*after, e);
  auto d = decision{{}, tree_snapshot{around.self, std::move(after)}};
  d.events.push_back(std::move(e));
  return d;
}

result<decision> decide_on(const state& s, const create_tree& c, const surroundings& around) {
  if (s.exists || s.deleted)
    return refusal_of(errc::already_exists, "tree_exists", "there is such a tree");
  auto ok = check_texts(&c.name, &c.description);
  if (ok)
    ok = check_label(c.root.label);
  if (!ok)
    return ok.error();
  for (const auto* tags : {&c.tags, &c.root.tags})
    if (const auto kept = tags_after({}, all_tags(*tags)); !kept)
      return kept.error();
  auto root = node{.id = c.root.node,
                   .parent = {},
                   .order = {},
                   .asset = c.root.asset,
                   .device = c.root.device,
                   .label = c.root.label,
                   .tags = c.root.tags,
                   .below = {},
                   .revision = 1,
                   .created_at = around.now,
                   .updated_at = around.now};
  return shown(s, created{c, std::move(root), around.now}, around);
}

result<decision> decide_on(const state& s, const change_tree& c, const surroundings& around) {
  if (auto ok = check_texts(c.name ? &*c.name : nullptr, c.description ? &*c.description : nullptr);
      !ok)
    return ok.error();
  if (const auto tags = tags_after(s.tags, c.tags); !tags)
    return tags.error();
  return shown(s, changed{c, around.now}, around);
}

result<decision> decide_on(const state& s, const remove_tree& r, const surroundings& around) {
  if (s.nodes > 1 && !r.cascade)
    return refusal_of(errc::conflict, "tree_not_empty", "the tree has more than its root");
  return shown(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const read_tree&, const surroundings& around) {
  return decision{{}, tree_snapshot{around.self, std::make_shared<const state>(s)}};
}

std::optional<refusal> refused_item(const failure& why) {
  switch (why.code) {
    case errc::invalid_argument:
      return refusal{refusal::sort::invalid, why.reason, why.detail};
    case errc::not_found:
      return refusal{refusal::sort::not_found, why.reason, why.detail};
    case errc::conflict:
    case errc::already_exists:
      return refusal{refusal::sort::conflict, why.reason, why.detail};
    default:
      return std::nullopt;  // nothing of the question can be decided
  }
}

result<decision> decide_on(const state& s, const add_nodes& a, const surroundings& around) {
  if (a.items.size() > max_batch)
    return refusal_of(errc::too_large, "too_many_nodes", "at most 1,000 nodes in one question");
  auto now = step{s, around};
  auto done = nodes_placed{};
  for (const auto& item : a.items) {
    auto one = now.add(item);
    if (one) {
      done.items.push_back(std::move(*one));
      continue;
    }
    auto why = refused_item(one.error());
    if (!why || a.together)
      return one.error();
    done.items.emplace_back(std::move(*why));
  }
  return now.over(std::move(done));
}

result<decision> decide_on(const state& s, const change_node& c, const surroundings& around) {
  auto now = step{s, around};
  auto n = node{};
  if (auto ok = now.change(c, n); !ok)
    return ok.error();
  return now.over(nodes_placed{{std::move(n)}});
}

result<decision> decide_on(const state& s, const move_node& m, const surroundings& around) {
  auto now = step{s, around};
  auto n = node{};
  if (auto ok = now.move(m, n); !ok)
    return ok.error();
  return now.over(nodes_placed{{std::move(n)}});
}

result<decision> decide_on(const state& s, const remove_node& r, const surroundings& around) {
  auto now = step{s, around};
  auto gone = nodes_removed{};
  if (auto ok = now.remove(r, gone); !ok)
    return ok.error();
  return now.over(std::move(gone));
}

result<decision> decide_on(const state& s, const release_asset& r, const surroundings& around) {
  auto now = step{s, around};
  if (auto ok = now.release(r.asset); !ok)
    return ok.error();
  return now.over(done{});
}

// ---- events -------------------------------------------------------------------------------------

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.organisation = e.as.organisation;
  s.name = e.as.name;
  s.description = e.as.description;
  s.tags = e.as.tags;
  s.root = e.root.id;
  s.nodes = 1;
  s.created_at = s.updated_at = e.at;
}
void apply_on(state& s, const changed& e) {
  if (e.what.name)
    s.name = *e.what.name;
  if (e.what.description)
    s.description = *e.what.description;
  merge_tags(s.tags, e.what.tags);
  s.updated_at = e.at;
}
void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}
void apply_on(state& s, const nodes_changed& e) {
  for (const auto& c : e.all)
    s.nodes = s.nodes + (c.before ? 0 : 1) - (c.now ? 0 : 1);
  s.updated_at = e.at;
}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  const auto hidden = s.exists && !c.organisation.empty() && c.organisation != s.organisation;
  if (hidden || (!s.exists && !std::holds_alternative<create_tree>(c.what)))
    return refusal_of(errc::not_found, "tree_unknown", "no such tree");
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

std::vector<change_note> notes_of(const event& e, std::uint64_t revision) {
  const auto* nodes = std::get_if<nodes_changed>(&e);
  if (!nodes)
    return {{change_note::sort::tree, {}}};
  auto notes = std::vector<change_note>{};
  for (const auto& c : nodes->all) {
    if (!c.now)
      notes.push_back({change_note::sort::removed, c.id});
    else if (!c.before)
      notes.push_back({change_note::sort::added, c.id});
    else if (c.before->parent != c.now->parent || c.before->order != c.now->order)
      notes.push_back({change_note::sort::moved, c.id});
    else if (c.now->revision == revision)
      notes.push_back({change_note::sort::changed, c.id});
  }
  return notes;
}

}  // namespace orrery::model::tree
