// How a device proves who it is: signatures over its secret, and how secrets are kept.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/ids.hpp"

namespace orrery::model {

/// Plain digests, whatever "hmac" the label of the wire protocol says.
enum class sign_method : std::uint8_t { sha256 = 0, sha1 = 1, md5 = 2 };

/// "sha256", "HmacSha1", "md5", ...: letter case and a leading "hmac" do not count.
std::optional<sign_method> parse_sign_method(std::string_view label);
std::string_view name_of(sign_method method);

/// What a device presents at login. `timestamp` is opaque text: SDKs send ms, seconds, fractions
/// and constants, and repeat them, so it proves no freshness.
struct login_proof {
  std::string client_id;
  std::string timestamp;
  sign_method method = sign_method::sha256;
  std::string digest;  // hex, either case
};

/// Hex digest (lower case) of
///   "clientId" id "deviceKey" dk "productKey" pk "timestamp" ts secret
std::string sign_login(const device_name& device, std::string_view client_id,
                       std::string_view timestamp, sign_method method, std::string_view secret);

/// True if the digest is the one `secret` gives. Constant time over the digest.
bool proves(const login_proof& proof, const device_name& device, std::string_view secret);

/// A secret as it is journaled and stored: AES-256-GCM, bound to its owner by associated data.
///   version u8 (1) | nonce 12 | ciphertext | tag 16
struct sealed_secret {
  std::string bytes;
  bool operator==(const sealed_secret&) const = default;
  bool empty() const { return bytes.empty(); }
};

/// The installation's master key. Thread-safe.
class keyring {
 public:
  using key_bytes = std::array<std::uint8_t, 32>;
  explicit keyring(const key_bytes& master) : master_{master} {}
  /// `owner` is bound as associated data: a sealed secret moved to another owner does not open.
  sealed_secret seal(std::string_view secret, std::string_view owner) const;
  /// Nothing if it was changed, is another owner's or was sealed with another key.
  std::optional<std::string> open(const sealed_secret& sealed, std::string_view owner) const;

 private:
  key_bytes master_;
};

/// `size` characters of [A-Za-z0-9], each equally likely, from the cryptographic generator.
std::string random_text(std::size_t size);
std::array<std::uint8_t, 10> random_entropy();
/// Lower-case hex SHA-256.
std::string sha256_hex(std::string_view text);
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace orrery::model
