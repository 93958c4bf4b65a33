// Configurations of fleets in the catalogue, and whom a sweep looks at.
#include "actors/configurations.hpp"

#include <gtest/gtest.h>

#include "actors/catalogue.hpp"
#include "actors/configuration_sweeper.hpp"
#include "tests/support/builders.hpp"

namespace orrery::actors {
namespace {

namespace organisation = model::organisation;
namespace product = model::product;
using model::entity_kind;

class ConfigurationsInCatalogue : public testing::Test {
 protected:
  ConfigurationsInCatalogue() { tell(organisation::create_organisation{"org", "Org"}); }

  void tell(organisation::order what) {
    const auto d = organisation::decide(s, {std::move(what), "user:a", {}}, {});
    ASSERT_TRUE(d) << d.error().detail;
    for (const auto& e : d->events)
      organisation::apply(s, e);
    known.apply({catalogue_id(entity_kind::organisation, "org"),
                 std::make_shared<const organisation::state>(s)});
  }
  void configure(const std::string& id, std::string target, bool is_new = true) {
    auto p = organisation::put_configuration{{}, is_new};
    p.what.id = p.what.name = id;
    p.what.target = std::move(target);
    p.what.desired = {{"a", 1}};
    tell(std::move(p));
  }
  void group(const std::string& id, std::string rule, bool is_new = true) {
    auto p = organisation::put_group{{}, is_new};
    p.what.id = p.what.name = id;
    p.what.what = organisation::device_group::kind::by_rule;
    p.what.rule = std::move(rule);
    tell(std::move(p));
  }
  void make_product(const std::string& key, const std::string& of_model) {
    auto p = product::state{};
    product::apply(p, product::created{tests::product(key), {}});
    p.organisation = "org";
    p.model = of_model;
    known.apply({catalogue_id(entity_kind::product, key),
                 std::make_shared<const product::state>(std::move(p))});
  }
  std::shared_ptr<const model::device::configuration_set> now() const {
    return known.current()->organisation("org")->configurations;
  }

  organisation::state s;
  catalogue known;
};

TEST_F(ConfigurationsInCatalogue, AreCompiledWhenTheyChangeAndNotElse) {
  EXPECT_TRUE(now()->all.empty());
  configure("c1", "tags.a = 'b'");
  const auto first = now();
  ASSERT_EQ(first->all.size(), 1u);
  EXPECT_EQ(first->all[0].version, 1u);
  EXPECT_EQ(first->reads, bit_of(model::device::search_field::tags));
  tell(organisation::update_organisation{"Other name", {}, {}, {}});
  make_product("p1", "m");
  EXPECT_EQ(now(), first);
  tell(organisation::remove_configuration{"c1"});
  EXPECT_TRUE(now()->all.empty());
}

TEST_F(ConfigurationsInCatalogue, FollowProductsAndGroups) {
  make_product("p1", "m1");
  configure("c1", "modelId = 'm2'");
  const auto before = now();
  EXPECT_TRUE(before->asks_products);
  make_product("p2", "m2");
  EXPECT_FALSE(now()->says_the_same_as(*before));
  EXPECT_NE(now()->all[0].text.find("p2"), std::string::npos) << now()->all[0].text;
  group("g1", "tags.a = 'b'");
  configure("c2", "group = 'g1'");
  const auto grouped = now();
  group("g1", "tags.a = 'c'", false);
  EXPECT_FALSE(now()->says_the_same_as(*grouped));
  EXPECT_EQ(now()->all[1].version, grouped->all[1].version);
}

TEST_F(ConfigurationsInCatalogue, AreReadAgainFromRows) {
  configure("c1", "tags.a = 'b'");
  auto again = catalogue{};
  again.apply({catalogue_id(entity_kind::organisation, "org"),
               std::make_shared<const organisation::state>(s)});
  EXPECT_TRUE(again.current()->organisation("org")->configurations->says_the_same_as(*now()));
}

TEST_F(ConfigurationsInCatalogue, SweepsLookAtWhomAChangeMayConcern) {
  const auto none = now();
  EXPECT_EQ(to_look_at(nullptr, *none), "exists(configuration)") << "nobody knows what was before";
  configure("c1", "tags.a = 'b'");
  const auto one = now();
  EXPECT_EQ(to_look_at(nullptr, *one), "(tags.a = \"b\") or (exists(configuration))");
  EXPECT_EQ(to_look_at(none.get(), *one), "(tags.a = \"b\") or (configuration in ('c1'))");
  configure("c2", "tags.x = 'y'");
  const auto two = now();
  EXPECT_EQ(to_look_at(one.get(), *two), "(tags.x = \"y\") or (configuration in ('c2'))");
  EXPECT_EQ(to_look_at(two.get(), *one), "configuration in ('c2')");
  for (int i = 0; i < 30; ++i)
    configure("more" + std::to_string(i), "tags.m = '" + std::to_string(i) + "'");
  EXPECT_EQ(to_look_at(two.get(), *now()), std::nullopt) << "too many: all of them";
}

}  // namespace
}  // namespace orrery::actors
