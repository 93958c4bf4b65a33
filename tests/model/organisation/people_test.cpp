#include <gmock/gmock.h>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {
namespace {

using names = std::vector<std::string>;
using testing::ElementsAre;

class People : public testing::Test {
 protected:
  People() { EXPECT_TRUE(tell(create_organisation{"org", "Org", {}, {}, person("eve")})); }

  static user person(std::string login, names roles = {"viewer"}) {
    auto u = user{};
    u.login = std::move(login);
    u.roles = std::move(roles);
    return u;
  }
  static role named(std::string name, names permissions = {"device:read"}, scope within = {}) {
    auto r = role{};
    r.name = std::move(name);
    r.permissions = std::move(permissions);
    r.within = std::move(within);
    return r;
  }
  static api_key key(std::string id, std::string app, names permissions = {"data:read"}) {
    auto k = api_key{};
    k.id = std::move(id);
    k.name = std::move(app);
    k.secret_sha256 = "hash of " + k.id;
    k.permissions = std::move(permissions);
    return k;
  }
  static application app(std::string id, names roles = {}) {
    auto a = application{};
    a.id = a.name = std::move(id);
    a.roles = std::move(roles);
    return a;
  }
  status tell(order what, std::optional<std::uint64_t> expected = {}) {
    auto d = decide(s, {std::move(what), "user:a", expected}, around());
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
    }
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return {};
  }
  std::string_view refusal(order what, std::optional<std::uint64_t> expected = {}) {
    auto told = tell(std::move(what), expected);
    return told ? std::string_view{} : told.error().reason;
  }
  surroundings around() const { return {entity_id{}, now, 3, products, models}; }
  bool may(const rights& r, std::string_view permission, const resource& what = {}) const {
    return evaluate(r, permission, what).allowed;
  }

  state s;
  std::size_t products = 0, models = 0;
  timestamp now = from_ms(1'700'000'000'000);
  static constexpr auto day = std::chrono::hours{24};
};

// ---- roles

TEST_F(People, RolesComeChangeAndGo) {
  ASSERT_TRUE(tell(put_role{named("site", {"device:*"}, {{"p1"}, {"g"}, {"n"}}), true}));
  EXPECT_EQ(s.find_role("site")->actor, "user:a");
  EXPECT_EQ(refusal(put_role{named("site"), true}), "role_exists");
  const auto first = s.find_role("site")->revision;
  ASSERT_TRUE(tell(put_role{named("site", {"data:read"})}, first));
  EXPECT_THAT(s.find_role("site")->permissions, ElementsAre("data:read"));
  EXPECT_EQ(s.find_role("site")->actor, "user:a") << "whoever made it";
  EXPECT_GT(s.find_role("site")->revision, first);
  EXPECT_EQ(refusal(put_role{named("site")}, first), "etag_mismatch");
  EXPECT_EQ(refusal(put_role{named("other")}), "role_unknown");
  EXPECT_EQ(refusal(remove_role{"site"}, first), "etag_mismatch");
  ASSERT_TRUE(tell(remove_role{"site"}));
  EXPECT_EQ(s.find_role("site"), nullptr);
  EXPECT_EQ(refusal(remove_role{"site"}), "role_unknown");
}

TEST_F(People, BuiltInRolesStayAsTheyAre) {
  for (const auto* name : {"admin", "operator", "viewer"}) {
    EXPECT_EQ(refusal(put_role{named(name), true}), "role_builtin");
    EXPECT_EQ(refusal(put_role{named(name)}), "role_builtin");
    EXPECT_EQ(refusal(remove_role{name}), "role_builtin");
    EXPECT_NE(s.find_role(name), nullptr);
  }
}

TEST_F(People, ARoleIsChecked) {
  for (const auto& bad :
       {named(""), named("a b"), named("r", {"everything"}), named("r", names(101, "device:read")),
        named("r", {"*"}, {{"a b"}, {}, {}}), named("r", {"*"}, {{}, {""}, {}}),
        named("r", {"*"}, {{}, {}, names(101, "n")})})
    EXPECT_EQ(refusal(put_role{bad, true}), "role_invalid");
  EXPECT_TRUE(tell(put_role{named("nothing", {}), true})) << "one that gives nothing yet";
}

TEST_F(People, ARoleThatSomebodyHasIsNotTakenAway) {
  ASSERT_TRUE(tell(put_role{named("r"), true}));
  ASSERT_TRUE(tell(update_user{"eve", {}, {}, names{"r"}}));
  EXPECT_EQ(refusal(remove_role{"r"}), "role_in_use");
  ASSERT_TRUE(tell(update_user{"eve", {}, {}, names{}}));
  ASSERT_TRUE(tell(create_application{app("a", {"r"})}));
  EXPECT_EQ(refusal(remove_role{"r"}), "role_in_use");
  ASSERT_TRUE(tell(update_application{"a", {}, names{}}));
  auto k = key("k", "a", {});
  k.roles = {"r"};
  ASSERT_TRUE(tell(create_key{k}));
  EXPECT_EQ(refusal(remove_role{"r"}), "role_in_use");
  ASSERT_TRUE(tell(revoke_key{"k"}));
  EXPECT_TRUE(tell(remove_role{"r"}));
}

TEST_F(People, RightsAreThoseOfAllRolesAsTheyAreNow) {
  ASSERT_TRUE(tell(put_role{named("r", {"device:write"}, {{"p1"}, {}, {}}), true}));
  ASSERT_TRUE(tell(update_user{"eve", {}, {}, names{"viewer", "r"}}));
  auto has = rights_of(s, *s.find_user("eve"));
  EXPECT_TRUE(may(has, "device:read"));
  EXPECT_TRUE(may(has, "device:write", {"p1", {}, {}}));
  EXPECT_FALSE(may(has, "device:write", {"p2", {}, {}}));
  ASSERT_TRUE(tell(put_role{named("r", {"device:write"}, {{"p2"}, {}, {}})}));
  has = rights_of(s, *s.find_user("eve"));
  EXPECT_TRUE(may(has, "device:write", {"p2", {}, {}}));
  EXPECT_TRUE(rights_of(s, names{"nobody"}).empty());
}

// ---- people

TEST_F(People, AreChangedUnderTheirRevision) {
  const auto before = s.find_user("eve")->revision;
  ASSERT_TRUE(tell(update_user{"eve", "Eve", "eve@example.org", {}}, before));
  EXPECT_EQ(s.find_user("eve")->name, "Eve");
  EXPECT_THAT(s.find_user("eve")->roles, ElementsAre("viewer"));
  EXPECT_EQ(refusal(update_user{"eve", "Eva", {}, {}}, before), "etag_mismatch");
  EXPECT_EQ(refusal(update_user{"bob", "Bob", {}, {}}), "user_unknown");
  EXPECT_EQ(refusal(update_user{"eve", {}, {}, names{"king"}}), "role_invalid");
  EXPECT_EQ(refusal(update_user{"eve", {}, {}, names(21, "viewer")}), "role_invalid");
  for (const auto* bad : {"eve", "@x", "eve@", "a@b@c", "a b@c", "a@b\n"})
    EXPECT_EQ(refusal(update_user{"eve", {}, bad, {}}), "mail_invalid") << bad;
  EXPECT_TRUE(tell(update_user{"eve", {}, "", {}})) << "none";
  EXPECT_EQ(refusal(create_user{person("bob", {"king"})}), "role_invalid");
  EXPECT_EQ(refusal(create_user{person("b b")}), "login_invalid");
}

TEST_F(People, ALockEndsSessionsAndStays) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(lock_user{"eve", true}));
  EXPECT_TRUE(s.sessions.empty());
  now += 30 * day;
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}}), "locked");
  ASSERT_TRUE(tell(set_password{"eve", "hash"}));
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}}), "locked")
      << "a new password opens nothing";
  ASSERT_TRUE(tell(lock_user{"eve", false}));
  EXPECT_TRUE(tell(open_session{{"eve", "s2", now + day}}));
  EXPECT_EQ(refusal(lock_user{"bob", true}), "user_unknown");
}

TEST_F(People, AnUnlockForgivesBadPasswords) {
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(tell(note_bad_login{"eve"}));
  EXPECT_EQ(refusal(open_session{{"eve", "s1", now + day}}), "locked");
  ASSERT_TRUE(tell(lock_user{"eve", false}));
  EXPECT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
}

// ---- refresh tokens

TEST_F(People, ARefreshTokenCountsOnceAndALittleLonger) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + 2 * day, 0}}));
  EXPECT_EQ(s.find_session("eve", "s1")->generation, 1u);
  EXPECT_EQ(s.find_session("eve", "s1")->until, now + 2 * day);
  now += std::chrono::seconds{30};
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + 2 * day, 0}})) << "the answer was lost";
  EXPECT_EQ(s.find_session("eve", "s1")->generation, 1u);
  now += std::chrono::seconds{31};
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + 2 * day, 0}}));
  EXPECT_EQ(s.find_session("eve", "s1"), nullptr) << "two have it: nobody goes on";
}

TEST_F(People, ARefreshTokenOfLongAgoEndsTheSessionAtOnce) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + day, 0}}));
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + day, 1}}));
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + day, 0}}));
  EXPECT_EQ(s.find_session("eve", "s1"), nullptr);
}

// ---- second factor

TEST_F(People, ASecondFactorIsAskedForOnceItIsConfirmed) {
  ASSERT_TRUE(tell(set_second_factor{"eve", {"sealed"}, {"spare 1", "spare 2"}}));
  ASSERT_TRUE(tell(open_session{{"eve", "s0", now + day}})) << "not confirmed yet";
  ASSERT_TRUE(tell(confirm_second_factor{"eve", 100}));
  EXPECT_EQ(refusal(set_second_factor{"eve", {"other"}, {}}), "totp_active");
  EXPECT_EQ(refusal(confirm_second_factor{"eve", 101}), "totp_unknown");
  EXPECT_EQ(refusal(open_session{{"eve", "s1", now + day}}), "otp_required");
  EXPECT_EQ(refusal(open_session{{"eve", "s1", now + day}, 100, {}}), "bad_credentials")
      << "the code that confirmed it was used";
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}, 101, {}}));
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}, 101, {}}), "bad_credentials");
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}, 99, {}}), "bad_credentials");
  ASSERT_TRUE(tell(open_session{{"eve", "s2", now + day}, 0, "spare 2"}));
  EXPECT_EQ(refusal(open_session{{"eve", "s3", now + day}, 0, "spare 2"}), "bad_credentials");
  EXPECT_THAT(s.find_user("eve")->second.spare_codes, ElementsAre("spare 1"));
  EXPECT_EQ(refusal(remove_second_factor{"eve", true, 101, {}}), "bad_credentials") << "used";
  EXPECT_EQ(refusal(remove_second_factor{"eve", true, 0, "spare 2"}), "bad_credentials");
  EXPECT_EQ(refusal(remove_second_factor{"eve", true, 0, {}}), "otp_required");
  ASSERT_TRUE(tell(lock_user{"eve", true}));
  EXPECT_EQ(refusal(remove_second_factor{"eve", true, 102, {}}), "locked");
  ASSERT_TRUE(tell(lock_user{"eve", false}));
  ASSERT_TRUE(tell(remove_second_factor{"eve", true, 102, {}}));
  ASSERT_TRUE(tell(set_second_factor{"eve", {"sealed"}, {}}));
  ASSERT_TRUE(tell(remove_second_factor{"eve"})) << "by an administrator";
  EXPECT_TRUE(tell(open_session{{"eve", "s3", now + day}}));
  EXPECT_EQ(refusal(remove_second_factor{"eve"}), "totp_unknown");
}

TEST_F(People, APasswordThatWasChangedMeanwhileOpensNothing) {
  const auto before = std::string{"the hash that was checked"};
  ASSERT_TRUE(tell(set_password{"eve", before}));
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}, 0, {}, before}));
  ASSERT_TRUE(tell(set_password{"eve", "another hash"}));
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}, 0, {}, before}), "bad_credentials");
  EXPECT_TRUE(tell(open_session{{"eve", "s2", now + day}, 0, {}, "another hash"}));
}

TEST_F(People, ACodeOfASecondFactorThatWasReplacedMeanwhileCountsNothing) {
  ASSERT_TRUE(tell(set_second_factor{"eve", {"first"}, {}}));
  ASSERT_TRUE(tell(set_second_factor{"eve", {"second"}, {}}))
      << "not confirmed: it may be replaced";
  EXPECT_EQ(refusal(confirm_second_factor{"eve", 100, {"first"}}), "bad_credentials");
  EXPECT_FALSE(s.find_user("eve")->second.is_needed());
  ASSERT_TRUE(tell(confirm_second_factor{"eve", 100, {"second"}}));
  EXPECT_EQ(refusal(open_session{{"eve", "s1", now + day}, 101, {}, {}, {"first"}}),
            "bad_credentials");
  EXPECT_EQ(refusal(remove_second_factor{"eve", true, 101, {}, {"first"}}), "bad_credentials");
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}, 101, {}, {}, {"second"}}));
  EXPECT_TRUE(tell(remove_second_factor{"eve", true, 102, {}, {"second"}}));
}

TEST_F(People, ASecondFactorIsChecked) {
  EXPECT_EQ(refusal(confirm_second_factor{"eve", 1}), "totp_unknown");
  EXPECT_EQ(refusal(set_second_factor{"eve", {}, {}}), "totp_invalid");
  EXPECT_EQ(refusal(set_second_factor{"eve", {"sealed"}, names(11, "x")}), "totp_invalid");
  EXPECT_EQ(refusal(set_second_factor{"bob", {"sealed"}, {}}), "user_unknown");
  EXPECT_EQ(refusal(confirm_second_factor{"bob", 1}), "user_unknown");
  EXPECT_EQ(refusal(remove_second_factor{"bob"}), "user_unknown");
}

// ---- applications

TEST_F(People, ApplicationsComeChangeAndGoWithTheirKeys) {
  ASSERT_TRUE(tell(create_application{app("billing", {"viewer"})}));
  EXPECT_EQ(refusal(create_application{app("billing")}), "app_exists");
  EXPECT_EQ(refusal(create_application{app("a b")}), "app_invalid");
  EXPECT_EQ(refusal(create_application{app("x", {"king"})}), "role_invalid");
  ASSERT_TRUE(tell(create_key{key("k1", "billing", {})})) << "the application has a role";
  EXPECT_TRUE(may(rights_of(s, *s.find_key("k1")), "device:read"));
  const auto first = s.find_application("billing")->revision;
  ASSERT_TRUE(tell(update_application{"billing", "Billing", names{"operator"}}, first));
  EXPECT_TRUE(may(rights_of(s, *s.find_key("k1")), "device:write")) << "as its application now";
  EXPECT_EQ(refusal(update_application{"billing", {}, {}}, first), "etag_mismatch");
  EXPECT_EQ(refusal(update_application{"billing", {}, names{"king"}}), "role_invalid");
  EXPECT_EQ(refusal(update_application{"none", {}, {}}), "app_unknown");
  EXPECT_EQ(refusal(remove_application{"none"}), "app_unknown");
  EXPECT_EQ(refusal(remove_application{"billing"}, first), "etag_mismatch");
  ASSERT_TRUE(tell(remove_application{"billing"}));
  EXPECT_EQ(s.find_key("k1"), nullptr);
}

TEST_F(People, AKeyMakesItsApplication) {
  ASSERT_TRUE(tell(create_key{key("k1", "fresh")}));
  ASSERT_NE(s.find_application("fresh"), nullptr);
  EXPECT_TRUE(s.find_application("fresh")->roles.empty());
  ASSERT_TRUE(tell(create_key{key("k2", "fresh")}));
  EXPECT_EQ(s.applications.size(), 1u);
  EXPECT_EQ(refusal(create_key{key("k3", "fresh", {})}), "permissions_missing");
  EXPECT_EQ(refusal(create_key{key("k3", "a b")}), "app_invalid");
  auto k = key("k3", "fresh", {});
  k.roles = {"king"};
  EXPECT_EQ(refusal(create_key{k}), "role_invalid");
  k.roles = {"viewer"};
  ASSERT_TRUE(tell(create_key{k}));
  EXPECT_FALSE(may(rights_of(s, *s.find_key("k1")), "device:read"));
  EXPECT_TRUE(may(rights_of(s, *s.find_key("k3")), "device:read"));
}

TEST_F(People, ARotatedKeyCountsForTheOverlap) {
  auto old = key("k1", "a");
  old.ip_allow = {"10.0.0.0/8"};
  old.roles = {"viewer"};
  ASSERT_TRUE(tell(create_key{old}));
  ASSERT_TRUE(tell(rotate_key{"k1", "k2", "new hash", std::chrono::hours{1}}));
  EXPECT_EQ(s.find_key("k1")->expires, now + std::chrono::hours{1});
  EXPECT_EQ(s.find_key("k1")->replaced_by, "k2");
  const auto& next = *s.find_key("k2");
  EXPECT_EQ(next.secret_sha256, "new hash");
  EXPECT_EQ(next.name, "a");
  EXPECT_THAT(next.permissions, ElementsAre("data:read"));
  EXPECT_THAT(next.roles, ElementsAre("viewer"));
  EXPECT_THAT(next.ip_allow, ElementsAre("10.0.0.0/8"));
  EXPECT_FALSE(next.expires);
  EXPECT_EQ(refusal(rotate_key{"k1", "k3", "h", {}}), "key_rotated");
  ASSERT_TRUE(tell(rotate_key{"k2", "k3", "h", {}}));
  EXPECT_EQ(s.find_key("k2"), nullptr) << "without an overlap it is gone at once";
  now += std::chrono::hours{1};
  ASSERT_TRUE(s.find_key("k1"));
  ASSERT_TRUE(tell(create_key{key("k4", "a")}));
  EXPECT_EQ(s.find_key("k1"), nullptr) << "whoever comes next sweeps it";
}

TEST_F(People, ARotationIsChecked) {
  auto old = key("k1", "a");
  old.expires = now + std::chrono::minutes{10};
  ASSERT_TRUE(tell(create_key{old}));
  EXPECT_EQ(refusal(rotate_key{"k9", "k2", "h", {}}), "key_unknown");
  EXPECT_EQ(refusal(rotate_key{"k1", "k1", "h", {}}), "key_exists");
  EXPECT_EQ(refusal(rotate_key{"k1", "k2", "h", milliseconds{-1}}), "overlap_invalid");
  EXPECT_EQ(refusal(rotate_key{"k1", "k2", "h", 31 * day}), "overlap_invalid");
  ASSERT_TRUE(tell(rotate_key{"k1", "k2", "h", day}));
  EXPECT_EQ(s.find_key("k1")->expires, now + std::chrono::minutes{10})
      << "never longer than it would";
  EXPECT_EQ(s.find_key("k2")->expires, now + std::chrono::minutes{10});
  now += std::chrono::minutes{10};
  EXPECT_EQ(refusal(rotate_key{"k2", "k3", "h", {}}), "key_expired");
}

// ---- the organisation

TEST_F(People, AnOrganisationBeginsWithAPerson) {
  EXPECT_NE(s.find_user("eve"), nullptr);
  s = {};
  EXPECT_EQ(refusal(create_organisation{"o", "", {}, {}, person("a b")}), "login_invalid");
  EXPECT_EQ(refusal(create_organisation{"o", "", {}, {}, person("a", {"king"})}), "role_invalid");
  EXPECT_EQ(refusal(create_organisation{"o o", "", {}, {}, {}}), "org_invalid");
  EXPECT_EQ(refusal(create_organisation{"o", "", "de AT", {}, {}}), "org_invalid");
  EXPECT_EQ(refusal(create_organisation{"o", "", {}, "<Vienna>", {}}), "org_invalid");
  EXPECT_TRUE(tell(create_organisation{"o", "", "de-AT", "Europe/Vienna", {}}));
}

TEST_F(People, AnOrganisationChangesWhatItIsTold) {
  ASSERT_TRUE(tell(update_organisation{{}, "de-AT", "Europe/Vienna"}));
  EXPECT_EQ(s.name, "Org");
  ASSERT_TRUE(tell(update_organisation{"New", {}, {}}));
  EXPECT_EQ(s.name, "New");
  EXPECT_EQ(s.locale, "de-AT");
  EXPECT_EQ(s.time_zone, "Europe/Vienna");
  EXPECT_EQ(refusal(update_organisation{std::string(257, 'x'), {}, {}}), "org_invalid");
  EXPECT_EQ(refusal(update_organisation{{}, std::string(65, 'x'), {}}), "org_invalid");
}

TEST_F(People, ASuspendedOrganisationLetsNobodyIn) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(suspend_organisation{true, "unpaid"}));
  EXPECT_TRUE(s.sessions.empty());
  EXPECT_EQ(s.suspend_reason, "unpaid");
  EXPECT_EQ(refusal(open_session{{"eve", "s2", now + day}}), "org_suspended");
  ASSERT_TRUE(tell(suspend_organisation{true, "again"}));
  EXPECT_EQ(s.suspend_reason, "unpaid") << "it is suspended already";
  ASSERT_TRUE(tell(suspend_organisation{false, ""}));
  EXPECT_TRUE(tell(open_session{{"eve", "s2", now + day}}));
  EXPECT_EQ(refusal(suspend_organisation{true, std::string(257, 'x')}), "org_invalid");
}

TEST_F(People, OnlyAnEmptyOrganisationGoesAndItsIdWithIt) {
  products = 1;
  EXPECT_EQ(refusal(remove_organisation{}), "org_not_empty");
  products = 0;
  models = 1;
  EXPECT_EQ(refusal(remove_organisation{}), "org_not_empty");
  models = 0;
  ASSERT_TRUE(tell(create_key{key("k1", "a")}));
  const auto before = s.revision;
  ASSERT_TRUE(tell(remove_organisation{}));
  EXPECT_FALSE(s.exists);
  EXPECT_TRUE(s.users.empty());
  EXPECT_TRUE(s.keys.empty());
  EXPECT_EQ(s.id, "org");
  EXPECT_GT(s.revision, before);
  EXPECT_EQ(refusal(create_user{person("bob")}), "org_unknown");
  EXPECT_EQ(refusal(create_organisation{"org", "", {}, {}, {}}), "org_exists");
}

// ---- quotas

TEST_F(People, AHardQuotaIsTheEnd) {
  ASSERT_TRUE(
      tell(set_quotas{{{"users", 1, 2}, {"apps", {}, 1}, {"keys", {}, 1}, {"roles", {}, 0}}}));
  ASSERT_TRUE(tell(create_user{person("bob")}));
  EXPECT_EQ(refusal(create_user{person("ada")}), "quota_exceeded");
  EXPECT_EQ(tell(create_user{person("ada")}).error().code, errc::too_many_requests);
  EXPECT_EQ(refusal(put_role{named("r"), true}), "quota_exceeded");
  ASSERT_TRUE(tell(create_key{key("k1", "a")}));
  EXPECT_EQ(refusal(create_application{app("b")}), "quota_exceeded");
  EXPECT_EQ(refusal(create_key{key("k2", "a")}), "quota_exceeded");
  EXPECT_EQ(refusal(rotate_key{"k1", "k2", "h", day}), "quota_exceeded")
      << "for a time there are two";
  EXPECT_TRUE(tell(rotate_key{"k1", "k2", "h", {}}));
  ASSERT_TRUE(tell(set_quotas{{{"keys", {}, 5}}}));
  EXPECT_EQ(refusal(create_key{key("k3", "b")}), "") << "the quota of apps is gone";
  EXPECT_TRUE(tell(create_user{person("ada")}));
}

TEST_F(People, QuotasAreChecked) {
  for (const auto& bad : std::vector<std::vector<quota>>{{{"cows", {}, 1}},
                                                         {{"devices", 2, 1}},
                                                         {{"users", {}, 1001}},
                                                         {{"users", 3, 2}},
                                                         {{"users", {}, 2}, {"users", {}, 3}}})
    EXPECT_EQ(refusal(set_quotas{bad}), "quota_invalid");
  const auto times = s.device_limits;
  EXPECT_TRUE(tell(set_quotas{{{"devices", 1'000'000, {}}, {"products", {}, 0}}}));
  EXPECT_EQ(s.device_limits, times + 1);
  EXPECT_TRUE(tell(set_quotas{{{"devices", {}, 5}}}));
  EXPECT_EQ(s.device_limits, times + 1) << "they had some before";
  EXPECT_TRUE(tell(set_quotas{{}}));
  EXPECT_TRUE(tell(set_quotas{{{"devices", {}, 5}}}));
  EXPECT_EQ(s.device_limits, times + 2);
}

TEST_F(People, WhatIsNotCountedHereIsCheckedByWhoCountsIt) {
  ASSERT_TRUE(tell(set_quotas{{{"products", {}, 2}}}));
  EXPECT_TRUE(check_quota(s, "products", 1));
  EXPECT_EQ(check_quota(s, "products", 2).error().reason, "quota_exceeded");
  EXPECT_TRUE(check_quota(s, "models", 1'000'000));
  EXPECT_FALSE(check_quota(s, "users", 1000)) << "the end of all of them";
  EXPECT_EQ(used_of(s, "users"), 1u);
  EXPECT_EQ(used_of(s, "devices"), std::nullopt);
}

}  // namespace
}  // namespace orrery::model::organisation
