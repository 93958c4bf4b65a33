#include "model/organisation/access.hpp"

#include <random>

#include <gtest/gtest.h>

namespace orrery::model::organisation {
namespace {

using names = std::vector<std::string>;

grant of(names permissions, scope within = {}) {
  return {"r", std::move(permissions), std::move(within)};
}
const auto organisation_itself = resource{};

TEST(Access, WithoutAScopeARoleHoldsForAll) {
  const auto has = rights{of({"device:*"})};
  EXPECT_TRUE(evaluate(has, "device:write", organisation_itself).allowed);
  EXPECT_TRUE(evaluate(has, "device:write", {"p", {}, {}}).allowed);
  EXPECT_FALSE(evaluate(has, "data:read", {"p", {}, {}}).allowed);
  EXPECT_FALSE(evaluate({}, "device:read", {"p", {}, {}}).allowed);
}

TEST(Access, WithOneItHoldsForWhatAnyOfItsListsNames) {
  const auto has = rights{of({"device:read"}, {{"p1", "p2"}, {"g1"}, {"n1"}})};
  EXPECT_TRUE(evaluate(has, "device:read", {"p2", {}, {}}).allowed);
  EXPECT_TRUE(evaluate(has, "device:read", {"p9", {"g0", "g1"}, {}}).allowed);
  EXPECT_TRUE(evaluate(has, "device:read", {"p9", {}, {"n1"}}).allowed);
  EXPECT_FALSE(evaluate(has, "device:read", {"p9", {"n1"}, {"g1"}}).allowed) << "kinds stay apart";
  EXPECT_FALSE(evaluate(has, "device:read", organisation_itself).allowed);
}

TEST(Access, RolesAddUp) {
  const auto has = rights{of({"device:read"}), of({"device:write"}, {{"p1"}, {}, {}})};
  EXPECT_TRUE(evaluate(has, "device:read", {"p2", {}, {}}).allowed);
  EXPECT_TRUE(evaluate(has, "device:write", {"p1", {}, {}}).allowed);
  EXPECT_FALSE(evaluate(has, "device:write", {"p2", {}, {}}).allowed);
}

TEST(Access, SaysWhy) {
  auto has = rights{of({"device:*"}, {{"p1"}, {}, {}})};
  EXPECT_EQ(evaluate(has, "device:read", {"p1", {}, {}}).why, "the role r gives device:read");
  EXPECT_EQ(evaluate(has, "device:read", {"p2", {}, {}}).why,
            "the role r gives device:read, but not here");
  EXPECT_EQ(evaluate(has, "data:read", {"p1", {}, {}}).why, "no role gives data:read");
  has[0].role.clear();
  EXPECT_EQ(evaluate(has, "device:read", {"p1", {}, {}}).why,
            "a permission of the key gives device:read");
}

TEST(Access, AScopeOfGroupsOrNodesAloneGivesNoProducts) {
  EXPECT_TRUE(permits_somewhere({of({"*"})}, "device:read"));
  EXPECT_TRUE(permits_somewhere({of({"*"}, {{"p"}, {}, {}})}, "device:read"));
  EXPECT_TRUE(permits_somewhere({of({"*"}, {{}, {"g"}, {"n"}})}, "device:read"));
  EXPECT_FALSE(permits_somewhere({of({"data:read"})}, "device:read"));
}

TEST(Access, NobodyGivesWhatHeDoesNotHave) {
  const auto whole = rights{of({"device:*", "data:read"})};
  EXPECT_EQ(missing_to_give(whole, of({"device:write", "data:read"})), std::nullopt);
  EXPECT_EQ(missing_to_give(whole, of({"device:*"}, {{"p"}, {"g"}, {}})), std::nullopt);
  EXPECT_EQ(missing_to_give(whole, of({"device:read", "iam:user"})), "iam:user");
  EXPECT_EQ(missing_to_give(whole, of({"*"})), "*");
  EXPECT_EQ(missing_to_give(whole, of({"data:*"})), "data:*");
  const auto part = rights{of({"device:*"}, {{"p1"}, {}, {}}), of({"*"}, {{"p2"}, {}, {}})};
  EXPECT_EQ(missing_to_give(part, of({"device:read"}, {{"p1", "p2"}, {}, {}})), std::nullopt);
  EXPECT_EQ(missing_to_give(part, of({"device:read"})), "device:read") << "without a scope is more";
  EXPECT_EQ(missing_to_give(part, of({"data:read"}, {{"p1"}, {}, {}})), "data:read");
  EXPECT_EQ(missing_to_give(part, of({"device:read"}, {{}, {"p1"}, {}})), "device:read");
}

TEST(Access, PermissionsHaveAForm) {
  for (const auto* good : {"*", "device:*", "device:read"})
    EXPECT_TRUE(is_permission(good)) << good;
  for (const auto* bad : {"", "device", ":", "device:", ":read", "Device:read", "a:b:c", "*:read",
                          "device:re ad", "**", "abcdefghijklmnopqrstuvwxyzabcdefg:read"})
    EXPECT_FALSE(is_permission(bad)) << bad;
}

TEST(Access, BuiltInRolesAreThree) {
  ASSERT_EQ(built_in_roles().size(), 3u);
  for (const auto& r : built_in_roles()) {
    EXPECT_EQ(built_in_role(r.name), &r);
    EXPECT_TRUE(r.within.is_whole());
    for (const auto& p : r.permissions)
      EXPECT_TRUE(is_permission(p)) << p;
  }
  EXPECT_EQ(built_in_role("king"), nullptr);
}

/// The rule as it is told: somebody may, if for one of his grants both is true; each permission and
/// each name is looked at by itself.
bool plainly(const rights& has, const std::string& area, const std::string& action,
             const resource& what) {
  auto allowed = false;
  for (const auto& g : has) {
    auto covers = false;
    for (const auto& p : g.permissions)
      covers = covers || p == "*" || p == area + ":*" || p == area + ":" + action;
    auto inside =
        g.within.products.size() + g.within.groups.size() + g.within.tree_nodes.size() == 0;
    for (const auto& p : g.within.products)
      inside = inside || p == what.product;
    for (const auto& a : g.within.groups)
      for (const auto& b : what.groups)
        inside = inside || a == b;
    for (const auto& a : g.within.tree_nodes)
      for (const auto& b : what.tree_nodes)
        inside = inside || a == b;
    allowed = allowed || (covers && inside);
  }
  return allowed;
}

TEST(Access, AgreesWithThePlainRule) {
  auto random = std::mt19937{20261126};
  const auto upto = [&](std::size_t n) { return random() % (n + 1); };
  const auto areas = names{"device", "dev", "data", "iam"}, actions = names{"read", "write", "re"},
             words = names{"a", "b", "c", "d"};
  const auto some = [&](const names& of, std::size_t most) {
    auto out = names{};
    for (auto n = upto(most); n > 0; --n)
      out.push_back(of[upto(of.size() - 1)]);
    return out;
  };
  auto allowed = 0, refused = 0;
  for (int i = 0; i < 50'000; ++i) {
    auto has = rights{};
    for (auto n = upto(3); n > 0; --n) {
      auto g = of({}, {some(words, 2), some(words, 1), some(words, 1)});
      if (upto(2) == 0)
        g.within = {};
      for (auto m = upto(3); m > 0; --m) {
        const auto& area = areas[upto(areas.size() - 1)];
        const auto& action = actions[upto(actions.size() - 1)];
        g.permissions.push_back(upto(9) == 0   ? "*"
                                : upto(2) == 0 ? area + ":*"
                                               : area + ":" + action);
      }
      has.push_back(std::move(g));
    }
    const auto& area = areas[upto(areas.size() - 1)];
    const auto& action = actions[upto(actions.size() - 1)];
    const auto what = resource{upto(3) == 0 ? "" : words[upto(3)], some(words, 2), some(words, 2)};
    const auto got = evaluate(has, area + ":" + action, what);
    ASSERT_EQ(got.allowed, plainly(has, area, action, what)) << i << ": " << got.why;
    ++(got.allowed ? allowed : refused);
    // Who can give something can do it.
    if (const auto g = grant{"", {area + ":" + action}, {{"a", "b"}, {}, {"c"}}};
        !missing_to_give(has, g)) {
      EXPECT_TRUE(evaluate(has, g.permissions[0], {"a", {}, {}}).allowed);
      EXPECT_TRUE(evaluate(has, g.permissions[0], {"", {}, {"x", "c"}}).allowed);
    }
  }
  EXPECT_GT(allowed, 5'000);
  EXPECT_GT(refused, 5'000);
}

}  // namespace
}  // namespace orrery::model::organisation
