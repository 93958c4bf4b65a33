// model, library: thing models, their files, units and the library of elements.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

using text = std::shared_ptr<std::string>;

/// What the commands of one model share: its name on the command line, and its paths.
struct model_words {
  text id = make<std::string>();
  void name(CLI::App* c) const {
    c->add_option("model", *id, "its id; ORGANISATION/ID for one that another organisation shares")
        ->required();
  }
  std::string path(const std::string& rest = {}) const { return "~/models/" + encoded(*id) + rest; }
};

std::string read_file(const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  if (!in)
    throw refused{path + " cannot be read"};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  auto out = std::ofstream{path, std::ios::binary};
  out << bytes;
  if (!out.flush())
    throw refused{path + " cannot be written"};
}

/// "?a=1&b=2" of the names that have a value.
std::string query_of(const std::vector<std::pair<std::string, std::string>>& all) {
  auto out = std::string{};
  for (const auto& [name, v] : all)
    if (!v.empty())
      out += (out.empty() ? "?" : "&") + name + "=" + encoded(v);
  return out;
}

void add_reading(CLI::App& g, session& s, const model_words& m) {
  auto scope = make<std::string>(), filter = make<std::string>(), revision = make<std::string>(),
       to = make<std::string>();
  auto effective = make<bool>();
  auto* list = command(g, "list", "List models", "model list --filter \"root = 'HvacBase'\"");
  list->add_option("--scope", *scope, "own, public (what others share) or all")
      ->check(CLI::IsMember({"own", "public", "all"}));
  list->add_option("--filter", *filter, "conditions on their fields");
  list->callback([&s, scope, filter] {
    s.show(s.list("~/models" + query_of({{"scope", *scope}, {"filter", *filter}}), 100'000),
           {{"ID", "/id"},
            {"NAME", "/name"},
            {"REVISION", "/revision"},
            {"DRAFT", "/hasDraft"},
            {"PATH", "/modelIdPath"},
            {"ORGANISATION", "/organisation"}});
  });
  auto* get = command(g, "get", "Show a model", "model get Inverter --effective --output yaml");
  m.name(get);
  get->add_option("--revision", *revision, "a published one; the newest if not given");
  get->add_flag("--effective", *effective, "with all that it inherits");
  get->callback([&s, m, revision, effective] {
    s.show(s.request("GET", m.path(query_of({{"revision", *revision},
                                             {"effective", *effective ? "true" : ""}}))),
           {});
  });
  auto* revisions =
      command(g, "revisions", "What was published, when and why", "model revisions Inverter");
  m.name(revisions);
  revisions->callback([&s, m] {
    s.show(s.list(m.path("/revisions"), 100'000), {{"REVISION", "/revision"},
                                                   {"AT", "/publishedAt"},
                                                   {"BY", "/publishedBy"},
                                                   {"NOTE", "/note"},
                                                   {"REASON", "/reason"}});
  });
  auto* diff = command(g, "diff", "What changed between two revisions", "model diff Inverter 1");
  m.name(diff);
  diff->add_option("from", *revision)->required();
  diff->add_option("to", *to, "the newest if not given");
  diff->callback([&s, m, revision, to] {
    const auto got = s.request(
        "GET", m.path("/revisions/" + encoded(*revision) + "/diff" + query_of({{"to", *to}})));
    if (s.output == "table")
      s.show(got.at("changes"),
             {{"ELEMENT", "/element"}, {"CLASS", "/class"}, {"WHAT", "/detail"}});
    else
      s.show(got, {});
  });
  auto values = make<std::string>();
  auto* validate = command(g, "validate", "Check values against the newest revision",
                           R"(model validate Inverter '{"points":{"power":4.2}}')");
  m.name(validate);
  validate->add_option("values", *values, "points, attributes and events, as JSON or @file")
      ->required();
  validate->callback([&s, m, values] {
    const auto got = s.request("POST", m.path(":validate"), read_json(*values));
    s.show(got, {});
    if (!got.at("valid").get<bool>())
      throw refused{"the values do not fit the model"};
  });
}

void add_drafts(CLI::App& g, session& s, const model_words& m) {
  auto file = make<std::string>(), clone = make<std::string>(), inherit = make<std::string>(),
       kind = make<std::string>(), element = make<std::string>();
  auto* create = command(g, "create", "Make a model from a tm/1 document, or from another model",
                         "model create Chiller --inherit HvacBase");
  create->add_option("document", *file, "JSON, @file, or the id of what is made from another one")
      ->required();
  auto* from = create->add_option("--clone", *clone, "the model to copy");
  create->add_option("--inherit", *inherit, "the model to extend")->excludes(from);
  create->callback([&s, file, clone, inherit] {
    auto body = json{};
    if (clone->empty() && inherit->empty()) {
      body = read_json(*file);
    } else {
      body =
          file->starts_with('{') || file->starts_with('@') ? read_json(*file) : json{{"id", *file}};
      body["from"] = clone->empty() ? json{{"inherit", *inherit}} : json{{"clone", *clone}};
    }
    s.show(s.request("POST", "~/models", body), {});
  });
  auto* draft = command(g, "draft", "Replace the draft", "model draft Inverter @inverter.json");
  m.name(draft);
  draft->add_option("document", *file, "JSON, or @file")->required();
  draft->callback([&s, m, file] {
    const auto etag = s.etag_of(m.path());
    s.show(s.request("PUT", m.path("/draft"), read_json(*file), {{"If-Match", etag}}), {});
  });
  auto* discard = command(g, "discard", "Discard the draft", "model discard Inverter");
  m.name(discard);
  discard->callback([&s, m] {
    s.request("DELETE", m.path("/draft"), nullptr, {{"If-Match", s.etag_of(m.path())}});
    s.say("discarded");
  });
  const auto of_element = [&](CLI::App* c) {
    m.name(c);
    c->add_option("kind", *kind, "attributes, measurePoints, services or events")
        ->required()
        ->check(CLI::IsMember({"attributes", "measurePoints", "services", "events"}));
    c->add_option("element", *element, "its id")->required();
  };
  const auto element_path = [m, kind, element] {
    return m.path("/draft/" + *kind + "/" + encoded(*element));
  };
  auto* put = command(g, "put-element", "Put one element into the draft",
                      R"(model put-element Inverter measurePoints temp '{"type":{"t":"double"}}')");
  of_element(put);
  put->add_option("document", *file, "JSON, or @file")->required();
  put->callback([&s, m, element_path, file] {
    s.show(s.request("PUT", element_path(), read_json(*file), {{"If-Match", s.etag_of(m.path())}}),
           {});
  });
  auto* take = command(g, "delete-element", "Take one element out of the draft",
                       "model delete-element Inverter measurePoints temp");
  of_element(take);
  take->callback([&s, m, element_path] {
    s.request("DELETE", element_path(), nullptr, {{"If-Match", s.etag_of(m.path())}});
    s.say("taken out");
  });
  auto* check = command(g, "check", "What is wrong with the draft, and what it changes",
                        "model check Inverter");
  m.name(check);
  check->callback(
      [&s, m] { s.show(s.request("POST", m.path("/draft:check"), json::object()), {}); });
}

void add_changes(CLI::App& g, session& s, const model_words& m) {
  auto note = make<std::string>(), reason = make<std::string>(), changes = make<std::string>(),
       with = make<std::string>();
  auto force = make<bool>(), all = make<bool>();
  auto* publish =
      command(g, "publish", "Publish the draft", "model publish Inverter --note 'two more points'");
  m.name(publish);
  publish->add_option("--note", *note);
  publish->add_flag("--force", *force, "also if it is a risk for devices in use");
  publish->add_option("--reason", *reason, "why, if it breaks them");
  publish->callback([&s, m, note, force, reason] {
    auto body = json{{"note", *note}, {"force", *force}};
    if (!reason->empty())
      body["reason"] = *reason;
    s.show(s.request("POST", m.path(":publish"), body), {});
  });
  auto* update =
      command(g, "update", "Change name, description, category, tags or deprecated at once",
              R"(model update Inverter '{"tags":{"site":"B"}}')");
  m.name(update);
  update->add_option("changes", *changes, "JSON or @file")->required();
  update->callback([&s, m, changes] {
    s.show(s.request("PATCH", m.path(), read_json(*changes), {{"If-Match", s.etag_of(m.path())}}),
           {});
  });
  const auto share = [&](const char* name, const char* about, const std::string& verb) {
    auto* c = command(g, name, about, std::string{"model "} + name + " Inverter --with acme");
    m.name(c);
    auto* other = c->add_option("--with", *with, "another organisation");
    c->add_flag("--public", *all, "all organisations")->excludes(other);
    c->callback([&s, m, with, all, verb] {
      s.show(s.request("POST", m.path(verb),
                       *all ? json{{"public", true}} : json{{"organisation", *with}}),
             {});
    });
  };
  share("share", "Let another organisation use it", ":share");
  share("unshare", "End that", ":unshare");
  auto* remove = command(g, "delete", "Delete a model that nothing uses", "model delete Inverter");
  m.name(remove);
  remove->callback([&s, m] {
    s.request("DELETE", m.path(), nullptr, {{"If-Match", s.etag_of(m.path())}});
    s.say("deleted");
  });
}

void add_model_files(CLI::App& g, session& s) {
  auto file = make<std::string>(), mode = make<std::string>(), note = make<std::string>(),
       format = make<std::string>(), id = make<std::string>();
  auto publishes = make<bool>(), parents = make<bool>();
  auto ids = make<std::vector<std::string>>();
  auto* reads = command(g, "import", "Read models from a file: JSON, a zip of such files, or CSV",
                        "model import models.zip --publish");
  reads->add_option("file", *file, "tm/1, or as EnOS exports it")->required();
  reads->add_option("--mode", *mode, "create, update or upsert")
      ->check(CLI::IsMember({"create", "update", "upsert"}));
  reads->add_flag("--publish", *publishes, "each of them, parents first");
  reads->add_option("--note", *note, "of the revisions");
  reads->add_option("--id", *id, "whose elements a CSV file has; its name if not given");
  reads->callback([&s, file, mode, publishes, note, id] {
    const auto bytes = read_file(*file);
    const auto is_csv = file->ends_with(".csv");
    const auto whose = !is_csv       ? std::string{}
                       : id->empty() ? std::filesystem::path{*file}.stem().string()
                                     : *id;
    const auto reply =
        s.exchange("POST",
                   "~/models:import" + query_of({{"mode", *mode},
                                                 {"publish", *publishes ? "true" : ""},
                                                 {"note", *note},
                                                 {"id", whose}}),
                   bytes,
                   is_csv                    ? "text/csv"
                   : bytes.starts_with("PK") ? "application/zip"
                                             : "application/json");
    const auto got = json::parse(reply.body);
    if (s.output == "table")
      s.show(got.at("results"), {{"FILE", "/file"},
                                 {"ID", "/id"},
                                 {"STATUS", "/status"},
                                 {"REVISION", "/revision"},
                                 {"WHY NOT", "/error/detail"}});
    else
      s.show(got, {});
    if (got.at("failed").get<int>() > 0)
      throw refused{"not everything was imported"};
  });
  auto* write = command(g, "export", "Write models into a file, or show them",
                        "model export HvacBase Chiller --zip models.zip");
  write->add_option("models", *ids)->required();
  write->add_option("--format", *format, "tm (tm/1), enos, or csv (into a zip)")
      ->check(CLI::IsMember({"tm", "enos", "csv"}));
  write->add_flag("--parents", *parents, "those that they inherit from too");
  write->add_option("--zip", *file, "a zip of that name; else JSON is shown");
  write->callback([&s, ids, format, parents, file] {
    auto body = json{{"ids", *ids}, {"parents", *parents}, {"as", file->empty() ? "json" : "zip"}};
    if (!format->empty())
      body["format"] = *format;
    const auto reply = s.exchange("POST", "~/models:export", body.dump(), "application/json");
    if (file->empty()) {
      std::cout << json::parse(reply.body).dump(2) << '\n';
    } else {
      write_file(*file, reply.body);
      s.say("written to " + *file);
    }
  });
}  // namespace

void add_library(CLI::App& to, session& s) {
  auto* g = group(to, "library", "Units, and elements that are ready to be used in models",
                  "library units --quantity energy");
  auto quantity = make<std::string>(), file = make<std::string>();
  auto gone = make<std::vector<std::string>>();
  auto* units = command(*g, "units", "List units", "library units --quantity energy");
  units->add_option("--quantity", *quantity, "of that quantity alone");
  units->callback([&s, quantity] {
    const auto filter = quantity->empty() ? std::string{} : "quantity = '" + *quantity + "'";
    s.show(s.list("~/library/units" + query_of({{"limit", "500"}, {"filter", filter}}), 10'000),
           {{"CODE", "/code"}, {"SYMBOL", "/symbol"}, {"QUANTITY", "/quantity"}});
  });
  command(*g, "list", "List elements", "library list")->callback([&s] {
    s.show(s.list("~/library/elements", 10'000), {{"ID", "/id"},
                                                  {"NAME", "/name"},
                                                  {"CATEGORY", "/category"},
                                                  {"KINDS", "/elementTypes"},
                                                  {"UNIT", "/unit"}});
  });
  auto* reads = command(*g, "import", "Put elements into the library", "library import @pack.json");
  reads->add_option("elements", *file, "an array, as JSON or @file")->required();
  reads->callback([&s, file] {
    s.show(s.request("POST", "~/library:import", {{"elements", read_json(*file)}}), {});
  });
  auto* remove = command(*g, "delete", "Take elements out of the library", "library delete A56.1");
  remove->add_option("elements", *gone)->required();
  remove->callback([&s, gone] {
    s.request("POST", "~/library:import", {{"remove", *gone}});
    s.say("deleted");
  });
}  // namespace orrery::app::cli

}  // namespace

void add_models(CLI::App& to, session& s) {
  auto* g = group(to, "model", "Thing models", "model list");
  const auto m = model_words{};
  add_reading(*g, s, m);
  add_drafts(*g, s, m);
  add_changes(*g, s, m);
  add_model_files(*g, s);
  add_library(to, s);
}

}  // namespace orrery::app::cli
