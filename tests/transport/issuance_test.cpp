#include "transport/issuance.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

namespace organisation = model::organisation;
using organisation::certificate_authority;

constexpr auto noon = std::int64_t{1'700'000'000};

net::authority authority(const std::string& name) {
  // Judged by the clock of the machine: it has to count now.
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())
                       .time_since_epoch()
                       .count();
  return *net::authority::make(name, net::key_kind::p256, 30, now);
}

/// For a key that nobody has any more.
constexpr auto request_of_a_device = R"(-----BEGIN CERTIFICATE REQUEST-----
MIHHMG4CAQAwDDEKMAgGA1UEAwwBZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BG85HfDmT7kBnomqt5ytzlMj///LHxXH6fCMX2htuPgvnC1myWcmU1Um4WHW76H8
OjbQOv139nki8SiYM6PDzxCgADAKBggqhkjOPQQDAgNJADBGAiEAmYlGPtlAsGY4
EXe4iGj7Ix4BTqS9bhEvntNOmeq4gZ0CIQCAf44QSvrynxwo9gfQf4Mj5EuQAu6a
nvaq6v5sb+/6+g==
-----END CERTIFICATE REQUEST-----
)";

/// Two organisations, and a certificate of nobody's device by an authority of either.
class Issuance : public testing::Test {
 protected:
  certificate_authority external(const net::authority& of) {
    auto made = read_authority(of.chain_pem(), "a", snapshot);
    EXPECT_TRUE(made) << made.error().detail;
    EXPECT_GE(made->nonce.size(), 32u);
    made->nonce.clear();  // as if it were proved
    return *made;
  }
  void put(const std::string& id, std::vector<certificate_authority> authorities) {
    auto s = organisation::state{};
    s.exists = true;
    s.id = id;
    s.authorities = std::move(authorities);
    snapshot.organisations[id] =
        std::make_shared<const actors::catalogue_organisation>(actors::catalogue_organisation{
            {}, std::make_shared<const organisation::state>(std::move(s))});
  }
  const organisation::state& of(const std::string& id) { return *snapshot.organisation(id)->state; }

  actors::catalogue_snapshot snapshot;
};

TEST_F(Issuance, AnExternalAuthorityIsReadAndNoTwoAreAlike) {
  const auto theirs = authority("theirs");
  const auto read = external(theirs);
  EXPECT_EQ(read.id, theirs.facts().key_id);
  EXPECT_EQ(read.subject, "CN=theirs,O=Orrery");
  EXPECT_EQ(read.keys, certificate_authority::algorithm::ecc);
  EXPECT_EQ(read.kind, certificate_authority::origin::external);
  EXPECT_TRUE(read.key.empty());
  put("a", {read});
  EXPECT_EQ(read_authority(theirs.chain_pem(), "a", snapshot).error().reason, "authority_exists");
  EXPECT_EQ(read_authority(authority("theirs").chain_pem(), "a", snapshot).error().reason,
            "authority_exists")
      << "another key, the same name";
  EXPECT_TRUE(read_authority(authority("others").chain_pem(), "a", snapshot));
}

TEST_F(Issuance, WhatIsPendingIsTrustedByNobodyAndInNobodysWay) {
  const auto theirs = authority("theirs");
  auto pending = external(theirs);
  pending.nonce = "nonce";
  put("b", {pending});
  EXPECT_TRUE(trusted_by(snapshot).authorities.empty());
  EXPECT_TRUE(external_authorities(of("b")).authorities.empty());
  EXPECT_TRUE(read_authority(theirs.chain_pem(), "a", snapshot)) << "of another organisation";
  EXPECT_EQ(read_authority(theirs.chain_pem(), "b", snapshot).error().reason, "authority_exists");
}

TEST_F(Issuance, AKeyIsProvedByACertificateForTheNonce) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto at = [&](std::int64_t days) {
    return model::timestamp{now + std::chrono::hours{24 * days}};
  };
  const auto theirs = authority("theirs"), others = authority("others");
  auto pending = external(theirs);
  pending.nonce = "d";  // as the request is called
  put("a", {pending});
  const auto request = net::certificate_request::read(request_of_a_device);
  ASSERT_TRUE(request);
  const auto by = [&](const net::authority& signer) {
    return signer
        .issue(*request, {.uri = "urn:x:1", .crl_url = {}, .days = 1},
               now.time_since_epoch().count())
        ->pem;
  };
  const auto reason = [&](const std::string& pem, model::timestamp when) {
    const auto ok = check_proof(pending, pem, "a", snapshot, when);
    return ok ? std::string_view{} : ok.error().reason;
  };
  const auto good = by(theirs);
  EXPECT_EQ(reason(good, at(0)), "");
  EXPECT_EQ(reason(good, at(2)), "proof_invalid") << "its time is over";
  EXPECT_EQ(reason(good, at(-2)), "proof_invalid");
  EXPECT_EQ(reason(by(others), at(0)), "proof_invalid");
  EXPECT_EQ(reason(theirs.chain_pem(), at(0)), "proof_invalid") << "anybody has that";
  EXPECT_EQ(reason("nonsense", at(0)), "certificate_invalid");
  EXPECT_EQ(reason(std::string(100'000, 'x'), at(0)), "certificate_invalid");
  // Whoever has an authority below it has not its own key.
  const auto below = net::authority::make("below", net::key_kind::p256, 1,
                                          now.time_since_epoch().count(), &theirs);
  ASSERT_TRUE(below);
  EXPECT_EQ(reason(by(*below) + below->chain_pem(), at(0)), "proof_invalid");
  pending.nonce = "e";
  EXPECT_EQ(reason(good, at(0)), "proof_invalid") << "another name";
  pending.nonce = "d";
  auto proved = pending;
  proved.nonce.clear();
  put("b", {proved});
  EXPECT_EQ(reason(good, at(0)), "authority_exists") << "another organisation was quicker";
}

TEST_F(Issuance, WhatIsNoAuthorityIsRefused) {
  EXPECT_EQ(read_authority("nonsense", "a", snapshot).error().reason, "certificate_invalid");
  EXPECT_EQ(read_authority("", "a", snapshot).error().reason, "certificate_invalid");
  const auto cut = authority("a").chain_pem().substr(0, 200);
  EXPECT_EQ(read_authority(cut, "a", snapshot).error().reason, "certificate_invalid");
  EXPECT_EQ(read_authority(std::string(100'000, 'x'), "a", snapshot).error().code,
            model::errc::too_large);
  const auto behind = authority("b").chain_pem() + "-----BEGIN CERTIFICATE-----\nnonsense\n";
  EXPECT_EQ(read_authority(behind, "a", snapshot).error().reason, "authority_invalid");
}

TEST_F(Issuance, ACertificateIsBoundOnlyIfTheOwnOrganisationsAuthoritySignedIt) {
  const auto one = authority("one"), two = authority("two");
  put("a", {external(one)});
  put("b", {external(two)});
  put("c", {});
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())
                       .time_since_epoch()
                       .count();
  const auto request = net::certificate_request::read(request_of_a_device);
  ASSERT_TRUE(request) << request.error().detail;
  const auto signed_by_one = one.issue(*request, {.uri = "urn:x:1", .crl_url = {}, .days = 1}, now);
  ASSERT_TRUE(signed_by_one) << signed_by_one.error().detail;
  const auto read = read_certificate(signed_by_one->pem, of("a"));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->issuer, one.facts().key_id);
  EXPECT_EQ(read->fingerprint, signed_by_one->fingerprint);
  EXPECT_EQ(read->subject, "CN=d");
  for (const auto* org : {"b", "c"})
    EXPECT_EQ(read_certificate(signed_by_one->pem, of(org)).error().reason, "certificate_foreign")
        << org;
  // An authority is no client: as the certificate of a device it is refused, whoever reads it.
  for (const auto* org : {"a", "b", "c"})
    EXPECT_EQ(read_certificate(one.chain_pem(), of(org)).error().reason, "certificate_foreign")
        << org;
  EXPECT_EQ(read_certificate("nonsense", of("a")).error().reason, "certificate_invalid");
}

TEST_F(Issuance, TheTlsPortsTrustAllOfThem) {
  auto one = external(authority("one"));
  one.list = "list";
  auto two = external(authority("two"));
  two.kind = certificate_authority::origin::built_in;
  put("a", {one});
  put("b", {two});
  const auto all = trusted_by(snapshot);
  EXPECT_EQ(all.authorities.size(), 2u);
  EXPECT_EQ(all.revocations, std::vector<std::string>{"list"});
  EXPECT_EQ(external_authorities(of("a")).authorities.size(), 1u);
  EXPECT_TRUE(external_authorities(of("b")).authorities.empty());
}

TEST_F(Issuance, AListIsSignedOnceAnHourAndAfterEachChange) {
  const auto signer = authority("built in");
  const auto keys = std::make_shared<const model::keyring>(model::keyring::key_bytes{7});
  auto now = model::from_ms(noon * 1000);
  const auto desk = std::make_shared<issuance>(
      issuance_parts{.ask = nullptr,
                     .known = nullptr,
                     .keys = keys,
                     .now = [&] { return now; },
                     .pool = [](const std::function<void()>& work) { work(); }});
  auto a = certificate_authority{};
  a.id = signer.facts().key_id;
  a.certificates = signer.chain_pem();
  a.key = keys->seal(signer.key_pem(), authority_key_owner("a", a.id));
  const auto first = desk->list_of("a", a);
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_TRUE(net::client_judge::make({{a.certificates}, {first->pem}}));
  EXPECT_EQ(desk->list_of("a", a)->der, first->der);
  a.revoked.push_back({"0102", now, 1, now + std::chrono::hours{1}});
  a.list_number = 1;
  const auto second = desk->list_of("a", a);
  EXPECT_GT(second->der.size(), first->der.size());
  now += std::chrono::hours{2};
  const auto third = desk->list_of("a", a);
  EXPECT_NE(third->der, second->der);
  EXPECT_LT(third->der.size(), second->der.size()) << "its time is over";
  EXPECT_FALSE(desk->list_of("b", a)) << "the key is sealed for the other organisation";
}

}  // namespace
}  // namespace orrery::transport
