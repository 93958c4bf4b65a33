// Keys that sign tokens as a provider does.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "model/json.hpp"
#include "net/openssl.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport {

inline std::string fixed_bytes(const BIGNUM* n, std::size_t size) {
  auto out = std::string(size, '\0');
  BN_bn2binpad(n, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size));
  return out;
}

/// A pair of keys and how its public one is shown.
class signer {
 public:
  static signer rsa(std::string kid, unsigned bits = 2048) {
    return signer{EVP_RSA_gen(bits), std::move(kid), false};
  }
  static signer ec(std::string kid, const char* curve = "P-256") {
    return signer{EVP_EC_gen(curve), std::move(kid), true};
  }

  /// Its JWK; `more`: further members.
  model::object jwk(const model::object& more = {}) const {
    auto o = model::object{};
    if (is_ec_) {
      o = {{"kty", "EC"}, {"crv", "P-256"}, {"x", number("qx", 32)}, {"y", number("qy", 32)}};
    } else {
      o = {{"kty", "RSA"}, {"n", number("n", 0)}, {"e", number("e", 0)}};
    }
    if (!kid_.empty())
      o.emplace_back("kid", kid_);
    o.insert(o.end(), more.begin(), more.end());
    return o;
  }
  std::string token(const model::value& claims, model::object head = {}) const {
    const auto has = [&](std::string_view name) {
      return std::any_of(head.begin(), head.end(), [&](const auto& m) { return m.first == name; });
    };
    if (!has("alg"))
      head.emplace_back("alg", is_ec_ ? "ES256" : "RS256");
    if (!has("kid") && !kid_.empty())
      head.emplace_back("kid", kid_);
    const auto h = model::value{head};
    auto text = to_base64url(model::to_json(h)) + '.' + to_base64url(model::to_json(claims));
    return text + '.' + to_base64url(sign(text, h.find("alg")->as_string() == "PS256"));
  }

 private:
  signer(EVP_PKEY* key, std::string kid, bool is_ec)
      : key_{key, EVP_PKEY_free}, kid_{std::move(kid)}, is_ec_{is_ec} {}

  std::string number(const char* name, std::size_t size) const {
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &n);
    const auto owned = net::bignum{n};
    return to_base64url(
        fixed_bytes(n, size > 0 ? size : static_cast<std::size_t>(BN_num_bytes(n))));
  }
  std::string sign(const std::string& text, bool pss) const {
    auto* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* how = nullptr;
    EVP_DigestSignInit(context, &how, EVP_sha256(), nullptr, key_.get());
    if (pss) {
      EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST);
    }
    auto out = std::string(1024, '\0');
    auto size = out.size();
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    EVP_MD_CTX_free(context);
    out.resize(size);
    if (!is_ec_)
      return out;
    const auto* begin = reinterpret_cast<const unsigned char*>(out.data());
    auto* both = d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(out.size()));
    auto raw = fixed_bytes(ECDSA_SIG_get0_r(both), 32) + fixed_bytes(ECDSA_SIG_get0_s(both), 32);
    ECDSA_SIG_free(both);
    return raw;
  }

  std::shared_ptr<EVP_PKEY> key_;
  std::string kid_;
  bool is_ec_;
};

inline std::string key_set(const std::vector<model::object>& keys) {
  auto all = model::array{};
  for (const auto& k : keys)
    all.emplace_back(k);
  return model::to_json(model::object{{"keys", std::move(all)}});
}

}  // namespace orrery::transport
