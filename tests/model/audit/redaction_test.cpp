#include "model/audit/redaction.hpp"

#include <gmock/gmock.h>

#include "model/credentials.hpp"
#include "model/json.hpp"

namespace orrery::model::audit {
namespace {

value json(std::string_view text) {
  auto v = parse_json(text);
  EXPECT_TRUE(v) << text;
  return *v;
}
std::string shown(std::string_view text) {
  return to_json(redacted(json(text)));
}

TEST(AuditRedaction, KnowsSecretsByTheirNames) {
  for (const auto* name :
       {"password", "newPassword", "deviceSecret", "product_secret", "secret", "apiKey", "api-key",
        "otp", "refresh", "accessToken", "privateKey", "spareCodes", "clientSecret", "passphrase",
        "PSK", "signature", "Authorization", "credentials", "uploadUrl"}) {
    EXPECT_TRUE(is_secret_name(name)) << name;
    const auto text = std::string{R"({"a":1,")"} + name + R"(":"x"})";
    EXPECT_EQ(shown(text), std::string{R"({"a":1,")"} + name + R"(":"[redacted]"})");
  }
  for (const auto* name : {"name", "deviceKey", "productKey", "keys", "description", "access",
                           "fileUri", "reason", "accessKey", "keyId", "signMethods", "pinned"})
    EXPECT_FALSE(is_secret_name(name)) << name;
}

TEST(AuditRedaction, ASecretOfAnyFormIsOne) {
  EXPECT_EQ(shown(R"({"secret":{"a":"b"},"otp":123456,"spareCodes":["a","b"]})"),
            R"({"secret":"[redacted]","otp":"[redacted]","spareCodes":"[redacted]"})");
  EXPECT_EQ(shown(R"({"requireSecret":true,"secret":null})"),
            R"({"requireSecret":true,"secret":null})");
  EXPECT_EQ(shown(R"([{"deep":[{"password":"x"}]}])"), R"([{"deep":[{"password":"[redacted]"}]}])");
}

TEST(AuditRedaction, KnowsSecretsByWhatTheyLookLike) {
  for (const auto* text :
       {"ork~default~k123~abc", "see ork~default~k123~abc here", "eyJhbGciOi.J9.x", "Bearer abc",
        "$argon2id$v=19$m=1", "otpauth://totp/x", "https://user:pass@host/x",
        "-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN EC PRIVATE KEY-----\nabc",
        "https://host/f?sig=aB3dE6gH9jK2mN5pQ8sT1v"})
    EXPECT_TRUE(looks_secret(text)) << text;
  for (int i = 0; i < 100; ++i) {
    const auto text = random_text(32);
    EXPECT_TRUE(looks_secret(text) || text.find_first_of("0123456789") == std::string::npos)
        << text;
  }
  for (const auto* text :
       {"pump 17", "01arz3ndektsv4rrffq69g5fav", "2026-01-31T12:00:00.000Z", "10.0.0.1",
        "https://host/path/file.bin", "a rather long text of several words with 1 number",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "user:admin",
        "createOrganisation", "/api/v1/orgs/-/products/Ab3dEf/devices/inv-01:disable", ""})
    EXPECT_FALSE(looks_secret(text)) << text;
}

TEST(AuditRedaction, CertificatesAreNamedByTheirHash) {
  const auto pem = std::string{"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"};
  EXPECT_EQ(to_json(redacted(pem)), "\"[PEM, SHA-256 " + sha256_hex(pem) + "]\"");
}

TEST(AuditRedaction, IsBounded) {
  const auto text = to_json(redacted(std::string(5000, 'a')));
  EXPECT_LT(text.size(), 600u);
  EXPECT_NE(text.find("5000 bytes"), std::string::npos);
  auto o = object{};
  for (int i = 0; i < 2000; ++i)
    o.emplace_back("member" + std::to_string(i), i);
  const auto cut = redacted(o);
  EXPECT_TRUE(cut.find("omittedBytes"));
  auto umlauts = std::string{};
  while (umlauts.size() < 2000)
    umlauts += "\xc3\xa4";
  EXPECT_TRUE(parse_json(to_json(redacted("x" + umlauts))));
}

TEST(AuditRedaction, WhateverComesIsUtf8Afterwards) {
  EXPECT_EQ(valid_text("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(valid_text("a\xff"
                       "b"),
            "a\xef\xbf\xbd"
            "b");
  // Cut off, too long, a half of a pair, beyond the last character.
  for (const auto* text : {"\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc0\x80", "\xe0\x80\x80",
                           "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(parse_json('"' + std::string{text} + '"'));
    EXPECT_TRUE(parse_json(to_json(value{valid_text(text)})));
    EXPECT_TRUE(parse_json(to_json(redacted(object{{text, text}}))));
  }
  EXPECT_EQ(valid_text("x\xc3\xa4\xc3\xa4", 4), "x\xc3\xa4") << "not in a character";
  EXPECT_EQ(valid_text("\xff\xff", 4), "\xef\xbf\xbd");
}

TEST(AuditRedaction, WhatWasRefusedIsShorter) {
  EXPECT_LT(to_json(redacted(std::string(5000, 'a'), short_lengths)).size(), 200u);
  auto o = object{};
  for (int i = 0; i < 200; ++i)
    o.emplace_back("member" + std::to_string(i), i);
  EXPECT_FALSE(redacted(o).find("omittedBytes"));
  EXPECT_TRUE(redacted(o, short_lengths).find("omittedBytes"));
}

TEST(AuditRedaction, DifferencesAreMemberByMember) {
  const auto d = difference_of(json(R"({"a":1,"b":{"x":1,"y":2},"c":[1],"gone":true})"),
                               json(R"({"a":1,"b":{"x":1,"y":3},"c":[2],"new":false})"));
  EXPECT_EQ(to_json(d.before), R"({"b":{"y":2},"c":[1],"gone":true})");
  EXPECT_EQ(to_json(d.after), R"({"b":{"y":3},"c":[2],"new":false})");
  EXPECT_TRUE(difference_of(json("{\"a\":1}"), json("{\"a\":1}")).before.is_null());
}

}  // namespace
}  // namespace orrery::model::audit
