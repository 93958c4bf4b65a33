#include "model/organisation/providers.hpp"

#include <functional>

#include <gmock/gmock.h>

#include "model/organisation/fields.hpp"

namespace orrery::model::organisation {
namespace {

using names = std::vector<std::string>;
using testing::ElementsAre;
using testing::IsEmpty;

class Providers : public testing::Test {
 protected:
  Providers() {
    auto first = user{};
    first.login = "eve";
    first.roles = {"viewer"};
    first.mail = "Eve@example.org";
    EXPECT_EQ(tell(create_organisation{"org", "Org", {}, {}, first}), "");
  }

  static identity_provider provider() {
    auto p = identity_provider{};
    p.id = p.name = "corp";
    p.issuer = "https://id.example.org/realm";
    p.client_id = "orrery";
    p.client_secret = {"sealed"};
    p.scopes = {"profile", "email"};
    p.login_claim = "preferred_username";
    p.name_claim = "name";
    p.mail_claim = "email";
    return p;
  }
  static open_external_session arrival(std::string subject = "s-1", std::string session = "x1") {
    auto o = open_external_session{};
    o.what.id = std::move(session);
    o.what.until = now_ + std::chrono::hours{24};
    o.provider = "corp";
    o.issuer = "https://id.example.org/realm";
    o.client_id = "orrery";
    o.subject = std::move(subject);
    o.login = "ada";
    o.name = "Ada";
    o.mail = "ada@example.org";
    o.mail_verified = true;
    return o;
  }
  std::string tell(order what, std::optional<std::uint64_t> expected = {}) {
    auto d = decide(s, {std::move(what), "user:a", expected}, {entity_id{}, now_, 3, 0, 0});
    if (!d)
      return std::string{d.error().reason};
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
    }
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return {};
  }
  std::string put(const identity_provider& p) { return tell(put_provider{p}); }
  const std::string& login_of(std::string_view subject) const {
    static const auto none = std::string{};
    const auto* link = s.find_identity("https://id.example.org/realm", subject);
    return link ? link->login : none;
  }

  state s;
  inline static const timestamp now_ = from_ms(1'700'000'000'000);
};

TEST_F(Providers, ComeChangeAndGo) {
  ASSERT_EQ(put(provider()), "");
  const auto first = s.find_provider("corp")->revision;
  EXPECT_EQ(s.find_provider("corp")->actor, "user:a");
  auto changed = provider();
  changed.enabled = false;
  changed.client_secret = {};
  EXPECT_EQ(tell(put_provider{changed, true}, first), "");
  EXPECT_FALSE(s.find_provider("corp")->enabled);
  EXPECT_EQ(s.find_provider("corp")->client_secret.bytes, "sealed") << "it was kept";
  EXPECT_EQ(tell(put_provider{changed, true}, first), "etag_mismatch");
  changed.issuer = "https://elsewhere.example.org";
  EXPECT_EQ(tell(put_provider{changed, true}), "provider_invalid")
      << "a secret is not told to another issuer";
  EXPECT_EQ(tell(put_provider{changed, false}), "");
  EXPECT_TRUE(s.find_provider("corp")->client_secret.empty());
  EXPECT_EQ(tell(remove_provider{"corp"}, first), "etag_mismatch");
  EXPECT_EQ(tell(remove_provider{"corp"}), "");
  EXPECT_EQ(tell(remove_provider{"corp"}), "idp_unknown");
  EXPECT_EQ(tell(put_provider{provider()}, 7), "idp_unknown");
}

TEST_F(Providers, AreSoManyAtMost) {
  for (std::size_t i = 0; i < max_providers; ++i) {
    auto p = provider();
    p.id = "p" + std::to_string(i);
    ASSERT_EQ(put(p), "");
  }
  EXPECT_EQ(put(provider()), "quota_exceeded");
  auto p = provider();
  p.id = "p3";
  EXPECT_EQ(put(p), "") << "it has a place";
}

TEST_F(Providers, AreChecked) {
  const auto bad = [&](const std::function<void(identity_provider&)>& change) {
    auto p = provider();
    change(p);
    return put(p);
  };
  for (const auto* issuer :
       {"", "id.example.org", "http://id.example.org", "ftp://id.example.org", "https://",
        "https://id.example.org?a=b", "https://id.example.org/#x", "https://u:p@id.example.org",
        "https://id example.org", "https://id.example.org:0", "https://id.example.org:70000",
        "https://[::1", "https://[]/y", "https://[a]b]", "https://[x::1]",
        "http://127.0.0.1.example.org", "https://a%2fb"})
    EXPECT_EQ(bad([&](auto& p) { p.issuer = issuer; }), "provider_invalid") << issuer;
  for (const auto* issuer : {"https://id.example.org", "https://id.example.org:8443/a/b",
                             "http://127.0.0.1:9000", "http://localhost", "http://[::1]:80/x"})
    EXPECT_EQ(bad([&](auto& p) { p.issuer = issuer; }), "") << issuer;
  EXPECT_EQ(bad([](auto& p) { p.id = "a b"; }), "provider_invalid");
  EXPECT_EQ(bad([](auto& p) { p.client_id.clear(); }), "provider_invalid");
  EXPECT_EQ(bad([](auto& p) { p.scopes = {"a b"}; }), "provider_invalid");
  EXPECT_EQ(bad([](auto& p) { p.scopes = names(21, "a"); }), "provider_invalid");
  EXPECT_EQ(bad([](auto& p) {
              p.role_map = {{"x", {"viewer"}}};
            }),
            "provider_invalid")
      << "no claim says it";
  EXPECT_EQ(bad([](auto& p) {
              p.role_claim = "groups";
              p.role_map = {{"x", {"nobody"}}};
            }),
            "role_invalid");
  EXPECT_EQ(bad([](auto& p) {
              p.role_claim = "groups";
              p.role_map = {{"x", {"viewer"}}, {"x", {"admin"}}};
            }),
            "provider_invalid");
  EXPECT_EQ(bad([](auto& p) {
              p.role_claim = "groups";
              p.role_map.resize(101, {"x", {}});
            }),
            "provider_invalid");
  EXPECT_EQ(bad([](auto& p) { p.default_roles = {"nobody"}; }), "role_invalid");
  EXPECT_EQ(bad([](auto& p) { p.links_by_mail = true; }), "provider_invalid")
      << "it would speak for everybody";
  for (const auto* domain : {"", "org", "Example.org", ".org", "a@b.org"})
    EXPECT_EQ(bad([&](auto& p) { p.mail_domains = {domain}; }), "provider_invalid") << domain;
  for (const auto* uri : {"", "http://console.example.org/", "https://a.org/#x", "app:/back"})
    EXPECT_EQ(bad([&](auto& p) { p.redirect_uris = {uri}; }), "provider_invalid") << uri;
}

TEST_F(Providers, SendPeopleBackToTheirMachineOrWhereTheySay) {
  auto p = provider();
  p.redirect_uris = {"https://console.example.org/back"};
  for (const auto* uri :
       {"http://127.0.0.1:4711/", "http://[::1]:1/back?x=y", "https://console.example.org/back"})
    EXPECT_TRUE(allows_redirect(p, uri)) << uri;
  for (const auto* uri :
       {"", "http://localhost:4711/", "https://127.0.0.1/", "https://console.example.org/back/",
        "https://console.example.org/back?x=1", "http://127.0.0.1@evil.org/",
        "http://127.0.0.1.evil.org/", "http://127.0.0.1:1/#x", "javascript:alert(1)"})
    EXPECT_FALSE(allows_redirect(p, uri)) << uri;
}

TEST_F(Providers, NobodyUnknownIsLetInUnlessTheyMakePeople) {
  ASSERT_EQ(put(provider()), "");
  EXPECT_EQ(tell(arrival()), "idp_person_unknown");
  EXPECT_EQ(s.users.size(), 1u);
  auto p = provider();
  p.creates_users = true;
  p.default_roles = {"viewer"};
  ASSERT_EQ(put(p), "");
  ASSERT_EQ(tell(arrival()), "");
  EXPECT_EQ(login_of("s-1"), "ada");
  const auto* ada = s.find_user("ada");
  ASSERT_TRUE(ada);
  EXPECT_EQ(ada->name, "Ada");
  EXPECT_EQ(ada->mail, "ada@example.org");
  EXPECT_TRUE(ada->password_hash.empty());
  EXPECT_THAT(ada->roles, ElementsAre("viewer"));
  EXPECT_TRUE(s.find_session("ada", "x1"));
  // The same person again, under another name: it is the subject that counts.
  auto renamed = arrival("s-1", "x2");
  renamed.login = "countess";
  ASSERT_EQ(tell(renamed), "");
  EXPECT_EQ(s.users.size(), 2u);
  EXPECT_TRUE(s.find_session("ada", "x2"));
  // Somebody else of that name is somebody else.
  ASSERT_EQ(tell(arrival("s-2", "x3")), "");
  EXPECT_NE(login_of("s-2"), "ada");
  EXPECT_TRUE(login_of("s-2").starts_with("ada-"));
}

TEST_F(Providers, ANameThatIsTakenIsNoWayIn) {
  auto p = provider();
  p.creates_users = true;
  ASSERT_EQ(put(p), "");
  auto o = arrival();
  o.login = "eve";
  o.mail = "eve@example.org";
  ASSERT_EQ(tell(o), "");
  EXPECT_NE(login_of("s-1"), "eve") << "neither by name nor by mail";
  auto nameless = arrival("s-9", "x9");
  nameless.login.clear();
  ASSERT_EQ(tell(nameless), "");
  EXPECT_TRUE(login_of("s-9").starts_with("user-"));
}

TEST_F(Providers, LinkByMailOnlyWhereTheyMayAndItIsVerified) {
  auto p = provider();
  p.links_by_mail = true;
  p.mail_domains = {"example.org"};
  ASSERT_EQ(put(p), "");
  auto o = arrival();
  o.mail = "eve@EXAMPLE.org";
  o.mail_verified = false;
  EXPECT_EQ(tell(o), "idp_mail_refused");
  o.mail_verified = true;
  ASSERT_EQ(tell(o), "");
  EXPECT_EQ(login_of("s-1"), "eve");
  EXPECT_THAT(s.find_user("eve")->roles, ElementsAre("viewer")) << "as they were";
  auto elsewhere = arrival("s-2", "x2");
  elsewhere.mail = "eve@example.com";
  EXPECT_EQ(tell(elsewhere), "idp_mail_refused");
  // Two people of one mail are nobody.
  auto twin = user{};
  twin.login = "twin";
  twin.mail = "eve@example.org";
  ASSERT_EQ(tell(create_user{twin}), "");
  auto other = arrival("s-3", "x3");
  other.mail = "eve@example.org";
  EXPECT_EQ(tell(other), "idp_person_unknown");
  EXPECT_EQ(tell(remove_user{"eve"}), "");
  EXPECT_EQ(login_of("s-1"), "") << "the link went with her";
}

TEST_F(Providers, OnePersonHasSoManyIdentitiesAtMost) {
  auto p = provider();
  p.links_by_mail = true;
  p.mail_domains = {"example.org"};
  ASSERT_EQ(put(p), "");
  for (std::size_t i = 0; i <= max_identities; ++i) {
    auto o = arrival("s" + std::to_string(i), "x" + std::to_string(i));
    o.mail = "eve@example.org";
    EXPECT_EQ(tell(o), i < max_identities ? "" : "quota_exceeded");
  }
}

TEST_F(Providers, RolesFollowTheClaimAtEachLogIn) {
  auto p = provider();
  p.creates_users = true;
  p.role_claim = "groups";
  p.role_map = {{"ops", {"operator"}}, {"boss", {"admin", "operator"}}};
  p.default_roles = {"viewer"};
  ASSERT_EQ(put(p), "");
  auto o = arrival();
  o.values = {"boss", "whatever"};
  ASSERT_EQ(tell(o), "");
  EXPECT_THAT(s.find_user("ada")->roles, ElementsAre("viewer", "admin", "operator"));
  ASSERT_EQ(tell(arrival("s-1", "x2")), "");
  EXPECT_THAT(s.find_user("ada")->roles, ElementsAre("viewer"));
  EXPECT_EQ(tell(put_role{{"r", {}, {"device:read"}, {}, {}, {}, {}, 0}, true}), "");
  p.role_map = {{"ops", {"r"}}};
  ASSERT_EQ(put(p), "");
  EXPECT_EQ(tell(remove_role{"r"}), "role_in_use");
}

TEST_F(Providers, WhoIsLockedOrSuspendedStaysOut) {
  auto p = provider();
  p.creates_users = true;
  ASSERT_EQ(put(p), "");
  ASSERT_EQ(tell(arrival()), "");
  ASSERT_EQ(tell(lock_user{"ada"}), "");
  EXPECT_EQ(tell(arrival("s-1", "x2")), "locked");
  EXPECT_THAT(s.sessions, IsEmpty());
  ASSERT_EQ(tell(lock_user{"ada", false}), "");
  // Bad passwords are not what he came by: nobody keeps him out with them.
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(tell(note_bad_login{"ada"}), "");
  EXPECT_EQ(tell(arrival("s-1", "x3")), "");
  ASSERT_EQ(tell(suspend_organisation{true, ""}), "");
  EXPECT_EQ(tell(arrival("s-1", "x4")), "org_suspended");
}

TEST_F(Providers, ALogInCountsOnceAndOnlyAsItWasAsked) {
  auto p = provider();
  p.creates_users = true;
  ASSERT_EQ(put(p), "");
  ASSERT_EQ(tell(arrival()), "");
  EXPECT_EQ(tell(arrival()), "idp_transaction_used");
  auto o = arrival("s-1", "x2");
  o.client_id = "other";
  EXPECT_EQ(tell(o), "idp_changed");
  o = arrival("s-1", "x2");
  o.issuer = "https://other.example.org";
  EXPECT_EQ(tell(o), "idp_changed");
  EXPECT_EQ(tell(arrival(std::string(256, 's'), "x2")), "idp_token_invalid");
  EXPECT_EQ(tell(arrival("", "x2")), "idp_token_invalid");
  p.enabled = false;
  ASSERT_EQ(put(p), "");
  EXPECT_EQ(tell(arrival("s-1", "x2")), "idp_changed");
}

TEST_F(Providers, LinksGoWithTheLastProviderOfTheirIssuer) {
  auto p = provider();
  p.creates_users = true;
  ASSERT_EQ(put(p), "");
  ASSERT_EQ(tell(arrival()), "");
  auto second = provider();
  second.id = "other-client";
  ASSERT_EQ(put(second), "");
  ASSERT_EQ(tell(remove_provider{"corp"}), "");
  EXPECT_EQ(login_of("s-1"), "ada");
  second.issuer = "https://moved.example.org";
  ASSERT_EQ(put(second), "");
  EXPECT_EQ(login_of("s-1"), "") << "whoever is at that address later is not believed";
  EXPECT_TRUE(s.find_user("ada")) << "the person stays";
}

TEST_F(Providers, GiveAlsoWhatThoseHaveWhoAreKnownByTheirIssuer) {
  const auto roles = [&](const identity_provider& p) {
    auto all = names{};
    for (const auto& g : rights_by(s, p))
      all.push_back(g.role);
    return all;
  };
  auto p = provider();
  p.creates_users = true;
  p.default_roles = {"admin"};
  ASSERT_EQ(put(p), "");
  auto second = provider();
  second.id = second.client_id = "mine";
  second.default_roles = {"viewer"};
  EXPECT_THAT(roles(second), ElementsAre("viewer")) << "nobody is linked yet";
  ASSERT_EQ(tell(arrival()), "");
  EXPECT_THAT(roles(second), ElementsAre("admin", "viewer")) << "it could bring ada";
  second.role_claim = "groups";
  second.role_map = {{"x", {"operator", "viewer"}}};
  EXPECT_THAT(roles(second), ElementsAre("admin", "operator", "viewer"));
  second.issuer = "https://other.example.org";
  EXPECT_THAT(roles(second), ElementsAre("operator", "viewer"));
  second.links_by_mail = true;
  const auto all = rights_by(s, second);
  ASSERT_FALSE(all.empty());
  EXPECT_THAT(all.back().permissions, ElementsAre("*"));
  ASSERT_EQ(tell(remove_user{"ada"}), "");
  EXPECT_THAT(roles(provider()), IsEmpty());
}

TEST_F(Providers, ANewPersonKeepsToTheQuota) {
  auto p = provider();
  p.creates_users = true;
  ASSERT_EQ(put(p), "");
  ASSERT_EQ(tell(set_quotas{{{"users", {}, 1}}}), "");
  EXPECT_EQ(tell(arrival()), "quota_exceeded");
}

TEST_F(Providers, NamesBecomeLogins) {
  EXPECT_EQ(login_from("ada@example.org"), "ada-example.org");
  EXPECT_EQ(login_from("Ada Lovelace"), "Ada-Lovelace");
  EXPECT_EQ(login_from(std::string(100, 'a')).size(), 64u);
  EXPECT_EQ(login_from(""), "");
  EXPECT_EQ(login_from("\xc3\xa4"), "--");
}

TEST_F(Providers, AStateOfTheVersionBeforeIsRead) {
  auto out = byte_writer{};
  out.u8(3);
  out.varint(7);
  std::apply([&](const auto&... field) { (write(out, field), ...); },
             fields_of_version_3(std::as_const(s)));
  auto again = state{};
  const auto revision = decode_state(out.take(), again);
  ASSERT_TRUE(revision);
  EXPECT_EQ(*revision, 7u);
  EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
  EXPECT_FALSE(decode_state(std::string{"\3\7", 2}, again));
}

}  // namespace
}  // namespace orrery::model::organisation
