#include "transport/api/tree_view.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "transport/api/show.hpp"

namespace orrery::transport::api {

namespace tree = model::tree;
namespace asset = model::asset;
using model::errc;
using model::failure;

model::shard_id tree_shard(const exchange& e) {
  return actors::tree_shard(e.who.organisation, e.parts().shard_count);
}

std::optional<model::entity_id> tree_of(const exchange& e) {
  const auto id = model::parse_entity_id(e.param("tree"));
  return id && id->shard == tree_shard(e) ? id : std::nullopt;
}

std::optional<tree::node_ref> node_of(const exchange& e) {
  return read_ref(e, e.param("node"));
}

std::optional<tree::node_ref> read_ref(const exchange& e, std::string_view text) {
  constexpr auto mark = std::string_view{"asset:"};
  const auto of_asset = text.starts_with(mark);
  const auto id = model::parse_entity_id(of_asset ? text.substr(mark.size()) : text);
  if (!id || id->shard >= e.parts().shard_count)
    return std::nullopt;
  if (of_asset)
    return tree::by_asset{*id};
  return tree::by_node{*id};
}

failure unknown_tree() {
  return {errc::not_found, "tree_unknown", "no such tree"};
}
failure unknown_node() {
  return {errc::not_found, "node_unknown", "the tree has no such node"};
}

std::optional<tree::node_ref> ref_field(const exchange& e, fields& f, std::string_view name) {
  const auto text = f.text(name, 64);
  if (!text)
    return std::nullopt;
  auto ref = read_ref(e, *text);
  if (!ref)
    f.note(name, "type_mismatch", "expected a node's id, or asset: and an assetId");
  return ref;
}

tree::position position_field(const exchange& e, fields& f) {
  auto where = tree::position{};
  const auto text = f.text("after", 64);
  if (!text)
    return where;
  where.first = *text == "first";
  if (!where.first)
    where.after = read_ref(e, *text);
  if (!where.first && !where.after)
    f.note("after", "type_mismatch", "expected a node's id, asset: and an assetId, or first");
  return where;
}

actors::any_command tree_order(const exchange& e, tree::order what,
                               std::optional<std::uint64_t> expected) {
  return tree::command{std::move(what), e.who.actor, expected, e.who.organisation};
}

actors::any_command asset_order(const exchange& e, asset::order what,
                                std::optional<std::uint64_t> expected) {
  return asset::command{std::move(what), e.who.actor, expected, e.who.organisation};
}

failure failure_of(const tree::refusal& why) {
  const auto code = why.why == tree::refusal::sort::not_found  ? errc::not_found
                    : why.why == tree::refusal::sort::conflict ? errc::conflict
                                                               : errc::invalid_argument;
  return {code, why.reason, why.detail};
}

void read_trees(const exchange_ptr& e, actors::tree_question what,
                std::function<void(actors::tree_page)> then) {
  e->parts().query->trees(std::move(what),
                          [e, then = std::move(then)](model::result<actors::tree_page> got) {
                            if (!got)
                              return e->fail(got.error());
                            then(std::move(*got));
                          });
}

namespace {

/// What several shards are asked, put together.
struct gathered_assets {
  std::mutex mutex;
  asset_map found;
  std::optional<failure> why;
  std::size_t open = 0;
};

void gather(const exchange& e, const std::vector<model::entity_id>& ids,
            const std::function<void(model::result<asset_map>)>& then) {
  auto by_shard = std::map<model::shard_id, std::vector<model::entity_id>>{};
  for (const auto& id : ids)
    if (id.shard < e.parts().shard_count)
      by_shard[id.shard].push_back(id);
  if (by_shard.empty())
    return then(asset_map{});
  const auto all = std::make_shared<gathered_assets>();
  all->open = by_shard.size();
  for (auto& [shard, some] : by_shard)
    e.parts().query->assets(
        actors::asset_facts_question{shard, e.who.organisation, std::move(some)},
        [all, then](model::result<actors::asset_page> got) {
          {
            const auto hold = std::lock_guard{all->mutex};
            if (got)
              for (auto& f : got->assets)
                all->found.emplace(f.id, std::move(f));
            else
              all->why = got.error();
            if (--all->open > 0)
              return;
          }
          if (all->why)
            then(std::move(*all->why));
          else
            then(std::move(all->found));
        });
}

}  // namespace

void read_assets(const exchange_ptr& e, const std::vector<model::entity_id>& ids,
                 std::function<void(asset_map)> then) {
  gather(*e, ids, [e, then = std::move(then)](model::result<asset_map> got) {
    if (!got)
      return e->fail(got.error());
    then(std::move(*got));
  });
}

void read_assets(const exchange_ptr& e, const std::vector<actors::listed_node>& nodes,
                 std::function<void(asset_map)> then) {
  auto ids = std::vector<model::entity_id>{};
  auto on = std::vector<std::pair<model::entity_id, model::entity_id>>{};  // tree, asset
  for (const auto& n : nodes) {
    if (n.what.asset) {
      ids.push_back(*n.what.asset);
      on.emplace_back(n.tree, *n.what.asset);
    }
    for (const auto& up : n.above)
      if (up.asset)
        ids.push_back(*up.asset);
  }
  read_assets(e, ids, [e, on = std::move(on), then = std::move(then)](asset_map found) {
    for (const auto& [of, id] : on)
      if (!found.contains(id))
        e->parts().ask->ask(
            of, tree::command{tree::release_asset{id}, "service", {}, e->who.organisation},
            [](const actors::answer&) {});
    then(std::move(found));
  });
}

void release_assets(const exchange_ptr& e, std::vector<model::entity_id> ids,
                    std::function<void()> then) {
  release_assets(e, e->who.organisation, std::move(ids), std::move(then));
}

void release_assets(const exchange_ptr& e, const std::string& organisation,
                    std::vector<model::entity_id> ids, std::function<void()> then) {
  if (ids.empty())
    return then();
  e->parts().query->trees(
      {actors::tree_shard(organisation, e->parts().shard_count), organisation,
       actors::find_assets{std::move(ids)}},
      [e, organisation, then = std::move(then)](const model::result<actors::tree_page>& got) {
        if (!got || got->nodes.empty())
          return then();
        const auto open = std::make_shared<std::atomic<std::size_t>>(got->nodes.size());
        for (const auto& n : got->nodes)
          e->parts().ask->ask(
              n.tree,
              tree::command{tree::release_asset{*n.what.asset}, e->who.actor, {}, organisation},
              [open, then](const actors::answer&) {
                if (open->fetch_sub(1) == 1)
                  then();
              });
      });
}

namespace {

std::string model_of(const exchange& e, const actors::asset_facts& f) {
  if (!f.device)
    return f.model_id;
  const auto product = e.product(f.product_key);
  return product ? product->state->model : std::string{};
}

void add_model(model::object& o, const exchange& e, const actors::asset_facts& f) {
  if (auto of = model_of(e, f); !of.empty())
    o.emplace_back("modelId", std::move(of));
  if (!f.device)
    return;
  o.emplace_back("productKey", f.product_key);
  o.emplace_back("deviceKey", f.device_key);
  o.emplace_back("status", f.status);
}

std::string_view kind_of(bool device) {
  return device ? "device" : "logical";
}

}  // namespace

model::value show_asset(const exchange& e, const actors::asset_facts& f) {
  auto o = model::object{{"assetId", to_string(f.id)},
                         {"kind", kind_of(f.device)},
                         {"name", f.name},
                         {"description", f.description},
                         {"timezone", f.timezone}};
  add_model(o, e, f);
  o.emplace_back("tags", show_tags(f.tags));
  o.emplace_back("createdAt", e.show(f.created_at));
  o.emplace_back("updatedAt", e.show(f.updated_at));
  return o;
}

model::value show_tree(const exchange& e, const model::entity_id& id, const tree::state& s) {
  return model::object{{"id", to_string(id)},
                       {"name", s.name},
                       {"description", s.description},
                       {"tags", show_tags(s.tags)},
                       {"rootId", to_string(s.root)},
                       {"nodes", static_cast<std::int64_t>(s.nodes)},
                       {"revision", static_cast<std::int64_t>(s.revision)},
                       {"createdAt", e.show(s.created_at)},
                       {"updatedAt", e.show(s.updated_at)}};
}

std::string name_of(const tree::node& n, const asset_map& assets) {
  if (!n.label.empty() || !n.asset)
    return n.label;
  const auto found = assets.find(*n.asset);
  return found == assets.end() ? std::string{} : found->second.name;
}

model::value show_node(const exchange& e, const actors::listed_node& n, const asset_map& assets) {
  const auto& what = n.what;
  auto o = model::object{{"id", to_string(what.id)}, {"treeId", to_string(n.tree)}};
  if (what.parent)
    o.emplace_back("parentId", to_string(*what.parent));
  o.emplace_back("level", static_cast<std::int64_t>(n.level));
  o.emplace_back("name", name_of(what, assets));
  o.emplace_back("label", what.label);
  if (const auto found = what.asset ? assets.find(*what.asset) : assets.end();
      found != assets.end()) {
    const auto& f = found->second;
    auto on =
        model::object{{"assetId", to_string(f.id)}, {"kind", kind_of(f.device)}, {"name", f.name}};
    add_model(on, e, f);
    o.emplace_back("asset", std::move(on));
  }
  o.emplace_back("tags", show_tags(what.tags));
  o.emplace_back("children", static_cast<std::int64_t>(children_of(what)));
  o.emplace_back("descendants", static_cast<std::int64_t>(count_below(what)));
  o.emplace_back("revision", static_cast<std::int64_t>(what.revision));
  o.emplace_back("createdAt", e.show(what.created_at));
  o.emplace_back("updatedAt", e.show(what.updated_at));
  return o;
}

model::value show_place(const exchange& e, const actors::listed_node& n, std::size_t levels,
                        const asset_map& assets) {
  auto path = model::array{};
  for (auto i = std::min(levels, n.above.size()); i > 0; --i)  // `above` goes up
    path.push_back(model::object{{"nodeId", to_string(n.above[i - 1].id)},
                                 {"name", name_of(n.above[i - 1], assets)}});
  return model::object{
      {"treeId", to_string(n.tree)}, {"node", show_node(e, n, assets)}, {"path", std::move(path)}};
}

// ---- assets that are named or made --------------------------------------------------------------

asset::create_asset read_new_asset(const exchange& e, fields& f) {
  auto a = asset::create_asset{};
  a.organisation = e.who.organisation;
  a.name = f.text("name", 256).value_or("");
  a.description = f.text("description", 2'000).value_or("");
  a.timezone = f.text("timezone", 64).value_or("");
  a.model_id = f.text("modelId", 64).value_or("");
  a.attributes = f.object("attributes").value_or(model::object{});
  for (auto& [k, v] : f.text_map("tags", false))
    a.tags[k] = *v;
  if (a.name.empty())
    f.missing("name");
  return a;
}

wanted_asset asset_fields(const exchange& e, fields& f, const std::string& where) {
  auto w = wanted_asset{};
  if (const auto id = f.text("assetId", 64)) {
    w.id = model::parse_entity_id(*id);
    if (!w.id)
      f.note("assetId", "type_mismatch", "expected an assetId");
  }
  const auto product = f.text("productKey", 20), device = f.text("deviceKey", 64);
  if (product && device)
    w.name = model::device_name{*product, *device};
  else if (product || device)
    f.missing(product ? "deviceKey" : "productKey");
  if (const auto* fresh = f.any("asset")) {
    auto g = fields{*fresh, where + "/asset"};
    w.fresh = read_new_asset(e, g);
    (void)g.finish();
    std::move(g.problems.begin(), g.problems.end(), std::back_inserter(f.problems));
  }
  if ((w.id ? 1 : 0) + (w.name ? 1 : 0) + (w.fresh ? 1 : 0) != 1)
    f.note("assetId", "required_missing",
           "expected one of assetId, productKey with deviceKey, and asset");
  return w;
}

namespace {

failure out_of_service() {
  return {errc::conflict, "device_retired", "the device is out of service: restore it first"};
}

struct finding : std::enable_shared_from_this<finding> {
  exchange_ptr e;
  std::shared_ptr<std::vector<wanted_asset>> all;
  std::function<void()> then;
  std::atomic<std::size_t> open{1};

  void settle() {
    if (open.fetch_sub(1) == 1)
      then();
  }
  void look_by_name(wanted_asset& w) {
    if (!e->product(w.name->product_key))
      return make(w);
    open.fetch_add(1);
    e->parts().ask->ask(*w.name, device_order(*e, model::device::read_device{}),
                        [self = shared_from_this(), &w](const actors::answer& got) {
                          const auto* d =
                              got ? device_reply<model::device::device_snapshot>(*got) : nullptr;
                          if (d && d->what->organisation() == self->e->who.organisation) {
                            w.device = true;
                            if (!d->what->retirement().empty())
                              w.why = out_of_service();
                            else
                              w.found = d->id;
                          } else if (!got && got.error().code != errc::not_found) {
                            w.why = got.error();
                          } else {
                            self->make(w);
                          }
                          self->settle();
                        });
  }
  void make(wanted_asset& w) {
    if (!w.fresh) {
      w.why = failure{errc::not_found, w.name ? "device_unknown" : "asset_unknown",
                      w.name ? "no such device here" : "no such asset here"};
      return;
    }
    open.fetch_add(1);
    const auto text = model::random_text(12);
    const auto id =
        model::make_entity_id(e->parts().ask->shard_of(model::device_name{"asset", text}),
                              e->parts().now(), model::random_entropy());
    e->parts().ask->ask(id, asset_order(*e, *w.fresh),
                        [self = shared_from_this(), &w, id](const actors::answer& got) {
                          w.made = got.has_value();
                          if (got)
                            w.found = id;
                          else
                            w.why = got.error();
                          self->settle();
                        });
  }
};

}  // namespace

void find_assets(const exchange_ptr& e, std::shared_ptr<std::vector<wanted_asset>> all,
                 std::function<void()> then) {
  auto ids = std::vector<model::entity_id>{};
  for (const auto& w : *all)
    if (w.id)
      ids.push_back(*w.id);
  const auto f = std::make_shared<finding>();
  f->e = e;
  f->all = std::move(all);
  f->then = std::move(then);
  read_assets(e, ids, [f](const asset_map& found) {
    for (auto& w : *f->all) {
      const auto there = w.id ? found.find(*w.id) : found.end();
      if (there != found.end()) {
        w.device = there->second.device;
        if (w.device && there->second.status == "retired")
          w.why = out_of_service();
        else
          w.found = *w.id;
      } else if (w.name) {
        f->look_by_name(w);
      } else {
        f->make(w);
      }
    }
    f->settle();
  });
}

void drop_made(const exchange_ptr& e, const std::vector<wanted_asset>& all,
               const std::function<void()>& then) {
  const auto open = std::make_shared<std::atomic<std::size_t>>(1);
  const auto settle = [open, then](const actors::answer&) {
    if (open->fetch_sub(1) == 1)
      then();
  };
  for (const auto& w : all)
    if (w.made) {
      open->fetch_add(1);
      e->parts().ask->ask(*w.found, asset_order(*e, asset::remove_asset{}), settle);
    }
  settle(actors::outcome{});
}

}  // namespace orrery::transport::api
