#include "model/organisation/groups.hpp"

#include <gtest/gtest.h>

namespace orrery::model::organisation {
namespace {

class Groups : public testing::Test {
 protected:
  Groups() { EXPECT_EQ(tell(create_organisation{"org", "Org"}), ""); }
  std::string_view tell(order what, std::optional<std::uint64_t> expected = {}) {
    auto d = decide(s, {std::move(what), "user:a", expected}, {entity_id{}, now, 3});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
    }
    auto kept = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
    EXPECT_EQ(encode_state(kept, 1), encode_state(s, 1));
    return "";
  }
  static put_group fixed(std::string id, std::string name = {}) {
    auto p = put_group{{}, true};
    p.what.id = id;
    p.what.name = name.empty() ? std::move(id) : std::move(name);
    return p;
  }
  static put_group by_rule(std::string id, std::string rule) {
    auto p = fixed(std::move(id));
    p.what.what = device_group::kind::by_rule;
    p.what.rule = std::move(rule);
    return p;
  }
  state s;
  timestamp now = from_ms(1'700'000'000'000);
};

TEST_F(Groups, ComeChangeAndGo) {
  EXPECT_EQ(tell(fixed("g1", "North")), "");
  const auto* g = s.find_group("g1");
  ASSERT_TRUE(g);
  EXPECT_EQ(g->actor, "user:a");
  EXPECT_EQ(g->created_at, now);
  EXPECT_EQ(tell(fixed("g1", "Other")), "group_exists");
  EXPECT_EQ(tell(fixed("g2", "North")), "group_exists") << "names are told apart";
  const auto revision = g->revision;
  auto change = fixed("g1", "South");
  change.is_new = false;
  now += std::chrono::hours{1};
  EXPECT_EQ(tell(change, revision + 1), "etag_mismatch");
  EXPECT_EQ(tell(change, revision), "");
  g = s.find_group("g1");
  EXPECT_EQ(g->name, "South");
  EXPECT_EQ(g->updated_at - g->created_at, std::chrono::hours{1});
  EXPECT_GT(g->revision, revision);
  change.what.id = "g9";
  EXPECT_EQ(tell(change), "group_unknown");
  EXPECT_EQ(tell(remove_group{"g9"}), "group_unknown");
  EXPECT_EQ(tell(remove_group{"g1"}, revision), "etag_mismatch");
  EXPECT_EQ(tell(remove_group{"g1"}), "");
  EXPECT_FALSE(s.find_group("g1"));
}

TEST_F(Groups, AreChecked) {
  for (const auto& [id, name] : std::vector<std::pair<std::string, std::string>>{
           {"a b", "x"}, {"", "x"}, {"g", std::string(65, 'x')}})
    EXPECT_EQ(tell(fixed(id, name.empty() ? " " : name)), "group_invalid") << id;
  auto none = fixed("g");
  none.what.name.clear();
  EXPECT_EQ(tell(none), "group_invalid");
  auto sixty_four = std::string{};
  for (int i = 0; i < 64; ++i)
    sixty_four += "\xc3\xa4";
  EXPECT_EQ(tell(fixed("long", sixty_four)), "") << "characters are counted, not bytes";
  auto with_rule = fixed("g");
  with_rule.what.rule = "name = 'x'";
  EXPECT_EQ(tell(with_rule), "group_rule_invalid");
}

TEST_F(Groups, ARuleIsAFilterOfWhatDevicesAre) {
  EXPECT_EQ(tell(by_rule("r1", "tags.site = 'A' and modelId = 'm'")), "");
  for (const auto* rule :
       {"", "(", "points.power > 5", "lastDataAt > 5", "name = 'x' or not (points.power exists)"})
    EXPECT_EQ(tell(by_rule("r2", rule)), "group_rule_invalid") << rule;
  EXPECT_EQ(tell(by_rule("r2", "name = '" + std::string(max_group_rule, 'x') + "'")),
            "group_rule_invalid");
  auto many = std::string{"name = 'x'"};
  for (std::size_t i = 0; i < max_rule_conditions; ++i)
    many += " or name = 'x'";
  EXPECT_EQ(tell(by_rule("r2", many)), "group_rule_invalid");
}

TEST_F(Groups, ARuleNamesFixedGroupsAlone) {
  EXPECT_EQ(tell(fixed("g1")), "");
  EXPECT_EQ(tell(by_rule("r1", "group = 'g1' and tags.site = 'A'")), "");
  EXPECT_EQ(tell(by_rule("r2", "name = 'x' or not (group in ('g1', 'r1'))")), "group_nested");
  EXPECT_EQ(tell(by_rule("r2", "group = 'r2'")), "group_rule_invalid") << "it is not there yet";
  auto itself = by_rule("r1", "group = 'r1'");
  itself.is_new = false;
  EXPECT_EQ(tell(itself), "group_nested");
  EXPECT_EQ(tell(remove_group{"g1"}), "group_in_use");
  EXPECT_EQ(tell(remove_group{"r1"}), "");
  EXPECT_EQ(tell(remove_group{"g1"}), "");
}

TEST_F(Groups, ARoleThatNamesOneHoldsIt) {
  EXPECT_EQ(tell(fixed("g1")), "");
  auto r = put_role{{}, true};
  r.what.name = "r";
  r.what.permissions = {"device:read"};
  r.what.within.groups = {"g1"};
  EXPECT_EQ(tell(r), "");
  EXPECT_EQ(tell(remove_group{"g1"}), "group_in_use");
  EXPECT_EQ(tell(remove_role{"r"}), "");
  EXPECT_EQ(tell(remove_group{"g1"}), "");
}

TEST_F(Groups, TellWhichRolesReachWhomTheyHave) {
  const auto names = [&](const std::string& id, bool by_leaving = false) {
    auto all = std::string{};
    for (const auto& r : roles_reached_by(s, id, by_leaving))
      all += r.name + " ";
    return all;
  };
  for (const auto* id : {"g1", "g2", "g3"})
    EXPECT_EQ(tell(fixed(id)), "");
  EXPECT_EQ(tell(by_rule("r1", "tags.site = 'A' and group != 'g1'")), "");
  EXPECT_EQ(tell(by_rule("r2", "tags.site = 'B'")), "");
  const auto role = [&](const char* name, std::vector<std::string> groups) {
    auto r = put_role{{}, true};
    r.what.name = name;
    r.what.permissions = {"device:read"};
    r.what.within.groups = std::move(groups);
    EXPECT_EQ(tell(r), "");
  };
  role("direct", {"g2", "g1"});
  role("ruled", {"r1"});
  role("other", {"r2"});
  role("whole", {});
  EXPECT_EQ(names("g1"), "direct ruled ");
  EXPECT_EQ(names("g1", true), "ruled ") << "whoever leaves it may come under the rule";
  EXPECT_EQ(names("g2"), "direct ");
  EXPECT_EQ(names("g2", true), "");
  EXPECT_EQ(names("g3"), "");
  EXPECT_EQ(names("r1"), "ruled ");
  EXPECT_EQ(names("r2"), "other ");
  EXPECT_EQ(names("gone"), "");
}

TEST_F(Groups, AreBounded) {
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(tell(fixed("g" + std::to_string(i))), "");
  EXPECT_EQ(tell(fixed("more")), "quota_exceeded");
  EXPECT_EQ(used_of(s, "groups"), 200u);
}

TEST_F(Groups, KeepTheirKind) {
  EXPECT_EQ(tell(fixed("g1")), "");
  auto other = by_rule("g1", "name = 'x'");
  other.is_new = false;
  EXPECT_EQ(tell(other), "group_rule_invalid");
}

TEST_F(Groups, SecretsAreShownIfTheOrganisationSaysSo) {
  auto u = update_organisation{};
  u.reveals_secrets = true;
  EXPECT_EQ(tell(u), "");
  EXPECT_TRUE(s.reveals_secrets);
  EXPECT_EQ(s.name, "Org");
  u = {};
  u.name = "New";
  EXPECT_EQ(tell(u), "");
  EXPECT_TRUE(s.reveals_secrets);
}

}  // namespace
}  // namespace orrery::model::organisation
