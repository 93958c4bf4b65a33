// Tables of things as files have them, small enough for one request: NDJSON, or CSV with a row of
// titles. Rows are JSON objects on the way in and out. And what calls that read such files have in
// common. Files of devices may be larger: see import_rows.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/value.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/import_rows.hpp"

namespace orrery::transport::api {

inline constexpr std::size_t max_file_rows = 1'000;

/// How a cell of CSV has a value. An empty cell is nothing.
enum class cell_form : std::uint8_t {
  text,   // as it is
  json,   // as JSON; what is none is a text
  words,  // a list of texts, with blanks between them
};
struct row_column {
  std::string name;  // "tags.*": every column "tags.KEY", a member of the object `tags`
  cell_form form = cell_form::text;
};

/// One row, or why it cannot be read.
using file_row = model::result<model::value>;

/// All rows of a file. Fails: `invalid_argument` "import_invalid" (titles that no column has,
/// quotes that do not end, no UTF-8), `too_large` "too_many_rows".
model::result<std::vector<file_row>> read_rows(row_format format, std::string_view text,
                                               const std::vector<row_column>& columns);

/// The rows as such a file; read_rows gives them back. Members that no column is for are left out
/// of CSV.
std::string write_rows(row_format format, const std::vector<row_column>& columns,
                       const std::vector<model::value>& rows);

/// Replies with a file.
void send_rows(const exchange_ptr& e, row_format format, const std::vector<row_column>& columns,
               const std::vector<model::value>& rows);

/// What an import is to do with things that are there and things that are not.
struct row_import {
  row_format format = row_format::csv;
  bool creates = true, updates = false, dry_run = false;
};
/// From ?mode=, ?dryRun= and Content-Type. Fails: as read_import_order.
model::result<row_import> read_row_import(const exchange& e);

/// What became of each row of an import.
class row_results {
 public:
  explicit row_results(std::size_t rows) : items_(rows) {}
  /// `what`: "created" or "updated"; `id`: of the thing, "" if it has none yet.
  void done(std::size_t index, std::string_view what, const std::string& id,
            model::object more = {});
  void fail(std::size_t index, const std::string& id, const model::failure& why,
            std::string_view request_id);
  /// {results, ok, failed, dryRun}; once.
  model::value take(bool dry_run);

 private:
  model::array items_;
  std::int64_t ok_ = 0, failed_ = 0;
};

}  // namespace orrery::transport::api
