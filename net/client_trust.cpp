#include "net/client_trust.hpp"

#include <algorithm>

#include "net/openssl.hpp"

namespace orrery::net {

using model::errc;
using model::failure;
using model::status;

namespace {

constexpr std::size_t max_pem = 64u * 1024 * 1024;  // a list of a million rows has about 40 MB
constexpr auto max_depth = 4, security_level = 2;   // 112 bits: RSA 2048, P-256, SHA-256

std::string der_of(const X509_NAME* name) {
  unsigned char* der = nullptr;
  const auto size = i2d_X509_NAME(name, &der);
  auto out = size > 0 ? std::string{reinterpret_cast<char*>(der), static_cast<std::size_t>(size)}
                      : std::string{};
  OPENSSL_free(der);
  return out;
}

template <std::size_t Size>
std::array<unsigned char, Size> digest_of(std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  auto size = 0u;
  EVP_Digest(text.data(), text.size(), out, &size, EVP_sha256(), nullptr);
  auto cut = std::array<unsigned char, Size>{};
  std::copy_n(out, Size, cut.begin());
  return cut;
}

std::array<unsigned char, 16> mark_of_number(const std::string& issuer,
                                             const ASN1_INTEGER* serial) {
  auto text = issuer;
  text.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
              static_cast<std::size_t>(ASN1_STRING_length(serial)));
  return digest_of<16>(text);
}

bool at_the_end() {
  const auto code = ERR_peek_last_error();
  const auto end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return end;
}

}  // namespace

client_judge::mark client_judge::mark_of(const X509* certificate) {
  return mark_of_number(der_of(X509_get_issuer_name(certificate)),
                        X509_get0_serialNumber(certificate));
}

status client_judge::add_authorities(const std::string& pem) {
  const auto wrong = [](const char* detail) {
    ERR_clear_error();
    return failure{errc::invalid_argument, "authority_invalid", detail};
  };
  if (pem.size() > max_pem)
    return wrong("the list of authorities is too long");
  const auto in = reading(pem);
  auto any = false;
  while (auto* read = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)) {
    authorities_.emplace_back(read, [](X509* c) { X509_free(c); });
    any = true;
    if (X509_check_ca(read) == 0 || !X509_get0_pubkey(read))
      return wrong("a certificate in it is none of an authority");
    if (X509_STORE_add_cert(store_.get(), read) != 1)
      return wrong("an authority cannot be taken in");
  }
  if (!at_the_end() || !any)
    return wrong("that is no list of certificates in PEM form");
  return {};
}

status client_judge::add_revocations(const std::string& pem) {
  const auto wrong = [](const char* detail) {
    ERR_clear_error();
    return failure{errc::invalid_argument, "revocation_list_invalid", detail};
  };
  if (pem.size() > max_pem)
    return wrong("a revocation list has at most 64 MiB");
  const auto in = reading(pem);
  auto any = false;
  while (const auto list =
             x509_crl{PEM_read_bio_X509_CRL(in.get(), nullptr, no_passphrase, nullptr)}) {
    any = true;
    const auto* issuer = X509_CRL_get_issuer(list.get());
    const auto is_theirs = [&](const std::shared_ptr<X509>& one) {
      return X509_NAME_cmp(X509_get_subject_name(one.get()), issuer) == 0 &&
             X509_CRL_verify(list.get(), X509_get0_pubkey(one.get())) == 1;
    };
    const auto signer = std::find_if(authorities_.begin(), authorities_.end(), is_theirs);
    if (signer == authorities_.end())
      return wrong("a revocation list is signed by none of the authorities");
    // Of its signer, as that one writes its name: another whose name is alike is not meant.
    const auto name = der_of(X509_get_subject_name(signer->get()));
    auto* rows = X509_CRL_get_REVOKED(list.get());
    for (auto i = 0; i < sk_X509_REVOKED_num(rows); ++i)
      revoked_.push_back(
          mark_of_number(name, X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(rows, i))));
  }
  if (!at_the_end() || !any)
    return wrong("that is no list of revocation lists in PEM form");
  return {};
}

model::result<std::shared_ptr<const client_judge>> client_judge::make(const client_trust& trust) {
  auto made = std::make_shared<client_judge>();
  made->store_ = {X509_STORE_new(), [](X509_STORE* s) { X509_STORE_free(s); }};
  for (const auto& pem : trust.authorities)
    if (auto ok = made->add_authorities(pem); !ok)
      return ok.error();
  for (const auto& pem : trust.revocations)
    if (auto ok = made->add_revocations(pem); !ok)
      return ok.error();
  std::sort(made->revoked_.begin(), made->revoked_.end());
  auto prints = std::vector<std::string>{};
  for (const auto& one : made->authorities_) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    auto size = 0u;
    X509_digest(one.get(), EVP_sha256(), digest, &size);
    prints.emplace_back(reinterpret_cast<const char*>(digest), size);
  }
  std::sort(prints.begin(), prints.end());
  auto all = std::string{};
  for (const auto& print : prints)
    all += print;
  made->identity_ = digest_of<16>(all);
  return std::shared_ptr<const client_judge>{std::move(made)};
}

bool client_judge::revoked(const mark& of) const {
  return std::binary_search(revoked_.begin(), revoked_.end(), of);
}

client_judge::verdict client_judge::judge(X509* shown, stack_st_X509* beside) const {
  const auto context = x509_store_context{X509_STORE_CTX_new()};
  if (!context || X509_STORE_CTX_init(context.get(), store_.get(), shown, beside) != 1)
    return {X509_V_ERR_OUT_OF_MEM, {}};
  // An authority below a root may be trusted without its root.
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
  auto* how = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_depth(how, max_depth);
  X509_VERIFY_PARAM_set_auth_level(how, security_level);
  const auto good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  const auto error = X509_STORE_CTX_get_error(context.get());
  if (!good)
    return {error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error, {}};
  auto chain =
      std::shared_ptr<stack_st_X509>{X509_STORE_CTX_get1_chain(context.get()), x509_stack_free{}};
  for (auto i = 0; i < sk_X509_num(chain.get()); ++i)
    if (revoked(mark_of(sk_X509_value(chain.get(), i))))
      return {X509_V_ERR_CERT_REVOKED, {}};
  return {X509_V_OK, std::move(chain)};
}

//  authorities 16 | marks of the chain behind the client's own 16 each
model::result<certificate_facts> client_judge::examine(const std::string& pem) const {
  auto facts = describe_certificate(pem);
  if (!facts)
    return facts.error();
  const auto in = reading(pem);
  auto all = std::vector<std::unique_ptr<X509, void (*)(X509*)>>{};
  const auto beside = std::unique_ptr<stack_st_X509, void (*)(stack_st_X509*)>{
      sk_X509_new_null(), [](stack_st_X509* s) { sk_X509_free(s); }};
  while (auto* read = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)) {
    all.emplace_back(read, [](X509* c) { X509_free(c); });
    if (all.size() > 1)
      sk_X509_push(beside.get(), read);
  }
  ERR_clear_error();
  const auto found = judge(all.front().get(), beside.get());
  if (found.error != X509_V_OK)
    return failure{errc::invalid_argument, "certificate_foreign",
                   std::string{"no authority of the organisation stands behind it: "} +
                       X509_verify_cert_error_string(found.error)};
  return facts;
}

std::string client_judge::note_of(const stack_st_X509& chain) const {
  auto out = std::string{reinterpret_cast<const char*>(identity_.data()), identity_.size()};
  for (auto i = 1; i < sk_X509_num(&chain); ++i) {
    const auto one = mark_of(sk_X509_value(&chain, i));
    out.append(reinterpret_cast<const char*>(one.data()), one.size());
  }
  return out;
}

bool client_judge::still_good(const X509* shown, std::string_view note) const {
  constexpr auto size = sizeof(mark);
  const auto is_at = [&](const mark& what, std::size_t at) {
    return std::equal(what.begin(), what.end(), note.begin() + static_cast<std::ptrdiff_t>(at),
                      [](unsigned char a, char b) { return a == static_cast<unsigned char>(b); });
  };
  if (note.size() < size || note.size() % size != 0 || !is_at(identity_, 0))
    return false;
  for (auto at = size; at < note.size(); at += size) {
    auto one = mark{};
    std::copy_n(note.begin() + static_cast<std::ptrdiff_t>(at), size, one.begin());
    if (revoked(one))
      return false;
  }
  return !revoked(mark_of(shown)) && X509_cmp_current_time(X509_get0_notAfter(shown)) > 0;
}

}  // namespace orrery::net
