// Files that commands read and write; import and export of things that fit into one request.
#pragma once

#include <string>
#include <vector>

#include "app/cli/session.hpp"

namespace orrery::app::cli {

/// "-": standard input. Throws refused.
std::string read_bytes(const std::string& name);
/// "": standard output. Throws refused.
void write_bytes(const session& s, const std::string& name, const std::string& bytes);

/// text/csv, or application/x-ndjson by the ending of the name.
std::string type_of_rows(const std::string& file);

/// Adds "import" and "export" to the group of what is at `path` ("~/products"). `called` is the
/// group's name, `things` what there are in it. Gives the command of the export, for options of its
/// own, which write into `question`.
CLI::App* add_row_files(CLI::App& group, session& s, const std::string& path,
                        const std::string& called, const std::string& things,
                        std::shared_ptr<json> question);

}  // namespace orrery::app::cli
