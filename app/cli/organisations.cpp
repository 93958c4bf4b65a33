// org: list, get, create, update, suspend, resume, delete, quotas, set-quotas.
#include <charconv>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

std::uint64_t number_of(const std::string& text) {
  auto n = std::uint64_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size())
    throw refused{"a limit is a whole number, not " + text};
  return n;
}

/// "users=90:100" (soft and hard), "users=90:" or "users=:100".
json quota_of(const std::string& text) {
  const auto equals = text.find('=');
  const auto colon = text.find(':', equals == std::string::npos ? 0 : equals);
  if (equals == std::string::npos || colon == std::string::npos)
    throw refused{"a quota is ITEM=SOFT:HARD, where one of them may be missing, not " + text};
  auto quota = json{{"item", text.substr(0, equals)}};
  if (const auto soft = text.substr(equals + 1, colon - equals - 1); !soft.empty())
    quota["soft"] = number_of(soft);
  if (const auto hard = text.substr(colon + 1); !hard.empty())
    quota["hard"] = number_of(hard);
  return quota;
}

}  // namespace

void add_organisations(CLI::App& to, session& s) {
  auto* g = group(to, "org", "Organisations", "org get");
  command(*g, "list", "List organisations", "org list")->callback([&s] {
    s.show(
        s.list("/orgs", 10'000),
        {{"ID", "/id"}, {"NAME", "/name"}, {"SUSPENDED", "/suspended"}, {"CREATED", "/createdAt"}});
  });
  auto id = make<std::string>(), admin = make<std::string>(), reason = make<std::string>();
  auto items = make<std::vector<std::string>>();
  *id = "-";
  const auto path = [id](const char* rest) { return "/orgs/" + encoded(*id) + rest; };
  auto* get = command(*g, "get", "Show it", "org get");
  get->add_option("org", *id, "your own if not given");
  get->callback([&s, path] { s.show(s.request("GET", path("")), {}); });
  const auto settings = [](CLI::App& of) {
    return std::vector<std::pair<const char*, CLI::Option*>>{
        {"name", of.add_option("--name", "for people")},
        {"locale", of.add_option("--locale", "such as de-AT")},
        {"timeZone", of.add_option("--time-zone", "such as Europe/Vienna")}};
  };
  const auto given = [](const std::vector<std::pair<const char*, CLI::Option*>>& options) {
    auto body = json::object();
    for (const auto& [name, option] : options)
      if (option->count() > 0)
        body[name] = option->as<std::string>();
    return body;
  };
  auto* create =
      command(*g, "create", "Make one with its first person, whose password is asked for",
              "org create acme --name Acme --admin ada");
  create->add_option("org", *id)->required();
  create->add_option("--admin", *admin, "login of its first person")->required();
  create->callback([&s, id, admin, given, with = settings(*create)] {
    auto body = given(with);
    body["id"] = *id;
    body["admin"] = {{"login", *admin}, {"password", ask_password()}};
    s.show(s.request("POST", "/orgs", body), {});
  });
  auto* update = command(*g, "update", "Change it", "org update acme --time-zone Europe/Vienna");
  update->add_option("org", *id)->required();
  update->callback([&s, path, given, with = settings(*update)] {
    s.show(s.request("PATCH", path(""), given(with)), {});
  });
  auto* suspend = command(*g, "suspend", "Let nobody and nothing of it log in",
                          "org suspend acme --reason unpaid");
  suspend->add_option("org", *id)->required();
  suspend->add_option("--reason", *reason, "for people");
  suspend->callback([&s, path, reason] {
    s.show(s.request("POST", path(":suspend"), {{"reason", *reason}}), {});
  });
  auto* resume = command(*g, "resume", "Let it go on", "org resume acme");
  resume->add_option("org", *id)->required();
  resume->callback([&s, path] { s.show(s.request("POST", path(":resume"), json::object()), {}); });
  auto* remove = command(*g, "delete", "Delete one without products and models", "org delete acme");
  remove->add_option("org", *id)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path(""));
    s.say("deleted");
  });
  const auto columns = std::vector<column>{
      {"ITEM", "/item"}, {"USED", "/used"}, {"SOFT", "/soft"}, {"HARD", "/hard"}};
  auto* quotas =
      command(*g, "quotas", "How much there is, and how much there may be", "org quotas");
  quotas->add_option("org", *id, "your own if not given");
  quotas->callback(
      [&s, path, columns] { s.show(s.request("GET", path("/quotas")).at("items"), columns); });
  auto* set = command(*g, "set-quotas", "Set limits in place of those of before",
                      "org set-quotas acme users=90:100 products=:20");
  set->add_option("org", *id)->required();
  set->add_option("quotas", *items, "ITEM=SOFT:HARD; none: no limits of its own");
  set->callback([&s, path, items, columns] {
    auto all = json::array();
    for (const auto& text : *items)
      all.push_back(quota_of(text));
    s.show(s.request("PUT", path("/quotas"), {{"items", all}}).at("items"), columns);
  });
}

}  // namespace orrery::app::cli
