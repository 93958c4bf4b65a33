// Comma-separated values (RFC 4180): tables that people keep in sheets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace orrery::transport::api {

struct csv_limits {
  std::size_t rows = 10'001;  // with the titles
  std::size_t columns = 64;
  std::size_t field_bytes = 64 * 1024;
};

using csv_row = std::vector<std::string>;

/// All rows; lines end in LF or CR LF, empty ones are passed over, a byte order mark at the front
/// too. Fails: `invalid_argument` "malformed" with the number of the row (a quote that does not end
/// or stands inside a field), `too_large` "too_many_rows", "too_large" beyond another limit.
model::result<std::vector<csv_row>> read_csv(std::string_view text, const csv_limits& limits = {});

/// One row with its line end. Fields are quoted where they must be, and a field that a sheet would
/// take for a formula gets a ' in front, which read_csv takes away.
void write_csv(std::string& out, const csv_row& row);

}  // namespace orrery::transport::api
