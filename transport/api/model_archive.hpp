// Files of thing models: what an import brings, JSON or a zip of JSON files, as tm/1 documents, and
// the zip that an export gives. Knows no request.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::transport::api {

struct archive_limits {
  std::size_t max_files = 20;
  std::size_t max_bytes = 2 * 1024 * 1024;  // of all files together, unpacked
};

struct archive_file {
  std::string name, text;
};

/// One document of an import: tm/1 with an id, or why it is none.
struct imported_model {
  std::string file;  // its name, "#2" behind it for the second document in one file
  std::string id;    // "" if it has none that can be read
  model::result<model::value> document;
  bool elements_only = false;  // came as CSV: what else the model has stays as it is
};

/// The documents in `bytes`: one JSON document or an array of them, or a zip of such files, each
/// tm/1 or as EnOS exports it; a file of the zip that ends in ".csv" has the elements of the model
/// of its name. Parents come before those that extend them, else in the order given. Fails:
/// `invalid_argument`, reason "import_invalid", for what is neither JSON nor a zip or is a damaged
/// one; `too_large` beyond a limit. Any thread.
model::result<std::vector<imported_model>> read_models(std::string_view bytes,
                                                       const archive_limits& limits = {});

/// The elements of one model as CSV. Fails: never by itself, its document may be a failure.
imported_model read_csv(std::string file, std::string_view text, const std::string& id);

/// The files of a zip; folders and names of any form are passed on. Takes no more memory than
/// `limits` allow, whatever the archive says of itself. Fails as read_models.
model::result<std::vector<archive_file>> unpack(std::string_view zip, const archive_limits& limits);

/// A zip of the files, of which there is at least one. Fails: `internal`.
model::result<std::string> pack(const std::vector<archive_file>& files);

}  // namespace orrery::transport::api
