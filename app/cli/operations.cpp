// operation: list, get, wait, cancel, delete, result; device import, export, bulk, check,
// provision, template.
#include <iostream>
#include <sstream>
#include <unistd.h>

#include "app/cli/row_files.hpp"

namespace orrery::app::cli {
namespace {

const auto columns = std::vector<column>{{"ID", "/id"},
                                         {"KIND", "/kind"},
                                         {"STATE", "/state"},
                                         {"%", "/progress"},
                                         {"OK", "/counts/ok"},
                                         {"FAILED", "/counts/failed"},
                                         {"SKIPPED", "/counts/skipped"},
                                         {"CREATED", "/createdAt"},
                                         {"BY", "/createdBy"}};

std::string path_of(const std::string& id) {
  return "~/operations/" + encoded(id);
}

/// How far it is: a bar on a terminal, else a line whenever it has gone on.
class progress {
 public:
  explicit progress(const session& s)
      : shown_{s.output == "table"}, bar_{isatty(STDERR_FILENO) == 1} {}
  ~progress() {
    if (drawn_)
      std::cerr << '\n';
  }
  void show(const json& o) {
    if (!shown_)
      return;
    const auto& counts = o.at("counts");
    auto text = std::ostringstream{};
    const auto percent = o.value("progress", -1);
    if (percent >= 0 && bar_)
      text << '[' << std::string(static_cast<std::size_t>(percent) * width / 100, '#')
           << std::string(width - static_cast<std::size_t>(percent) * width / 100, '.') << "] ";
    if (percent >= 0)
      text << percent << " % ";
    text << o.at("state").get<std::string>() << ", " << counts.at("done") << " done";
    if (counts.at("failed") != 0)
      text << ", " << counts.at("failed") << " failed";
    if (text.str() == last_)
      return;
    last_ = text.str();
    if (bar_)
      std::cerr << "\r\x1b[K" << last_ << std::flush;
    else
      std::cerr << last_ << '\n';
    drawn_ = bar_;
  }

 private:
  static constexpr std::size_t width = 30;
  bool shown_, bar_, drawn_ = false;
  std::string last_;
};

bool is_over(const json& o) {
  return o.contains("endedAt");
}

/// Waits for its end and shows it. Throws refused if it did not succeed.
json wait_for(session& s, const std::string& id) {
  auto o = json{};
  {
    auto line = progress{s};
    do {
      o = s.request("GET", path_of(id) + "?wait=1s");
      line.show(o);
    } while (!is_over(o));
  }
  if (const auto state = o.at("state").get<std::string>(); state != "succeeded") {
    auto why = "operation " + id + ": " + state;
    if (o.contains("error"))
      why += ": " + o.at("error").at("detail").get<std::string>();
    throw refused{why};
  }
  return o;
}

/// What was begun: at its end, unless nobody is to wait.
json begun(session& s, const json& o, bool no_wait) {
  return no_wait ? o : wait_for(s, o.at("id").get<std::string>());
}

void add_operations(CLI::App& to, session& s) {
  auto* g = group(to, "operation", "Long work: imports, exports, changes of many devices",
                  "operation list --state running");
  auto id = make<std::string>(), state = make<std::string>(), kind = make<std::string>(),
       file = make<std::string>(), format = make<std::string>();
  auto most = make<std::size_t>();
  *most = 100;
  auto secrets = make<bool>(), failed = make<bool>();
  auto* list = command(*g, "list", "Newest first", "operation list --kind deviceImport");
  list->add_option("--state", *state, "receiving, queued, running, succeeded, failed or cancelled");
  list->add_option("--kind", *kind, "deviceImport, deviceBulk, deviceExport or deviceProvision");
  list->add_option("--limit", *most, "at most that many")->capture_default_str();
  list->callback([&s, state, kind, most] {
    auto path = "~/operations?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    if (!state->empty())
      path += "&state=" + encoded(*state);
    if (!kind->empty())
      path += "&kind=" + encoded(*kind);
    s.show(s.list(path, *most), columns);
  });
  const auto of_one = [&](const char* name, const char* about) {
    auto* c = command(*g, name, about, std::string{"operation "} + name + " 01h...");
    c->add_option("id", *id)->required();
    return c;
  };
  of_one("get", "How far it is")->callback([&s, id] {
    s.show(s.request("GET", path_of(*id)), {});
  });
  of_one("wait", "Wait for its end; fails if it does not succeed")->callback([&s, id] {
    s.show(wait_for(s, *id), columns);
  });
  of_one("cancel", "End it after the rows in hand; what was done stays")->callback([&s, id] {
    s.show(s.request("POST", path_of(*id) + ":cancel", json::object()), columns);
  });
  of_one("delete", "Remove one that is over, with its result")->callback([&s, id] {
    s.request("DELETE", path_of(*id));
    s.say("operation " + *id + " removed");
  });
  auto* result = of_one("result", "What became of each row, or the file that was asked for");
  result->add_option("-o,--to", *file, "file to write");
  result->add_option("--format", *format, "csv or ndjson");
  result->add_flag("--secrets", *secrets, "with the new secrets, which are shown once");
  result->add_flag("--failed", *failed, "only rows that failed");
  result->callback([&s, id, file, format, secrets, failed] {
    auto path = path_of(*id) + "/result?failed=" + (*failed ? "true" : "false");
    if (!format->empty())
      path += "&format=" + encoded(*format);
    if (*secrets)
      path += "&secrets=true";
    write_bytes(s, *file, s.text("GET", path));
  });
}

void add_import(CLI::App& devices, session& s) {
  auto file = make<std::string>(), product = make<std::string>(), mode = make<std::string>();
  auto rate = make<int>(0);
  auto dry_run = make<bool>(), secrets = make<bool>(), no_wait = make<bool>();
  *mode = "create";
  auto* c = command(devices, "import", "Register or update the devices of a file",
                    "device import fleet.csv --product demo-inverter --dry-run");
  c->add_option("file", *file, "CSV with titles or, named .ndjson, a JSON object a line; -: stdin")
      ->required();
  c->add_option("--product", *product, "of rows that name none");
  c->add_option("--mode", *mode, "create, update or upsert")->capture_default_str();
  c->add_option("--rate", *rate, "rows a second at most");
  c->add_flag("--dry-run", *dry_run, "only look whether it could be done");
  c->add_flag("--secrets", *secrets, "keep the new secrets for the result");
  c->add_flag("--no-wait", *no_wait, "do not wait for the end");
  c->callback([&s, file, product, mode, rate, dry_run, secrets, no_wait] {
    auto path = "~/devices:import?mode=" + encoded(*mode);
    if (!product->empty())
      path += "&product=" + encoded(*product);
    if (*rate > 0)
      path += "&rate=" + std::to_string(*rate);
    if (*dry_run)
      path += "&dryRun=true";
    if (*secrets)
      path += "&secrets=true";
    const auto made = json::parse(s.text("POST", path, type_of_rows(*file), read_bytes(*file)));
    s.show(begun(s, made, *no_wait), columns);
  });
  auto* titles = command(devices, "template", "The titles of a file for an import",
                         "device template demo-inverter");
  titles->add_option("product", *product, "with its attributes");
  titles->callback([&s, product] {
    std::cout << s.text("GET", "~/devices:importTemplate" +
                                   (product->empty() ? "" : "?product=" + encoded(*product)))
              << std::flush;
  });
}

void add_export(CLI::App& devices, session& s) {
  auto file = make<std::string>(), filter = make<std::string>(), format = make<std::string>();
  auto fields = make<std::vector<std::string>>();
  *format = "csv";
  auto* c = command(devices, "export", "Write the devices that a filter finds into a file",
                    "device export -o fleet.csv --filter 'tags.site = \"A\"'");
  c->add_option("-o,--to", *file, "file to write");
  c->add_option("--filter", *filter, "which ones; all if not given");
  c->add_option("--format", *format, "csv or ndjson")->capture_default_str();
  c->add_option("--column", *fields, "deviceKey, attributes.<id>, tags.<key>, ...; several");
  c->callback([&s, file, filter, format, fields] {
    auto body = json{{"filter", *filter}, {"format", *format}};
    if (!fields->empty())
      body["columns"] = *fields;
    const auto made = s.request("POST", "~/devices:export", body);
    const auto done = wait_for(s, made.at("id").get<std::string>());
    write_bytes(s, *file, s.text("GET", path_of(done.at("id").get<std::string>()) + "/result"));
  });
}

void add_bulk(CLI::App& devices, session& s) {
  auto action = make<std::string>(), filter = make<std::string>(), reason = make<std::string>();
  auto ids = make<std::vector<std::string>>(), tags = make<std::vector<std::string>>();
  auto rate = make<int>(0), overlap = make<int>(0), quarantine = make<int>(0);
  auto all = make<bool>(), dry_run = make<bool>(), no_wait = make<bool>();
  auto* c = command(devices, "bulk", "The same change for many devices",
                    "device bulk disable --filter 'tags.site = \"A\"' --dry-run");
  c->add_option("action", *action,
                "enable, disable, tag, untag, kick, resetSecret, decommission or delete")
      ->required();
  c->add_option("--filter", *filter, "which ones");
  c->add_option("--id", *ids, "an assetId; several");
  c->add_flag("--all", *all, "every device");
  c->add_option("--tag", *tags, "KEY=VALUE to tag, KEY to untag; several");
  c->add_option("--reason", *reason, "of disable and decommission");
  auto* days = c->add_option("--quarantine", *quarantine,
                             "of decommission: days until they are removed (30); 0: at once");
  c->add_option("--overlap", *overlap, "seconds that old secrets stay valid");
  c->add_option("--rate", *rate, "devices a second at most");
  c->add_flag("--dry-run", *dry_run, "only how many, and some of them");
  c->add_flag("--no-wait", *no_wait, "do not wait for the end");
  c->callback([=, &s] {
    auto body = json{{"action", *action}};
    if (!filter->empty())
      body["filter"] = *filter;
    if (!ids->empty())
      body["ids"] = *ids;
    if (*all)
      body["all"] = true;
    if (*action == "tag")
      for (const auto& t : *tags)
        body["tags"][t.substr(0, t.find('='))] =
            t.find('=') == std::string::npos ? "" : t.substr(t.find('=') + 1);
    else if (!tags->empty())
      body["tagKeys"] = *tags;
    if (!reason->empty())
      body["reason"] = *reason;
    if (*overlap > 0)
      body["overlap"] = *overlap;
    if (days->count() > 0)
      body["quarantine"] = *quarantine;
    if (*rate > 0)
      body["rate"] = *rate;
    if (*dry_run)
      body["dryRun"] = true;
    const auto made = s.request("POST", "~/devices:bulk", body);
    if (*dry_run)
      return s.show(made, {});
    s.show(begun(s, made, *no_wait), columns);
  });
}

void add_check(CLI::App& devices, session& s) {
  auto product = make<std::string>();
  auto keys = make<std::vector<std::string>>();
  auto* c = command(devices, "check", "Which keys of a product are free",
                    "device check demo-inverter inv-01 inv-99");
  c->add_option("product", *product)->required();
  c->add_option("keys", *keys, "up to 1,000")->required();
  c->callback([&s, product, keys] {
    const auto got =
        s.request("POST", "~/devices:check", {{"productKey", *product}, {"keys", *keys}});
    auto rows = json::array();
    for (const auto* what : {"free", "existing", "invalid"})
      for (const auto& key : got.at(what))
        rows.push_back({{"key", key}, {"is", what}});
    s.show(rows, {{"KEY", "/key"}, {"IS", "/is"}});
  });
}

void add_provision(CLI::App& devices, session& s) {
  auto product = make<std::string>(), keys = make<std::string>(), name = make<std::string>(),
       file = make<std::string>(), more = make<std::string>();
  auto dry_run = make<bool>();
  auto* c = command(devices, "provision", "Register many devices by a pattern of keys",
                    "device provision demo-inverter 'inv-{0001..0500}' -o keys.csv");
  c->add_option("product", *product)->required();
  c->add_option("keys", *keys, "with one range of numbers")->required();
  c->add_option("--name", *name, "for people; {key} stands for the key");
  c->add_option("--set", *more, "tags and attributes as JSON or @file");
  c->add_option("-o,--to", *file, "file for the keys and secrets, which are shown once");
  c->add_flag("--dry-run", *dry_run, "only look whether it could be done");
  c->callback([&s, product, keys, name, more, file, dry_run] {
    auto body = more->empty() ? json::object() : read_json(*more);
    body["productKey"] = *product;
    body["keys"] = *keys;
    if (!name->empty())
      body["name"] = *name;
    if (*dry_run)
      body["dryRun"] = true;
    const auto made = s.request("POST", "~/devices:provision", body);
    const auto done = wait_for(s, made.at("id").get<std::string>());
    write_bytes(s, *file,
                s.text("GET", path_of(done.at("id").get<std::string>()) +
                                  "/result?format=csv&secrets=" + (*dry_run ? "false" : "true")));
  });
}

}  // namespace

void add_operations(CLI::App& to, CLI::App& devices, session& s) {
  add_operations(to, s);
  add_import(devices, s);
  add_export(devices, s);
  add_bulk(devices, s);
  add_check(devices, s);
  add_provision(devices, s);
}

}  // namespace orrery::app::cli
