// Times as people write and read them: RFC 3339 in UTC with milliseconds; epoch ms are read too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/time.hpp"

namespace orrery::model {

/// "2026-01-31T12:00:00.000Z". Years before 1 and after 9999 have no such text: the nearest that
/// has one is given.
std::string to_text(timestamp t);
/// RFC 3339 with any offset, a fraction cut to ms, or epoch ms as digits. Nothing otherwise, and
/// nothing beyond the years 1 to 9999.
std::optional<timestamp> parse_time(std::string_view text);
/// The time of epoch ms; nothing beyond the same years.
std::optional<timestamp> time_of(std::int64_t epoch_ms);

}  // namespace orrery::model
