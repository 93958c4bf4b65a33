#include "app/cli/row_files.hpp"

#include <fstream>
#include <iostream>
#include <sstream>

namespace orrery::app::cli {

std::string read_bytes(const std::string& name) {
  auto text = std::ostringstream{};
  if (name == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  auto file = std::ifstream{name, std::ios::binary};
  if (!file || !(text << file.rdbuf()))
    throw refused{name + " cannot be read, or is empty"};
  return text.str();
}

void write_bytes(const session& s, const std::string& name, const std::string& bytes) {
  if (name.empty()) {
    std::cout << bytes << std::flush;
    return;
  }
  auto out = std::ofstream{name, std::ios::binary};
  if (!(out << bytes << std::flush))
    throw refused{name + " cannot be written"};
  s.say("written to " + name);
}

std::string type_of_rows(const std::string& file) {
  return file.ends_with(".ndjson") ? "application/x-ndjson" : "text/csv";
}

CLI::App* add_row_files(CLI::App& group, session& s, const std::string& path,
                        const std::string& called, const std::string& things,
                        std::shared_ptr<json> question) {
  auto file = make<std::string>(), mode = make<std::string>("create"),
       format = make<std::string>("csv");
  auto dry_run = make<bool>();
  auto* in = command(group, "import", "Make or change the " + things + " of a file",
                     called + " import " + things + ".csv --mode upsert --dry-run");
  in->add_option("file", *file,
                 "CSV with titles or, named .ndjson, a JSON object a line; -: stdin; at most "
                 "1,000 rows")
      ->required();
  in->add_option("--mode", *mode, "create, update or upsert")->capture_default_str();
  in->add_flag("--dry-run", *dry_run, "only look whether it could be done");
  in->callback([&s, path, file, mode, dry_run] {
    const auto done = json::parse(
        s.text("POST", path + ":import?mode=" + encoded(*mode) + (*dry_run ? "&dryRun=true" : ""),
               type_of_rows(*file), read_bytes(*file)));
    s.show(done.at("results"), {{"ROW", "/index"},
                                {"OUTCOME", "/outcome"},
                                {"ID", "/id"},
                                {"SECRET", "/productSecret"},
                                {"WHY", "/error/detail"}});
    if (done.at("failed") != 0)
      throw refused{std::to_string(done.at("failed").get<int>()) + " rows failed"};
  });
  auto* out = command(group, "export", "Write " + things + " into a file, at most 1,000",
                      called + " export -o " + things + ".csv");
  out->add_option("-o,--to", *file, "file to write");
  out->add_option("--format", *format, "csv or ndjson")->capture_default_str();
  out->callback([&s, path, file, format, question] {
    auto body = *question;
    body["format"] = *format;
    write_bytes(s, *file, s.text("POST", path + ":export", "application/json", body.dump()));
  });
  return out;
}  // namespace orrery::app::cli

}  // namespace orrery::app::cli
