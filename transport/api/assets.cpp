// Assets, devices and logical ones alike (the first part of group J of the API).
#include <algorithm>

#include "model/filter/folded.hpp"
#include "transport/api/asset_parts.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {
namespace {

namespace asset = model::asset;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1'000;

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto what = read_new_asset(*e, f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->ask(fresh_asset_id(*e), asset_order(*e, std::move(what)), [e](const actors::outcome& done) {
    const auto& made = asset_snapshot_in(done);
    auto h = exchange::revision_headers(done);
    h.emplace_back("ETag", exchange::etag(done.revision));
    e->reply(201, show_logical(*e, made.id, *made.what), std::move(h));
  });
}

void create_batch(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto* items = f.array("items", max_batch);
  if (!items)
    f.missing("items");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto wanted = std::make_shared<std::vector<wanted_asset>>();
  for (std::size_t i = 0; i < items->size(); ++i) {
    auto g = fields{(*items)[i], "/items/" + std::to_string(i)};
    auto& w = wanted->emplace_back();
    w.fresh = read_new_asset(*e, g);
    if (auto ok = g.finish(); !ok) {
      w.fresh.reset();
      w.why = ok.error();
    }
  }
  // What cannot be read is not asked for.
  const auto good = std::make_shared<std::vector<wanted_asset>>();
  std::copy_if(wanted->begin(), wanted->end(), std::back_inserter(*good),
               [](const auto& w) { return w.fresh.has_value(); });
  find_assets(e, good, [e, wanted, good] {
    auto next = good->begin();
    auto results = model::array{};
    auto made = std::int64_t{0};
    for (std::size_t i = 0; i < wanted->size(); ++i) {
      const auto& w = (*wanted)[i].fresh ? *next++ : (*wanted)[i];
      auto o = model::object{{"index", static_cast<std::int64_t>(i)}};
      if (w.found) {
        o.emplace_back("status", 201);
        o.emplace_back("id", to_string(*w.found));
        ++made;
      } else {
        o.emplace_back("status", status_of(*w.why));
        o.emplace_back("error", problem_object(*w.why, "", e->request_id()));
      }
      results.emplace_back(std::move(o));
    }
    const auto failed = static_cast<std::int64_t>(wanted->size()) - made;
    e->reply(200, model::object{{"results", std::move(results)}, {"ok", made}, {"failed", failed}});
  });
}

void run_list(const std::shared_ptr<asset_listing>& l) {
  const auto& e = l->e;
  const auto cursor = e->cursor();
  const auto limit = e->limit();
  for (const auto* why : {limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  l->limit = *limit;
  if (!cursor->empty() && !l->go_on(*cursor))
    return e->fail({errc::invalid_argument, "bad_cursor", "that cursor is none of ours"});
  l->done = [e](model::array items, const std::string& next) {
    e->reply_page(std::move(items), next);
  };
  l->next();
}

void list(const exchange_ptr& e) {
  const auto kind = e->query("kind");
  if (!kind.empty() && kind != "device" && kind != "logical")
    return e->fail({errc::invalid_argument, "malformed", "kind: expected device or logical"});
  const auto l = begin_asset_list(e, kind);
  if (auto of = e->query("modelId"); !of.empty())
    l->models.push_back(std::move(of));
  l->text = model::filter::folded(e->query("q"));
  run_list(l);
}

void search(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto kind = f.word("kind", {"device", "logical"}).value_or("");
  const auto l = begin_asset_list(e, kind);
  l->models = f.texts("modelIds", 100).value_or(std::vector<std::string>{});
  l->text = model::filter::folded(f.text("name", 256).value_or(""));
  for (auto& [k, v] : f.text_map("tags", false))
    l->tags[k] = *v;
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  run_list(l);
}

/// The asset of the route: a device is shown as lists show it.
void with_asset(const exchange_ptr& e, std::function<void(const actors::asset_facts&)> then) {
  const auto id = model::parse_entity_id(e->param("asset"));
  if (!id || id->shard >= e->parts().shard_count)
    return e->fail(unknown_asset());
  read_assets(e, std::vector{*id}, [e, id = *id, then = std::move(then)](const asset_map& found) {
    const auto there = found.find(id);
    if (there == found.end())
      return e->fail(unknown_asset());
    then(there->second);
  });
}

void get(const exchange_ptr& e) {
  with_asset(e, [e](const actors::asset_facts& f) {
    if (f.device)
      return e->reply_one(show_asset(*e, f));
    e->ask(f.id, asset_order(*e, asset::read_asset{}), [e](const actors::outcome& got) {
      const auto& a = asset_snapshot_in(got);
      e->reply(200, show_logical(*e, a.id, *a.what), {{"ETag", exchange::etag(got.revision)}});
    });
  });
}

void update(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto body = e->body();
  for (const auto* why : {expected ? nullptr : &expected.error(), body ? nullptr : &body.error()})
    if (why)
      return e->fail(*why);
  auto f = fields{*body};
  auto u = asset::update_asset{};
  u.name = f.text("name", 256);
  u.description = f.text("description", 2'000);
  u.timezone = f.text("timezone", 64);
  u.attributes = f.object("attributes").value_or(model::object{});
  u.tags = f.text_map("tags", true);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  with_asset(e, [e, u, expected = *expected](const actors::asset_facts& a) {
    if (a.device)
      return e->fail(is_device(a));
    e->was(show_asset(*e, a));
    e->ask(a.id, asset_order(*e, u, expected), [e](const actors::outcome& done) {
      const auto& now = asset_snapshot_in(done);
      auto h = exchange::revision_headers(done);
      h.emplace_back("ETag", exchange::etag(done.revision));
      e->reply(200, show_logical(*e, now.id, *now.what), std::move(h));
    });
  });
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  with_asset(e, [e, expected = *expected](const actors::asset_facts& a) {
    if (a.device)
      return e->fail(is_device(a));
    e->was(show_asset(*e, a));
    read_trees(e, {tree_shard(*e), e->who.organisation, actors::find_assets{{a.id}}},
               [e, expected, id = a.id](const actors::tree_page& where) {
                 if (!where.nodes.empty())
                   return e->fail({errc::conflict, "asset_on_tree",
                                   "it is on tree " + to_string(where.nodes.front().tree)});
                 e->ask(id, asset_order(*e, asset::remove_asset{}, expected),
                        [e, id](const actors::outcome& done) {
                          // Who bound it meanwhile is told that it is gone.
                          release_assets(e, {id}, [e, h = exchange::revision_headers(done)] {
                            e->reply_empty(204, h);
                          });
                        });
               });
  });
}

void trees(const exchange_ptr& e) {
  with_asset(e, [e](const actors::asset_facts& a) {
    read_trees(e, {tree_shard(*e), e->who.organisation, actors::find_assets{{a.id}}},
               [e](const actors::tree_page& page) {
                 read_assets(e, page.nodes, [e, page](const asset_map& assets) {
                   auto items = model::array{};
                   for (const auto& n : page.nodes)
                     items.push_back(show_place(*e, n, n.above.size(), assets));
                   e->reply(200, model::object{{"items", std::move(items)}});
                 });
               });
  });
}

}  // namespace

std::vector<route> asset_routes() {
  return {
      {"GET", "~/assets", "asset:read", list, "listAssets", "Devices and logical assets", "",
       "AssetList", 200, "limit cursor kind modelId q"},
      {"POST", "~/assets/search", "asset:read", search, "searchAssets",
       "Devices and logical assets by model, name and tags", "AssetSearch", "AssetList", 200,
       "limit cursor"},
      {"POST", "~/assets", "asset:write", create, "createAsset", "Make a logical asset", "NewAsset",
       "LogicalAsset", 201, ""},
      {"POST", "~/assets:batch", "asset:write", create_batch, "createAssets",
       "Make up to 1,000 logical assets", "NewAssets", "AssetBatchResult", 200, ""},
      {"GET", "~/assets/{asset}", "asset:read", get, "getAsset", "A device or logical asset", "",
       "AnyAsset", 200, ""},
      {"PATCH", "~/assets/{asset}", "asset:write", update, "updateAsset", "Change a logical asset",
       "AssetChange", "LogicalAsset", 200, ""},
      {"DELETE", "~/assets/{asset}", "asset:write", remove, "deleteAsset",
       "Delete a logical asset that is on no tree", "", "", 204, ""},
      {"GET", "~/assets/{asset}/trees", "tree:read", trees, "getAssetTrees",
       "Where an asset is, in all trees", "", "AssetPlaces", 200, ""},
  };
}

}  // namespace orrery::transport::api
