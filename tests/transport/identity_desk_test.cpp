#include "transport/identity_desk.hpp"

#include <deque>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "observe/log.hpp"
#include "tests/transport/oidc_kit.hpp"

namespace orrery::transport {
namespace {

using model::array;
using model::errc;
using model::failure;
using model::object;
using model::value;
using testing::HasSubstr;

/// A desk whose provider is here: what is asked of it waits in `asked` until it is answered.
class IdentityDesk : public testing::Test {
 protected:
  IdentityDesk()
      : keys_{std::make_shared<model::keyring>(model::keyring::key_bytes{1, 2, 3})},
        desk_{make_desk()} {}

  std::shared_ptr<identity_desk> make_desk() {
    return std::make_shared<identity_desk>(
        identity_desk_parts{.ask =
                                [this](net::web_request what, net::web_client::then done) {
                                  asked_.push_back({std::move(what), std::move(done)});
                                },
                            .keys = keys_,
                            .now = [this] { return now_; }});
  }
  model::organisation::identity_provider provider() const {
    auto p = model::organisation::identity_provider{};
    p.id = "corp";
    p.issuer = "https://id.example.org";
    p.client_id = "orrery";
    p.client_secret = keys_->seal("s3cret", secret_owner("acme", "corp"));
    p.login_claim = "preferred_username";
    p.role_claim = role_claim_;
    if (!role_claim_.empty())
      p.role_map = {{"ops", {"operator"}}};
    return p;
  }
  static object description() {
    return {{"issuer", "https://id.example.org"},
            {"authorization_endpoint", "https://id.example.org/authorize"},
            {"token_endpoint", "https://id.example.org/token"},
            {"jwks_uri", "https://id.example.org/jwks"},
            {"userinfo_endpoint", "https://id.example.org/me"}};
  }
  /// Answers the oldest question, which must go there.
  void answer(const std::string& where, const model::result<net::web_reply>& with) {
    ASSERT_FALSE(asked_.empty()) << where;
    auto next = std::move(asked_.front());
    asked_.pop_front();
    EXPECT_EQ(next.what.url, "https://id.example.org" + where);
    last_ = next.what;
    next.done(with);
  }
  void answer(const std::string& where, const value& with) {
    answer(where, net::web_reply{200, model::to_json(with)});
  }
  void describe() { answer("/.well-known/openid-configuration", value{description()}); }

  model::result<identity_desk::begun> begin() {
    auto got = std::optional<model::result<identity_desk::begun>>{};
    desk_->begin("acme", provider(), "http://127.0.0.1:4711/", [&](auto b) { got = std::move(b); });
    if (!asked_.empty())
      describe();
    return got ? *got : model::result<identity_desk::begun>{failure{errc::internal, "no answer"}};
  }
  static std::string in_url(const std::string& url, const std::string& name) {
    const auto at = url.find('&' + name + '=') + name.size() + 2;
    return url.substr(at, url.find('&', at) - at);
  }
  login_transaction begun() {
    const auto b = begin();
    EXPECT_TRUE(b);
    const auto t = desk_->open(b->transaction, in_url(b->url, "state"));
    EXPECT_TRUE(t);
    return *t;
  }
  void finish(const login_transaction& t, const std::string& issuer = {}) {
    finish_at(provider(), t, issuer);
  }
  void finish_at(const model::organisation::identity_provider& p, const login_transaction& t,
                 const std::string& issuer = {}) {
    person_.reset();
    desk_->finish(t, p, "the code", issuer, [&](auto who) { person_ = std::move(who); });
  }
  /// A log-in with these claims, as far as the provider has signed them.
  void come(const login_transaction& t, const object& with) {
    finish(t);
    answer("/token", tokens(key().token(with)));
    if (!asked_.empty() && asked_.front().what.url.ends_with("/jwks"))
      answer("/jwks", net::web_reply{200, key_set({key().jwk()})});
  }
  std::string reason() const {
    return !person_ ? "no answer" : *person_ ? "" : std::string{person_->error().reason};
  }
  object claims(const login_transaction& t) const {
    const auto now = model::to_ms(now_) / 1000;
    return {{"iss", "https://id.example.org"},
            {"sub", "s-1"},
            {"aud", "orrery"},
            {"exp", now + 300},
            {"iat", now},
            {"nonce", t.nonce},
            {"preferred_username", "ada"}};
  }
  static const signer& key() {
    static const auto k = signer::ec("e1");
    return k;
  }
  static value tokens(const std::string& id_token) {
    return object{{"id_token", id_token}, {"access_token", "t0k"}};
  }

  struct question {
    net::web_request what;
    net::web_client::then done;
  };
  model::timestamp now_ = model::from_ms(1'700'000'000'000);
  std::shared_ptr<model::keyring> keys_;
  std::deque<question> asked_;
  net::web_request last_;
  std::string role_claim_;
  std::shared_ptr<identity_desk> desk_;
  std::optional<model::result<outside_person>> person_;
};

TEST_F(IdentityDesk, ALogInGoesToTheProviderAndBack) {
  const auto t = begun();
  finish(t);
  answer("/token", tokens(key().token(claims(t))));
  EXPECT_THAT(last_.body, HasSubstr("code=the%20code&"));
  EXPECT_THAT(last_.body, HasSubstr("code_verifier=" + t.verifier));
  EXPECT_EQ(last_.headers.back().second, "Basic b3JyZXJ5OnMzY3JldA==");
  answer("/jwks", net::web_reply{200, key_set({key().jwk()})});
  ASSERT_EQ(reason(), "");
  EXPECT_EQ((*person_)->subject, "s-1");
  EXPECT_EQ((*person_)->login, "ada");
  EXPECT_TRUE(asked_.empty()) << "nothing is missing, so nothing more is asked";
  // The next one needs neither the description nor the keys.
  const auto next = begun();
  finish(next);
  answer("/token", tokens(key().token(claims(next))));
  EXPECT_EQ(reason(), "");
}

TEST_F(IdentityDesk, AnyNodeGoesOnWithATransactionAndNobodyWithoutIt) {
  const auto b = begin();
  const auto state = in_url(b->url, "state");
  const auto other = make_desk();
  EXPECT_TRUE(other->open(b->transaction, state));
  EXPECT_FALSE(other->open(b->transaction, "guessed"));
  EXPECT_FALSE(other->open(b->transaction, ""));
  EXPECT_FALSE(other->open(b->transaction + "A", state));
  EXPECT_FALSE(other->open("", state));
  auto changed = b->transaction;
  changed[20] = changed[20] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(other->open(changed, state));
  EXPECT_EQ(b->url.find(b->transaction), std::string::npos) << "the browser does not see it";
  now_ += identity_desk::patience;
  EXPECT_EQ(other->open(b->transaction, state).error().reason, "idp_transaction_invalid");
}

TEST_F(IdentityDesk, PeopleAreSentNowhereElse) {
  auto got = std::string_view{};
  desk_->begin("acme", provider(), "https://evil.example.org/",
               [&](const auto& b) { got = b ? std::string_view{} : b.error().reason; });
  EXPECT_EQ(got, "redirect_not_allowed");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(IdentityDesk, ATransactionIsUsedOnce) {
  const auto t = begun();
  finish(t);
  asked_.clear();
  finish(t);
  EXPECT_EQ(reason(), "idp_transaction_used");
  EXPECT_TRUE(asked_.empty()) << "the provider is not asked";
}

TEST_F(IdentityDesk, AWrongCodeUsesUpNothing) {
  const auto t = begun();
  finish(t, "https://other.example.org");
  EXPECT_EQ(reason(), "idp_refused");
  finish(t, "https://id.example.org");
  answer("/token", net::web_reply{400, R"({"error":"invalid_grant"})"});
  EXPECT_EQ(reason(), "idp_refused");
  finish(t, "https://id.example.org");
  EXPECT_EQ(reason(), "idp_transaction_used");
}

TEST_F(IdentityDesk, ManyTransactionsKeepNobodyOut) {
  observe::log::set_level(observe::log::level::error);  // each of them is told
  auto t = begun();
  const auto go = [&](std::size_t number) {
    t.session = "x" + std::to_string(number);
    finish(t);
    if (!asked_.empty())
      answer("/token", net::web_reply{400, "{}"});
    return reason();
  };
  EXPECT_EQ(go(0), "idp_refused");
  t.until += std::chrono::seconds{1};
  for (std::size_t i = 1; i <= identity_desk::max_used; ++i)
    ASSERT_EQ(go(i), "idp_refused");
  EXPECT_EQ(go(1), "idp_transaction_used");
  EXPECT_EQ(go(0), "idp_refused") << "it ended first, and was forgotten";
  observe::log::set_level(observe::log::level::info);
}

TEST_F(IdentityDesk, ATransactionIsOfTheProviderAsItWas) {
  const auto t = begun();
  EXPECT_EQ(t.issuer, "https://id.example.org");
  EXPECT_EQ(t.client_id, "orrery");
  auto p = provider();
  p.issuer = "https://other.example.org";
  finish_at(p, t);
  EXPECT_EQ(reason(), "idp_changed");
  p = provider();
  p.client_id = "another";
  finish_at(p, t);
  EXPECT_EQ(reason(), "idp_changed");
  EXPECT_TRUE(asked_.empty()) << "nobody is told the code";
  finish(t);
  EXPECT_EQ(asked_.size(), 1u) << "it is not used up";
}

TEST_F(IdentityDesk, WhatTheProviderRefusesIsRefused) {
  finish(begun());
  answer("/token", net::web_reply{400, R"({"error":"invalid_grant"})"});
  EXPECT_EQ(reason(), "idp_refused");
  finish(begun());
  answer("/token", failure{errc::timeout, "takes too long"});
  EXPECT_EQ(reason(), "idp_unavailable");
  finish(begun(), "https://other.example.org");
  EXPECT_EQ(reason(), "idp_refused") << "a code of somebody else's (RFC 9207)";
  const auto t = begun();
  finish(t, "https://id.example.org");
  answer("/token", tokens("a.b.c"));
  EXPECT_EQ(reason(), "idp_token_invalid");
}

TEST_F(IdentityDesk, ATokenOfAnotherLogInIsNone) {
  const auto first = begun(), second = begun();
  finish(second);
  answer("/token", tokens(key().token(claims(first))));
  answer("/jwks", net::web_reply{200, key_set({key().jwk()})});
  EXPECT_EQ(reason(), "idp_token_invalid");
}

TEST_F(IdentityDesk, KeysAreAskedForAgainWhereOneIsNewButNotTooOften) {
  auto t = begun();
  finish(t);
  answer("/token", tokens(key().token(claims(t))));
  answer("/jwks", net::web_reply{200, key_set({signer::ec("old").jwk()})});
  EXPECT_EQ(reason(), "idp_token_invalid") << "they came this moment";
  t = begun();
  finish(t);
  answer("/token", tokens(key().token(claims(t))));
  EXPECT_EQ(reason(), "idp_token_invalid");
  EXPECT_TRUE(asked_.empty());
  now_ += identity_desk::keys_rest;
  t = begun();
  finish(t);
  answer("/token", tokens(key().token(claims(t))));
  answer("/jwks", net::web_reply{200, key_set({key().jwk()})});
  EXPECT_EQ(reason(), "");
  now_ += identity_desk::keys_count;
  t = begun();
  finish(t);
  answer("/token", tokens(key().token(claims(t))));
  answer("/jwks", net::web_reply{200, key_set({})});
  EXPECT_EQ(reason(), "idp_token_invalid") << "a key that was taken back";
}

TEST_F(IdentityDesk, UserInfoIsAskedForWhatIsMissing) {
  const auto t = begun();
  auto without = claims(t);
  without.pop_back();
  finish(t);
  answer("/token", tokens(key().token(without)));
  answer("/jwks", net::web_reply{200, key_set({key().jwk()})});
  answer("/me", object{{"sub", "s-1"}, {"preferred_username", "ada"}});
  EXPECT_EQ(last_.headers.back().second, "Bearer t0k");
  ASSERT_EQ(reason(), "");
  EXPECT_EQ((*person_)->login, "ada");
  const auto u = begun();
  without = claims(u);
  without.pop_back();
  finish(u);
  answer("/token", tokens(key().token(without)));
  answer("/me", object{{"sub", "somebody else"}});
  EXPECT_EQ(reason(), "idp_token_invalid");
}

TEST_F(IdentityDesk, UserInfoIsDoneWithoutButNotForRoles) {
  const auto bad = std::vector<model::result<net::web_reply>>{
      failure{errc::timeout, "takes too long"}, net::web_reply{503, ""}, net::web_reply{401, "{}"},
      net::web_reply{200, "[]"}, net::web_reply{200, "a.b.c"}};
  for (const auto& reply : bad) {
    const auto t = begun();
    auto some = claims(t);
    some.pop_back();
    come(t, some);
    answer("/me", reply);
    ASSERT_EQ(reason(), "");
    EXPECT_EQ((*person_)->subject, "s-1");
    EXPECT_EQ((*person_)->login, "");
  }
  role_claim_ = "groups";
  for (const auto& reply : bad) {
    auto t = begun();
    come(t, claims(t));
    answer("/me", reply);
    EXPECT_EQ(reason(), "idp_unavailable") << "nobody loses his roles by that";
    t = begun();
    auto some = claims(t);
    some.pop_back();
    some.emplace_back("groups", "ops");
    come(t, some);
    answer("/me", reply);
    ASSERT_EQ(reason(), "");
    EXPECT_THAT((*person_)->values, testing::ElementsAre("ops"));
  }
}

TEST_F(IdentityDesk, AProviderThatIsNotThereIsNotAskedAllTheTime) {
  auto got = std::string_view{};
  const auto tell = [&](const auto& b) { got = b ? std::string_view{} : b.error().reason; };
  desk_->begin("acme", provider(), "http://127.0.0.1:1/", tell);
  answer("/.well-known/openid-configuration", net::web_reply{404, ""});
  EXPECT_EQ(got, "idp_discovery_failed");
  desk_->begin("acme", provider(), "http://127.0.0.1:1/", tell);
  EXPECT_TRUE(asked_.empty());
  now_ += identity_desk::failure_counts;
  desk_->begin("acme", provider(), "http://127.0.0.1:1/", tell);
  describe();
  EXPECT_EQ(got, "");
}

TEST_F(IdentityDesk, SoManyAreUnderWayAtMost) {
  auto refused = std::size_t{0};
  const auto begin_some = [&](std::size_t issuer, std::size_t number) {
    refused = 0;
    auto p = provider();
    p.issuer = "https://dead" + std::to_string(issuer) + ".example.org";
    for (std::size_t i = 0; i < number; ++i)
      desk_->begin("acme", p, "http://127.0.0.1:1/", [&](const auto& b) {
        ASSERT_FALSE(b);
        refused += b.error().reason == "rate_limited" ? 1 : 0;
      });
    return refused;
  };
  const auto begins = [&] {
    auto goes = false;
    desk_->begin("acme", provider(), "http://127.0.0.1:1/",
                 [&](const auto& b) { goes = b.has_value(); });
    return goes;
  };
  ASSERT_TRUE(begin());  // from here on its description is known
  const auto issuers = identity_desk::max_open / identity_desk::max_open_of_issuer;
  EXPECT_EQ(begin_some(1, identity_desk::max_open_of_issuer + 2), 2u) << "one has its share";
  EXPECT_TRUE(begins()) << "others are not kept from theirs";
  for (std::size_t i = 2; i <= issuers; ++i)
    EXPECT_EQ(begin_some(i, identity_desk::max_open_of_issuer), 0u);
  EXPECT_EQ(begin_some(issuers + 1, 1), 1u) << "all together have no more";
  EXPECT_FALSE(begins());
  for (; !asked_.empty(); asked_.pop_front())
    asked_.front().done(failure{errc::timeout, "takes too long"});
  EXPECT_TRUE(begins()) << "there is room again";
}

TEST_F(IdentityDesk, OneAddressHasItsShare) {
  for (std::uint32_t i = 0; i < identity_desk::max_of_address; ++i)
    EXPECT_TRUE(desk_->admit("203.0.113.7"));
  EXPECT_EQ(desk_->admit("203.0.113.7").error().reason, "rate_limited");
  EXPECT_TRUE(desk_->admit("203.0.113.8"));
  now_ += std::chrono::minutes{1};
  EXPECT_TRUE(desk_->admit("203.0.113.7"));
}

}  // namespace
}  // namespace orrery::transport
