// What a certificate says, in plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

using X509 = struct x509_st;

namespace orrery::net {

/// Hex is lower case and without separators; times are seconds since 1970.
struct certificate_facts {
  std::string subject, issuer;        // as RFC 2253 writes names
  std::string common_name;            // of the subject, UTF-8; "" if there is none, or several
  std::string key_id, issuer_key_id;  // hex; "" if the certificate does not say
  std::string serial;                 // hex, whole bytes
  std::string fingerprint;            // hex SHA-256 of the whole
  std::string public_key;             // hex SHA-256 of the SubjectPublicKeyInfo
  std::vector<std::string> uris;      // of the subject's alternative names
  std::int64_t not_before = 0, not_after = 0;
  bool is_authority = false;
  bool has_rsa_key = false;
  std::string pem;

  bool operator==(const certificate_facts&) const = default;
};

/// The longest text that is looked at.
constexpr std::size_t max_certificate_pem = 64 * 1024;

certificate_facts facts_of(X509& certificate);
/// Of the first certificate in a PEM text. Fails: `invalid_argument`, "certificate_invalid";
/// `too_large`.
model::result<certificate_facts> describe_certificate(std::string_view pem);

/// The same, if the first certificate of `by` has signed it with its own key: no chain between them
/// counts. Fails as well: `invalid_argument`, "certificate_foreign".
model::result<certificate_facts> describe_signed_by(std::string_view by, std::string_view pem);

/// The first certificate of a PEM text, without what follows it; "" if there is none.
std::string first_certificate(std::string_view pem);

}  // namespace orrery::net
