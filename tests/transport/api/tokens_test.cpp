#include "transport/api/tokens.hpp"

#include <gtest/gtest.h>

#include "transport/base64url.hpp"

namespace orrery::transport::api {
namespace {

const auto expires = model::from_ms(1'700'000'000'000);

class Tokens : public testing::Test {
 protected:
  token_signer signer{"a key"};
  std::string token = signer.sign({"org", "eve", "access", "s1", expires});
};

TEST_F(Tokens, SayWhatWasSigned) {
  const auto claims = signer.read(token);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->organisation, "org");
  EXPECT_EQ(claims->login, "eve");
  EXPECT_EQ(claims->use, "access");
  EXPECT_EQ(claims->session, "s1");
  EXPECT_EQ(claims->expires, expires);
}

TEST_F(Tokens, OfRefreshHaveTheirGeneration) {
  EXPECT_EQ(signer.read(token)->generation, 0u);
  EXPECT_EQ(signer.read(signer.sign({"org", "eve", "refresh", "s1", expires, 7}))->generation, 7u);
}

TEST_F(Tokens, AreJwts) {
  EXPECT_EQ(std::count(token.begin(), token.end(), '.'), 2);
  EXPECT_EQ(from_base64url(token.substr(0, token.find('.'))), R"({"alg":"HS256","typ":"JWT"})");
}

TEST_F(Tokens, AreNeverTheSameTwice) {
  EXPECT_NE(token, signer.sign({"org", "eve", "access", "s1", expires}));
}

TEST_F(Tokens, AnyChangedCharacterIsNoticed) {
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto last_bits = i + 1 == token.size();  // of which some carry nothing
    if (!last_bits) {
      EXPECT_FALSE(signer.read(changed)) << i;
    }
  }
}

TEST_F(Tokens, OfAnotherKeyAreNotRead) {
  EXPECT_FALSE(token_signer{"another key"}.read(token));
}

TEST_F(Tokens, RefuseWhatIsNoneOfOurs) {
  const auto body = token.substr(token.find('.'));
  const auto none = to_base64url(R"({"alg":"none","typ":"JWT"})");
  for (const auto& text : std::vector<std::string>{"", ".", "..", "a.b", "a.b.c", token + "x",
                                                   token + ".", "." + token, none + body,
                                                   none + token.substr(token.find('.'), 20) + ".",
                                                   std::string(10'000, 'A'), token.substr(1)})
    EXPECT_FALSE(signer.read(text)) << text.substr(0, 60);
}

TEST(ApiKeyText, IsReadBack) {
  const auto text = write_api_key("org", "k1", "se~cret");
  EXPECT_EQ(text, "ork~org~k1~se~cret");
  const auto key = read_api_key(text);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->organisation, "org");
  EXPECT_EQ(key->id, "k1");
  EXPECT_EQ(key->secret, "se~cret");
  for (const auto* other : {"", "ork~", "ork~org", "ork~org~k1", "abc~org~k1~s", "ORK~org~k1~s"})
    EXPECT_FALSE(read_api_key(other)) << other;
}

TEST(Passwords, AreHashedWithTheirSalt) {
  const auto hash = hash_password("correct horse");
  EXPECT_TRUE(hash.starts_with("$argon2id$"));
  EXPECT_NE(hash, hash_password("correct horse"));
  EXPECT_TRUE(verify_password("correct horse", hash));
  EXPECT_FALSE(verify_password("correct house", hash));
  EXPECT_FALSE(verify_password("", hash));
  EXPECT_FALSE(verify_password("correct horse", ""));
  EXPECT_FALSE(verify_password("correct horse", "not a hash"));
}

TEST(Base64url, IsReadBack) {
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "\xff\xfe\xfd", "a?b>c"}) {
    const auto text = to_base64url(bytes);
    EXPECT_EQ(text.find_first_of("+/="), std::string::npos) << text;
    EXPECT_EQ(from_base64url(text), bytes);
  }
  EXPECT_EQ(to_base64url("foob"), "Zm9vYg");
}

TEST(Base64url, RefusesOtherAlphabetsAndLengths) {
  for (const auto* text :
       {"A", "AAAAA", "Zm9v=", "Zm9vYg==", "Zm 9", "Zm9\n", "Zm+v", "Zm/v", "Zmé"})
    EXPECT_FALSE(from_base64url(text)) << text;
  EXPECT_FALSE(from_base64url(std::string(8196, 'A')));
}

}  // namespace
}  // namespace orrery::transport::api
