// Tokens of OpenID providers: their signatures (JWS, RFC 7515 and 7518; keys: JWK, RFC 7517), and
// whether an ID token says what a log-in needs (OpenID Connect Core 1.0, 3.1.3.7). No network, no
// clock.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

using EVP_PKEY = struct evp_pkey_st;

namespace orrery::transport {

/// A public key that a provider signs with. RSA of 2048 to 8192 bits, or EC P-256.
struct signing_key {
  enum class kind : unsigned char { rsa, ec };
  std::string id;         // "": it has none
  std::string algorithm;  // the only one that it is for; "": any that fits
  kind what = kind::rsa;
  std::shared_ptr<EVP_PKEY> key;
};
inline constexpr std::size_t max_signing_keys = 100;

/// Of a JWK set those keys that can be used here; others are left out. Fails: `invalid_argument` if
/// it is none, or has more than max_signing_keys.
model::result<std::vector<signing_key>> read_keys(std::string_view json);

inline constexpr std::size_t max_token_bytes = 16 * 1024;

struct token_head {
  std::string algorithm, key_id;
};
/// Fails: `unauthenticated` "idp_token_invalid": no token in three parts, too long, an algorithm
/// other than RS256, PS256 and ES256 ("none" and those with shared secrets too), a type other than
/// JWT, or a header that must be understood and is not.
model::result<token_head> read_token_head(std::string_view token);

/// The key that the token names; the only one that fits if it names none. Null: there is no such
/// key, or there are several.
const signing_key* find_key(const std::vector<signing_key>& keys, const token_head& head);

/// The claims of a token with that head, if its signature is of that key. Fails: as above.
model::result<model::value> read_token(std::string_view token, const token_head& head,
                                       const signing_key& key);

/// What an ID token has to say.
struct token_wants {
  std::string issuer, client_id, nonce;
  model::timestamp now;
  std::chrono::seconds skew{60};  // between the provider's clock and ours
};
/// Fails: as above; the detail names the claim.
model::status check_claims(const model::value& claims, const token_wants& wants);

}  // namespace orrery::transport
