// audit: list, search, head, export, verify.
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/cli/session.hpp"
#include "model/audit/chain.hpp"

namespace orrery::app::cli {
namespace {

namespace audit = model::audit;

const std::vector<column> columns{
    {"NUMBER", "/number"},      {"TIME", "/time"},      {"ACTOR", "/actor"},
    {"ADDRESS", "/address"},    {"ACTION", "/action"},  {"RESULT", "/result"},
    {"KIND", "/resource/kind"}, {"ID", "/resource/id"}, {"REASON", "/reason"}};

/// What all of the commands have: whose log, and of which time.
struct options {
  bool system = false;
  std::string from, to;
};

void add_whose(CLI::App& of, const std::shared_ptr<options>& o) {
  of.add_flag("--system", o->system, "the log of the installation instead of the organisation's");
}
void add_times(CLI::App& of, const std::shared_ptr<options>& o) {
  of.add_option("--from", o->from, "RFC 3339 or epoch ms");
  of.add_option("--to", o->to, "RFC 3339 or epoch ms; not with it");
}

std::string base(const options& o) {
  return o.system ? "/system/audit" : "~/audit";
}

json span_of(const options& o) {
  auto body = json::object();
  if (!o.from.empty())
    body["from"] = time_value(o.from);
  if (!o.to.empty())
    body["to"] = time_value(o.to);
  return body;
}

/// Gives the lines of the log, part by part, until there are no more.
void read_log(session& s, const options& o, const std::function<void(const std::string&)>& take) {
  auto body = span_of(o);
  for (;;) {
    const auto reply = s.exchange("POST", base(o) + ":export", body.dump(), "application/json");
    take(reply.body);
    auto next = std::string{"0"};
    for (const auto& [name, v] : reply.headers)
      if (name == "x-next")
        next = v;
    if (next == "0")
      return;
    body["after"] = std::stoll(next);
  }
}

void take_lines(audit::verifier& v, std::istream& in) {
  for (auto line = std::string{}; std::getline(in, line);)
    if (auto ok = v.take(line); !ok)
      throw refused{ok.error().detail};
}

/// "NUMBER:HASH"
void expect(audit::verifier& v, const std::string& witness) {
  const auto colon = witness.find(':');
  if (colon == std::string::npos || colon == 0 || colon > 18 ||
      witness.find_first_not_of("0123456789") != colon)
    throw refused{"a witness is NUMBER:HASH, not " + witness};
  v.expect(std::stoull(witness.substr(0, colon)), witness.substr(colon + 1));
}

void finish(session& s, const audit::verifier& v) {
  if (auto ok = v.finish(); !ok)
    throw refused{ok.error().detail};
  s.show({{"organisation", v.organisation()},
          {"records", v.records()},
          {"first", v.first()},
          {"last", v.number()},
          {"hash", v.hash()}},
         {});
}

void verify_file(session& s, const std::string& file, const std::string& witness) {
  auto v = audit::verifier{};
  if (!witness.empty())
    expect(v, witness);
  if (file == "-") {
    take_lines(v, std::cin);
  } else {
    auto in = std::ifstream{file, std::ios::binary};
    if (!in)
      throw refused{file + " cannot be read"};
    take_lines(v, in);
  }
  finish(s, v);
}

/// All that the server has. What it said of its newest record before must be among it.
void verify_log(session& s, const options& o, const std::string& witness) {
  const auto head = s.request("GET", base(o) + "/head");
  const auto number = head.at("number").get<std::uint64_t>();
  auto v = audit::verifier{};
  if (!witness.empty())
    expect(v, witness);
  else if (number > 0)
    v.expect(number, head.at("hash").get<std::string>());
  read_log(s, o, [&](const std::string& lines) {
    auto in = std::istringstream{lines};
    take_lines(v, in);
  });
  finish(s, v);
}

}  // namespace

void add_audit(CLI::App& to, session& s) {
  auto* g = group(to, "audit", "What was done and what was refused", "audit list");
  const auto o = make<options>();
  const auto limit = make<std::size_t>(50);
  const auto text = make<std::string>(), file = make<std::string>(), witness = make<std::string>();

  auto* list = command(*g, "list", "Records, newest first", "audit list --actor user:admin");
  add_whose(*list, o);
  add_times(*list, o);
  auto conditions = std::vector<std::pair<std::string, CLI::Option*>>{};
  for (const auto& [name, about] :
       {std::pair{"actor", "user:LOGIN or key:ID"},
        {"action", "operation, such as updateDevice"},
        {"resource", "KIND:ID"},
        {"result", "done, refused or failed"},
        {"filter", "conditions on fields, such as status >= 400 and address = \"10.0.0.1\""}})
    conditions.emplace_back(name, list->add_option(std::string{"--"} + name, about));
  list->add_option("--limit", *limit, "at most so many")->capture_default_str();
  list->callback([&s, o, limit, conditions] {
    auto query = std::string{};
    const auto add = [&](const std::string& name, const std::string& v) {
      if (!v.empty())
        query += (query.empty() ? '?' : '&') + name + '=' + encoded(v);
    };
    add("from", o->from);
    add("to", o->to);
    for (const auto& [name, option] : conditions)
      if (option->count() > 0)
        add(name, option->as<std::string>());
    s.show(s.list(base(*o) + query, *limit), columns);
  });

  auto* search = command(*g, "search", "Records that a filter accepts, newest first",
                         "audit search 'action like \"%Key\" and result = \"done\"'");
  add_whose(*search, o);
  add_times(*search, o);
  search->add_option("filter", *text, "conditions on the fields of records")->required();
  search->add_option("--limit", *limit, "at most so many")->capture_default_str();
  search->callback([&s, o, limit, text] {
    auto query = "?filter=" + encoded(*text);
    if (!o->from.empty())
      query += "&from=" + encoded(o->from);
    if (!o->to.empty())
      query += "&to=" + encoded(o->to);
    s.show(s.list(base(*o) + query, *limit), columns);
  });

  auto* head = command(*g, "head", "Number and hash of the newest record: keep them elsewhere",
                       "audit head");
  add_whose(*head, o);
  head->callback([&s, o] { s.show(s.request("GET", base(*o) + "/head"), {}); });

  auto* save = command(*g, "export", "Write records into a file that anybody can verify",
                       "audit export --from 2026-01-01T00:00:00Z --file audit.ndjson");
  add_whose(*save, o);
  add_times(*save, o);
  save->add_option("--file", *file, "to standard output if not given");
  save->callback([&s, o, file] {
    if (file->empty())
      return read_log(s, *o, [](const std::string& lines) { std::cout << lines; });
    auto out = std::ofstream{*file, std::ios::binary};
    read_log(s, *o, [&](const std::string& lines) { out << lines; });
    if (!out.flush())
      throw refused{*file + " cannot be written"};
    s.say("written");
  });

  auto* verify =
      command(*g, "verify", "Find out whether records were changed, left out, doubled or moved",
              "audit verify audit.ndjson --witness 1042:8f3a...");
  add_whose(*verify, o);
  verify->add_option("file", *file, "of audit export, - for standard input; else the server's log");
  verify->add_option("--witness", *witness,
                     "NUMBER:HASH that audit head showed once: that record must be there");
  verify->callback([&s, o, file, witness] {
    file->empty() ? verify_log(s, *o, *witness) : verify_file(s, *file, *witness);
  });
}

}  // namespace orrery::app::cli
