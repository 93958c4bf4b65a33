#include <gtest/gtest.h>

#include "model/organisation/organisation.hpp"
#include "model/static_text.hpp"

namespace orrery::model::organisation {
namespace {

using origin = certificate_authority::origin;
using algorithm = certificate_authority::algorithm;

constexpr auto day = std::chrono::hours{24};

class Authorities : public testing::Test {
 protected:
  Authorities() { EXPECT_EQ(tell(create_organisation{"org", "Org"}), ""); }

  /// The reason of a refusal; "" if it was done.
  std::string_view tell(order what) {
    auto d = decide(s, {std::move(what), "user:a", {}}, {entity_id{}, now, 3});
    if (!d) {
      EXPECT_EQ(static_text(d.error().reason), d.error().reason) << "other nodes know it";
      return d.error().reason;
    }
    happened = d->events.size();
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
    }
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return {};
  }
  static certificate_authority built_in(const std::string& id, algorithm keys = algorithm::ecc) {
    auto a = certificate_authority{};
    a.id = id;
    a.keys = keys;
    a.certificates = "pem";
    a.key.bytes = "sealed";
    return a;
  }
  static certificate_authority external(const std::string& id) {
    auto a = certificate_authority{};
    a.id = id;
    a.kind = origin::external;
    a.certificates = "pem";
    a.nonce = "nonce";
    return a;
  }
  list_revocation revoked(const std::string& serial, std::uint8_t reason = 1) const {
    return {"aa", {serial, {}, reason, now + 10 * day}};
  }
  const certificate_authority& authority() const { return *s.find_authority("aa"); }

  state s;
  timestamp now = from_ms(1'700'000'000'000);
  std::size_t happened = 0;
};

TEST_F(Authorities, ThereIsOneBuiltInOfEachSort) {
  EXPECT_EQ(tell(add_authority{built_in("aa")}), "");
  EXPECT_EQ(authority().created_at, now);
  EXPECT_EQ(authority().actor, "user:a");
  EXPECT_EQ(tell(add_authority{built_in("bb")}), "authority_exists");
  EXPECT_EQ(tell(add_authority{built_in("aa", algorithm::rsa)}), "authority_exists");
  EXPECT_EQ(tell(add_authority{built_in("cc", algorithm::rsa)}), "");
  EXPECT_EQ(s.built_in(algorithm::ecc)->id, "aa");
  EXPECT_EQ(s.built_in(algorithm::rsa)->id, "cc");
}

TEST_F(Authorities, ABuiltInOneHasItsKeyAndAnotherHasNone) {
  auto keyless = built_in("aa");
  keyless.key = {};
  EXPECT_EQ(tell(add_authority{keyless}), "authority_invalid");
  auto with_key = external("aa");
  with_key.key.bytes = "sealed";
  EXPECT_EQ(tell(add_authority{with_key}), "authority_invalid");
  EXPECT_EQ(tell(add_authority{external("")}), "authority_invalid");
  auto taken_at_its_word = external("aa");
  taken_at_its_word.nonce.clear();
  EXPECT_EQ(tell(add_authority{taken_at_its_word}), "authority_invalid");
  auto asked = built_in("aa");
  asked.nonce = "nonce";
  EXPECT_EQ(tell(add_authority{asked}), "authority_invalid");
}

TEST_F(Authorities, AnExternalOneIsPendingUntilItsKeyIsProved) {
  ASSERT_EQ(tell(add_authority{external("aa")}), "");
  EXPECT_TRUE(authority().is_pending());
  EXPECT_EQ(tell(prove_authority{"aa", "another"}), "proof_invalid");
  EXPECT_EQ(tell(prove_authority{"bb", "nonce"}), "authority_unknown");
  EXPECT_TRUE(authority().is_pending());
  EXPECT_EQ(tell(prove_authority{"aa", "nonce"}), "");
  EXPECT_FALSE(authority().is_pending());
  EXPECT_EQ(tell(prove_authority{"aa", "nonce"}), "authority_proved");
  EXPECT_EQ(tell(prove_authority{"aa", ""}), "authority_proved");
  ASSERT_EQ(tell(add_authority{built_in("cc")}), "");
  EXPECT_EQ(tell(prove_authority{"cc", ""}), "authority_proved");
}

TEST_F(Authorities, OnlyExternalOnesGo) {
  ASSERT_EQ(tell(add_authority{built_in("aa")}), "");
  ASSERT_EQ(tell(add_authority{external("bb")}), "");
  EXPECT_EQ(s.built_in(algorithm::rsa), nullptr);
  EXPECT_EQ(tell(remove_authority{"aa"}), "authority_built_in");
  EXPECT_EQ(tell(remove_authority{"bb"}), "");
  EXPECT_EQ(tell(remove_authority{"bb"}), "authority_unknown");
}

TEST_F(Authorities, ThereIsAnEndOfThem) {
  for (auto i = 0; i < 20; ++i)
    ASSERT_EQ(tell(add_authority{external("a" + std::to_string(i))}), "");
  EXPECT_EQ(tell(add_authority{external("b")}), "quota_exceeded");
}

TEST_F(Authorities, ARevokedCertificateIsListedUntilItWouldHaveRunOut) {
  ASSERT_EQ(tell(add_authority{built_in("aa")}), "");
  EXPECT_EQ(tell(revoked("01")), "");
  EXPECT_EQ(authority().list_number, 1u);
  ASSERT_EQ(authority().revoked.size(), 1u);
  EXPECT_EQ(authority().revoked[0].at, now);
  EXPECT_EQ(tell(revoked("01")), "");
  EXPECT_EQ(happened, 0u) << "it stands there already";
  EXPECT_EQ(tell(revoked("01", 4)), "");
  ASSERT_EQ(authority().revoked.size(), 1u);
  EXPECT_EQ(authority().revoked[0].reason, 4);
  now += 10 * day;
  EXPECT_EQ(tell(revoked("02")), "");
  ASSERT_EQ(authority().revoked.size(), 1u);
  EXPECT_EQ(authority().revoked[0].serial, "02");
  EXPECT_EQ(authority().list_number, 3u);
}

TEST_F(Authorities, WhatWasHeldComesOffTheList) {
  ASSERT_EQ(tell(add_authority{built_in("aa")}), "");
  EXPECT_EQ(tell(revoked("01", 8)), "");
  EXPECT_EQ(happened, 0u);
  ASSERT_EQ(tell(revoked("01", 6)), "");
  ASSERT_EQ(tell(revoked("01", 8)), "");
  EXPECT_TRUE(authority().revoked.empty());
  EXPECT_EQ(authority().list_number, 2u);
}

TEST_F(Authorities, OnlyBuiltInOnesKeepAListOfTheirOwn) {
  ASSERT_EQ(tell(add_authority{external("aa")}), "");
  EXPECT_EQ(tell(revoked("01")), "authority_unknown");
  EXPECT_EQ(tell(set_revocations{"aa", "list"}), "");
  EXPECT_EQ(authority().list, "list");
  EXPECT_EQ(tell(set_revocations{"bb", "list"}), "authority_unknown");
  EXPECT_EQ(tell(set_revocations{"aa", std::string(1024 * 1024 + 1, 'x')}),
            "revocation_list_too_large");
  ASSERT_EQ(tell(add_authority{built_in("bb")}), "");
  EXPECT_EQ(tell(set_revocations{"bb", "list"}), "authority_built_in");
}

}  // namespace
}  // namespace orrery::model::organisation
