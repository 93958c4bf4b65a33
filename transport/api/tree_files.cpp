// Whole trees: import, export and clone (group J of the API).
#include <algorithm>

#include "model/json.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {
namespace {

namespace tree = model::tree;
using model::errc;
using model::failure;

constexpr std::size_t max_nodes = 10'000;  // of a tree that is handled in one request

const csv_row columns = {"node", "parent",  "assetId", "productKey", "deviceKey",
                         "name", "modelId", "label",   "tags"};

actors::tree_question question(const exchange& e, decltype(actors::tree_question::what) what) {
  return {tree_shard(e), e.who.organisation, std::move(what)};
}

failure too_many_nodes() {
  return {errc::too_large, "too_many_nodes", "at most 10,000 nodes in one request"};
}

// ---- a tree that is made of rows ----------------------------------------------------------------

struct tree_row {
  std::string key, parent;  // names of nodes among the rows
  std::string label;
  model::tag_map tags;
};

struct tree_builder : std::enable_shared_from_this<tree_builder> {
  exchange_ptr e;
  std::string name, description;
  model::tag_map tags;
  std::vector<tree_row> rows;  // the root first, each behind its parent
  std::shared_ptr<std::vector<wanted_asset>> wanted =
      std::make_shared<std::vector<wanted_asset>>();  // of each row
  std::map<std::string, model::entity_id> ids;        // nodes by key
  model::entity_id id;
  std::size_t done = 0;

  void start() {
    if (auto ok = check(); !ok)
      return e->fail(ok.error());
    find_assets(e, wanted, [self = shared_from_this()] { self->create(); });
  }
  static std::string row_name(std::size_t i) { return "row " + std::to_string(i + 1) + ": "; }

  model::status check() {
    if (rows.size() > max_nodes)
      return too_many_nodes();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& r = rows[i];
      auto wrong = std::string{};
      if (r.key.empty() || ids.contains(r.key))
        wrong = "its name is empty or taken";
      else if (i == 0 && !r.parent.empty())
        wrong = "the first one is the root and has no parent";
      else if (i > 0 && !ids.contains(r.parent))
        wrong = "its parent does not stand before it";
      if (!wrong.empty())
        return failure{errc::invalid_argument, "import_invalid", row_name(i) + wrong};
      ids.emplace(r.key, fresh());
    }
    if (rows.empty())
      return failure{errc::invalid_argument, "import_invalid", "there are no rows"};
    return {};
  }
  model::entity_id fresh() const {
    return model::make_entity_id(tree_shard(*e), e->parts().now(), model::random_entropy());
  }
  tree::placing placing_of(std::size_t i) const {
    auto p = tree::placing{};
    p.node = ids.at(rows[i].key);
    if (i > 0)
      p.parent = tree::by_node{ids.at(rows[i].parent)};
    p.asset = *(*wanted)[i].found;
    p.device = (*wanted)[i].device;
    p.label = rows[i].label;
    p.tags = rows[i].tags;
    return p;
  }
  void create() {
    for (std::size_t i = 0; i < wanted->size(); ++i)
      if (const auto& why = (*wanted)[i].why)
        return give_up({why->code, why->reason, row_name(i) + why->detail});
    id = fresh();
    auto c = tree::create_tree{e->who.organisation, name, description, tags, placing_of(0)};
    e->parts().ask->ask(id, tree_order(*e, std::move(c)),
                        [self = shared_from_this()](const actors::answer& got) {
                          self->done = 1;
                          if (got)
                            return self->add();
                          self->give_up(got.error());
                        });
  }
  void add() {
    if (done == rows.size())
      return show();
    auto order = tree::add_nodes{};
    order.together = true;
    const auto end = std::min(rows.size(), done + tree::max_batch);
    for (; done < end; ++done)
      order.items.push_back(placing_of(done));
    e->parts().ask->ask(id, tree_order(*e, std::move(order)),
                        [self = shared_from_this()](const actors::answer& got) {
                          if (got)
                            self->add();
                          else
                            self->take_back(got.error());
                        });
  }
  void give_up(const failure& why) {
    drop_made(e, *wanted, [kept = e, why] { kept->fail(why); });
  }
  void take_back(const failure& why) {
    e->parts().ask->ask(
        id, tree_order(*e, tree::remove_tree{true}),
        [self = shared_from_this(), why](const actors::answer&) { self->give_up(why); });
  }
  void show() {
    e->ask(id, tree_order(*e, tree::read_tree{}),
           [self = shared_from_this()](const actors::outcome& got) {
             auto h = exchange::revision_headers(got);
             h.emplace_back("ETag", exchange::etag(got.revision));
             const auto& t = *tree_reply<tree::tree_snapshot>(got);
             self->e->reply(201, show_tree(*self->e, t.id, *t.what), std::move(h));
           });
  }
};

// ---- import -------------------------------------------------------------------------------------

/// One row of a file, whatever its form: members as those of `columns`.
model::status read_row(const exchange& e, const model::value& from, const std::string& where,
                       tree_builder& into) {
  auto f = fields{from, where};
  auto& row = into.rows.emplace_back();
  auto& w = into.wanted->emplace_back();
  row.key = f.text("node", 256).value_or("");
  row.parent = f.text("parent", 256).value_or("");
  row.label = f.text("label", 256).value_or("");
  for (auto& [k, v] : f.text_map("tags", false))
    row.tags[k] = *v;
  if (const auto id = f.text("assetId", 64); id && !id->empty()) {
    w.id = model::parse_entity_id(*id);
    if (!w.id)
      f.note("assetId", "type_mismatch", "expected an assetId");
  }
  const auto product = f.text("productKey", 20).value_or(""),
             device = f.text("deviceKey", 64).value_or("");
  const auto name = f.text("name", 256).value_or(""), of = f.text("modelId", 64).value_or("");
  if (!product.empty()) {
    w.name = model::device_name{product, device};
  } else if (!name.empty()) {
    w.fresh = model::asset::create_asset{};
    w.fresh->organisation = e.who.organisation;
    w.fresh->name = name;
    w.fresh->model_id = of;
  } else if (!w.id) {
    f.note("assetId", "required_missing",
           "expected an assetId, productKey with deviceKey, or a name");
  }
  return f.finish();
}

model::result<model::value> value_of(const csv_row& titles, const csv_row& row) {
  auto o = model::object{};
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i >= titles.size())
      return failure{errc::invalid_argument, "import_invalid", "more fields than titles"};
    if (titles[i] != "tags") {
      o.emplace_back(titles[i], row[i]);
    } else if (!row[i].empty()) {
      auto tags = model::parse_json(row[i]);
      if (!tags)
        return failure{errc::invalid_argument, "import_invalid", "tags: expected a JSON object"};
      o.emplace_back("tags", std::move(*tags));
    }
  }
  return model::value{std::move(o)};
}

model::status read_rows(const exchange& e, std::string_view type, tree_builder& into) {
  const auto& text = e.request().body;
  const auto add = [&](const model::value& v) {
    return read_row(e, v, "/nodes/" + std::to_string(into.rows.size()), into);
  };
  if (type.find("csv") != std::string_view::npos) {
    const auto rows = read_csv(text);
    if (!rows)
      return rows.error();
    for (std::size_t i = 1; i < rows->size(); ++i) {
      const auto v = value_of(rows->front(), (*rows)[i]);
      if (!v)
        return failure{v.error().code, v.error().reason,
                       tree_builder::row_name(i - 1) + v.error().detail};
      if (auto ok = add(*v); !ok)
        return ok;
    }
    return {};
  }
  for (auto rest = std::string_view{text}; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    if (into.rows.size() == max_nodes)
      return too_many_nodes();
    const auto v = model::parse_json(line);
    if (!v)
      return failure{errc::invalid_argument, "malformed",
                     tree_builder::row_name(into.rows.size()) + v.error().detail};
    if (auto ok = add(*v); !ok)
      return ok;
  }
  return {};
}

void import(const exchange_ptr& e) {
  const auto b = std::make_shared<tree_builder>();
  b->e = e;
  b->name = e->query("name");
  const auto type = e->request().header("content-type");
  auto ok = model::status{};
  if (type.find("csv") != std::string_view::npos || type.find("ndjson") != std::string_view::npos) {
    ok = read_rows(*e, type, *b);
  } else {
    const auto body = e->body();
    if (!body)
      return e->fail(body.error());
    auto f = fields{*body};
    b->name = f.text("name", 256).value_or(b->name);
    b->description = f.text("description", 2'000).value_or("");
    for (auto& [k, v] : f.text_map("tags", false))
      b->tags[k] = *v;
    const auto* nodes = f.array("nodes", max_nodes);
    if (!nodes)
      f.missing("nodes");
    ok = f.finish();
    for (std::size_t i = 0; ok && i < nodes->size(); ++i)
      ok = read_row(*e, (*nodes)[i], "/nodes/" + std::to_string(i), *b);
  }
  if (!ok)
    return e->fail(ok.error());
  if (b->name.empty())
    return e->fail({errc::invalid_argument, "import_invalid", "name: is required"});
  b->start();
}

// ---- export and clone ---------------------------------------------------------------------------

/// All nodes of the route's tree, the root first.
struct whole_tree : std::enable_shared_from_this<whole_tree> {
  exchange_ptr e;
  std::function<void(const actors::listed_tree&, std::vector<actors::listed_node>)> then;
  actors::listed_tree what;
  actors::walk_nodes walk{};
  std::vector<actors::listed_node> nodes{};
  std::uint64_t revision = 0;

  void start() {
    const auto id = tree_of(*e);
    if (!id)
      return e->fail(unknown_tree());
    walk.tree = *id;
    walk.levels = 0;
    walk.with_first = true;
    walk.limit = max_nodes + 1;
    read_trees(e, question(*e, actors::list_trees{}),
               [self = shared_from_this()](const actors::tree_page& page) {
                 for (const auto& t : page.trees)
                   if (t.id == self->walk.tree)
                     self->what = t;
                 self->read();
               });
  }
  void read() {
    read_trees(e, question(*e, walk), [self = shared_from_this()](actors::tree_page page) {
      if (page.nodes.size() > max_nodes)
        return self->e->fail(too_many_nodes());
      self->then(self->what, std::move(page.nodes));
    });
  }
};

csv_row row_of(const actors::listed_node& n, const asset_map& assets) {
  auto row = csv_row(columns.size());
  row[0] = to_string(n.what.id);
  row[1] = n.what.parent ? to_string(*n.what.parent) : "";
  if (const auto found = n.what.asset ? assets.find(*n.what.asset) : assets.end();
      found != assets.end()) {
    const auto& f = found->second;
    row[2] = to_string(f.id);
    row[3] = f.product_key;
    row[4] = f.device_key;
    row[5] = f.name;
    row[6] = f.model_id;
  }
  row[7] = n.what.label;
  if (!n.what.tags.empty()) {
    auto tags = model::object{};
    for (const auto& [k, v] : n.what.tags)
      tags.emplace_back(k, v);
    row[8] = model::to_json(tags);
  }
  return row;
}

model::value object_of(const csv_row& row) {
  auto o = model::object{};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (row[i].empty())
      continue;
    auto parsed = columns[i] == "tags" ? model::parse_json(row[i]) : model::value{row[i]};
    if (parsed)
      o.emplace_back(columns[i], std::move(*parsed));
  }
  return o;
}

void send_export(const exchange_ptr& e, const actors::listed_tree& what,
                 const std::vector<actors::listed_node>& nodes, const asset_map& assets,
                 std::string_view format) {
  auto r = http_response{};
  if (format == "json") {
    auto items = model::array{};
    for (const auto& n : nodes)
      items.push_back(object_of(row_of(n, assets)));
    auto tags = model::object{};
    for (const auto& [k, v] : what.what.tags)
      tags.emplace_back(k, v);
    return e->reply(200, model::object{{"name", what.what.name},
                                       {"description", what.what.description},
                                       {"tags", std::move(tags)},
                                       {"nodes", std::move(items)}});
  }
  r.content_type = format == "csv" ? "text/csv" : "application/x-ndjson";
  if (format == "csv")
    write_csv(r.body, columns);
  for (const auto& n : nodes) {
    const auto row = row_of(n, assets);
    if (format == "csv") {
      write_csv(r.body, row);
    } else {
      model::write_json(object_of(row), r.body);
      r.body += '\n';
    }
  }
  e->send(std::move(r));
}

void export_tree(const exchange_ptr& e) {
  auto format = e->query("format");
  if (format.empty())
    format = "json";
  if (format != "json" && format != "csv" && format != "ndjson")
    return e->fail({errc::invalid_argument, "malformed", "format: expected json, csv or ndjson"});
  const auto w = std::make_shared<whole_tree>();
  w->e = e;
  w->then = [e, format](const actors::listed_tree& what, std::vector<actors::listed_node> nodes) {
    const auto kept = std::make_shared<const std::vector<actors::listed_node>>(std::move(nodes));
    read_assets(e, *kept,
                [=](const asset_map& assets) { send_export(e, what, *kept, assets, format); });
  };
  w->start();
}

void clone(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto name = f.text("name", 256);
  const auto description = f.text("description", 2'000);
  if (!name)
    f.missing("name");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto w = std::make_shared<whole_tree>();
  w->e = e;
  w->then = [=](const actors::listed_tree& what, const std::vector<actors::listed_node>& nodes) {
    const auto b = std::make_shared<tree_builder>();
    b->e = e;
    b->name = *name;
    b->description = description.value_or(what.what.description);
    b->tags = what.what.tags;
    for (const auto& n : nodes) {
      b->rows.push_back({to_string(n.what.id), n.what.parent ? to_string(*n.what.parent) : "",
                         n.what.label, n.what.tags});
      b->wanted->emplace_back().id = n.what.asset;
    }
    b->start();
  };
  w->start();
}

}  // namespace

std::vector<route> tree_file_routes() {
  return {
      {"POST", "~/trees:import", "tree:write", import, "importTree",
       "Make a tree of up to 10,000 nodes from JSON, NDJSON or CSV", "TreeFile", "Tree", 201,
       "name"},
      {"GET", "~/trees/{tree}:export", "tree:read", export_tree, "exportTree",
       "A tree of up to 10,000 nodes as JSON, NDJSON or CSV", "", "TreeFile", 200, "format"},
      {"POST", "~/trees/{tree}:clone", "tree:write", clone, "cloneTree",
       "A new tree with the same assets at the same places", "TreeClone", "Tree", 201, ""},
  };
}

}  // namespace orrery::transport::api
