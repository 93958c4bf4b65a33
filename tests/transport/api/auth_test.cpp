#include "transport/api/auth.hpp"

#include "tests/transport/api/support.hpp"

namespace orrery::transport::api {
namespace {

using namespace std::chrono_literals;

class Auth : public api_test {
 protected:
  std::string refusal(const std::string& header, const std::string& peer = "10.0.0.1") {
    const auto who = authenticate(*parts, header, peer);
    return who ? "" : std::string{who.error().reason};
  }
};

TEST_F(Auth, AKeyNamesItsPermissions) {
  const auto who = authenticate(*parts, "Bearer " + add_key("k1", {"data:read"}), "10.0.0.1");
  ASSERT_TRUE(who);
  EXPECT_EQ(who->organisation, "org");
  EXPECT_EQ(who->actor, "key:k1");
  EXPECT_TRUE(who->may("data:read"));
  EXPECT_FALSE(who->may("data:write"));
}

TEST_F(Auth, ATokenNamesThePersonAndHisRoles) {
  const auto who = authenticate(*parts, "bEaReR " + access_token(), "10.0.0.1");
  ASSERT_TRUE(who);
  EXPECT_EQ(who->actor, "user:eve");
  EXPECT_EQ(who->session, "s1");
  EXPECT_EQ(who->expires, now + 60min);
  EXPECT_TRUE(who->may("device:read"));
  EXPECT_FALSE(who->may("device:write"));
}

TEST_F(Auth, OtherHeadersProveNothing) {
  const auto key = add_key("k1", {"*"});
  for (const auto& header : std::vector<std::string>{
           "", "Bearer", "Bearer ", key, "Basic " + key, "Bearer  " + key, "Bearer " + key + "x",
           "Bearer ork~org~k2~secret", "Bearer ork~other~k1~secret", "Bearer ork~org~k1~Secret",
           "Bearer " + access_token() + "x"})
    EXPECT_EQ(refusal(header), "unauthenticated") << header;
}

TEST_F(Auth, AKeyExpires) {
  const auto key = "Bearer " + add_key("k1", {"*"}, now + 1min);
  EXPECT_EQ(refusal(key), "");
  now += 1min;
  EXPECT_EQ(refusal(key), "token_expired");
}

TEST_F(Auth, AKeyCountsFromItsAddressesOnly) {
  const auto key = "Bearer " + add_key("k1", {"*"}, {}, {"10.0.0.0/24", "::1"});
  EXPECT_EQ(refusal(key, "10.0.0.9"), "");
  EXPECT_EQ(refusal(key, "::1"), "");
  EXPECT_EQ(refusal(key, "10.0.1.9"), "forbidden");
}

TEST_F(Auth, ARevokedKeyIsGone) {
  const auto key = "Bearer " + add_key("k1", {"*"});
  organisation.keys.clear();
  publish();
  EXPECT_EQ(refusal(key), "unauthenticated");
}

TEST_F(Auth, ATokenEndsByTimeByLogoutAndWithItsPerson) {
  const auto token = "Bearer " + access_token(5min);
  EXPECT_EQ(refusal(token), "");
  now += 5min;
  EXPECT_EQ(refusal(token), "token_expired");
  now -= 5min;
  organisation.sessions.clear();
  publish();
  EXPECT_EQ(refusal(token), "unauthenticated");
  organisation.sessions = {{"eve", "s1", now}};
  publish();
  EXPECT_EQ(refusal(token), "unauthenticated") << "the log-in is over before the token";
  organisation.sessions = {{"eve", "s1", now + 1h}};
  organisation.users.clear();
  publish();
  EXPECT_EQ(refusal(token), "unauthenticated");
}

TEST_F(Auth, ALockEndsOpenTokensAtOnce) {
  const auto token = "Bearer " + access_token();
  organisation.users[0].locked = true;
  publish();
  EXPECT_EQ(refusal(token), "unauthenticated");
}

TEST_F(Auth, ARoleCountsAtOnce) {
  const auto token = "Bearer " + access_token();
  organisation.users[0].roles = {"site"};
  auto site = model::organisation::role{};
  site.name = "site";
  site.permissions = {"device:*"};
  site.within.products = {"p1"};
  organisation.roles = {site};
  publish();
  auto who = authenticate(*parts, token, "10.0.0.1");
  ASSERT_TRUE(who);
  EXPECT_FALSE(who->may("device:write"));
  EXPECT_TRUE(who->may_for("device:write", "p1"));
  EXPECT_FALSE(who->may_for("device:write", "p2"));
  EXPECT_TRUE(who->may_for_some("device:write"));
  EXPECT_FALSE(who->may_for_some("data:read"));
  EXPECT_EQ(who->products_for("device:write"), std::set<std::string>{"p1"});
  organisation.roles[0].within = {};
  publish();
  who = authenticate(*parts, token, "10.0.0.1");
  EXPECT_TRUE(who->may("device:write"));
  EXPECT_EQ(who->products_for("device:write"), std::nullopt);
}

TEST_F(Auth, AKeyHasTheRolesOfItsApplicationUnlessItHasItsOwn) {
  const auto key = "Bearer " + add_key("k1", {});
  organisation.keys[0].name = "billing";
  auto app = model::organisation::application{};
  app.id = "billing";
  app.roles = {"viewer"};
  organisation.applications = {app};
  publish();
  EXPECT_TRUE(authenticate(*parts, key, "10.0.0.1")->may("device:read"));
  organisation.keys[0].permissions = {"data:write"};
  publish();
  EXPECT_FALSE(authenticate(*parts, key, "10.0.0.1")->may("device:read"));
  EXPECT_TRUE(authenticate(*parts, key, "10.0.0.1")->may("data:write"));
}

TEST_F(Auth, NobodyOfASuspendedOrganisationComesIn) {
  const auto token = "Bearer " + access_token();
  const auto key = "Bearer " + add_key("k1", {"*"});
  organisation.is_suspended = true;
  publish();
  EXPECT_EQ(refusal(token), "org_suspended");
  EXPECT_EQ(refusal(key), "org_suspended");
  EXPECT_EQ(refusal("Bearer ork~org~k1~wrong"), "unauthenticated") << "strangers are told nothing";
}

TEST_F(Auth, OperatorsAreOfTheOwnersOrganisation) {
  auto who = *authenticate(*parts, "Bearer " + add_key("k1", {"*"}), "10.0.0.1");
  EXPECT_FALSE(who.is_operator());
  who.organisation = "default";
  EXPECT_TRUE(who.is_operator());
  who.rights = {{"", {"iam:*"}, {}}};
  EXPECT_FALSE(who.is_operator());
}

TEST_F(Auth, ARefreshTokenOpensNothing) {
  EXPECT_EQ(refusal("Bearer " + parts->tokens->sign({"org", "eve", "refresh", "s1", now + 1h})),
            "unauthenticated");
}

}  // namespace
}  // namespace orrery::transport::api
