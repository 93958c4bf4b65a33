// JSON text to value and back. Limits are checked before memory is taken.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::model {

struct json_limits {
  std::size_t max_bytes = 512 * 1024;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 100'000;  // values in all, containers included
};

/// Parses one JSON text (RFC 8259): UTF-8 is checked, NaN and trailing text are refused, integers
/// beyond 63 bits become doubles, beyond 64 bits are refused, of equal member names the last one
/// counts. Any thread. Fails: `invalid_argument` (not JSON), `too_large` (a limit, named in the
/// detail).
result<value> parse_json(std::string_view text, const json_limits& limits = {});

/// Compact JSON: no blank anywhere, shortest text of a double that reads back equal (an integral
/// double keeps ".0"), NaN and infinities as null. Appends to `out`.
void write_json(const value& v, std::string& out);
/// A quoted, escaped JSON string.
void write_json_string(std::string_view text, std::string& out);
std::string to_json(const value& v);

}  // namespace orrery::model
