// Times as the API writes and reads them: RFC 3339 in UTC with milliseconds; epoch ms are read too.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/time.hpp"

namespace orrery::transport::api {

/// "2026-01-31T12:00:00.000Z".
std::string to_text(model::timestamp t);
/// RFC 3339 with any offset and up to 9 fraction digits, or epoch ms as digits. Nothing otherwise.
std::optional<model::timestamp> parse_time(std::string_view text);

}  // namespace orrery::transport::api
