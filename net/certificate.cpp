#include "net/certificate.hpp"

#include <ctime>

#include "net/openssl.hpp"

namespace orrery::net {

using model::errc;
using model::failure;

namespace {

std::string hex(const unsigned char* bytes, std::size_t size) {
  constexpr auto digits = "0123456789abcdef";
  auto out = std::string{};
  out.reserve(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}
std::string hex(const ASN1_OCTET_STRING* text) {
  return text ? hex(ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text)))
              : std::string{};
}

std::string text_of(const X509_NAME* name) {
  return written([&](BIO* out) {
    X509_NAME_print_ex(out, name, 0,
                       XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  });
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  auto broken = std::tm{};
  return ASN1_TIME_to_tm(time, &broken) == 1 ? timegm(&broken) : 0;
}

std::string serial_of(const X509& certificate) {
  const auto number = bignum{ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr)};
  if (!number)
    return {};
  auto bytes = std::vector<unsigned char>(static_cast<std::size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), bytes.data());
  return bytes.empty() ? "00" : hex(bytes.data(), bytes.size());
}

std::string digest_of_key(const X509& certificate) {
  unsigned char* der = nullptr;
  const auto size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (size <= 0)
    return {};
  unsigned char digest[EVP_MAX_MD_SIZE];
  auto length = 0u;
  EVP_Digest(der, static_cast<std::size_t>(size), digest, &length, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return hex(digest, length);
}

struct names_free {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::vector<std::string> uris_of(const X509& certificate) {
  auto out = std::vector<std::string>{};
  const auto names = std::unique_ptr<GENERAL_NAMES, names_free>{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (auto i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI)
      out.emplace_back(
          reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
          static_cast<std::size_t>(ASN1_STRING_length(name->d.uniformResourceIdentifier)));
  }
  return out;
}

}  // namespace

certificate_facts facts_of(X509& certificate) {
  auto out = certificate_facts{};
  out.subject = text_of(X509_get_subject_name(&certificate));
  out.issuer = text_of(X509_get_issuer_name(&certificate));
  out.common_name = common_name_of(X509_get_subject_name(&certificate));
  out.key_id = hex(X509_get0_subject_key_id(&certificate));
  out.issuer_key_id = hex(X509_get0_authority_key_id(&certificate));
  out.serial = serial_of(certificate);
  unsigned char digest[EVP_MAX_MD_SIZE];
  auto length = 0u;
  X509_digest(&certificate, EVP_sha256(), digest, &length);
  out.fingerprint = hex(digest, length);
  out.public_key = digest_of_key(certificate);
  out.uris = uris_of(certificate);
  out.not_before = seconds_of(X509_get0_notBefore(&certificate));
  out.not_after = seconds_of(X509_get0_notAfter(&certificate));
  out.is_authority = X509_check_ca(&certificate) == 1;
  if (auto* key = X509_get0_pubkey(&certificate))
    out.has_rsa_key = EVP_PKEY_is_a(key, "RSA") == 1;
  out.pem = written([&](BIO* to) { PEM_write_bio_X509(to, &certificate); });
  ERR_clear_error();
  return out;
}

namespace {

model::result<x509> read_certificate(std::string_view pem) {
  if (pem.size() > max_certificate_pem)
    return failure{errc::too_large, "certificate_invalid", "a certificate has at most 64 KiB"};
  const auto in = reading(pem);
  auto read = x509{PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)};
  ERR_clear_error();
  if (!read || !X509_get0_pubkey(read.get())) {
    ERR_clear_error();
    return failure{errc::invalid_argument, "certificate_invalid",
                   "that is no certificate in PEM form"};
  }
  return read;
}

}  // namespace

model::result<certificate_facts> describe_certificate(std::string_view pem) {
  const auto read = read_certificate(pem);
  return read ? model::result<certificate_facts>{facts_of(**read)} : read.error();
}

model::result<certificate_facts> describe_signed_by(std::string_view by, std::string_view pem) {
  const auto signer = read_certificate(by), read = read_certificate(pem);
  if (!signer)
    return signer.error();
  if (!read)
    return read.error();
  const auto is_theirs =
      X509_NAME_cmp(X509_get_subject_name(signer->get()), X509_get_issuer_name(read->get())) == 0 &&
      X509_verify(read->get(), X509_get0_pubkey(signer->get())) == 1;
  ERR_clear_error();
  if (!is_theirs)
    return failure{errc::invalid_argument, "certificate_foreign",
                   "that authority has not signed it itself"};
  return facts_of(**read);
}

std::string first_certificate(std::string_view pem) {
  const auto read = read_certificate(pem);
  return read ? written([&](BIO* out) { PEM_write_bio_X509(out, read->get()); }) : std::string{};
}

}  // namespace orrery::net
