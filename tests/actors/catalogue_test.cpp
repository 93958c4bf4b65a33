#include "actors/catalogue.hpp"

#include <sstream>

#include <gtest/gtest.h>

#include "model/blueprint/inheritance.hpp"
#include "model/json.hpp"
#include "storage/keys.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
namespace blueprint = model::blueprint;
namespace organisation = model::organisation;
namespace product = model::product;
using model::entity_kind;
using model::errc;

template <class State>
catalogue_change change(entity_kind kind, std::string_view name, const State& s) {
  return {catalogue_id(kind, name), std::make_shared<const State>(s)};
}

class Catalogue : public testing::Test {
 protected:
  blueprint::state model_state() {
    auto s = blueprint::state{};
    blueprint::apply(s, blueprint::created{tests::blueprint(), {}});
    blueprint::apply(s, blueprint::published{{1, tests::model_document(), "", {}, ""}});
    return s;
  }
  product::state product_state(const std::string& key = tests::product_key) {
    auto s = product::state{};
    product::apply(s, product::created{tests::product(key), {}});
    return s;
  }
  void plant(entity_kind kind, std::string_view name, std::string bytes) {
    store.plant(storage::family::state, keys::state(kind, catalogue_id(kind, name)),
                std::move(bytes));
  }
  const model::device::product_view& view(const std::string& key = tests::product_key) {
    held = known.current();
    return held->product(key)->view;
  }
  tests::memory_store store;
  catalogue known;
  std::shared_ptr<const catalogue_snapshot> held;
};

TEST_F(Catalogue, IsEmptyAtFirst) {
  ASSERT_TRUE(known.load(store));
  EXPECT_FALSE(known.current()->product(tests::product_key));
  EXPECT_FALSE(known.current()->blueprint("org", "m"));
  EXPECT_FALSE(known.current()->organisation("org"));
}

TEST_F(Catalogue, LoadsWhatIsInTheRows) {
  auto org = organisation::state{};
  organisation::apply(org, organisation::created{{"org", "Org"}, {}});
  plant(entity_kind::organisation, "org", organisation::encode_state(org, 1));
  plant(entity_kind::product, tests::product_key, product::encode_state(product_state(), 1));
  plant(entity_kind::product, "second", product::encode_state(product_state("second"), 1));
  plant(entity_kind::blueprint, "org/m", blueprint::encode_state(model_state(), 2));
  const auto version = known.version();
  ASSERT_TRUE(known.load(store));
  EXPECT_GT(known.version(), version);
  held = known.current();
  ASSERT_TRUE(held->organisation("org"));
  EXPECT_EQ(held->organisation("org")->state->name, "Org");
  EXPECT_EQ(held->organisation("org")->id, catalogue_id(entity_kind::organisation, "org"));
  ASSERT_TRUE(held->blueprint("org", "m"));
  EXPECT_FALSE(held->blueprint("other", "m"));
  ASSERT_TRUE(held->product("second"));
  ASSERT_TRUE(view().model);  // the models come first, whatever the order of the rows
  EXPECT_TRUE(view().model->find_point("p"));
}

TEST_F(Catalogue, ADamagedRowStopsTheLoadAndKeepsWhatThereWas) {
  tests::fill(known);
  const auto version = known.version();
  plant(entity_kind::product, "damaged", "no product");
  const auto ok = known.load(store);
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().code, errc::corrupted);
  EXPECT_EQ(known.version(), version);
  EXPECT_TRUE(known.current()->product(tests::product_key));
}

TEST_F(Catalogue, AStoreThatDoesNotReadStopsTheLoad) {
  store.faults.rows = true;
  EXPECT_EQ(known.load(store).error().code, errc::unavailable);
}

TEST_F(Catalogue, ItsVersionRisesAndASnapshotStays) {
  const auto before = known.current();
  auto version = known.version();
  known.apply(change(entity_kind::product, tests::product_key, product_state()));
  EXPECT_GT(known.version(), version);
  EXPECT_FALSE(before->product(tests::product_key));
  EXPECT_TRUE(known.current()->product(tests::product_key));
  version = known.version();
  auto gone = product_state();
  product::apply(gone, product::removed{});
  const auto with = known.current();
  known.apply(change(entity_kind::product, tests::product_key, gone));
  EXPECT_GT(known.version(), version);
  EXPECT_FALSE(known.current()->product(tests::product_key));
  EXPECT_TRUE(with->product(tests::product_key));
}

TEST_F(Catalogue, WhatAnotherNodeTookAwayIsGone) {
  auto org = organisation::state{};
  organisation::apply(org, organisation::created{{"org", "Org"}, {}});
  known.apply(change(entity_kind::organisation, "org", org));
  known.apply(change(entity_kind::product, tests::product_key, product_state()));
  const auto with = known.current();
  const auto removal = [](entity_kind kind, std::string_view name) {
    return storage::row{.family = storage::family::state,
                        .key = keys::state(kind, catalogue_id(kind, name)),
                        .operation = storage::row_operation::remove};
  };
  EXPECT_TRUE(known.apply(removal(entity_kind::product, "nobody")));
  EXPECT_EQ(known.current(), with);
  EXPECT_TRUE(known.apply(removal(entity_kind::product, tests::product_key)));
  EXPECT_FALSE(known.current()->product(tests::product_key));
  EXPECT_TRUE(known.current()->organisation("org"));
  EXPECT_TRUE(known.apply(removal(entity_kind::organisation, "org")));
  EXPECT_FALSE(known.current()->organisation("org"));
}

TEST_F(Catalogue, TheViewOfAProductSaysHowItsDevicesLogIn) {
  auto s = product_state();
  s.sign_methods = 5;
  known.apply(change(entity_kind::product, tests::product_key, s));
  EXPECT_TRUE(view().exists);
  EXPECT_EQ(view().demands, model::device::login_demand::secret);
  EXPECT_TRUE(view().direct_access);
  EXPECT_EQ(view().sign_methods, 5);
  EXPECT_FALSE(view().model);
  s.auth = product::authentication::certificate;
  s.access = product::access_mode::via_gateway;
  known.apply(change(entity_kind::product, tests::product_key, s));
  EXPECT_EQ(view().demands, model::device::login_demand::certificate);
  EXPECT_FALSE(view().direct_access);
}

TEST_F(Catalogue, AModelReachesTheProductsOnItAndNoOthers) {
  known.apply(change(entity_kind::product, tests::product_key, product_state()));
  auto other = product_state("other");
  other.model = "n";
  known.apply(change(entity_kind::product, "other", other));
  auto foreign = product_state("foreign");
  foreign.organisation = "elsewhere";
  known.apply(change(entity_kind::product, "foreign", foreign));
  auto models = model_state();
  known.apply(change(entity_kind::blueprint, "org/m", models));
  ASSERT_TRUE(view().model);
  EXPECT_FALSE(view().model->find_point("extra"));
  EXPECT_FALSE(view("other").model);
  EXPECT_FALSE(view("foreign").model);
  const auto first = view().model;

  blueprint::apply(
      models,
      blueprint::published{
          {2, tests::model_document(R"(, {"id": "extra", "type": {"t": "int"}})"), "", {}, ""}});
  known.apply(change(entity_kind::blueprint, "org/m", models));
  EXPECT_TRUE(view().model->find_point("extra"));
  // A revision is compiled once.
  EXPECT_EQ(held->blueprint("org", "m")->compiled.at(1), first);
}

TEST_F(Catalogue, APinnedProductKeepsItsRevision) {
  auto models = model_state();
  blueprint::apply(
      models,
      blueprint::published{
          {2, tests::model_document(R"(, {"id": "extra", "type": {"t": "int"}})"), "", {}, ""}});
  known.apply(change(entity_kind::blueprint, "org/m", models));
  auto s = product_state();
  s.pinned_revision = 1;
  known.apply(change(entity_kind::product, tests::product_key, s));
  ASSERT_TRUE(view().model);
  EXPECT_FALSE(view().model->find_point("extra"));
  s.pinned_revision = 9;  // there is none
  known.apply(change(entity_kind::product, tests::product_key, s));
  EXPECT_FALSE(view().model);
}

TEST_F(Catalogue, AProductMayBeStricterOrLaxerThanItsModel) {
  known.apply(change(entity_kind::blueprint, "org/m", model_state()));
  auto s = product_state();
  known.apply(change(entity_kind::product, tests::product_key, s));
  EXPECT_EQ(view().mode, view().model->mode());
  s.mode = model::validation::off;
  known.apply(change(entity_kind::product, tests::product_key, s));
  EXPECT_EQ(view().mode, model::validation::off);
}

TEST_F(Catalogue, AScriptIsTheSameObjectUntilItsTextChanges) {
  auto s = product_state();
  const auto script = [&] {
    known.apply(change(entity_kind::product, tests::product_key, s));
    return known.current()->product(tests::product_key)->script;
  };
  EXPECT_FALSE(script());
  product::apply(s, product::script_set{"one", {}});
  const auto one = script();
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, "one");
  s.name = "Another";
  EXPECT_EQ(script(), one);
  known.apply(change(entity_kind::blueprint, "org/m", model_state()));
  EXPECT_EQ(known.current()->product(tests::product_key)->script, one);
  product::apply(s, product::script_set{"two", {}});
  EXPECT_EQ(*script(), "two");
  product::apply(s, product::script_removed{});
  EXPECT_FALSE(script());
}

TEST_F(Catalogue, ARemovedModelIsGone) {
  auto models = model_state();
  known.apply(change(entity_kind::blueprint, "org/m", models));
  blueprint::apply(models, blueprint::removed{});
  known.apply(change(entity_kind::blueprint, "org/m", models));
  EXPECT_FALSE(known.current()->blueprint("org", "m"));
}

/// Published models "base" <- "m" <- "leaf" of the organisation "org".
class Family : public Catalogue {
 protected:
  static model::value document(const std::string& id, const std::string& parent,
                               const std::string& points) {
    return *model::parse_json(R"({"format": "tm/1", "id": ")" + id + "\"" +
                              (parent.empty() ? "" : R"(, "extends": ")" + parent + "\"") +
                              R"(, "measurePoints": [)" + points + "]}");
  }
  /// Publishes the next revision as the rules would, with what the parent is now.
  void publish(const std::string& id, const std::string& parent, const std::string& points,
               const std::string& organisation = "org") {
    auto& s = states[organisation + "/" + id];
    const auto own = document(id, parent, points);
    if (!s.exists)
      blueprint::apply(s, blueprint::created{{organisation, id, own}, {}});
    auto r = blueprint::revision_record{s.revisions.size() + 1, own, "", {}, ""};
    if (!parent.empty())
      if (const auto* above = known.current()->blueprint(organisation, parent);
          above && above->newest)
        if (auto whole = blueprint::resolve(own, above->effective, *above->newest))
          r.effective = whole->document;
    blueprint::apply(s, blueprint::published{std::move(r)});
    known.apply(change(entity_kind::blueprint, organisation + "/" + id, s));
  }
  void make_family() {
    publish("base", "", point("a"));
    publish("m", "base", point("b"));
    publish("leaf", "m", point("c"));
    auto on_leaf = product_state("on-leaf");
    on_leaf.model = "leaf";
    known.apply(change(entity_kind::product, "on-leaf", on_leaf));
    auto pinned = product_state("pinned");
    pinned.model = "leaf";
    pinned.pinned_revision = 1;
    known.apply(change(entity_kind::product, "pinned", pinned));
  }
  static std::string point(const std::string& id, const std::string& type = "int") {
    return R"({"id": ")" + id + R"(", "type": {"t": ")" + type + "\"}}";
  }
  std::map<std::string, blueprint::state> states;
};

TEST_F(Family, AProductHasWhatItsModelInherits) {
  make_family();
  for (const auto* id : {"a", "b", "c"})
    EXPECT_TRUE(view("on-leaf").model->find_point(id)) << id;
}

TEST_F(Family, AParentReachesAllBelowItInOneSnapshot) {
  make_family();
  const auto before = known.current();
  publish("base", "", point("a") + "," + point("more"));
  EXPECT_TRUE(view("on-leaf").model->find_point("more"));
  EXPECT_TRUE(view("on-leaf").model->find_point("c"));
  EXPECT_FALSE(view("pinned").model->find_point("more")) << "a pinned revision never changes";
  EXPECT_TRUE(view("pinned").model->find_point("a"));
  EXPECT_FALSE(before->product("on-leaf")->view.model->find_point("more"));
  EXPECT_TRUE(before->blueprint("org", "leaf")->effective.is_object());
}

TEST_F(Family, WhatDoesNotFitStaysAsItWasPublished) {
  make_family();
  publish("base", "", point("a") + "," + point("c", "string"));  // as if both came at once
  ASSERT_TRUE(view("on-leaf").model);
  EXPECT_EQ(view("on-leaf").model->find_point("c")->type.type, model::data_type::int32);
  publish("base", "", point("a") + "," + point("more"));
  EXPECT_TRUE(view("on-leaf").model->find_point("more")) << "it follows again when it can";
}

TEST_F(Family, IsTheSameInWhateverOrderItIsRead) {
  make_family();
  publish("base", "", point("a") + "," + point("more"));
  const auto whole = known.current()->blueprint("org", "leaf")->effective;
  for (const auto* order : {"base m leaf", "leaf m base", "m leaf base"}) {
    auto other = catalogue{};
    auto in = std::istringstream{order};
    for (auto id = std::string{}; in >> id;)
      other.apply(change(entity_kind::blueprint, "org/" + id, states["org/" + id]));
    EXPECT_EQ(other.current()->blueprint("org", "leaf")->effective, whole) << order;
    EXPECT_EQ(other.current()->path_of("org/leaf"),
              (std::vector<std::string>{"org/base", "org/m", "org/leaf"}))
        << order;
  }
}

TEST_F(Family, TellsWhoInherits) {
  make_family();
  publish("other", "base", point("x"));
  const auto below = known.current()->descendants_of("org/base");
  ASSERT_EQ(below.size(), 3u);
  EXPECT_EQ(below[2].key, "org/leaf");
  EXPECT_EQ(below[2].parent, "org/m");
  EXPECT_EQ(below[2].depth, 2u);
  publish("m", "", point("b"));
  EXPECT_EQ(known.current()->descendants_of("org/base").size(), 1u);
  EXPECT_FALSE(view("on-leaf").model->find_point("a"));
}

TEST_F(Family, AModelThatIsGoneLeavesItsChildrenAsTheyWere) {
  make_family();
  blueprint::apply(states["org/base"], blueprint::removed{});
  known.apply(change(entity_kind::blueprint, "org/base", states["org/base"]));
  EXPECT_TRUE(view("on-leaf").model->find_point("a"));
  EXPECT_EQ(known.current()->path_of("org/leaf").size(), 2u);
}

TEST_F(Family, IsSeenByThoseItIsSharedWith) {
  make_family();
  publish("theirs", "org/base", point("t"), "acme");
  EXPECT_FALSE(known.current()->visible_blueprint("acme", "org/base"));
  auto& base = states["org/base"];
  blueprint::apply(base, blueprint::shared{{"acme", true}, {}});
  known.apply(change(entity_kind::blueprint, "org/base", base));
  EXPECT_TRUE(known.current()->visible_blueprint("acme", "org/base"));
  EXPECT_FALSE(known.current()->visible_blueprint("else", "org/base"));
  publish("theirs", "org/base", point("t"), "acme");
  EXPECT_TRUE(known.current()->blueprint("acme", "theirs")->newest->find_point("a"));
  blueprint::apply(base, blueprint::shared{{"*", true}, {}});
  known.apply(change(entity_kind::blueprint, "org/base", base));
  EXPECT_TRUE(known.current()->visible_blueprint("else", "org/base"));
}

TEST_F(Family, ALibraryIsNoModel) {
  auto s = blueprint::state{};
  blueprint::apply(s, blueprint::library_changed{{"org", {{"e", model::object{}}}}, {}});
  known.apply(change(entity_kind::blueprint, "org/$library", s));
  EXPECT_TRUE(known.current()->library("org").find("e"));
  EXPECT_TRUE(known.current()->library("acme").as_object().empty());
  EXPECT_FALSE(known.current()->visible_blueprint("org", "$library"));
}

TEST(CatalogueId, IsMadeOfTheNameAlone) {
  const auto id = catalogue_id(entity_kind::product, "pk");
  EXPECT_EQ(id.shard, model::catalogue_shard);
  EXPECT_EQ(id, catalogue_id(entity_kind::product, "pk"));
  EXPECT_NE(id, catalogue_id(entity_kind::product, "pk2"));
  EXPECT_NE(id, catalogue_id(entity_kind::organisation, "pk"));
  // It is on disk: another way to make it would lose every product.
  EXPECT_EQ(model::to_string(id), "zzz5rta353dqac64cxhf4fcymx2b2");
}

}  // namespace
}  // namespace orrery::actors
