// OpenSSL's objects, freed with their owner, and its errors in words; for .cpp files that ask
// OpenSSL themselves.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace orrery::net {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using pkey = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using x509 = std::unique_ptr<X509, freed_by<X509_free>>;
using x509_crl = std::unique_ptr<X509_CRL, freed_by<X509_CRL_free>>;
using x509_req = std::unique_ptr<X509_REQ, freed_by<X509_REQ_free>>;
using x509_store = std::unique_ptr<X509_STORE, freed_by<X509_STORE_free>>;
using x509_store_context = std::unique_ptr<X509_STORE_CTX, freed_by<X509_STORE_CTX_free>>;
using bio = std::unique_ptr<BIO, freed_by<BIO_vfree>>;
using bignum = std::unique_ptr<BIGNUM, freed_by<BN_free>>;

struct x509_stack_free {
  void operator()(STACK_OF(X509) * s) const { sk_X509_pop_free(s, X509_free); }
};
using x509_stack = std::unique_ptr<STACK_OF(X509), x509_stack_free>;

/// The last error in words, "" if there is none; forgets all of them.
inline std::string openssl_trouble() {
  char text[256] = "";
  if (const auto code = ERR_peek_last_error())
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

/// Throws std::runtime_error: `what`, and why.
[[noreturn]] inline void give_up(const std::string& what) {
  const auto why = openssl_trouble();
  throw std::runtime_error{why.empty() ? what : what + ": " + why};
}

/// Reads from `text`, which must outlive it.
inline bio reading(std::string_view text) {
  return bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}
/// What `write(bio)` wrote.
template <class F>
std::string written(F write) {
  const auto out = bio{BIO_new(BIO_s_mem())};
  write(out.get());
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}
/// No key of anybody's is asked for on a terminal.
inline int no_passphrase(char* /*into*/, int /*size*/, int /*writing*/, void* /*of*/) {
  return -1;
}

/// Its one common name, in UTF-8; "" if there is none or more than one.
inline std::string common_name_of(const X509_NAME* name) {
  const auto at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
    return {};
  unsigned char* text = nullptr;
  const auto size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  auto out = size > 0 ? std::string{reinterpret_cast<char*>(text), static_cast<std::size_t>(size)}
                      : std::string{};
  OPENSSL_free(text);
  return out;
}

}  // namespace orrery::net
