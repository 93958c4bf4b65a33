// A certificate authority for devices: makes itself, reads requests, issues, renews, revokes. It
// keeps nothing: who uses it stores what it made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "net/certificate.hpp"

using EVP_PKEY = struct evp_pkey_st;
using X509_REQ = struct X509_req_st;

namespace orrery::net {

enum class key_kind : unsigned char { rsa_2048, rsa_3072, p256 };

/// A request for a certificate that was read and found good: its signature proves the key, which is
/// RSA of 2048 to 4096 bits or on P-256 or P-384; its subject has one common name of 1 to 64
/// characters.
class certificate_request {
 public:
  /// Reads PKCS #10 in PEM form, also under the marker "NEW CERTIFICATE REQUEST". Fails:
  /// `too_large`; `invalid_argument` with the reason "csr_invalid", "csr_signature_wrong",
  /// "csr_key_weak" or "csr_name_invalid".
  static model::result<certificate_request> read(std::string_view pem);

  const std::string& subject() const { return subject_; }          // as RFC 2253 writes it
  const std::string& common_name() const { return common_name_; }  // UTF-8
  const std::string& public_key() const { return public_key_; }    // hex SHA-256 of its bytes
  bool is_rsa() const { return rsa_; }

 private:
  friend class authority;
  std::shared_ptr<X509_REQ> request_;
  std::string subject_, common_name_, public_key_;
  bool rsa_ = false;
};

constexpr std::size_t max_request_pem = 16 * 1024;

struct issue_options {
  std::string uri;          // the subject's alternative name
  std::string crl_url;      // where its revocation list is; empty: not said
  std::int64_t days = 730;  // capped to the rest of the authority's own time
};

struct revoked_certificate {
  std::string serial;     // hex
  std::int64_t time = 0;  // seconds since 1970
  int reason = 0;         // of RFC 5280, 5.3.1: 0 to 6, 9, 10
};

struct revocation_list {
  std::string pem, der;
};

/// Never changes; any thread. Times are seconds since 1970.
class authority {
 public:
  /// A new one: a root, or below `above`, whose time it does not outlive. Fails: `invalid_argument`
  /// for a name that is not 1 to 64 characters or days below 1; `internal`.
  static model::result<authority> make(const std::string& name, key_kind kind, std::int64_t days,
                                       std::int64_t now, const authority* above = nullptr);
  /// What certificate_pem() and key_pem() gave; those above it may stand behind its certificate.
  /// Fails: `invalid_argument`, "authority_invalid".
  static model::result<authority> load(std::string_view certificates_pem, std::string_view key_pem);

  std::string certificate_pem() const;
  /// Its certificate and those above it, without the root unless it is one.
  std::string chain_pem() const;
  /// A secret.
  std::string key_pem() const;
  certificate_facts facts() const;
  bool is_rsa() const;

  /// A client's certificate for the key and the subject of the request. Fails: `conflict`,
  /// "authority_expired"; `invalid_argument` for days below 1 or an alternative name or address
  /// that cannot be written; `internal`.
  model::result<certificate_facts> issue(const certificate_request& request,
                                         const issue_options& how, std::int64_t now) const;
  /// The same for the key and the subject of a certificate of its own. Fails as well with
  /// `invalid_argument`, "certificate_invalid", if it is none of its own.
  model::result<certificate_facts> renew(std::string_view certificate_pem, const issue_options& how,
                                         std::int64_t now) const;

  /// Signs the list. Fails: `invalid_argument` for a serial, a number or a reason that cannot be
  /// written; `internal`.
  model::result<revocation_list> sign_list(std::span<const revoked_certificate> rows,
                                           std::uint64_t number, std::int64_t now,
                                           std::int64_t next_update) const;

 private:
  model::result<certificate_facts> certify(EVP_PKEY* key, const void* subject,
                                           const issue_options& how, std::int64_t now) const;

  std::shared_ptr<X509> certificate_;
  std::vector<std::shared_ptr<X509>> above_;
  std::shared_ptr<EVP_PKEY> key_;
};

}  // namespace orrery::net
