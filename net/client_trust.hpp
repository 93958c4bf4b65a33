// Whom the TLS ports trust to have signed the certificates of their clients, and which of these
// were revoked.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "net/certificate.hpp"

using SSL = struct ssl_st;
using X509 = struct x509_st;
using X509_STORE = struct x509_store_st;
struct stack_st_X509;

namespace orrery::net {

/// PEM texts; each may hold several.
struct client_trust {
  std::vector<std::string> authorities;  // roots, or authorities below one
  std::vector<std::string> revocations;  // revocation lists of these
};

/// Judges certificates of clients. Never changes; any thread.
class client_judge {
 public:
  /// Fails: `invalid_argument`, reason "authority_invalid" for what is no certificate of an
  /// authority, "revocation_list_invalid" for a list that cannot be read or is signed by none of
  /// the authorities. A list past its time counts still: what was revoked stays so.
  static model::result<std::shared_ptr<const client_judge>> make(const client_trust& trust);

  /// No authority: clients are not asked for a certificate.
  bool trusts_nobody() const { return authorities_.empty(); }
  /// As `make` was given them, parsed.
  const std::vector<std::shared_ptr<X509>>& authorities() const { return authorities_; }

  struct verdict {
    int error;  // X509_V_OK, or what X509_verify_cert_error_string() has words for
    std::shared_ptr<stack_st_X509> chain;
  };
  /// Chain, times, purpose, strength, revocation.
  verdict judge(X509* shown, stack_st_X509* beside) const;
  /// The first certificate of a PEM text, judged as if a client had shown it with the others of the
  /// text. Fails: `invalid_argument`, "certificate_invalid" for what is none, "certificate_foreign"
  /// for one that is not good here.
  model::result<certificate_facts> examine(const std::string& pem) const;

  /// What a session ticket must carry of a chain that was judged good.
  std::string note_of(const stack_st_X509& chain) const;
  /// Whether a session of that client may go on from a ticket with that note: the authorities are
  /// the same, nothing of the chain was revoked since, and the certificate's time is not over.
  bool still_good(const X509* shown, std::string_view note) const;

 private:
  using mark = std::array<unsigned char, 16>;  // of a certificate: its issuer's name and its number
  static mark mark_of(const X509* certificate);
  bool revoked(const mark& of) const;
  model::status add_authorities(const std::string& pem);
  model::status add_revocations(const std::string& pem);

  std::vector<std::shared_ptr<X509>> authorities_;
  std::shared_ptr<X509_STORE> store_;
  mark identity_{};            // of all authorities together
  std::vector<mark> revoked_;  // sorted
};

}  // namespace orrery::net
