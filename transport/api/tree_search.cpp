// Searches in an asset tree, paths, what a subtree comes to, and changes (group J of the API).
#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>

#include "model/filter/folded.hpp"
#include "transport/api/mirrored.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {
namespace {

namespace tree = model::tree;
namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::size_t max_named = 1'000;       // assets, nodes and models in one question
constexpr std::size_t max_looked_at = 10'000;  // nodes for one page of a search
constexpr std::size_t max_valued = 1'000;      // devices whose points are put together
constexpr std::size_t max_points = 20;

actors::tree_question question(const exchange& e, decltype(actors::tree_question::what) what) {
  return {tree_shard(e), e.who.organisation, std::move(what)};
}

// ---- search -------------------------------------------------------------------------------------

struct node_search : std::enable_shared_from_this<node_search> {
  exchange_ptr e;
  actors::walk_nodes walk;              // where candidates come from
  std::vector<tree::node_ref> named;    // instead, if it is not empty
  std::optional<tree::node_ref> below;  // those above this one, instead
  bool parent_only = false;
  bool with_relation = false;
  std::optional<std::vector<std::string>> models;
  std::string text, kind;  // folded; device or logical
  model::tag_map tags;
  std::size_t limit = 50, looked_at = 0;
  model::array items;

  bool is_wanted(const tree::node& n, const asset_map& assets) const {
    const auto found = n.asset ? assets.find(*n.asset) : assets.end();
    const auto has_tag = [&](const auto& tag) {
      const auto held = n.tags.find(tag.first);
      return held != n.tags.end() && held->second == tag.second;
    };
    if (!kind.empty() && (!n.asset || n.device != (kind == "device")))
      return false;
    if (!text.empty()) {
      const auto has = [&](const std::string& name) {
        return model::filter::folded(name).find(text) != std::string::npos;
      };
      if (!has(n.label) && (found == assets.end() || !has(found->second.name)))
        return false;
    }
    if (models) {
      if (found == assets.end())
        return false;
      const auto shown = show_asset(*e, found->second);
      const auto* of = shown.find("modelId");
      if (!of || std::find(models->begin(), models->end(), of->as_string()) == models->end())
        return false;
    }
    return std::all_of(tags.begin(), tags.end(), has_tag);
  }

  void start() {
    if (below)
      return read_trees(
          e, question(*e, actors::find_nodes{walk.tree, {*below}, true}),
          [self = shared_from_this()](const actors::tree_page& page) { self->take_above(page); });
    if (!named.empty())
      return read_trees(
          e, question(*e, actors::find_nodes{walk.tree, named, true}),
          [self = shared_from_this()](const actors::tree_page& page) { self->take_named(page); });
    next();
  }
  void take_above(const actors::tree_page& page) {
    if (page.nodes.empty())
      return e->fail(unknown_node());
    auto up = actors::tree_page{};
    const auto& of = page.nodes.front();
    for (std::size_t i = 0; i < of.above.size() && (i == 0 || !parent_only); ++i)
      up.nodes.push_back({of.tree, static_cast<std::uint8_t>(of.level - 1 - i), of.above[i], {}});
    std::reverse(up.nodes.begin(), up.nodes.end());
    take(up, true);
  }
  /// Named assets that also have to stand somewhere.
  void take_named(const actors::tree_page& page) {
    if (!with_relation)
      return take(page, true);
    const auto from = *walk.from;
    read_trees(
        e, question(*e, actors::find_nodes{walk.tree, {from}, false}),
        [self = shared_from_this(), page](const actors::tree_page& found) {
          if (found.nodes.empty())
            return self->e->fail(unknown_node());
          const auto& id = found.nodes.front().what.id;
          auto some = actors::tree_page{};
          for (const auto& n : page.nodes) {
            const auto most = self->walk.levels == 0 ? n.above.size() : std::size_t{1};
            const auto end =
                n.above.begin() + static_cast<std::ptrdiff_t>(std::min(most, n.above.size()));
            if (std::any_of(n.above.begin(), end, [&](const auto& up) { return up.id == id; }))
              some.nodes.push_back(n);
          }
          self->take(some, true);
        });
  }
  void next() {
    walk.limit = limit - items.size();
    read_trees(e, question(*e, walk), [self = shared_from_this()](actors::tree_page page) {
      self->take(page, page.next.empty());
    });
  }
  void take(const actors::tree_page& page, bool last) {
    read_assets(e, page.nodes, [self = shared_from_this(), page, last](const asset_map& assets) {
      for (const auto& n : page.nodes)
        if (self->is_wanted(n.what, assets))
          self->items.push_back(show_node(*self->e, n, assets));
      self->looked_at += page.nodes.size();
      if (last)
        return self->e->reply_page(std::move(self->items), {});
      if (self->items.size() >= self->limit || self->looked_at >= max_looked_at)
        return self->e->reply_page(std::move(self->items), page.next);
      self->walk.cursor = page.next;
      self->next();
    });
  }
};

void search(const exchange_ptr& e) {
  const auto body = e->body();
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {body ? nullptr : &body.error(), limit ? nullptr : &limit.error(),
                          cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  const auto id = tree_of(*e);
  if (!id)
    return e->fail(unknown_tree());
  auto f = fields{*body};
  const auto s = std::make_shared<node_search>();
  s->e = e;
  s->limit = *limit;
  s->walk.tree = *id;
  s->walk.cursor = *cursor;
  s->walk.levels = 0;
  s->walk.with_first = true;
  auto relations = 0;
  for (const auto* name : {"isChildOf", "isDescendantOf"})
    if (const auto ref = ref_field(*e, f, name)) {
      s->walk.from = ref;
      s->walk.levels = name == std::string_view{"isChildOf"} ? 1 : 0;
      s->walk.with_first = false;
      s->with_relation = true;
      ++relations;
    }
  for (const auto* name : {"isParentOf", "isAncestorOf"})
    if (const auto ref = ref_field(*e, f, name)) {
      s->below = ref;
      s->parent_only = name == std::string_view{"isParentOf"};
      ++relations;
    }
  if (const auto ids = f.texts("assetIds", max_named)) {
    for (const auto& text : *ids)
      if (const auto asset = model::parse_entity_id(text))
        s->named.emplace_back(tree::by_asset{*asset});
    if (s->named.empty())
      f.note("assetIds", "type_mismatch", "expected at least one assetId");
  }
  if (relations > 1 || (s->below && !s->named.empty()))
    f.note("isChildOf", "conflict",
           "only one of isChildOf, isParentOf, isAncestorOf and isDescendantOf may be given, and "
           "assetIds with the first and the last alone");
  s->models = f.texts("modelIds", max_named);
  s->text = model::filter::folded(f.text("name", 256).value_or(""));
  s->kind = f.word("kind", {"device", "logical"}).value_or("");
  for (auto& [k, v] : f.text_map("tags", false))
    s->tags[k] = *v;
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  s->start();
}

// ---- paths --------------------------------------------------------------------------------------

model::result<std::vector<tree::node_ref>> ends(const exchange& e, fields& f,
                                                std::string_view name) {
  auto refs = std::vector<tree::node_ref>{};
  for (const auto& text : f.texts(name, 100).value_or(std::vector<std::string>{})) {
    const auto ref = read_ref(e, text);
    if (ref)
      refs.push_back(*ref);
    else
      f.note(name, "type_mismatch", "expected ids of nodes, or asset: and an assetId");
  }
  return refs;
}

/// All paths down from one of `from` (nothing: the root) to one of `to`.
void paths(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto id = tree_of(*e);
  if (!id)
    return e->fail(unknown_tree());
  auto f = fields{*body};
  const auto from = ends(*e, f, "from"), to = ends(*e, f, "to");
  const auto whole = f.word("projection", {"complete", "endNodes"}).value_or("complete") ==
                     std::string_view{"complete"};
  if (to && to->empty())
    f.missing("to");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  auto all = *from;
  all.insert(all.end(), to->begin(), to->end());
  read_trees(
      e, question(*e, actors::find_nodes{*id, all, true}),
      [e, from = *from, to = *to, whole](const actors::tree_page& page) {
        read_assets(e, page.nodes, [=](const asset_map& assets) {
          const auto is_one = [](const std::vector<tree::node_ref>& refs, const tree::node& n) {
            return std::any_of(refs.begin(), refs.end(), [&](const auto& ref) {
              const auto* by = std::get_if<tree::by_node>(&ref);
              return by ? by->id == n.id : n.asset == std::get<tree::by_asset>(ref).id;
            });
          };
          auto items = model::array{};
          auto seen = std::vector<model::entity_id>{};
          for (const auto& n : page.nodes) {
            if (!is_one(to, n.what) || std::find(seen.begin(), seen.end(), n.what.id) != seen.end())
              continue;
            seen.push_back(n.what.id);
            auto down = std::vector<actors::listed_node>{};  // from the root
            for (std::size_t i = n.above.size(); i-- > 0;)
              down.push_back({n.tree, static_cast<std::uint8_t>(down.size() + 1), n.above[i], {}});
            down.push_back({n.tree, n.level, n.what, {}});
            for (std::size_t begin = 0; begin < down.size(); ++begin) {
              if (from.empty() ? begin > 0 : !is_one(from, down[begin].what))
                continue;
              auto nodes = model::array{};
              for (auto i = begin; i < down.size(); ++i)
                if (whole || i == begin || i + 1 == down.size())
                  nodes.push_back(show_node(*e, down[i], assets));
              items.emplace_back(model::object{{"nodes", std::move(nodes)}});
            }
          }
          e->reply(200, model::object{{"items", std::move(items)}});
        });
      });
}

// ---- what a subtree comes to --------------------------------------------------------------------

/// A number of a point over the devices of a subtree.
struct point_sum {
  std::int64_t devices = 0, numbers = 0;
  double least = 0, most = 0, sum = 0;
  model::timestamp newest{};
};

struct node_summary : std::enable_shared_from_this<node_summary> {
  static constexpr std::size_t page_size = 2'000;
  exchange_ptr e;
  actors::tree_place place;
  actors::listed_node of;
  std::vector<std::string> points;
  std::int64_t devices = 0, gone = 0;
  std::map<std::string, std::int64_t> by_status{
      {"online", 0}, {"offline", 0}, {"inactive", 0}, {"disabled", 0}, {"mirror", 0}};
  std::vector<model::entity_id> valued, shown;  // with values of their own, perhaps of others
  std::mutex mutex;
  std::map<std::string, point_sum> sums;
  std::atomic<std::size_t> open{1};
  std::optional<failure> why;

  void count(const std::string& cursor) {
    actors::devices_below(
        *e->parts().query, place, cursor, page_size,
        [self = shared_from_this()](const model::result<actors::device_ids>& got) {
          if (!got)
            return self->e->fail(got.error());
          read_assets(self->e, got->devices,
                      [self, page = *got](const asset_map& found) { self->take(page, found); });
        });
  }
  void take(const actors::device_ids& page, asset_map found) {
    // The place of one that went out of service just now is about to go.
    std::erase_if(found, [](const auto& one) { return one.second.status == "retired"; });
    for (const auto& [id, facts] : found)
      ++by_status[facts.status];
    devices += static_cast<std::int64_t>(found.size());
    gone += static_cast<std::int64_t>(page.devices.size() - found.size());
    if (!points.empty()) {
      if (valued.size() + shown.size() + found.size() > max_valued)
        return e->fail({errc::conflict, "too_many_devices",
                        "points are put together for at most 1,000 devices: ask further down"});
      for (const auto& [id, facts] : found) {
        // What is disabled may be a mirror too.
        auto& those = facts.status == "mirror" || facts.status == "disabled" ? shown : valued;
        those.push_back(id);
      }
    }
    if (!page.next.empty())
      return count(page.next);
    open.fetch_add(valued.size() + shown.size());
    const auto take_values = [self = shared_from_this()](const model::result<latest_values>& got) {
      self->add(got);
      self->settle();
    };
    for (const auto& id : valued)
      read_own_latest(e, id, points, take_values);
    for (const auto& id : shown)
      read_latest(e, id, points, take_values);
    settle();
  }
  void add(const model::result<latest_values>& got) {
    const auto hold = std::lock_guard{mutex};
    if (!got) {
      if (got.error().code != errc::not_found)  // deleted meanwhile
        why = got.error();
      return;
    }
    for (const auto& p : *got) {
      auto& s = sums[std::string{p.id.text()}];
      ++s.devices;
      s.newest = std::max(s.newest, p.time);
      if (!p.v.is_int() && !p.v.is_double())
        continue;
      const auto n = p.v.is_int() ? static_cast<double>(p.v.as_int()) : p.v.as_double();
      s.least = s.numbers == 0 ? n : std::min(s.least, n);
      s.most = s.numbers == 0 ? n : std::max(s.most, n);
      s.sum += n;
      ++s.numbers;
    }
  }
  void settle() {
    if (open.fetch_sub(1) != 1)
      return;
    if (why)
      return e->fail(*why);
    auto status = model::object{};
    for (const auto& [name, n] : by_status)
      status.emplace_back(name, n);
    auto o = model::object{
        {"nodeId", to_string(of.what.id)},
        {"nodes", static_cast<std::int64_t>(count_below(of.what)) + 1},
        {"devices", devices},
        {"status", std::move(status)},
    };
    if (!points.empty()) {
      auto shown = model::object{};
      for (const auto& [id, s] : sums) {
        auto p = model::object{{"devices", s.devices}, {"newest", e->show(s.newest)}};
        if (s.numbers > 0) {
          p.emplace_back("min", s.least);
          p.emplace_back("max", s.most);
          p.emplace_back("sum", s.sum);
          p.emplace_back("mean", s.sum / static_cast<double>(s.numbers));
        }
        shown.emplace_back(id, std::move(p));
      }
      o.emplace_back("points", std::move(shown));
    }
    e->reply(200, std::move(o));
  }
};

void summary(const exchange_ptr& e) {
  const auto id = tree_of(*e);
  const auto which = node_of(*e);
  if (!id || !which)
    return e->fail(id ? unknown_node() : unknown_tree());
  auto points = std::vector<std::string>{};
  for (auto rest = e->query("points"); !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    if (comma > 0)
      points.push_back(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  if (points.size() > max_points)
    return e->fail({errc::invalid_argument, "malformed", "points: at most 20"});
  read_trees(e, question(*e, actors::find_nodes{*id, {*which}, false}),
             [e, id = *id, points](const actors::tree_page& page) {
               if (page.nodes.empty())
                 return e->fail(unknown_node());
               const auto s = std::make_shared<node_summary>();
               s->e = e;
               s->of = page.nodes.front();
               s->place = {e->who.organisation, id, s->of.what.id};
               s->points = points;
               s->count({});
             });
}

// ---- changes ------------------------------------------------------------------------------------

std::string_view name_of(tree::change_note::sort what) {
  constexpr std::string_view names[] = {"tree", "added", "changed", "moved", "removed"};
  return names[static_cast<std::size_t>(what)];
}

void changes(const exchange_ptr& e) {
  const auto id = tree_of(*e);
  const auto limit = e->limit();
  if (!limit)
    return e->fail(limit.error());
  if (!id)
    return e->fail(unknown_tree());
  auto r = actors::read_changes{*id, 0, *limit};
  const auto since = e->query("since");
  const auto [end, error] = std::from_chars(since.data(), since.data() + since.size(), r.since);
  if (!since.empty() && (error != std::errc{} || end != since.data() + since.size()))
    return e->fail({errc::invalid_argument, "malformed", "since: expected a revision"});
  read_trees(e, question(*e, r), [e](const actors::tree_page& page) {
    auto items = model::array{};
    for (const auto& c : page.changes) {
      auto notes = model::array{};
      for (const auto& n : c.what) {
        auto o = model::object{{"what", name_of(n.what)}};
        if (n.node)
          o.emplace_back("nodeId", to_string(*n.node));
        notes.emplace_back(std::move(o));
      }
      items.emplace_back(model::object{{"revision", static_cast<std::int64_t>(c.revision)},
                                       {"changes", std::move(notes)}});
    }
    e->reply(200, model::object{{"items", std::move(items)},
                                {"revision", static_cast<std::int64_t>(page.revision)},
                                {"gap", page.gap},
                                {"more", !page.next.empty()}});
  });
}

}  // namespace

std::vector<route> tree_search_routes() {
  return {
      {"POST", "~/trees/{tree}/nodes/search", "tree:read", search, "searchNodes",
       "Nodes by where they stand, by asset, model, name and tags", "NodeSearch", "NodeList", 200,
       "limit cursor"},
      {"POST", "~/trees/{tree}/paths", "tree:read", paths, "searchPaths",
       "Paths down the tree between ends", "PathSearch", "PathList", 200, ""},
      {"GET", "~/trees/{tree}/nodes/{node}/summary", "tree:read", summary, "getNodeSummary",
       "Devices on and below a node by status, and what their points come to", "", "NodeSummary",
       200, "points"},
      {"GET", "~/trees/{tree}/changes", "tree:read", changes, "listTreeChanges",
       "What changed after a revision", "", "TreeChanges", 200, "since limit"},
  };
}

}  // namespace orrery::transport::api
