// The elements of a thing model as rows of CSV (RFC 4180), for spreadsheets: one row for each, with
// what a row can say. Structs, maps and parameters of services and events have no place in it.
#pragma once

#include <string>
#include <string_view>

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::model {

/// A tm/1 document of that id with the elements of `text`, whose first row names the columns:
/// kind, id, name, name.<language>, description, type, signal, unit, min, max, step, minLength,
/// maxLength, pattern, enum ("0=off|1=on"), required, access, hasQuality, writable, default,
/// callType, level. A type with [] behind it is an array of it. Cells may be empty. The document
/// may still not compile. At most 6,000 rows and 64 columns. Fails: `invalid_argument`, reason
/// "import_invalid"; problems point by row and column, "/3/min".
result<value> from_csv(std::string_view text, const std::string& id);

/// The elements of a document that compiles. Fails: `invalid_argument`, reason "csv_unsupported";
/// problems name the elements that a row cannot say.
result<std::string> to_csv(const value& document);

}  // namespace orrery::model
