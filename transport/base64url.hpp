// base64url without padding (RFC 4648, 5).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orrery::transport {

std::string to_base64url(std::string_view bytes);
/// Nothing if it is not base64url, has padding, or is longer than 8 KiB.
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace orrery::transport
