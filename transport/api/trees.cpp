// Asset trees and their nodes (group J of the API): what changes them, and single reads.
#include <algorithm>
#include <atomic>

#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {
namespace {

namespace tree = model::tree;
using model::errc;
using model::failure;

constexpr std::size_t max_trees = 50;

actors::tree_question question(const exchange& e, decltype(actors::tree_question::what) what) {
  return {tree_shard(e), e.who.organisation, std::move(what)};
}

// ---- trees --------------------------------------------------------------------------------------

void list(const exchange_ptr& e) {
  read_trees(e, question(*e, actors::list_trees{}), [e](const actors::tree_page& page) {
    auto items = model::array{};
    for (const auto& t : page.trees)
      items.push_back(show_tree(*e, t.id, t.what));
    e->reply(200, model::object{{"items", std::move(items)}});
  });
}

void reply_tree(const exchange_ptr& e, int status, const actors::outcome& done) {
  const auto& t = *tree_reply<tree::tree_snapshot>(done);
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(done.revision));
  e->reply(status, show_tree(*e, t.id, *t.what), std::move(h));
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = tree::create_tree{};
  c.organisation = e->who.organisation;
  c.name = f.text("name", 256).value_or("");
  c.description = f.text("description", 2'000).value_or("");
  for (auto& [k, v] : f.text_map("tags", false))
    c.tags[k] = *v;
  if (c.name.empty())
    f.missing("name");
  const auto wanted = std::make_shared<std::vector<wanted_asset>>();
  if (const auto* root = f.any("root")) {
    auto g = fields{*root, "/root"};
    wanted->push_back(asset_fields(*e, g, "/root"));
    c.root.label = g.text("label", 256).value_or("");
    for (auto& [k, v] : g.text_map("tags", false))
      c.root.tags[k] = *v;
    (void)g.finish();
    std::move(g.problems.begin(), g.problems.end(), std::back_inserter(f.problems));
  } else {
    f.missing("root");
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  read_trees(e, question(*e, actors::list_trees{}), [=](const actors::tree_page& page) {
    if (page.trees.size() >= max_trees)
      return e->fail({errc::conflict, "too_many_trees", "an organisation has at most 50 trees"});
    find_assets(e, wanted, [=]() mutable {
      const auto& w = wanted->front();
      if (!w.found)
        return e->fail(*w.why);
      const auto id =
          model::make_entity_id(tree_shard(*e), e->parts().now(), model::random_entropy());
      c.root.node = model::make_entity_id(id.shard, e->parts().now(), model::random_entropy());
      c.root.asset = *w.found;
      c.root.device = w.device;
      e->parts().ask->ask(id, tree_order(*e, std::move(c)), [=](const actors::answer& got) {
        if (!got)
          return drop_made(e, *wanted, [e, why = got.error()] { e->fail(why); });
        reply_tree(e, 201, *got);
      });
    });
  });
}

/// Asks the tree of the route; a failure is the answer.
void ask_tree(const exchange_ptr& e, tree::order what, std::optional<std::uint64_t> expected,
              std::function<void(const actors::outcome&)> then) {
  const auto id = tree_of(*e);
  if (!id)
    return e->fail(unknown_tree());
  e->ask(*id, tree_order(*e, std::move(what), expected), std::move(then));
}

/// The tree before a change, for the audit log.
void look_before(const exchange_ptr& e, std::function<void()> then) {
  ask_tree(e, tree::read_tree{}, {}, [e, then = std::move(then)](const actors::outcome& done) {
    if (const auto* found = tree_reply<tree::tree_snapshot>(done))
      e->was(show_tree(*e, found->id, *found->what));
    then();
  });
}

/// One of its nodes.
void look_before(const exchange_ptr& e, const tree::node_ref& which, std::function<void()> then) {
  read_trees(e, question(*e, actors::find_nodes{*tree_of(*e), {which}, false}),
             [e, then = std::move(then)](const actors::tree_page& page) {
               if (page.nodes.empty())
                 return then();  // the tree says so
               read_assets(e, page.nodes, [e, then, page](const asset_map& assets) {
                 e->was(show_node(*e, page.nodes.front(), assets));
                 then();
               });
             });
}

void get(const exchange_ptr& e) {
  ask_tree(e, tree::read_tree{}, {},
           [e](const actors::outcome& done) { reply_tree(e, 200, done); });
}

void update(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto body = e->body();
  for (const auto* why : {expected ? nullptr : &expected.error(), body ? nullptr : &body.error()})
    if (why)
      return e->fail(*why);
  auto f = fields{*body};
  auto c = tree::change_tree{};
  c.name = f.text("name", 256);
  c.description = f.text("description", 2'000);
  c.tags = f.text_map("tags", true);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  look_before(e, [e, c, expected = *expected] {
    ask_tree(e, c, expected, [e](const actors::outcome& done) { reply_tree(e, 200, done); });
  });
}

/// ?name=true or false; a failure for anything else.
model::result<bool> truth(const exchange& e, std::string_view name) {
  const auto text = e.query(name);
  if (text.empty() || text == "false" || text == "true")
    return text == "true";
  return failure{errc::invalid_argument, "malformed",
                 std::string{name} + ": expected true or false"};
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto cascade = truth(*e, "cascade");
  for (const auto* why :
       {expected ? nullptr : &expected.error(), cascade ? nullptr : &cascade.error()})
    if (why)
      return e->fail(*why);
  look_before(e, [e, cascade = *cascade, expected = *expected] {
    ask_tree(e, tree::remove_tree{cascade}, expected, [e](const actors::outcome& done) {
      e->reply_empty(204, exchange::revision_headers(done));
    });
  });
}

// ---- nodes --------------------------------------------------------------------------------------

void nodes(const exchange_ptr& e) {
  const auto id = tree_of(*e);
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  if (!id)
    return e->fail(unknown_tree());
  auto walk = actors::walk_nodes{};
  walk.tree = *id;
  walk.limit = *limit;
  walk.cursor = *cursor;
  if (const auto depth = e->query("depth"); !depth.empty()) {
    if (depth.size() != 1 || depth[0] < '1' || depth[0] > '6')
      return e->fail({errc::invalid_argument, "malformed", "depth: expected 1 to 6"});
    walk.levels = static_cast<std::uint8_t>(depth[0] - '0');
  }
  if (const auto parent = e->query("parent"); !parent.empty()) {
    walk.from = read_ref(*e, parent);
    if (!walk.from)
      return e->fail(unknown_node());
  } else {
    walk.with_first = true;
  }
  read_trees(e, question(*e, std::move(walk)), [e](const actors::tree_page& page) {
    read_assets(e, page.nodes, [e, page](const asset_map& assets) {
      auto items = model::array{};
      for (const auto& n : page.nodes)
        items.push_back(show_node(*e, n, assets));
      e->reply_page(std::move(items), page.next);
    });
  });
}

/// Replies with one node as it is now.
void reply_node(const exchange_ptr& e, int status, const tree::node_ref& which,
                exchange::headers h) {
  read_trees(e, question(*e, actors::find_nodes{*tree_of(*e), {which}, false}),
             [e, status, h = std::move(h)](const actors::tree_page& page) {
               if (page.nodes.empty())
                 return e->fail(unknown_node());
               read_assets(e, page.nodes, [=](const asset_map& assets) {
                 const auto& n = page.nodes.front();
                 auto more = h;
                 more.emplace_back("ETag", exchange::etag(n.what.revision));
                 e->reply(status, show_node(*e, n, assets), std::move(more));
               });
             });
}

void get_node(const exchange_ptr& e) {
  const auto which = node_of(*e);
  if (!tree_of(*e) || !which)
    return e->fail(tree_of(*e) ? unknown_node() : unknown_tree());
  reply_node(e, 200, *which, {});
}

/// Nodes that are to be added: what each asks for, then what became of it.
struct addition : std::enable_shared_from_this<addition> {
  exchange_ptr e;
  bool single = false, together = false;
  std::vector<tree::placing> items;
  std::vector<std::optional<failure>> unread;  // what is wrong with an item itself
  std::shared_ptr<std::vector<wanted_asset>> wanted = std::make_shared<std::vector<wanted_asset>>();

  model::status read(const model::value& from, const std::string& where) {
    auto f = fields{from, where};
    auto& p = items.emplace_back();
    p.node = model::make_entity_id(tree_shard(*e), e->parts().now(), model::random_entropy());
    p.parent = ref_field(*e, f, "parent");
    p.where = position_field(*e, f);
    p.label = f.text("label", 256).value_or("");
    for (auto& [k, v] : f.text_map("tags", false))
      p.tags[k] = *v;
    wanted->push_back(asset_fields(*e, f, where));
    return f.finish();
  }

  void start() {
    find_assets(e, wanted, [self = shared_from_this()] { self->ask(); });
  }
  std::optional<failure> fault(std::size_t i) const {
    return unread[i] ? unread[i] : (*wanted)[i].why;
  }
  void ask() {
    auto order = tree::add_nodes{};
    order.together = together;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (const auto why = fault(i)) {
        if (together)
          return give_up(*why);
        continue;
      }
      auto& p = order.items.emplace_back(items[i]);
      p.asset = *(*wanted)[i].found;
      p.device = (*wanted)[i].device;
    }
    e->parts().ask->ask(*tree_of(*e), tree_order(*e, std::move(order)),
                        [self = shared_from_this()](const actors::answer& got) {
                          if (got)
                            self->show(*got);
                          else
                            self->give_up(got.error());
                        });
  }
  void give_up(const failure& why) {
    drop_made(e, *wanted, [kept = e, why] { kept->fail(why); });
  }
  void show(const actors::outcome& done) {
    auto h = exchange::revision_headers(done);
    if (single)
      return reply_node(e, 201, tree::by_node{items.front().node}, std::move(h));
    auto ids = std::vector<tree::node_ref>{};
    const auto* reply = tree_reply<tree::nodes_placed>(done);
    auto refused = std::map<std::size_t, failure>{};
    auto next = std::size_t{0};
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (auto why = fault(i)) {
        refused.emplace(i, *why);
        continue;
      }
      if (const auto* why = std::get_if<tree::refusal>(&reply->items[next++]))
        refused.emplace(i, failure_of(*why));
      else
        ids.emplace_back(tree::by_node{items[i].node});
    }
    auto unused = std::vector<wanted_asset>{};
    for (const auto& [i, why] : refused)
      unused.push_back((*wanted)[i]);
    drop_made(e, unused, [self = shared_from_this(), ids = std::move(ids), refused, h] {
      read_trees(self->e, question(*self->e, actors::find_nodes{*tree_of(*self->e), ids, false}),
                 [self, refused, h](const actors::tree_page& page) {
                   read_assets(self->e, page.nodes, [=](const asset_map& assets) {
                     self->reply(page, assets, refused, h);
                   });
                 });
    });
  }
  void reply(const actors::tree_page& page, const asset_map& assets,
             const std::map<std::size_t, failure>& refused, exchange::headers h) {
    auto results = model::array{};
    for (std::size_t i = 0; i < items.size(); ++i) {
      auto o = model::object{{"index", static_cast<std::int64_t>(i)}};
      if (const auto why = refused.find(i); why != refused.end()) {
        o.emplace_back("status", status_of(why->second));
        o.emplace_back("error", problem_object(why->second, "", e->request_id()));
      } else {
        o.emplace_back("status", 201);
        o.emplace_back("id", to_string(items[i].node));
        for (const auto& n : page.nodes)
          if (n.what.id == items[i].node)
            o.emplace_back("node", show_node(*e, n, assets));
      }
      results.emplace_back(std::move(o));
    }
    const auto failed = static_cast<std::int64_t>(refused.size());
    e->reply(200,
             model::object{{"results", std::move(results)},
                           {"ok", static_cast<std::int64_t>(items.size()) - failed},
                           {"failed", failed}},
             std::move(h));
  }
};

void add_node(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!tree_of(*e))
    return e->fail(unknown_tree());
  const auto a = std::make_shared<addition>();
  a->e = e;
  a->single = a->together = true;
  a->unread.resize(1);
  if (auto ok = a->read(*body, ""); !ok)
    return e->fail(ok.error());
  a->start();
}

void add_nodes(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!tree_of(*e))
    return e->fail(unknown_tree());
  auto f = fields{*body};
  const auto* items = f.array("items", tree::max_batch);
  const auto a = std::make_shared<addition>();
  a->e = e;
  a->together = f.truth("atomic").value_or(false);
  if (!items)
    f.missing("items");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  for (std::size_t i = 0; i < items->size(); ++i) {
    auto ok = a->read((*items)[i], "/items/" + std::to_string(i));
    a->unread.push_back(ok ? std::nullopt : std::optional{ok.error()});
    if (ok)
      continue;
    if (a->together)
      return e->fail(ok.error());
    (*a->wanted)[i] = {};  // nothing is looked for
  }
  a->start();
}

void change_node(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto body = e->body();
  for (const auto* why : {expected ? nullptr : &expected.error(), body ? nullptr : &body.error()})
    if (why)
      return e->fail(*why);
  const auto which = node_of(*e);
  if (!tree_of(*e) || !which)
    return e->fail(tree_of(*e) ? unknown_node() : unknown_tree());
  auto f = fields{*body};
  auto c = tree::change_node{};
  c.which = *which;
  c.expected = *expected;
  c.label = f.text("label", 256);
  c.tags = f.text_map("tags", true);
  const auto wanted = std::make_shared<std::vector<wanted_asset>>();
  if (f.has("assetId"))
    wanted->push_back(asset_fields(*e, f, ""));
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  find_assets(e, wanted, [=]() mutable {
    for (const auto& w : *wanted) {
      if (!w.found)
        return e->fail(*w.why);
      c.asset = tree::binding{*w.found, w.device};
    }
    look_before(e, c.which, [e, c] {
      ask_tree(e, c, {}, [e](const actors::outcome& done) {
        const auto& n = std::get<tree::node>(tree_reply<tree::nodes_placed>(done)->items.front());
        reply_node(e, 200, tree::by_node{n.id}, exchange::revision_headers(done));
      });
    });
  });
}

void move_node(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto body = e->body();
  for (const auto* why : {expected ? nullptr : &expected.error(), body ? nullptr : &body.error()})
    if (why)
      return e->fail(*why);
  const auto which = node_of(*e);
  if (!tree_of(*e) || !which)
    return e->fail(tree_of(*e) ? unknown_node() : unknown_tree());
  auto f = fields{*body};
  auto m = tree::move_node{};
  m.which = *which;
  m.expected = *expected;
  m.parent = ref_field(*e, f, "parent");
  m.where = position_field(*e, f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  look_before(e, m.which, [e, m] {
    ask_tree(e, m, {}, [e](const actors::outcome& done) {
      const auto& n = std::get<tree::node>(tree_reply<tree::nodes_placed>(done)->items.front());
      reply_node(e, 200, tree::by_node{n.id}, exchange::revision_headers(done));
    });
  });
}

/// Deletes those of the logical assets that are on no tree any more, then calls back.
void delete_unused(const exchange_ptr& e, const std::vector<model::entity_id>& ids,
                   const std::function<void()>& then) {
  if (ids.empty())
    return then();
  read_trees(e, question(*e, actors::find_assets{ids}), [=](const actors::tree_page& page) {
    auto unused = ids;
    for (const auto& n : page.nodes)
      std::erase(unused, *n.what.asset);
    auto open = std::make_shared<std::atomic<std::size_t>>(unused.size() + 1);
    const auto settle = [open, then](const actors::answer&) {
      if (open->fetch_sub(1) == 1)
        then();
    };
    for (const auto& id : unused)
      e->parts().ask->ask(id, asset_order(*e, model::asset::remove_asset{}), settle);
    settle(actors::outcome{});
  });
}

void remove_node(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto with_assets = truth(*e, "deleteLogicalAssets");
  for (const auto* why :
       {expected ? nullptr : &expected.error(), with_assets ? nullptr : &with_assets.error()})
    if (why)
      return e->fail(*why);
  const auto which = node_of(*e);
  if (!tree_of(*e) || !which)
    return e->fail(tree_of(*e) ? unknown_node() : unknown_tree());
  const auto children = e->query("children");
  if (!children.empty() && children != "refuse" && children != "promote" && children != "remove")
    return e->fail(
        {errc::invalid_argument, "malformed", "children: expected refuse, promote or remove"});
  const auto mode = children == "promote"  ? tree::orphans::promote
                    : children == "remove" ? tree::orphans::remove
                                           : tree::orphans::refuse;
  look_before(e, *which,
              [e, with_assets = *with_assets, order = tree::remove_node{*which, mode, *expected}] {
                ask_tree(e, order, {}, [e, with_assets](const actors::outcome& done) {
                  auto h = exchange::revision_headers(done);
                  if (!with_assets)
                    return e->reply_empty(204, std::move(h));
                  delete_unused(e, tree_reply<tree::nodes_removed>(done)->logical,
                                [e, h = std::move(h)] { e->reply_empty(204, h); });
                });
              });
}

}  // namespace

std::vector<route> tree_routes() {
  return {
      {"GET", "~/trees", "tree:read", list, "listTrees", "All asset trees", "", "TreeList", 200,
       ""},
      {"POST", "~/trees", "tree:write", create, "createTree", "Make a tree with its root",
       "NewTree", "Tree", 201, ""},
      {"GET", "~/trees/{tree}", "tree:read", get, "getTree", "A tree", "", "Tree", 200, ""},
      {"PATCH", "~/trees/{tree}", "tree:write", update, "updateTree",
       "Change a tree's name, description and tags", "TreeChange", "Tree", 200, ""},
      {"DELETE", "~/trees/{tree}", "tree:write", remove, "deleteTree",
       "Delete a tree; its assets stay", "", "", 204, "cascade"},
      {"GET", "~/trees/{tree}/nodes", "tree:read", nodes, "listNodes",
       "The root and what is below it, or what is below a node, level by level", "", "NodeList",
       200, "parent depth limit cursor"},
      {"POST", "~/trees/{tree}/nodes", "tree:write", add_node, "addNode",
       "Put a device, a logical asset or a new one on the tree", "NewNode", "Node", 201, ""},
      {"POST", "~/trees/{tree}/nodes:batch", "tree:write", add_nodes, "addNodes",
       "Put up to 1,000 assets on the tree", "NewNodes", "NodeBatchResult", 200, ""},
      {"GET", "~/trees/{tree}/nodes/{node}", "tree:read", get_node, "getNode", "A node", "", "Node",
       200, ""},
      {"PATCH", "~/trees/{tree}/nodes/{node}", "tree:write", change_node, "updateNode",
       "Change a node's label and tags, or the asset on it", "NodeChange", "Node", 200, ""},
      {"POST", "~/trees/{tree}/nodes/{node}:move", "tree:write", move_node, "moveNode",
       "Move a node with all that is below it", "NodeMove", "Node", 200, ""},
      {"DELETE", "~/trees/{tree}/nodes/{node}", "tree:write", remove_node, "deleteNode",
       "Take a node off the tree", "", "", 204, "children deleteLogicalAssets"},
  };
}

}  // namespace orrery::transport::api
