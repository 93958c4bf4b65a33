// What the entity actor adds to the rules of each kind beside devices: the catalogue, rows, and
// what a decision looks up.
#include "actors/kinds.hpp"

#include "model/json.hpp"
#include "storage/keys.hpp"
#include "tests/support/entity_bench.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using model::entity_kind;
using model::errc;
using storage::family;

/// An entity of the catalogue; what it commits goes into `known`.
class CatalogueEntity : public tests::entity_bench {
 protected:
  CatalogueEntity() {
    context.shard = (*shards)[model::catalogue_shard];
    effects->also_change = [this](const catalogue_change& change) { known->apply(change); };
  }
  void wake_named(entity_kind kind, std::string_view entity_name) {
    id = catalogue_id(kind, entity_name);
    wake(kind);
  }
  const model::product::state* product(const std::string& key) {
    held = known->current();
    const auto* found = held->product(key);
    return found ? found->state.get() : nullptr;
  }
  std::shared_ptr<const catalogue_snapshot> held;
};

TEST_F(CatalogueEntity, AProductIsInTheCatalogueBeforeItsAnswerLeaves) {
  wake_named(entity_kind::product, "new");
  EXPECT_FALSE(product("new"));
  const auto version = known->version();
  const auto number = send(tests::product_order(tests::product("new")));
  stage.run_only(entity);
  EXPECT_FALSE(product("new"));  // decided, not committed
  stage.run_only(journal);
  EXPECT_TRUE(product("new"));
  EXPECT_GT(known->version(), version);
  EXPECT_TRUE(asker.told().empty());
  stage.run();
  EXPECT_EQ(must(*asker.to(number)), 1u);

  auto rename = model::product::update_product{};
  rename.name = "Renamed";
  must(ask(tests::product_order(rename)));
  EXPECT_EQ(product("new")->name, "Renamed");
  EXPECT_EQ(product("new")->revision, 2u);
  must(ask(tests::product_order(model::product::remove_product{})));
  EXPECT_FALSE(product("new"));
  EXPECT_FALSE(*store->get(family::state, keys::state(entity_kind::product, id)));
}

TEST_F(CatalogueEntity, ALostChangeIsNotInTheCatalogue) {
  wake_named(entity_kind::product, "new");
  store->faults.appends = 1;
  EXPECT_EQ(code_of(ask(tests::product_order(tests::product("new")))), errc::unavailable);
  EXPECT_FALSE(product("new"));
}

TEST_F(CatalogueEntity, AProductWithDevicesStays) {
  wake_named(entity_kind::product, "new");
  must(ask(tests::product_order(tests::product("new"))));
  const auto row = keys::index(5, "product", "new", tests::device_id(5, 1));
  store->plant(family::index, row, "");
  const auto refused = ask(tests::product_order(model::product::remove_product{}));
  EXPECT_EQ(code_of(refused), errc::conflict);
  EXPECT_EQ(refused.error().reason, "product_has_devices");
  const auto gone = storage::row{
      .family = family::index, .key = row, .operation = storage::row_operation::remove};
  ASSERT_TRUE(store->put(std::span{&gone, 1}, true));
  must(ask(tests::product_order(model::product::remove_product{})));
}

TEST_F(CatalogueEntity, DevicesAreLookedForInAllShards) {
  context.shard_count = 300;
  wake_named(entity_kind::product, "new");
  must(ask(tests::product_order(tests::product("new"))));
  store->plant(family::index, keys::index(299, "product", "new", tests::device_id(299, 1)), "");
  EXPECT_EQ(code_of(ask(tests::product_order(model::product::remove_product{}))), errc::conflict);
}

TEST_F(CatalogueEntity, NothingIsRemovedWhereTheStoreDoesNotRead) {
  wake_named(entity_kind::product, "new");
  must(ask(tests::product_order(tests::product("new"))));
  store->faults.rows = true;
  EXPECT_EQ(code_of(ask(tests::product_order(model::product::remove_product{}))),
            errc::unavailable);
  store->faults = {};
  EXPECT_TRUE(product("new"));
}

TEST_F(CatalogueEntity, APublishedModelReachesItsProducts) {
  wake_named(entity_kind::blueprint, "org/n");
  auto document = tests::model_document(R"(, {"id": "extra", "type": {"t": "int"}})");
  auto members = document.as_object();
  model::set_member(members, "id", "n");
  must(ask(tests::blueprint_order(
      model::blueprint::create_blueprint{tests::organisation, "n", members})));
  auto on_it = model::product::state{};
  auto made = tests::product("on-n");
  made.model = "n";
  model::product::apply(on_it, model::product::created{made, {}});
  known->apply({catalogue_id(entity_kind::product, "on-n"),
                std::make_shared<const model::product::state>(on_it)});
  EXPECT_FALSE(known->current()->product("on-n")->view.model);  // a draft is not in force
  must(ask(tests::blueprint_order(model::blueprint::publish{"first", false})));
  const auto& view = known->current()->product("on-n")->view;
  ASSERT_TRUE(view.model);
  EXPECT_TRUE(view.model->find_point("extra"));
  EXPECT_EQ(must(ask(tests::blueprint_order(model::blueprint::read_blueprint{}))), 2u);
}

TEST_F(CatalogueEntity, AModelInUseStays) {
  wake_named(entity_kind::blueprint, "org/m");
  must(ask(tests::blueprint_order(tests::blueprint())));
  const auto refused = ask(tests::blueprint_order(model::blueprint::remove_blueprint{}));
  EXPECT_EQ(code_of(refused), errc::conflict);
  EXPECT_EQ(refused.error().reason, "model_in_use");
}

TEST_F(CatalogueEntity, AModelInheritsFromWhatTheCatalogueHas) {
  wake_named(entity_kind::blueprint, "org/child");
  const auto document = [](const std::string& points) {
    return *model::parse_json(
        R"({"format": "tm/1", "id": "child", "extends": "m", "measurePoints": [)" + points + "]}");
  };
  const auto create = [&](const std::string& points) {
    return tests::blueprint_order(
        model::blueprint::create_blueprint{tests::organisation, "child", document(points)});
  };
  must(ask(create(R"({"id": "p", "type": {"max": 99}})")));
  const auto wider = ask(tests::blueprint_order(model::blueprint::publish{}));
  ASSERT_FALSE(wider);
  EXPECT_EQ(wider.error().reason, "inheritance_conflict");
  must(ask(tests::blueprint_order(
      model::blueprint::save_draft{document(R"({"id": "p", "type": {"max": 5}})")})));
  must(ask(tests::blueprint_order(model::blueprint::publish{})));
  const auto* made = known->current()->blueprint(tests::organisation, "child");
  ASSERT_TRUE(made && made->newest);
  EXPECT_TRUE(made->newest->find_point("q"));
  EXPECT_EQ(made->newest->find_point("p")->type.max, 5);

  wake_named(entity_kind::blueprint, "org/m");
  must(ask(tests::blueprint_order(tests::blueprint())));
  const auto* m = known->current()->blueprint(tests::organisation, "m");
  auto around = surroundings_of(*m->state, model::blueprint::remove_blueprint{}, m->id, {},
                                *known->current());
  EXPECT_EQ(around.children, 1u);
  EXPECT_EQ(around.products, 1u);
  EXPECT_EQ(around.models, 2u);
}

TEST_F(CatalogueEntity, AnOrganisationAndItsPeopleAreInTheCatalogue) {
  context.max_login_failures = 2;
  wake_named(entity_kind::organisation, "acme");
  must(ask(tests::organisation_order(model::organisation::create_organisation{"acme", "Acme"})));
  auto who = model::organisation::user{};
  who.login = "ann";
  must(ask(tests::organisation_order(model::organisation::create_user{who})));
  const auto ann = [&] {
    held = known->current();
    return held->organisation("acme")->state->find_user("ann");
  };
  ASSERT_TRUE(ann());
  for (int i = 0; i < 2; ++i)
    must(ask(tests::organisation_order(model::organisation::note_bad_login{"ann"})));
  EXPECT_GT(ann()->locked_until, stage.clock.now());  // the limit of the context counts
}

TEST_F(CatalogueEntity, WakesWithTheRevisionItHad) {
  wake_named(entity_kind::product, "new");
  must(ask(tests::product_order(tests::product("new"))));
  auto rename = model::product::update_product{};
  rename.name = "Renamed";
  must(ask(tests::product_order(rename)));
  wake(entity_kind::product);
  const auto got = ask(tests::product_order(model::product::read_product{}));
  EXPECT_EQ(must(got), 2u);
  const auto& reply = std::get<model::product::reply>(got->answer);
  EXPECT_EQ(std::get<model::product::product_snapshot>(reply).what->name, "Renamed");
}

// ---- assets and asset trees ---------------------------------------------------------------------

class AssetEntity : public tests::entity_bench {};

TEST_F(AssetEntity, IsARowOfItsOwnAndNoCatalogueEntry) {
  wake(entity_kind::asset);
  auto c = model::asset::create_asset{};
  c.organisation = tests::organisation;
  c.name = "Site";
  must(ask(tests::asset_order(c)));
  EXPECT_EQ(store->rows(family::state, keys::state(entity_kind::asset, id)), 1u);
  EXPECT_TRUE(effects->changes.empty());
  must(ask(tests::asset_order(model::asset::remove_asset{})));
  EXPECT_EQ(store->rows(family::state, keys::state(entity_kind::asset, id)), 0u);
  EXPECT_EQ(code_of(ask(tests::asset_order(model::asset::read_asset{}))), errc::not_found);
}

TEST_F(AssetEntity, IsOfAModelThatIsThere) {
  wake(entity_kind::asset);
  auto c = model::asset::create_asset{};
  c.organisation = tests::organisation;
  c.name = "Site";
  c.model_id = "unheard-of";
  EXPECT_EQ(code_of(ask(tests::asset_order(c))), errc::not_found);
}

class TreeEntity : public tests::entity_bench {
 protected:
  TreeEntity() {
    wake(entity_kind::tree);
    auto c = model::tree::create_tree{};
    c.organisation = tests::organisation;
    c.name = "Sites";
    c.root.node = node(0);
    c.root.asset = asset(0);
    must(ask(tests::tree_order(c)));
  }
  static model::entity_id node(std::uint8_t n) {
    return tests::device_id(1, static_cast<std::uint8_t>(100 + n));
  }
  static model::entity_id asset(std::uint8_t n) { return tests::device_id(7, n); }
  static model::tree::node_ref ref(std::uint8_t n) { return model::tree::by_node{node(n)}; }
  static any_command add(std::uint8_t n, std::uint8_t parent) {
    auto a = model::tree::add_nodes{};
    a.together = true;
    auto& one = a.items.emplace_back();
    one.node = node(n);
    one.parent = ref(parent);
    one.asset = asset(n);
    return tests::tree_order(a);
  }
  static any_command move(std::uint8_t n, std::uint8_t parent) {
    auto m = model::tree::move_node{};
    m.which = ref(n);
    m.parent = ref(parent);
    return tests::tree_order(m);
  }
  static any_command remove(std::uint8_t n, model::tree::orphans children) {
    return tests::tree_order(model::tree::remove_node{ref(n), children, {}});
  }
  std::size_t under(std::uint8_t parent) {
    return store->rows(family::index, keys::tree_places(id, node(parent)));
  }
  /// All rows of the tree.
  std::size_t rows() {
    auto all = store->rows(family::state, keys::state(entity_kind::tree, id));
    for (const auto& prefix : {keys::tree_nodes(id), keys::tree_changes(id)})
      all += store->rows(family::state, prefix);
    for (const auto& prefix : {keys::tree_places(id), keys::tree_holders(id)})
      all += store->rows(family::index, prefix);
    return all + store->rows(family::index, keys::index_prefix(1, "tree", tests::organisation));
  }
};

TEST_F(TreeEntity, NodesAreRowsUnderTheirParent) {
  must(ask(add(1, 0)));
  must(ask(add(2, 0)));
  must(ask(add(3, 1)));
  EXPECT_EQ(under(0), 2u);
  EXPECT_EQ(under(1), 1u);
  must(ask(move(3, 2)));
  EXPECT_EQ(under(1), 0u);
  EXPECT_EQ(under(2), 1u);
  must(ask(remove(2, model::tree::orphans::promote)));
  EXPECT_EQ(under(2), 0u);
  EXPECT_EQ(under(0), 2u);
  EXPECT_EQ(store->rows(family::index, keys::tree_holders(id)), 3u);
  EXPECT_EQ(store->rows(family::state, keys::tree_nodes(id)), 3u);
}

TEST_F(TreeEntity, IsDecidedOnTopOfWhatIsNotWrittenYet) {
  const auto first = send(add(1, 0)), second = send(add(2, 1)), third = send(add(3, 2)),
             moved = send(move(2, 0)), cycle = send(move(1, 1)), again = send(add(3, 0)),
             refused = send(remove(2, model::tree::orphans::refuse)),
             gone = send(remove(2, model::tree::orphans::promote)), late = send(move(3, 1));
  stage.run_only(entity);  // all of it is decided, nothing is written
  EXPECT_EQ(under(0), 0u);
  EXPECT_FALSE(asker.to(late));
  stage.run();
  for (const auto number : {first, second, third, moved, gone, late})
    must(*asker.to(number));
  EXPECT_EQ(asker.to(cycle)->error().reason, "cycle");
  EXPECT_EQ(asker.to(again)->error().reason, "already_on_tree");
  EXPECT_EQ(asker.to(refused)->error().reason, "has_children");
  EXPECT_EQ(under(0), 1u);
  EXPECT_EQ(under(1), 1u);
  must(ask(add(2, 3)));  // and on top of rows again
  EXPECT_EQ(under(3), 1u);
}

TEST_F(TreeEntity, KnowsItsNodesAfterItWoke) {
  must(ask(add(1, 0)));
  must(ask(add(2, 1)));
  wake(entity_kind::tree);
  EXPECT_EQ(ask(add(2, 0)).error().reason, "already_on_tree");
  EXPECT_EQ(must(ask(move(2, 0))), 4u);
  EXPECT_EQ(under(0), 2u);
}

TEST_F(TreeEntity, ALostChangeWasNever) {
  must(ask(add(1, 0)));
  store->faults.appends = 1;
  EXPECT_EQ(code_of(ask(add(2, 1))), errc::unavailable);
  wake(entity_kind::tree);
  must(ask(add(2, 0)));
  EXPECT_EQ(under(0), 2u);
  EXPECT_EQ(under(1), 0u);
}

TEST_F(TreeEntity, RefusesWhileTheStoreDoesNotRead) {
  must(ask(add(1, 0)));
  wake(entity_kind::tree);
  store->faults.rows = true;
  EXPECT_EQ(code_of(ask(add(2, 1))), errc::unavailable);
  store->faults = {};
  must(ask(add(2, 1)));
}

TEST_F(TreeEntity, ARefusedChangeLeavesNothingBehind) {
  status->writable = false;
  EXPECT_EQ(code_of(ask(add(1, 0))), errc::unavailable);
  status->writable = true;
  must(ask(add(1, 0)));
  EXPECT_EQ(under(0), 1u);
}

TEST_F(TreeEntity, GoesWithAllItsRows) {
  must(ask(add(1, 0)));
  must(ask(add(2, 1)));
  EXPECT_GT(rows(), 8u);
  must(ask(tests::tree_order(model::tree::remove_tree{true})));
  EXPECT_EQ(rows(), 0u);
}

}  // namespace
}  // namespace orrery::actors
