// What a Bearer token says: signed tokens of people (JWT, RFC 7519, HS256) and the texts of API
// keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/credentials.hpp"
#include "model/time.hpp"
#include "transport/api_key.hpp"

namespace orrery::transport::api {

struct token_claims {
  std::string organisation;
  std::string login;
  std::string use;      // "access" or "refresh"
  std::string session;  // the log-in it belongs to: it ends with that
  model::timestamp expires;
  std::uint64_t generation = 0;  // of a refresh token: only the newest one counts
};

class token_signer {
 public:
  /// The signing key; all nodes of an installation have the same.
  explicit token_signer(std::string key) : key_{std::move(key)} {}
  std::string sign(const token_claims& claims) const;
  /// Nothing if it is not ours or was changed. Does not look at the time.
  std::optional<token_claims> read(std::string_view token) const;

 private:
  std::string key_;
};

/// argon2id, encoded with its salt and cost. Takes tens of milliseconds: never on a socket's
/// thread.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view password, const std::string& hash);

}  // namespace orrery::transport::api
