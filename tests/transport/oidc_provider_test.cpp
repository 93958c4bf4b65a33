#include "transport/oidc_provider.hpp"

#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "model/json.hpp"

namespace orrery::transport {
namespace {

using model::array;
using model::object;
using model::value;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto issuer = "https://id.example.org/realm";

object description() {
  return {{"issuer", issuer},
          {"authorization_endpoint", "https://id.example.org/authorize"},
          {"token_endpoint", "https://id.example.org/token"},
          {"jwks_uri", "https://keys.example.org/jwks"}};
}
object with(object o, const std::string& name, value v) {
  std::erase_if(o, [&](const auto& m) { return m.first == name; });
  if (!v.is_null())
    o.emplace_back(name, std::move(v));
  return o;
}
model::result<provider_metadata> read(const object& o) {
  return read_description(model::to_json(value{o}), issuer);
}

model::organisation::identity_provider provider() {
  auto p = model::organisation::identity_provider{};
  p.id = "corp";
  p.issuer = issuer;
  p.client_id = "or rery";
  p.scopes = {"openid", "profile"};
  p.login_claim = "preferred_username";
  p.name_claim = "name";
  p.mail_claim = "email";
  p.role_claim = "realm_access.roles";
  p.role_map = {{"ops", {"operator"}}, {"boss", {"admin"}}};
  return p;
}
login_transaction transaction() {
  return {.organisation = "acme",
          .provider = "corp",
          .issuer = issuer,
          .client_id = "or rery",
          .redirect_uri = "http://127.0.0.1:4711/",
          .state = "st",
          .nonce = "no",
          .verifier = "ve",
          .session = "se",
          .until = model::from_ms(1'700'000'000'000)};
}

TEST(OidcProvider, IsDescribedAtItsIssuer) {
  EXPECT_EQ(description_url(issuer),
            "https://id.example.org/realm/.well-known/openid-configuration");
  EXPECT_EQ(description_url("https://a.org/"), "https://a.org/.well-known/openid-configuration");
  const auto m = read(description());
  ASSERT_TRUE(m);
  EXPECT_EQ(m->keys, "https://keys.example.org/jwks");
  EXPECT_FALSE(m->secret_in_body);
  EXPECT_FALSE(m->names_itself);
  EXPECT_FALSE(read(with(description(), "issuer", "https://id.example.org/realm/")));
  for (const auto* name : {"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"}) {
    EXPECT_FALSE(read(with(description(), name, {}))) << name;
    EXPECT_FALSE(read(with(description(), name, 7))) << name;
    EXPECT_FALSE(read(with(description(), name, "http://id.example.org/x"))) << name;
    EXPECT_FALSE(read(with(description(), name, "http://127.0.0.1/x"))) << name;
    EXPECT_FALSE(read(with(description(), name, "file:///etc/passwd"))) << name;
  }
  EXPECT_FALSE(read(with(description(), "userinfo_endpoint", "http://id.example.org/me")));
  for (const auto* bad : {"", "null", "[]", "{"})
    EXPECT_FALSE(read_description(bad, issuer)) << bad;
}

TEST(OidcProvider, OfThisMachineIsAskedWithoutTls) {
  auto o = object{{"issuer", "http://127.0.0.1:9000"}};
  for (const auto* name : {"authorization_endpoint", "token_endpoint", "jwks_uri"})
    o.emplace_back(name, "http://127.0.0.1:9000/x");
  EXPECT_TRUE(read_description(model::to_json(value{o}), "http://127.0.0.1:9000"));
  const auto away = with(o, "token_endpoint", "http://id.example.org/x");
  EXPECT_FALSE(read_description(model::to_json(value{away}), "http://127.0.0.1:9000"));
}

TEST(OidcProvider, TheBrowserBringsItTheQuestion) {
  const auto url = authorization_url(*read(description()), provider(), transaction());
  EXPECT_EQ(url,
            "https://id.example.org/authorize?response_type=code&client_id=or%20rery&"
            "redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2F&scope=openid%20profile&state=st&"
            "nonce=no&code_challenge=S9LEErpwhH9JenrbXM1SdyS_0in8myT3VcMrJwRZRks&"
            "code_challenge_method=S256");
  auto t = transaction();  // RFC 7636, appendix B
  t.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  EXPECT_THAT(authorization_url(*read(description()), provider(), t),
              HasSubstr("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&"));
  const auto asked =
      read(with(description(), "authorization_endpoint", "https://id.example.org/a?x=y"));
  EXPECT_THAT(authorization_url(*asked, provider(), t), HasSubstr("/a?x=y&response_type=code&"));
}

TEST(OidcProvider, TheSecretGoesAsTheProviderWantsIt) {
  auto m = *read(description());
  const auto basic = code_exchange(m, provider(), "s:e", transaction(), "c&d");
  EXPECT_EQ(basic.method, "POST");
  EXPECT_EQ(basic.url, m.token);
  EXPECT_EQ(basic.body,
            "grant_type=authorization_code&code=c%26d&"
            "redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2F&code_verifier=ve");
  EXPECT_EQ(basic.headers.back().second, "Basic b3IlMjByZXJ5OnMlM0Fl");
  m.secret_in_body = read(with(description(), "token_endpoint_auth_methods_supported",
                               array{"client_secret_post"}))
                         ->secret_in_body;
  EXPECT_THAT(code_exchange(m, provider(), "s:e", transaction(), "c").body,
              HasSubstr("&client_id=or%20rery&client_secret=s%3Ae"));
  const auto open = code_exchange(*read(description()), provider(), "", transaction(), "c");
  EXPECT_THAT(open.body, HasSubstr("&client_id=or%20rery"));
  EXPECT_EQ(open.headers.size(), 2u);
}

TEST(OidcProvider, ItsAnswerHasTokensOrAReason) {
  const auto good = read_tokens({200, R"({"id_token":"a.b.c","access_token":"t"})"});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->id_token, "a.b.c");
  EXPECT_EQ(good->access_token, "t");
  EXPECT_EQ(read_tokens({200, R"({"id_token":"a","access_token":"t\r\nX: y"})"})->access_token, "");
  EXPECT_EQ(read_tokens({200, "{}"}).error().reason, "idp_token_invalid");
  EXPECT_EQ(read_tokens({200, "oops"}).error().reason, "idp_token_invalid");
  const auto refused = read_tokens({400, R"({"error":"invalid_grant"})"});
  EXPECT_EQ(refused.error().reason, "idp_refused");
  EXPECT_THAT(refused.error().detail, HasSubstr("the code: invalid_grant"));
  EXPECT_THAT(read_tokens({401, R"({"error":"invalid_client"})"}).error().detail,
              HasSubstr("client id and secret"));
  EXPECT_THAT(read_tokens({400, R"({"error":"<b>"})"}).error().detail, HasSubstr(": 400"));
  EXPECT_EQ(read_tokens({302, ""}).error().reason, "idp_refused") << "it is not followed";
  EXPECT_EQ(read_tokens({503, ""}).error().reason, "idp_unavailable");
  EXPECT_EQ(read_tokens({429, ""}).error().reason, "idp_unavailable");
}

TEST(OidcProvider, ATransactionComesBack) {
  const auto text = write_transaction(transaction());
  const auto t = read_transaction(text);
  ASSERT_TRUE(t);
  EXPECT_EQ(write_transaction(*t), text);
  EXPECT_EQ(t->issuer, issuer);
  EXPECT_EQ(t->client_id, "or rery");
  EXPECT_EQ(t->redirect_uri, "http://127.0.0.1:4711/");
  for (const auto* bad : {"", "{}", R"({"e":1})", R"({"e":"1","s":"a","n":"b","v":"c","i":"d"})"})
    EXPECT_FALSE(read_transaction(bad)) << bad;
}

TEST(OidcProvider, ClaimsSayWhoItIs) {
  const auto claims = value{object{{"sub", "s"},
                                   {"preferred_username", "ada"},
                                   {"name", "Ada"},
                                   {"email", "ada@example.org"},
                                   {"email_verified", true},
                                   {"realm_access", object{{"roles", array{"boss", 7, "other"}}}}}};
  const auto who = person_of(claims, provider());
  EXPECT_EQ(who.subject, "s");
  EXPECT_EQ(who.login, "ada");
  EXPECT_EQ(who.name, "Ada");
  EXPECT_EQ(who.mail, "ada@example.org");
  EXPECT_TRUE(who.mail_verified);
  EXPECT_THAT(who.values, ElementsAre("boss"));
  EXPECT_FALSE(lacks_claims(claims, provider()));
}

TEST(OidcProvider, ClaimsOfOtherTypesSayNothing) {
  const auto claims = value{object{{"sub", "s"},
                                   {"preferred_username", 7},
                                   {"name", std::string(257, 'x')},
                                   {"email", array{"a@b.org"}},
                                   {"email_verified", true},
                                   {"realm_access", "ops"}}};
  const auto who = person_of(claims, provider());
  EXPECT_EQ(who.login + who.name + who.mail, "");
  EXPECT_FALSE(who.mail_verified);
  EXPECT_TRUE(who.values.empty());
  EXPECT_TRUE(lacks_claims(claims, provider()));
}

TEST(OidcProvider, OnlyTheClaimOfMailIsVerified) {
  auto p = provider();
  const auto claims = value{
      object{{"sub", "s"}, {"email", "a@b.org"}, {"upn", "c@b.org"}, {"email_verified", true}}};
  EXPECT_TRUE(person_of(claims, p).mail_verified);
  p.mail_claim = "upn";
  EXPECT_EQ(person_of(claims, p).mail, "c@b.org");
  EXPECT_FALSE(person_of(claims, p).mail_verified);
  p.mail_claim = "email";
  for (const auto& v : {value{}, value{false}, value{1}, value{"yes"}})
    EXPECT_FALSE(person_of(object{{"sub", "s"}, {"email", "a@b.org"}, {"email_verified", v}}, p)
                     .mail_verified);
}

TEST(OidcProvider, ANameWithDotsIsFirstTakenAsItIs) {
  auto p = provider();
  p.role_claim = "https://example.org/roles";
  const auto claims = value{object{{"sub", "s"}, {"https://example.org/roles", "ops"}}};
  EXPECT_THAT(person_of(claims, p).values, ElementsAre("ops"));
}

TEST(OidcProvider, UserInfoAddsWhatTheTokenDoesNotSay) {
  const auto claims = value{object{{"sub", "s"}, {"name", "Ada"}}};
  const auto all =
      with_user_info(claims, object{{"sub", "s"}, {"name", "Eve"}, {"email", "a@b.org"}});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->find("name")->as_string(), "Ada") << "what is signed counts";
  EXPECT_EQ(all->find("email")->as_string(), "a@b.org");
  EXPECT_FALSE(with_user_info(claims, object{{"sub", "t"}}));
  EXPECT_FALSE(with_user_info(claims, object{{"email", "a@b.org"}}));
  EXPECT_FALSE(with_user_info(claims, {}));
}

TEST(OidcProvider, AMailIsVerifiedByWhoeverSaysIt) {
  const auto mail = [](object claims, object info) {
    claims.emplace_back("sub", "s");
    info.emplace_back("sub", "s");
    const auto all = with_user_info(claims, info);
    EXPECT_TRUE(all);
    const auto who = person_of(*all, provider());
    return who.mail + (who.mail_verified ? " verified" : "");
  };
  const auto a = std::pair<std::string, value>{"email", "a@b.org"};
  const auto other = std::pair<std::string, value>{"email", "x@b.org"};
  const auto yes = std::pair<std::string, value>{"email_verified", true};
  const auto no = std::pair<std::string, value>{"email_verified", false};
  EXPECT_EQ(mail({}, {a, yes}), "a@b.org verified");
  EXPECT_EQ(mail({a}, {a, yes}), "a@b.org verified");
  EXPECT_EQ(mail({a}, {other, yes}), "a@b.org") << "that is another mail";
  EXPECT_EQ(mail({a}, {yes}), "a@b.org") << "nobody knows of which";
  EXPECT_EQ(mail({a, no}, {a, yes}), "a@b.org") << "what is signed counts";
  EXPECT_EQ(mail({a, yes}, {other, no}), "a@b.org verified");
  EXPECT_EQ(mail({yes}, {other}), "x@b.org") << "it was not said of this one";
  EXPECT_EQ(mail({yes}, {other, no}), "x@b.org");
}

TEST(OidcProvider, RolesMayBeMissing) {
  auto p = provider();
  EXPECT_TRUE(lacks_roles(object{{"sub", "s"}, {"realm_access", object{}}}, p));
  EXPECT_FALSE(lacks_roles(object{{"realm_access", object{{"roles", array{}}}}}, p));
  p.role_claim.clear();
  EXPECT_FALSE(lacks_roles(object{{"sub", "s"}}, p));
}

}  // namespace
}  // namespace orrery::transport
