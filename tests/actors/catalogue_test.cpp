#include "actors/catalogue.hpp"

#include <gtest/gtest.h>

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
