// A firmware as devices are told of it, and the words that products, devices and downlinks share
// about upgrades.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace orrery::model {

inline constexpr std::size_t max_version_bytes = 64;
inline constexpr std::size_t max_firmware_url_bytes = 2048;

/// What `firmware_image::sign` is: a plain digest of the file, as devices check it.
enum class digest_method : std::uint8_t { md5 = 0, sha256 = 1 };

struct firmware_image {
  std::string id;  // of the record in its product
  std::string version;
  digest_method method = digest_method::sha256;
  std::string sign;  // hexadecimal
  std::string url;   // absolute, http or https
  std::int64_t size = 0;
  bool operator==(const firmware_image&) const = default;
};

/// Who begins: the service offers it, the device asks for it, or whichever comes first.
enum class delivery : std::uint8_t { push = 0, pull = 1, both = 2 };

/// "md5", "sha256".
std::string_view name_of(digest_method m);

/// Fails: `invalid_argument` "firmware_invalid", with a problem for each member that devices could
/// not use.
status check(const firmware_image& image);

}  // namespace orrery::model
