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

// ---- asset trees --------------------------------------------------------------------------------

class AssetEntity : public tests::entity_bench {
 protected:
  AssetEntity() { make(root, {}, 1); }
  void as(const model::entity_id& node) {
    id = node;
    wake(entity_kind::asset);
  }
  void make(const model::entity_id& node, std::optional<model::entity_id> parent,
            std::uint8_t depth) {
    as(node);
    auto c = model::asset::create_node{};
    c.tree = root;
    c.parent = parent;
    c.depth = depth;
    c.name = "node";
    must(ask(tests::asset_order(c)));
  }
  std::size_t under(const model::entity_id& parent) {
    return store->rows(family::index, keys::index_prefix(1, "parent", model::to_string(parent)));
  }
  model::entity_id root = tests::device_id(1, 10), left = tests::device_id(1, 11),
                   right = tests::device_id(1, 12), leaf = tests::device_id(1, 13);
};

TEST_F(AssetEntity, ANodeIsListedUnderItsParentAndIsNoCatalogueEntry) {
  make(left, root, 2);
  EXPECT_EQ(under(root), 1u);
  EXPECT_TRUE(effects->changes.empty());
  must(ask(tests::asset_order(model::asset::remove_node{})));
  EXPECT_EQ(under(root), 0u);
  EXPECT_EQ(code_of(ask(tests::asset_order(model::asset::read_node{}))), errc::not_found);
}

TEST_F(AssetEntity, ANodeWithChildrenStays) {
  make(left, root, 2);
  as(root);
  const auto refused = ask(tests::asset_order(model::asset::remove_node{}));
  EXPECT_EQ(code_of(refused), errc::conflict);
  EXPECT_EQ(refused.error().reason, "has_children");
}

TEST_F(AssetEntity, ANodeStaysWhereTheStoreDoesNotRead) {
  make(left, root, 2);
  as(root);
  store->faults.rows = true;
  EXPECT_EQ(code_of(ask(tests::asset_order(model::asset::remove_node{}))), errc::unavailable);
}

TEST_F(AssetEntity, ANodeWhoseChildrenMovedAwayMayGo) {
  make(left, root, 2);
  make(right, root, 2);
  make(leaf, left, 3);
  must(ask(tests::asset_order(model::asset::move_node{right, 3, 0})));
  EXPECT_EQ(under(right), 1u);
  as(left);
  must(ask(tests::asset_order(model::asset::remove_node{})));
  as(right);
  EXPECT_EQ(code_of(ask(tests::asset_order(model::asset::remove_node{}))), errc::conflict);
}

}  // namespace
}  // namespace orrery::actors
