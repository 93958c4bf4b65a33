// Parts of request parameters that several requests have. For transport/mqtt alone.
#pragma once

#include <optional>
#include <string>

#include "model/device/device.hpp"
#include "model/json.hpp"
#include "model/result.hpp"

namespace orrery::transport::mqtt {

inline model::failure bad_format(std::string detail) {
  return {model::errc::invalid_argument, "format_error", std::move(detail)};
}

/// True, or "true"; anything else is false.
bool truth(const model::value* v);
/// A text, number or truth value as text; nothing for anything else.
std::optional<std::string> as_text(const model::value& v);
/// Milliseconds since 1970 of params["time"], leniently; nothing if there is none.
model::result<std::optional<model::timestamp>> read_time(const model::value& params);
/// {measurepoints, time?}
model::result<model::device::posted_sample> read_sample(const model::value& params);
/// productKey and deviceKey of an entry; those that are missing or empty stay empty.
model::result<model::device_name> read_name(const model::value& entry);

/// Digits, 1 to 20 of them.
bool is_number(std::string_view text);
/// At most `most` bytes of a UTF-8 text, cut between characters.
std::string_view clip(std::string_view text, std::size_t most);

}  // namespace orrery::transport::mqtt
