#include "net/authority.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

using testing::HasSubstr;

std::int64_t now() {
  return std::time(nullptr);
}

/// What OpenSSL's own tool says of what was made here, and the other way round.
class Authority : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    root = std::make_unique<authority>(*authority::make("Root", key_kind::p256, 3650, now()));
    rsa = std::make_unique<authority>(
        *authority::make("Devices RSA", key_kind::rsa_2048, 1000, now(), root.get()));
  }
  static void TearDownTestSuite() {
    root.reset();
    rsa.reset();
  }

  std::string at(const std::string& name) const { return folder.path() + "/" + name; }
  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream{at(name), std::ios::binary} << text;
    return at(name);
  }
  std::string text(const std::string& name) const {
    auto in = std::ifstream{at(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  /// Runs it in the folder; what it printed, and "exit N" behind that if it failed.
  std::string openssl(const std::string& arguments) const {
    const auto command =
        "cd " + folder.path() + " && openssl " + arguments + " >out 2>&1 </dev/null";
    const auto code = std::system(command.c_str());  // NOLINT: a test's own words
    return text("out") + (code == 0 ? "" : "exit " + std::to_string(code));
  }
  /// A request made by the tool.
  std::string request(const std::string& key, const std::string& subject = "/CN=meter-1",
                      const std::string& more = "") const {
    EXPECT_THAT(openssl("genpkey -out key.pem " + key), testing::Not(HasSubstr("exit")));
    EXPECT_THAT(openssl("req -new -key key.pem -out csr.pem -subj '" + subject + "' " + more),
                testing::Not(HasSubstr("exit")));
    return text("csr.pem");
  }
  static std::string_view reason_of(const std::string& pem) {
    const auto read = certificate_request::read(pem);
    return read ? std::string_view{} : read.error().reason;
  }

  static constexpr auto p256 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
  static constexpr auto rsa_2048 = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
  static std::unique_ptr<authority> root, rsa;
  scratch_folder folder;
};
std::unique_ptr<authority> Authority::root, Authority::rsa;

TEST_F(Authority, ARootSignsItself) {
  put("root.pem", root->certificate_pem());
  EXPECT_THAT(openssl("verify -x509_strict -CAfile root.pem root.pem"), HasSubstr("OK"));
  const auto facts = root->facts();
  EXPECT_TRUE(facts.is_authority);
  EXPECT_EQ(facts.subject, "CN=Root,O=Orrery");
  EXPECT_EQ(facts.issuer, facts.subject);
  EXPECT_EQ(facts.key_id, facts.issuer_key_id);
  EXPECT_EQ(facts.key_id.size(), 40u);
  EXPECT_NEAR(static_cast<double>(facts.not_after), static_cast<double>(now() + 3650 * 86'400), 60);
  EXPECT_FALSE(root->is_rsa());
}

TEST_F(Authority, OneBelowItDoesNotOutliveIt) {
  put("root.pem", root->certificate_pem());
  put("rsa.pem", rsa->certificate_pem());
  EXPECT_THAT(openssl("verify -x509_strict -CAfile root.pem rsa.pem"), HasSubstr("OK"));
  EXPECT_EQ(rsa->chain_pem(), rsa->certificate_pem());  // clients have the root
  EXPECT_TRUE(rsa->is_rsa());
  const auto late = authority::make("Late", key_kind::p256, 36'000, now(), root.get());
  ASSERT_TRUE(late);
  EXPECT_EQ(late->facts().not_after, root->facts().not_after);
  EXPECT_FALSE(authority::make("", key_kind::p256, 1, now()));
  EXPECT_FALSE(authority::make(std::string(65, 'a'), key_kind::p256, 1, now()));
  EXPECT_FALSE(authority::make("a", key_kind::p256, 0, now()));
}

TEST_F(Authority, IsReadAgainFromItsTexts) {
  const auto again =
      authority::load(rsa->certificate_pem() + root->certificate_pem(), rsa->key_pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->facts(), rsa->facts());
  EXPECT_FALSE(authority::load(rsa->certificate_pem(), root->key_pem()));
  EXPECT_FALSE(authority::load("", rsa->key_pem()));
  EXPECT_FALSE(authority::load(rsa->certificate_pem(), "nonsense"));
  const auto csr = certificate_request::read(request(p256));
  ASSERT_TRUE(csr);
  const auto client = root->issue(*csr, {.uri = "urn:x:1", .crl_url = {}, .days = 5}, now());
  ASSERT_TRUE(client);
  const auto none = authority::load(client->pem, text("key.pem"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "authority_invalid");
}

TEST_F(Authority, IssuesToKeysOfBothKinds) {
  put("root.pem", root->certificate_pem());
  put("rsa.pem", rsa->chain_pem());
  for (const auto* key : {p256, rsa_2048}) {
    const auto csr = certificate_request::read(request(key, "/C=DE/O=Acme, Inc/CN=meter-1"));
    ASSERT_TRUE(csr) << csr.error().detail;
    EXPECT_EQ(csr->common_name(), "meter-1");
    EXPECT_EQ(csr->is_rsa(), key == rsa_2048);
    const auto made = rsa->issue(*csr,
                                 {.uri = "urn:orrery:device:default:a,1",
                                  .crl_url = "http://ca.example/crl?a=1,2",
                                  .days = 30},
                                 now());
    ASSERT_TRUE(made) << made.error().detail;
    put("client.pem", made->pem);
    EXPECT_THAT(openssl("verify -x509_strict -purpose sslclient -CAfile root.pem -untrusted "
                        "rsa.pem client.pem"),
                HasSubstr("client.pem: OK"));
    EXPECT_THAT(openssl("verify -purpose sslserver -CAfile root.pem -untrusted rsa.pem client.pem"),
                HasSubstr("exit"));
    const auto shown = openssl("x509 -in client.pem -noout -text");
    for (const auto* part : {"URI:urn:orrery:device:default:a,1", "URI:http://ca.example/crl?a=1,2",
                             "TLS Web Client Authentication", "CA:FALSE", "Digital Signature"})
      EXPECT_THAT(shown, HasSubstr(part));
    EXPECT_EQ(made->uris, std::vector<std::string>{"urn:orrery:device:default:a,1"});
    EXPECT_EQ(made->issuer_key_id, rsa->facts().key_id);
    EXPECT_EQ(made->public_key, csr->public_key());
    EXPECT_FALSE(made->is_authority);
    EXPECT_THAT(openssl("x509 -in client.pem -noout -serial"), HasSubstr("serial=" + [&] {
                  auto s = made->serial;
                  std::transform(s.begin(), s.end(), s.begin(), ::toupper);
                  return s;
                }()));
    auto print = openssl("x509 -in client.pem -noout -fingerprint -sha256");
    std::erase(print, ':');
    std::transform(print.begin(), print.end(), print.begin(), ::tolower);
    EXPECT_THAT(print, HasSubstr("=" + made->fingerprint));
    EXPECT_EQ(*describe_certificate(made->pem), *made);
    // The key that the tool knows is the one that is certified.
    openssl("x509 -in client.pem -noout -pubkey");
    const auto of_certificate = text("out");
    openssl("pkey -in key.pem -pubout");
    EXPECT_EQ(of_certificate, text("out"));
  }
}

TEST_F(Authority, NoTwoNumbersAreTheSame) {
  const auto csr = certificate_request::read(request(p256));
  ASSERT_TRUE(csr);
  auto all = std::set<std::string>{};
  for (auto i = 0; i < 50; ++i) {
    const auto made = root->issue(*csr, {.uri = "urn:x:1", .crl_url = {}}, now());
    ASSERT_TRUE(made);
    EXPECT_LE(made->serial.size(), 40u);
    EXPECT_GE(made->serial.size(), 30u);
    EXPECT_LT(made->serial.size() == 40 ? made->serial[0] : '0', '8');  // 159 bits: positive
    all.insert(made->serial);
  }
  EXPECT_EQ(all.size(), 50u);
}

TEST_F(Authority, ACertificateEndsWithItsAuthority) {
  const auto csr = certificate_request::read(request(p256));
  ASSERT_TRUE(csr);
  const auto how = issue_options{.uri = "urn:x:1", .crl_url = {}, .days = 36'000};
  const auto made = rsa->issue(*csr, how, now());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->not_after, rsa->facts().not_after);
  const auto late = rsa->issue(*csr, how, rsa->facts().not_after + 1);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, "authority_expired");
  for (const auto& bad : {issue_options{.uri = "urn:x:1", .crl_url = {}, .days = 0},
                          issue_options{.uri = "urn:x:\n", .crl_url = {}, .days = 1},
                          issue_options{.uri = "", .crl_url = {}, .days = 1},
                          issue_options{.uri = "urn:x:1", .crl_url = "no address", .days = 1}})
    EXPECT_FALSE(rsa->issue(*csr, bad, now()));
}

TEST_F(Authority, RenewsWithTheOldKey) {
  const auto csr = certificate_request::read(request(p256, "/O=Acme/CN=meter-1"));
  ASSERT_TRUE(csr);
  const auto how = issue_options{.uri = "urn:x:1", .crl_url = {}, .days = 10};
  const auto old = rsa->issue(*csr, how, now() - 9 * 86'400);
  ASSERT_TRUE(old);
  const auto made = rsa->renew(old->pem, how, now());
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(made->public_key, old->public_key);
  EXPECT_EQ(made->subject, old->subject);
  EXPECT_NE(made->serial, old->serial);
  EXPECT_GT(made->not_after, old->not_after);
  for (const auto& [by, pem] :
       {std::pair{root.get(), old->pem}, std::pair{root.get(), rsa->certificate_pem()},
        std::pair{root.get(), std::string{"nonsense"}}}) {
    const auto refused = by->renew(pem, how, now());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "certificate_invalid");
  }
}

TEST_F(Authority, ReadsBothMarkersOfARequest) {
  const auto pem = request(p256);
  auto other = pem;
  for (const auto* marker : {"BEGIN CERTIFICATE", "END CERTIFICATE"})
    other.replace(other.find(marker), std::string_view{marker}.size(),
                  std::string{marker}.replace(std::string{marker}.find(' ') + 1, 0, "NEW "));
  ASSERT_THAT(other, HasSubstr("BEGIN NEW CERTIFICATE REQUEST"));
  const auto a = certificate_request::read(pem), b = certificate_request::read(other);
  ASSERT_TRUE(a);
  ASSERT_TRUE(b) << b.error().detail;
  EXPECT_EQ(a->public_key(), b->public_key());
}

TEST_F(Authority, RefusesWeakKeysAndOddNames) {
  EXPECT_EQ(reason_of(request("-algorithm RSA -pkeyopt rsa_keygen_bits:1024")), "csr_key_weak");
  EXPECT_EQ(reason_of(request("-algorithm EC -pkeyopt ec_paramgen_curve:P-224")), "csr_key_weak");
  EXPECT_EQ(reason_of(request("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1")),
            "csr_key_weak");
  EXPECT_EQ(reason_of(request("-algorithm ED25519")), "csr_key_weak");
  EXPECT_EQ(reason_of(request("-algorithm EC -pkeyopt ec_paramgen_curve:P-384")), "");
  EXPECT_EQ(reason_of(request(p256, "/O=Acme")), "csr_name_invalid");
  EXPECT_EQ(reason_of(request(p256, "/CN=a/CN=b")), "csr_name_invalid");
  EXPECT_EQ(reason_of(request(p256, "/CN=" + std::string(64, 'a'))), "");
  EXPECT_EQ(reason_of(request(p256, "/CN=\u00e4\u00f6\u00fc", "-utf8")), "");
  EXPECT_EQ(reason_of(request(p256, "/CN=meter-1", "-sha1")), "csr_signature_wrong");
}

TEST_F(Authority, RefusesWhatIsNoRequest) {
  const auto pem = request(p256);
  for (const auto& text : {std::string{}, std::string{"nonsense"}, root->certificate_pem(),
                           pem.substr(0, pem.size() / 2)})
    EXPECT_EQ(reason_of(text), "csr_invalid");
  const auto long_one = certificate_request::read(std::string(max_request_pem + 1, 'a'));
  ASSERT_FALSE(long_one);
  EXPECT_EQ(long_one.error().code, model::errc::too_large);
  // Any bit of what is signed.
  openssl("req -in csr.pem -outform DER -out csr.der");
  auto der = text("csr.der");
  der[20] = static_cast<char>(der[20] ^ 1);
  put("bad.der", der);
  openssl("req -inform DER -in bad.der -out bad.pem");
  EXPECT_THAT(std::string{reason_of(text("bad.pem"))},
              testing::AnyOf("csr_signature_wrong", "csr_invalid"));
}

TEST_F(Authority, SignsRevocationLists) {
  put("root.pem", root->certificate_pem());
  put("rsa.pem", rsa->chain_pem());
  const auto csr = certificate_request::read(request(p256));
  ASSERT_TRUE(csr);
  const auto how = issue_options{.uri = "urn:x:1", .crl_url = {}};
  const auto good = rsa->issue(*csr, how, now()), bad = rsa->issue(*csr, how, now());
  ASSERT_TRUE(good && bad);
  const auto rows = std::vector<revoked_certificate>{{bad->serial, now() - 60, 1}, {"0f", 1, 0}};
  const auto list = rsa->sign_list(rows, 7, now(), now() + 86'400);
  ASSERT_TRUE(list) << list.error().detail;
  put("crl.pem", list->pem);
  put("crl.der", list->der);
  put("good.pem", good->pem);
  put("bad.pem", bad->pem);
  EXPECT_THAT(openssl("crl -in crl.pem -noout -CAfile rsa.pem"), HasSubstr("verify OK"));
  const auto shown = openssl("crl -inform DER -in crl.der -noout -text");
  for (const auto* part : {"Key Compromise", "X509v3 CRL Number", "Serial Number: 0F",
                           "X509v3 Authority Key Identifier"})
    EXPECT_THAT(shown, HasSubstr(part));
  const auto check = std::string{
      "verify -crl_check -CRLfile crl.pem -CAfile root.pem -untrusted "
      "rsa.pem "};
  EXPECT_THAT(openssl(check + "good.pem"), HasSubstr("good.pem: OK"));
  EXPECT_THAT(openssl(check + "bad.pem"), HasSubstr("certificate revoked"));
  const auto empty = rsa->sign_list({}, 8, now(), now() + 1);
  ASSERT_TRUE(empty);
  put("crl.pem", empty->pem);
  EXPECT_THAT(openssl("crl -in crl.pem -noout -text"), HasSubstr("No Revoked Certificates"));
  for (const auto& row : {revoked_certificate{"", 1, 0}, revoked_certificate{"xyz", 1, 0},
                          revoked_certificate{std::string(41, '1'), 1, 0},
                          revoked_certificate{"01", 1, 7}, revoked_certificate{"01", 1, -1}})
    EXPECT_FALSE(rsa->sign_list(std::vector{row}, 9, now(), now() + 1));
  EXPECT_FALSE(rsa->sign_list({}, 9, now(), now()));
}

TEST_F(Authority, TellsWhetherOneHasSignedAnotherItself) {
  const auto read = certificate_request::read(request(p256, "/O=CN=other/CN=meter-1"));
  ASSERT_TRUE(read) << read.error().detail;
  const auto how = issue_options{.uri = "urn:x:1", .crl_url = {}, .days = 1};
  const auto by_root = root->issue(*read, how, now()), by_rsa = rsa->issue(*read, how, now());
  ASSERT_TRUE(by_root && by_rsa);
  const auto found = describe_signed_by(root->certificate_pem(), by_root->pem);
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->common_name, "meter-1");
  EXPECT_EQ(found->fingerprint, by_root->fingerprint);
  EXPECT_TRUE(describe_signed_by(rsa->certificate_pem() + root->certificate_pem(), by_rsa->pem));
  const auto reason = [](const std::string& by, const std::string& pem) {
    const auto got = describe_signed_by(by, pem);
    return got ? std::string_view{} : got.error().reason;
  };
  EXPECT_EQ(reason(root->certificate_pem(), by_rsa->pem), "certificate_foreign") << "one below it";
  EXPECT_EQ(reason(rsa->certificate_pem(), by_root->pem), "certificate_foreign");
  const auto same_name = *authority::make("Root", key_kind::p256, 10, now());
  EXPECT_EQ(reason(same_name.certificate_pem(), by_root->pem), "certificate_foreign");
  EXPECT_EQ(reason("nonsense", by_root->pem), "certificate_invalid");
  EXPECT_EQ(reason(root->certificate_pem(), ""), "certificate_invalid");
  EXPECT_EQ(reason(root->certificate_pem(), std::string(100'000, 'x')), "certificate_invalid");
}

TEST_F(Authority, DescribesForeignCertificates) {
  openssl(
      "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=foreign -days 10 "
      "-set_serial 0x00ff01");
  const auto facts = describe_certificate(text("c.pem"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->subject, "CN=foreign");
  EXPECT_EQ(facts->serial, "ff01");
  EXPECT_TRUE(facts->uris.empty());
  EXPECT_FALSE(describe_certificate("nonsense"));
  EXPECT_FALSE(describe_certificate(std::string(max_certificate_pem + 1, 'a')));
}

}  // namespace
}  // namespace orrery::net
