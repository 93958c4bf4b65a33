// Any text or DER as a request for a certificate, a certificate, an authority, a revocation list:
// what is taken is used.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/base64.hpp"
#include "net/authority.hpp"
#include "net/client_trust.hpp"
#include "transport/certificate_claim.hpp"

namespace {

using namespace orrery::net;

constexpr std::int64_t now = 1'700'000'000;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void try_it(const std::string& pem) {
  static const auto root = *authority::make("root", key_kind::p256, 1000, now);
  if (const auto request = certificate_request::read(pem)) {
    demand(!request->common_name().empty() && request->public_key().size() == 64);
    const auto made = root.issue(*request, {.uri = "urn:x:1", .crl_url = {}, .days = 1}, now);
    demand(made && made->public_key == request->public_key() &&
           made->subject == request->subject());
    const auto again = root.renew(made->pem, {.uri = "urn:x:1", .crl_url = {}, .days = 1}, now);
    demand(again && again->serial != made->serial);
  }
  if (const auto facts = describe_certificate(pem)) {
    demand(facts->fingerprint.size() == 64 && !facts->serial.empty());
    const auto again = describe_certificate(facts->pem);
    demand(again && *again == *facts);
    (void)orrery::transport::read_claim(facts->uris, 64);
  }
  (void)describe_signed_by(root.certificate_pem(), pem);
  (void)describe_signed_by(pem, pem);
  (void)root.renew(pem, {.uri = "urn:x:1", .crl_url = {}, .days = 1}, now);
  (void)authority::load(pem, pem);
  static const auto judge =
      *client_judge::make({.authorities = {root.certificate_pem()}, .revocations = {}});
  (void)judge->examine(pem);
  (void)client_judge::make({.authorities = {pem}, .revocations = {}});
  (void)client_judge::make({.authorities = {root.certificate_pem()}, .revocations = {pem}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto in = std::string{reinterpret_cast<const char*>(data), size};
  if (const auto claim = orrery::transport::read_claim({in}, 64))
    demand(orrery::transport::read_claim(
               {orrery::transport::claim_text(claim->organisation, claim->device)}, 64) == claim);
  try_it(in);
  // As DER, so that what lies behind base64 and markers is reached.
  const auto text = orrery::model::to_base64(in);
  for (const auto* marker : {"CERTIFICATE REQUEST", "CERTIFICATE", "X509 CRL"}) {
    auto pem = std::string{"-----BEGIN "} + marker + "-----\n";
    for (std::size_t at = 0; at < text.size(); at += 64)
      pem += text.substr(at, 64) + "\n";
    try_it(pem + "-----END " + marker + "-----\n");
  }
  return 0;
}
