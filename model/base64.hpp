// base64 with padding (RFC 4648, 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orrery::model {

/// Requires: less than 1 GiB.
std::string to_base64(std::string_view bytes);
/// Nothing if it is not that: another alphabet, blanks, a length that is no multiple of four, or
/// 1 GiB and more.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace orrery::model
