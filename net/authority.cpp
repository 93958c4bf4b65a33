#include "net/authority.hpp"

#include <algorithm>
#include <ctime>

#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "net/openssl.hpp"

namespace orrery::net {

using model::errc;
using model::failure;

namespace {

constexpr auto clock_tolerance = 300;  // seconds: clocks of devices go wrong
constexpr std::int64_t day = 86'400, max_days = 36'500;
constexpr std::size_t max_name = 64, max_subject_der = 2048;

failure broken(const char* what) {
  const auto why = openssl_trouble();
  return {errc::internal, std::string{what} + (why.empty() ? "" : ": " + why)};
}

std::shared_ptr<X509> shared(x509 one) {
  return {one.release(), [](X509* c) { X509_free(c); }};
}
std::shared_ptr<EVP_PKEY> shared(pkey one) {
  return {one.release(), [](EVP_PKEY* k) { EVP_PKEY_free(k); }};
}

bool is_rsa_key(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
}

pkey make_key(key_kind kind) {
  switch (kind) {
    case key_kind::rsa_2048:
      return pkey{EVP_RSA_gen(2048)};
    case key_kind::rsa_3072:
      return pkey{EVP_RSA_gen(3072)};
    case key_kind::p256:
      return pkey{EVP_EC_gen("P-256")};
  }
  return nullptr;
}

/// Whether a key is one that a certificate is given for.
bool is_strong(const EVP_PKEY* key) {
  const auto bits = EVP_PKEY_get_bits(key);
  if (is_rsa_key(key))
    return bits >= 2048 && bits <= 4096;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
    return false;
  char group[64] = "";
  auto size = std::size_t{0};
  return EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         (std::string_view{group} == SN_X9_62_prime256v1 ||
          std::string_view{group} == SN_secp384r1);
}

bool set_times(X509* of, std::int64_t from, std::int64_t until) {
  return ASN1_TIME_set(X509_getm_notBefore(of), from) &&
         ASN1_TIME_set(X509_getm_notAfter(of), until);
}

/// 159 random bits: nobody guesses the next, and no two are the same.
bool set_serial(X509* of) {
  const auto number = bignum{BN_new()};
  return number && BN_rand(number.get(), 159, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         !BN_is_zero(number.get()) &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(of)) != nullptr;
}

bool extend(X509* of, X509* issuer, int nid, const std::string& text) {
  auto context = X509V3_CTX{};
  X509V3_set_ctx(&context, issuer, of, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, text.c_str());
  const auto ok = extension && X509_add_ext(of, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return ok;
}

struct names_free {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
using general_names = std::unique_ptr<GENERAL_NAMES, names_free>;

/// One URI as a list of names, whatever characters it has: the text form of an extension would take
/// commas for its own.
general_names uri_names(const std::string& uri) {
  auto names = general_names{GENERAL_NAMES_new()};
  auto* name = GENERAL_NAME_new();
  auto* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, uri.data(), static_cast<int>(uri.size()));
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  sk_GENERAL_NAME_push(names.get(), name);
  return names;
}

bool is_uri(const std::string& text) {
  return text.size() <= 1024 && text.find(':') != std::string::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool add_uri(X509* to, const std::string& uri) {
  const auto names = uri_names(uri);
  return X509_add1_ext_i2d(to, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

struct points_free {
  void operator()(CRL_DIST_POINTS* points) const { CRL_DIST_POINTS_free(points); }
};

bool add_list_address(X509* to, const std::string& url) {
  const auto points = std::unique_ptr<CRL_DIST_POINTS, points_free>{CRL_DIST_POINTS_new()};
  auto* point = DIST_POINT_new();
  sk_DIST_POINT_push(points.get(), point);
  point->distpoint = DIST_POINT_NAME_new();
  point->distpoint->type = 0;
  point->distpoint->name.fullname = uri_names(url).release();
  return X509_add1_ext_i2d(to, NID_crl_distribution_points, points.get(), 0, X509V3_ADD_DEFAULT) ==
         1;
}

std::int64_t end_of(const X509* certificate) {
  auto broken_down = std::tm{};
  return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &broken_down) == 1 ? timegm(&broken_down)
                                                                             : 0;
}

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool is_name(std::string_view text) {
  return !text.empty() && characters(text) <= max_name &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

std::string digest_of_key(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const auto size = i2d_PUBKEY(key, &der);
  if (size <= 0)
    return {};
  unsigned char digest[EVP_MAX_MD_SIZE];
  auto length = 0u;
  EVP_Digest(der, static_cast<std::size_t>(size), digest, &length, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  constexpr auto digits = "0123456789abcdef";
  auto out = std::string{};
  for (auto i = 0u; i < length; ++i) {
    out += digits[digest[i] >> 4];
    out += digits[digest[i] & 15];
  }
  return out;
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

}  // namespace

model::result<certificate_request> certificate_request::read(std::string_view pem) {
  const auto wrong = [](const char* reason, const char* detail) {
    ERR_clear_error();
    return failure{errc::invalid_argument, reason, detail};
  };
  if (pem.size() > max_request_pem)
    return failure{errc::too_large, "csr_invalid", "a certificate request has at most 16 KiB"};
  const auto in = reading(pem);
  auto read = x509_req{PEM_read_bio_X509_REQ(in.get(), nullptr, no_passphrase, nullptr)};
  auto* key = read ? X509_REQ_get0_pubkey(read.get()) : nullptr;
  if (!key)
    return wrong("csr_invalid", "that is no certificate request in PEM form");
  if (!is_strong(key))
    return wrong("csr_key_weak", "a key is RSA of 2048 to 4096 bits, or on P-256 or P-384");
  if (X509_REQ_verify(read.get(), key) != 1)
    return wrong("csr_signature_wrong", "the request is not signed by its own key");
  auto digest = NID_undef;
  if (OBJ_find_sigid_algs(X509_REQ_get_signature_nid(read.get()), &digest, nullptr) == 1 &&
      (digest == NID_sha1 || digest == NID_md5))
    return wrong("csr_signature_wrong", "the request is signed over SHA-1 or MD5");
  auto* subject = X509_REQ_get_subject_name(read.get());
  auto made = certificate_request{};
  made.common_name_ = common_name_of(subject);
  if (!is_name(made.common_name_) ||
      i2d_X509_NAME(subject, nullptr) > static_cast<int>(max_subject_der))
    return wrong("csr_name_invalid",
                 "a subject has one common name of 1 to 64 characters, and at most 2 KiB in all");
  made.subject_ = written([&](BIO* out) {
    X509_NAME_print_ex(out, subject, 0,
                       XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  });
  made.public_key_ = digest_of_key(key);
  made.rsa_ = is_rsa_key(key);
  made.request_ = {read.release(), [](X509_REQ* r) { X509_REQ_free(r); }};
  ERR_clear_error();
  return made;
}

model::result<authority> authority::make(const std::string& name, key_kind kind, std::int64_t days,
                                         std::int64_t now, const authority* above) {
  if (!is_name(name) || days < 1 || days > max_days)
    return failure{errc::invalid_argument,
                   "an authority has a name of 1 to 64 characters and 1 to 36500 days"};
  auto key = make_key(kind);
  auto made = x509{X509_new()};
  if (!key || !made)
    return broken("cannot make a key");
  auto* c = made.get();
  auto* issuer = above ? above->certificate_.get() : c;
  auto until = now + days * day;
  if (above)
    until = std::min(until, end_of(issuer));
  if (until <= now)
    return failure{errc::conflict, "authority_expired", "the authority above it has run out"};
  auto* subject = X509_get_subject_name(c);
  const auto ok = X509_set_version(c, 2) == 1 && set_serial(c) &&
                  set_times(c, now - clock_tolerance, until) &&
                  X509_set_pubkey(c, key.get()) == 1 &&
                  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                             reinterpret_cast<const unsigned char*>("Orrery"), -1,
                                             -1, 0) == 1 &&
                  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                             reinterpret_cast<const unsigned char*>(name.c_str()),
                                             -1, -1, 0) == 1 &&
                  X509_set_issuer_name(c, X509_get_subject_name(issuer)) == 1 &&
                  extend(c, issuer, NID_basic_constraints,
                         above ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE") &&
                  extend(c, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                  extend(c, issuer, NID_subject_key_identifier, "hash") &&
                  extend(c, issuer, NID_authority_key_identifier, "keyid:always") &&
                  X509_sign(c, above ? above->key_.get() : key.get(), EVP_sha256()) > 0;
  if (!ok)
    return broken("cannot make an authority");
  auto out = authority{};
  out.certificate_ = shared(std::move(made));
  out.key_ = shared(std::move(key));
  if (above) {
    out.above_.push_back(above->certificate_);
    out.above_.insert(out.above_.end(), above->above_.begin(), above->above_.end());
  }
  return out;
}

model::result<authority> authority::load(std::string_view certificates_pem,
                                         std::string_view key_pem) {
  const auto wrong = [](const char* detail) {
    ERR_clear_error();
    return failure{errc::invalid_argument, "authority_invalid", detail};
  };
  if (certificates_pem.size() > 8 * max_certificate_pem || key_pem.size() > max_request_pem)
    return wrong("certificates or key of an authority are too long");
  auto out = authority{};
  const auto in = reading(certificates_pem);
  while (auto* read = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)) {
    auto one = shared(x509{read});
    if (out.certificate_)
      out.above_.push_back(std::move(one));
    else
      out.certificate_ = std::move(one);
  }
  const auto key = reading(key_pem);
  out.key_ = shared(pkey{PEM_read_bio_PrivateKey(key.get(), nullptr, no_passphrase, nullptr)});
  if (!out.certificate_ || !out.key_)
    return wrong("a certificate and a key in PEM form are wanted");
  if (X509_check_ca(out.certificate_.get()) != 1)
    return wrong("the certificate is none of an authority");
  if (X509_check_private_key(out.certificate_.get(), out.key_.get()) != 1)
    return wrong("the key does not belong to the certificate");
  ERR_clear_error();
  return out;
}

std::string authority::certificate_pem() const {
  return written([&](BIO* out) { PEM_write_bio_X509(out, certificate_.get()); });
}

std::string authority::chain_pem() const {
  auto out = certificate_pem();
  for (const auto& one : above_)
    if (X509_self_signed(one.get(), 0) != 1)
      out += written([&](BIO* to) { PEM_write_bio_X509(to, one.get()); });
  return out;
}

std::string authority::key_pem() const {
  return written([&](BIO* out) {
    PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

certificate_facts authority::facts() const {
  return facts_of(*certificate_);
}

bool authority::is_rsa() const {
  return is_rsa_key(key_.get());
}

model::result<certificate_facts> authority::certify(EVP_PKEY* key, const void* subject,
                                                    const issue_options& how,
                                                    std::int64_t now) const {
  if (how.days < 1 || how.days > max_days)
    return failure{errc::invalid_argument, "a certificate is good for 1 to 36500 days"};
  if (!is_uri(how.uri) || (!how.crl_url.empty() && !is_uri(how.crl_url)))
    return failure{errc::invalid_argument, "names and addresses in a certificate are URIs"};
  const auto until = std::min(now + how.days * day, end_of(certificate_.get()));
  if (until <= now)
    return failure{errc::conflict, "authority_expired", "the authority has run out"};
  const auto made = x509{X509_new()};
  auto* c = made.get();
  auto* issuer = certificate_.get();
  const auto usage =
      is_rsa_key(key) ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature";
  const auto ok = c && X509_set_version(c, 2) == 1 && set_serial(c) &&
                  set_times(c, now - clock_tolerance, until) && X509_set_pubkey(c, key) == 1 &&
                  X509_set_subject_name(c, static_cast<const X509_NAME*>(subject)) == 1 &&
                  X509_set_issuer_name(c, X509_get_subject_name(issuer)) == 1 &&
                  extend(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
                  extend(c, issuer, NID_key_usage, usage) &&
                  extend(c, issuer, NID_ext_key_usage, "clientAuth") &&
                  extend(c, issuer, NID_subject_key_identifier, "hash") &&
                  extend(c, issuer, NID_authority_key_identifier, "keyid:always") &&
                  add_uri(c, how.uri) &&
                  (how.crl_url.empty() || add_list_address(c, how.crl_url)) &&
                  X509_sign(c, key_.get(), EVP_sha256()) > 0;
  if (!ok)
    return broken("cannot issue a certificate");
  return facts_of(*c);
}

model::result<certificate_facts> authority::issue(const certificate_request& request,
                                                  const issue_options& how,
                                                  std::int64_t now) const {
  return certify(X509_REQ_get0_pubkey(request.request_.get()),
                 X509_REQ_get_subject_name(request.request_.get()), how, now);
}

model::result<certificate_facts> authority::renew(std::string_view certificate_pem,
                                                  const issue_options& how,
                                                  std::int64_t now) const {
  const auto wrong = [](const char* detail) {
    ERR_clear_error();
    return failure{errc::invalid_argument, "certificate_invalid", detail};
  };
  if (certificate_pem.size() > max_certificate_pem)
    return wrong("a certificate has at most 64 KiB");
  const auto in = reading(certificate_pem);
  const auto old = x509{PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)};
  auto* key = old ? X509_get0_pubkey(old.get()) : nullptr;
  if (!key)
    return wrong("that is no certificate in PEM form");
  if (X509_verify(old.get(), X509_get0_pubkey(certificate_.get())) != 1 ||
      X509_check_ca(old.get()) != 0)
    return wrong("that certificate was not issued by this authority to a client");
  return certify(key, X509_get_subject_name(old.get()), how, now);
}

model::result<revocation_list> authority::sign_list(std::span<const revoked_certificate> rows,
                                                    std::uint64_t number, std::int64_t now,
                                                    std::int64_t next_update) const {
  if (next_update <= now)
    return failure{errc::invalid_argument, "a revocation list has its next update after its own"};
  const auto made = x509_crl{X509_CRL_new()};
  auto* list = made.get();
  struct time_free {
    void operator()(ASN1_TIME* t) const { ASN1_TIME_free(t); }
  };
  using asn1_time = std::unique_ptr<ASN1_TIME, time_free>;
  const auto from = asn1_time{ASN1_TIME_set(nullptr, now)},
             until = asn1_time{ASN1_TIME_set(nullptr, next_update)};
  if (!list || X509_CRL_set_version(list, 1) != 1 ||
      X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate_.get())) != 1 ||
      X509_CRL_set1_lastUpdate(list, from.get()) != 1 ||
      X509_CRL_set1_nextUpdate(list, until.get()) != 1)
    return broken("cannot make a revocation list");
  for (const auto& row : rows) {
    const auto known = (row.reason >= 0 && row.reason <= 6) || row.reason == 9 || row.reason == 10;
    if (row.serial.empty() || row.serial.size() > 40 || !is_hex(row.serial) || !known)
      return failure{errc::invalid_argument,
                     "a serial has 1 to 40 hex digits; a reason is one of RFC 5280"};
    BIGNUM* read = nullptr;
    BN_hex2bn(&read, row.serial.c_str());
    const auto serial = bignum{read};
    auto* text = BN_to_ASN1_INTEGER(serial.get(), nullptr);
    const auto when = asn1_time{ASN1_TIME_set(nullptr, row.time)};
    auto* one = X509_REVOKED_new();
    auto ok = one && text && X509_REVOKED_set_serialNumber(one, text) == 1 &&
              X509_REVOKED_set_revocationDate(one, when.get()) == 1;
    if (ok && row.reason != 0) {  // "unspecified" is said by saying nothing (RFC 5280, 5.3.1)
      auto* reason = ASN1_ENUMERATED_new();
      ok = ASN1_ENUMERATED_set(reason, row.reason) == 1 &&
           X509_REVOKED_add1_ext_i2d(one, NID_crl_reason, reason, 0, X509V3_ADD_DEFAULT) == 1;
      ASN1_ENUMERATED_free(reason);
    }
    ASN1_INTEGER_free(text);
    if (!ok || X509_CRL_add0_revoked(list, one) != 1) {
      X509_REVOKED_free(one);
      return broken("cannot write a row of a revocation list");
    }
  }
  auto* count = ASN1_INTEGER_new();
  ASN1_INTEGER_set_uint64(count, number);
  const auto numbered =
      X509_CRL_add1_ext_i2d(list, NID_crl_number, count, 0, X509V3_ADD_DEFAULT) == 1;
  ASN1_INTEGER_free(count);
  auto* identifier = AUTHORITY_KEYID_new();
  const auto* own = X509_get0_subject_key_id(certificate_.get());
  if (identifier && own)
    identifier->keyid = ASN1_OCTET_STRING_dup(own);
  const auto named = !own || X509_CRL_add1_ext_i2d(list, NID_authority_key_identifier, identifier,
                                                   0, X509V3_ADD_DEFAULT) == 1;
  AUTHORITY_KEYID_free(identifier);
  X509_CRL_sort(list);
  if (!numbered || !named || X509_CRL_sign(list, key_.get(), EVP_sha256()) <= 0)
    return broken("cannot sign a revocation list");
  auto out = revocation_list{};
  out.pem = written([&](BIO* to) { PEM_write_bio_X509_CRL(to, list); });
  out.der = written([&](BIO* to) { i2d_X509_CRL_bio(to, list); });
  return out;
}

}  // namespace orrery::net
