#include "transport/oidc_token.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "model/json.hpp"
#include "net/openssl.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport {
namespace {

using model::errc;
using model::failure;
using net::freed_by;

constexpr std::size_t max_keys_bytes = 256 * 1024;
constexpr auto least_rsa_bits = 2048, most_rsa_bits = 8192;
constexpr std::size_t coordinate = 32;  // bytes, of P-256

using param_builder = std::unique_ptr<OSSL_PARAM_BLD, freed_by<OSSL_PARAM_BLD_free>>;
using params = std::unique_ptr<OSSL_PARAM, freed_by<OSSL_PARAM_free>>;
using pkey_context = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;
using digest_context = std::unique_ptr<EVP_MD_CTX, freed_by<EVP_MD_CTX_free>>;
using ecdsa_sig = std::unique_ptr<ECDSA_SIG, freed_by<ECDSA_SIG_free>>;

failure invalid(std::string why) {
  return {errc::unauthenticated, "idp_token_invalid", "the provider's token: " + std::move(why)};
}

std::string text_of(const model::value& v, std::string_view name) {
  const auto* found = v.find(name);
  return found && found->is_string() ? found->as_string() : std::string{};
}

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::shared_ptr<EVP_PKEY> make_key(const char* type, OSSL_PARAM_BLD* from) {
  const auto made = params{OSSL_PARAM_BLD_to_param(from)};
  const auto context = pkey_context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
  EVP_PKEY* key = nullptr;
  if (!made || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, made.get()) != 1)
    return nullptr;
  return {key, EVP_PKEY_free};
}

std::shared_ptr<EVP_PKEY> rsa_key(const model::value& jwk) {
  const auto n = from_base64url(text_of(jwk, "n")), e = from_base64url(text_of(jwk, "e"));
  if (!n || !e || n->empty() || n->size() > most_rsa_bits / 8 + 1 || e->empty() || e->size() > 4)
    return nullptr;
  const auto modulus = net::bignum{BN_bin2bn(bytes(*n), static_cast<int>(n->size()), nullptr)};
  const auto exponent = net::bignum{BN_bin2bn(bytes(*e), static_cast<int>(e->size()), nullptr)};
  if (!modulus || !exponent || BN_num_bits(modulus.get()) < least_rsa_bits ||
      BN_num_bits(modulus.get()) > most_rsa_bits || BN_is_odd(exponent.get()) == 0 ||
      BN_is_one(exponent.get()) == 1)
    return nullptr;
  const auto builder = param_builder{OSSL_PARAM_BLD_new()};
  if (!builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return make_key("RSA", builder.get());
}

std::shared_ptr<EVP_PKEY> ec_key(const model::value& jwk) {
  const auto x = from_base64url(text_of(jwk, "x")), y = from_base64url(text_of(jwk, "y"));
  if (text_of(jwk, "crv") != "P-256" || !x || !y || x->size() != coordinate ||
      y->size() != coordinate)
    return nullptr;
  const auto point = '\4' + *x + *y;
  const auto builder = param_builder{OSSL_PARAM_BLD_new()};
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1)
    return nullptr;
  return make_key("EC", builder.get());  // a point that is not on the curve makes none
}

std::optional<signing_key> read_key(const model::value& jwk) {
  auto k = signing_key{};
  k.id = text_of(jwk, "kid");
  k.algorithm = text_of(jwk, "alg");
  if (const auto use = text_of(jwk, "use"); !use.empty() && use != "sig")
    return std::nullopt;
  const auto type = text_of(jwk, "kty");
  if (type == "RSA") {
    k.what = signing_key::kind::rsa;
    k.key = rsa_key(jwk);
  } else if (type == "EC") {
    k.what = signing_key::kind::ec;
    k.key = ec_key(jwk);
  }
  ERR_clear_error();
  if (!k.key)
    return std::nullopt;
  return k;
}

bool fits(const signing_key& k, const token_head& head) {
  return (k.what == signing_key::kind::ec) == (head.algorithm == "ES256") &&
         (k.algorithm.empty() || k.algorithm == head.algorithm);
}

/// As OpenSSL has the signature of an EC key: DER. JWS has the two numbers one behind the other.
std::optional<std::string> der_of(std::string_view signature) {
  if (signature.size() != 2 * coordinate)
    return std::nullopt;
  auto r = net::bignum{BN_bin2bn(bytes(signature), coordinate, nullptr)};
  auto s = net::bignum{BN_bin2bn(bytes(signature.substr(coordinate)), coordinate, nullptr)};
  const auto both = ecdsa_sig{ECDSA_SIG_new()};
  if (!r || !s || !both || ECDSA_SIG_set0(both.get(), r.get(), s.get()) != 1)
    return std::nullopt;
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* out = nullptr;
  const auto size = i2d_ECDSA_SIG(both.get(), &out);
  if (size <= 0)
    return std::nullopt;
  auto der = std::string(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  OPENSSL_free(out);
  return der;
}

bool is_signed(std::string_view text, std::string_view signature, const token_head& head,
               const signing_key& key) {
  auto given = std::string{signature};
  if (key.what == signing_key::kind::ec) {
    auto der = der_of(signature);
    if (!der)
      return false;
    given = std::move(*der);
  }
  const auto context = digest_context{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* how = nullptr;
  if (!context ||
      EVP_DigestVerifyInit(context.get(), &how, EVP_sha256(), nullptr, key.key.get()) != 1)
    return false;
  if (head.algorithm == "PS256" &&
      (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  const auto good =
      EVP_DigestVerify(context.get(), bytes(given), given.size(), bytes(text), text.size()) == 1;
  ERR_clear_error();
  return good;
}

struct parts {
  std::string_view head, body, signature;
};
std::optional<parts> split(std::string_view token) {
  const auto first = token.find('.');
  const auto last = token.rfind('.');
  if (token.size() > max_token_bytes || first == std::string_view::npos || first == last ||
      token.find('.', first + 1) != last)
    return std::nullopt;
  return parts{token.substr(0, first), token.substr(first + 1, last - first - 1),
               token.substr(last + 1)};
}

/// Seconds since 1970 (NumericDate); nothing if it is none.
std::optional<std::int64_t> time_of(const model::value& claims, std::string_view name) {
  const auto* v = claims.find(name);
  constexpr auto most = 100'000'000'000.0;
  if (!v || !v->is_number() || !(v->as_double() >= 0 && v->as_double() < most))
    return std::nullopt;
  return static_cast<std::int64_t>(std::floor(v->as_double()));
}

}  // namespace

model::result<std::vector<signing_key>> read_keys(std::string_view json) {
  const auto set = model::parse_json(json, {.max_bytes = max_keys_bytes, .max_depth = 8});
  const auto* all = set ? set->find("keys") : nullptr;
  if (!all || !all->is_array())
    return failure{errc::invalid_argument, "that is no set of keys"};
  if (all->as_array().size() > max_signing_keys)
    return failure{errc::invalid_argument, "a set has at most 100 keys"};
  auto keys = std::vector<signing_key>{};
  for (const auto& jwk : all->as_array())
    if (auto k = read_key(jwk))
      keys.push_back(std::move(*k));
  return keys;
}

model::result<token_head> read_token_head(std::string_view token) {
  const auto p = split(token);
  if (!p)
    return invalid("it is not of three parts, or longer than 16 KiB");
  const auto text = from_base64url(p->head);
  const auto head = text ? model::parse_json(*text, {.max_bytes = 4096, .max_depth = 4})
                         : model::result<model::value>{invalid("no base64url")};
  if (!head || !head->is_object())
    return invalid("its header is no JSON object");
  auto h = token_head{text_of(*head, "alg"), text_of(*head, "kid")};
  if (h.algorithm != "RS256" && h.algorithm != "PS256" && h.algorithm != "ES256")
    return invalid("it is to be signed by RS256, PS256 or ES256");
  if (head->find("crit"))
    return invalid("its header asks for what is not known here");
  if (const auto* type = head->find("typ");
      type && (!type->is_string() || (type->as_string() != "JWT" && type->as_string() != "jwt")))
    return invalid("it is of another type");
  return h;
}

const signing_key* find_key(const std::vector<signing_key>& keys, const token_head& head) {
  const signing_key* found = nullptr;
  for (const auto& k : keys)
    if (fits(k, head) && (head.key_id.empty() || k.id == head.key_id)) {
      if (found)
        return nullptr;
      found = &k;
    }
  return found;
}

model::result<model::value> read_token(std::string_view token, const token_head& head,
                                       const signing_key& key) {
  const auto p = split(token);
  if (!p || !fits(key, head))
    return invalid("its key is of another algorithm");
  const auto signature = from_base64url(p->signature);
  const auto signed_text = token.substr(0, p->head.size() + 1 + p->body.size());
  if (!signature || !is_signed(signed_text, *signature, head, key))
    return invalid("its signature is wrong");
  const auto text = from_base64url(p->body);
  auto claims = text ? model::parse_json(*text, {.max_bytes = max_token_bytes, .max_depth = 16})
                     : model::result<model::value>{invalid("no base64url")};
  if (!claims || !claims->is_object())
    return invalid("its claims are no JSON object");
  return claims;
}

model::status check_claims(const model::value& claims, const token_wants& wants) {
  if (text_of(claims, "iss") != wants.issuer || wants.issuer.empty())
    return invalid("iss: it is of another issuer");
  if (text_of(claims, "sub").empty())
    return invalid("sub: it says of nobody who he is");
  const auto* audience = claims.find("aud");
  auto is_for_us = audience && audience->is_string() && audience->as_string() == wants.client_id;
  auto others = false;
  if (audience && audience->is_array())
    for (const auto& one : audience->as_array()) {
      const auto us = one.is_string() && one.as_string() == wants.client_id;
      is_for_us = is_for_us || us;
      others = others || !us;
    }
  if (!is_for_us || wants.client_id.empty())
    return invalid("aud: it is for another client");
  const auto* party = claims.find("azp");
  if (party ? !party->is_string() || party->as_string() != wants.client_id : others)
    return invalid("azp: it was given to another client");
  const auto now = std::chrono::floor<std::chrono::seconds>(wants.now).time_since_epoch().count();
  const auto skew = wants.skew.count();
  const auto expires = time_of(claims, "exp"), issued = time_of(claims, "iat");
  if (!expires || *expires + skew <= now)
    return invalid("exp: its time is over");
  if (!issued || *issued - skew > now)
    return invalid("iat: it is from the future");
  if (claims.find("nbf"))
    if (const auto begins = time_of(claims, "nbf"); !begins || *begins - skew > now)
      return invalid("nbf: it does not count yet");
  if (wants.nonce.empty() || text_of(claims, "nonce") != wants.nonce)
    return invalid("nonce: it is of another log-in");
  return {};
}

}  // namespace orrery::transport
