#include "transport/oidc_token.hpp"

#include <gtest/gtest.h>

#include "tests/transport/oidc_kit.hpp"

namespace orrery::transport {
namespace {

using model::array;
using model::object;
using model::value;

class OidcToken : public testing::Test {
 protected:
  static const signer& rsa() {
    static const auto key = signer::rsa("r1");
    return key;
  }
  static const signer& ec() {
    static const auto key = signer::ec("e1");
    return key;
  }
  static std::vector<signing_key> known() {
    auto keys = read_keys(key_set({rsa().jwk(), ec().jwk()}));
    EXPECT_TRUE(keys);
    return keys ? *keys : std::vector<signing_key>{};
  }
  static object claims() {
    return {{"iss", "https://id.example.org"},
            {"sub", "s-1"},
            {"aud", "orrery"},
            {"exp", std::int64_t{1'700'000'300}},
            {"iat", std::int64_t{1'700'000'000}},
            {"nonce", "n-1"}};
  }
  static token_wants wants() {
    return {"https://id.example.org", "orrery", "n-1", model::from_ms(1'700'000'010'000)};
  }
  /// All that a log-in does with a token; why not, or "".
  static std::string check(const std::string& token, const std::vector<signing_key>& keys) {
    const auto head = read_token_head(token);
    if (!head)
      return head.error().detail;
    const auto* key = find_key(keys, *head);
    if (!key)
      return "no key";
    const auto read = read_token(token, *head, *key);
    if (!read)
      return read.error().detail;
    const auto ok = check_claims(*read, wants());
    return ok ? "" : ok.error().detail;
  }
  static std::string check(const std::string& token) { return check(token, known()); }
  /// Why claims do not do: the name of the one that is wrong.
  static std::string wrong(const std::string& name, value v) {
    auto o = claims();
    std::erase_if(o, [&](const auto& m) { return m.first == name; });
    if (!v.is_null())
      o.emplace_back(name, std::move(v));
    const auto ok = check_claims(value{o}, wants());
    if (ok)
      return "";
    EXPECT_EQ(ok.error().reason, "idp_token_invalid");
    const auto& text = ok.error().detail;
    const auto begin = text.find(": ") + 2;
    return text.substr(begin, text.find(':', begin) - begin);
  }
};

TEST_F(OidcToken, IsTakenIfItIsSignedByTheProvider) {
  EXPECT_EQ(check(rsa().token(claims())), "");
  EXPECT_EQ(check(ec().token(claims())), "");
  EXPECT_EQ(check(rsa().token(claims(), {{"alg", "PS256"}})), "");
  EXPECT_EQ(check(rsa().token(claims(), {{"typ", "JWT"}})), "");
}

TEST_F(OidcToken, IsRefusedIfAnythingWasChanged) {
  for (const auto& token : {rsa().token(claims()), ec().token(claims())})
    for (std::size_t i = 0; i < token.size(); i += 7) {
      auto other = token;
      other[i] = other[i] == 'A' ? 'B' : 'A';
      EXPECT_NE(check(other), "") << i;
    }
}

TEST_F(OidcToken, WithoutASignatureIsNone) {
  const auto none =
      to_base64url(R"({"alg":"none"})") + '.' + to_base64url(model::to_json(value{claims()})) + '.';
  EXPECT_NE(check(none).find("RS256"), std::string::npos);
  const auto whole = rsa().token(claims());
  EXPECT_NE(check(whole.substr(0, whole.rfind('.') + 1)), "");
  for (const auto* alg : {"None", "NONE", "", "HS256", "RS1", "EdDSA", "rs256"})
    EXPECT_NE(check(rsa().token(claims(), {{"alg", alg}})), "") << alg;
}

/// A public key that is taken for a shared secret.
TEST_F(OidcToken, AMacWithAPublicKeyIsNoSignature) {
  const auto key = model::to_json(value{rsa().jwk()});
  auto text = to_base64url(R"({"alg":"HS256","kid":"r1"})") + '.' +
              to_base64url(model::to_json(value{claims()}));
  unsigned char mac[32];
  auto size = 0u;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  text += '.' + to_base64url({reinterpret_cast<const char*>(mac), size});
  EXPECT_NE(check(text).find("RS256"), std::string::npos);
}

TEST_F(OidcToken, AKeyIsForItsOwnAlgorithm) {
  const auto only_pss = read_keys(key_set({rsa().jwk({{"alg", "PS256"}})}));
  ASSERT_TRUE(only_pss);
  EXPECT_EQ(check(rsa().token(claims()), *only_pss), "no key");
  EXPECT_EQ(check(rsa().token(claims(), {{"alg", "PS256"}}), *only_pss), "");
  EXPECT_EQ(check(rsa().token(claims(), {{"alg", "ES256"}})), "no key");
  // Even if it was found, it is not used.
  const auto keys = known();
  const auto read = read_token(rsa().token(claims()), {"ES256", "r1"}, keys.front());
  EXPECT_FALSE(read);
}

TEST_F(OidcToken, AnotherKeyIsAnotherKey) {
  EXPECT_EQ(check(signer::rsa("r2").token(claims())), "no key");
  EXPECT_NE(check(signer::rsa("r1").token(claims())), "") << "the same name";
  EXPECT_NE(check(signer::ec("e1").token(claims())), "");
  const auto nameless = signer::rsa("");
  EXPECT_EQ(check(nameless.token(claims()), *read_keys(key_set({nameless.jwk()}))), "");
  EXPECT_EQ(check(nameless.token(claims()), *read_keys(key_set({nameless.jwk(), rsa().jwk()}))),
            "no key")
      << "it could be either";
}

TEST_F(OidcToken, ItsHeaderIsUnderstood) {
  EXPECT_NE(check(rsa().token(claims(), {{"crit", array{"b64"}}, {"b64", false}})), "");
  EXPECT_NE(check(rsa().token(claims(), {{"typ", "logout+jwt"}})), "");
  EXPECT_NE(check(rsa().token(claims(), {{"typ", 1}})), "");
  for (const auto* bad :
       {"", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.e30", "bnVsbA.e30.e30"})
    EXPECT_NE(check(bad), "") << bad;
  EXPECT_NE(check(std::string(max_token_bytes + 1, 'a')), "");
  auto huge = claims();
  huge.emplace_back("more", std::string(max_token_bytes, 'x'));
  EXPECT_NE(check(rsa().token(huge)), "");
}

TEST_F(OidcToken, ItsClaimsAreThoseOfThisLogIn) {
  EXPECT_EQ(wrong("more", "x"), "");
  EXPECT_EQ(wrong("iss", "https://id.example.org/"), "iss");
  EXPECT_EQ(wrong("iss", {}), "iss");
  EXPECT_EQ(wrong("sub", {}), "sub");
  EXPECT_EQ(wrong("sub", 7), "sub");
  EXPECT_EQ(wrong("aud", {}), "aud");
  EXPECT_EQ(wrong("aud", "other"), "aud");
  EXPECT_EQ(wrong("aud", array{"other", 7}), "aud");
  EXPECT_EQ(wrong("aud", array{"orrery"}), "");
  EXPECT_EQ(wrong("aud", array{"orrery", "other"}), "azp") << "it has to say whose it is";
  EXPECT_EQ(wrong("azp", "orrery"), "");
  EXPECT_EQ(wrong("azp", "other"), "azp");
  EXPECT_EQ(wrong("azp", 1), "azp");
  EXPECT_EQ(wrong("nonce", {}), "nonce");
  EXPECT_EQ(wrong("nonce", "n-2"), "nonce");
  EXPECT_EQ(wrong("nonce", 1), "nonce");
}

TEST_F(OidcToken, ItsTimesAreNearOurs) {
  constexpr auto now = std::int64_t{1'700'000'010};
  EXPECT_EQ(wrong("exp", {}), "exp");
  EXPECT_EQ(wrong("exp", "soon"), "exp");
  EXPECT_EQ(wrong("exp", now - 59), "") << "clocks differ";
  EXPECT_EQ(wrong("exp", now - 60), "exp");
  EXPECT_EQ(wrong("exp", -1), "exp");
  EXPECT_EQ(wrong("exp", 1e300), "exp");
  EXPECT_EQ(wrong("exp", static_cast<double>(now) + 0.5), "");
  EXPECT_EQ(wrong("iat", {}), "iat");
  EXPECT_EQ(wrong("iat", now + 60), "");
  EXPECT_EQ(wrong("iat", now + 61), "iat");
  EXPECT_EQ(wrong("nbf", now + 61), "nbf");
  EXPECT_EQ(wrong("nbf", "x"), "nbf");
  EXPECT_EQ(wrong("nbf", now), "");
}

TEST_F(OidcToken, KeysThatDoNotDoAreLeftOut) {
  const auto count = [](const std::string& json) {
    const auto keys = read_keys(json);
    return keys ? static_cast<int>(keys->size()) : -1;
  };
  EXPECT_EQ(count(key_set({rsa().jwk(), ec().jwk()})), 2);
  EXPECT_EQ(count(key_set({rsa().jwk({{"use", "sig"}}), ec().jwk({{"use", "enc"}})})), 1);
  EXPECT_EQ(count(key_set({signer::rsa("weak", 1024).jwk()})), 0);
  EXPECT_EQ(count(key_set({{{"kty", "oct"}, {"k", "c2VjcmV0"}}})), 0);
  EXPECT_EQ(count(key_set({{{"kty", "RSA"}, {"n", "AQAB"}, {"e", "AQAB"}}, {{"kty", 1}}, {}})), 0);
  auto off_curve = ec().jwk();
  for (auto& [name, v] : off_curve)
    if (name == "y")
      v = to_base64url(std::string(32, '\1'));
  EXPECT_EQ(count(key_set({off_curve})), 0);
  EXPECT_EQ(count(key_set(std::vector<object>(max_signing_keys, {{"kty", "oct"}}))), 0);
  EXPECT_EQ(count(key_set(std::vector<object>(max_signing_keys + 1, {{"kty", "oct"}}))), -1);
  for (const auto* bad : {"", "null", "[]", "{}", R"({"keys":{}})", R"({"keys":[)"})
    EXPECT_EQ(count(bad), -1) << bad;
}

}  // namespace
}  // namespace orrery::transport
