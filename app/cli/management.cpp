// login, org, user, key, product, device.
#include <iostream>
#include <termios.h>
#include <unistd.h>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

/// Epoch ms as a number, all else as text: the server reads both.
json time_value(const std::string& text) {
  if (!text.empty() && text.size() < 18 &&
      text.find_first_not_of("0123456789") == std::string::npos)
    return std::stoll(text);
  return text;
}

std::string ask_password() {
  if (const auto* text = std::getenv("ORRERY_PASSWORD"))
    return text;
  std::cerr << "password: ";
  auto before = termios{};
  const auto hide = tcgetattr(STDIN_FILENO, &before) == 0;
  if (hide) {
    auto silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &silent);
  }
  auto password = std::string{};
  std::getline(std::cin, password);
  if (hide)
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
  std::cerr << '\n';
  return password;
}

void add_people(CLI::App& to, session& s) {
  auto* login = command(to, "login", "Log in and keep the tokens in the profile",
                        "--server http://127.0.0.1:8090 login --user admin");
  auto user = make<std::string>(), file = make<std::string>();
  *user = "admin";
  login->add_option("--user", *user, "login name")->capture_default_str();
  login->add_option("--password-file", *file,
                    "reads the password from there; else ORRERY_PASSWORD, else it is asked for");
  login->callback([&s, user, file] {
    auto password = std::string{};
    if (file->empty()) {
      password = ask_password();
    } else {
      auto in = std::ifstream{*file};
      if (!std::getline(in, password))
        throw refused{*file + " cannot be read"};
    }
    s.login(*user, password);
    s.say("logged in as " + *user + " at " + s.server);
  });

  command(to, "logout", "End the log-in of the profile", "logout")->callback([&s] {
    s.logout();
    s.say("logged out");
  });

  auto* org = group(to, "org", "The organisation", "org get");
  command(*org, "get", "Show it", "org get")->callback([&s] {
    s.show(s.request("GET", "/orgs/-"), {});
  });

  auto* users = group(to, "user", "People", "user list");
  const auto columns = std::vector<column>{
      {"LOGIN", "/login"}, {"NAME", "/name"}, {"ROLES", "/roles"}, {"LOCKED", "/locked"}};
  command(*users, "list", "List people", "user list")->callback([&s, columns] {
    s.show(s.list("~/users", 10'000), columns);
  });
  auto* add = command(*users, "add", "Add a person; the password is asked for",
                      "user add eve --role viewer");
  auto who = make<std::string>();
  auto roles = make<std::vector<std::string>>();
  add->add_option("login", *who)->required();
  add->add_option("--role", *roles, "admin, operator or viewer");
  add->callback([&s, who, roles] {
    auto body = json{{"login", *who}, {"password", ask_password()}};
    if (!roles->empty())
      body["roles"] = *roles;
    s.show(s.request("POST", "~/users", body), {});
  });
  auto* remove = command(*users, "delete", "Remove a person", "user delete eve");
  auto gone = make<std::string>();
  remove->add_option("login", *gone)->required();
  remove->callback([&s, gone] {
    s.request("DELETE", "~/users/" + encoded(*gone));
    s.say("deleted");
  });
  auto* reset =
      command(*users, "reset-password", "Set a password; it is asked for, and a lock ends",
              "user reset-password eve");
  reset->add_option("login", *gone)->required();
  reset->callback([&s, gone] {
    s.request("POST", "~/users/" + encoded(*gone) + ":resetPassword",
              {{"password", ask_password()}});
    s.say("set; who was logged in with the old one is logged out");
  });

  auto* keys = group(to, "key", "API keys of applications", "key list billing");
  auto app = make<std::string>(), id = make<std::string>(), expires = make<std::string>();
  auto addresses = make<std::vector<std::string>>(), topics = make<std::vector<std::string>>();
  auto permissions = make<std::vector<std::string>>(), key_roles = make<std::vector<std::string>>();
  auto* list = command(*keys, "list", "List keys", "key list billing");
  list->add_option("app", *app)->required();
  list->callback([&s, app] {
    s.show(s.list("~/apps/" + encoded(*app) + "/keys", 10'000), {{"ID", "/id"},
                                                                 {"PERMISSIONS", "/permissions"},
                                                                 {"CREATED", "/createdAt"},
                                                                 {"EXPIRES", "/expires"}});
  });
  auto* create = command(*keys, "create", "Make a key; it is shown once",
                         "key create billing --permission data:read --ip 10.0.0.0/8");
  create->add_option("app", *app)->required();
  create->add_option("--permission", *permissions, "such as data:read, device:*");
  create->add_option("--role", *key_roles, "admin, operator or viewer");
  create->add_option("--expires", *expires, "RFC 3339 or epoch ms; never if not given");
  create->add_option("--ip", *addresses,
                     "address or network it may be used from; any if not given");
  create->add_option("--topic", *topics,
                     "general topics that it may use by MQTT: [publish:|subscribe:]filter");
  create->callback([&s, app, permissions, key_roles, expires, addresses, topics] {
    auto body = json::object();
    for (const auto& text : *topics) {
      auto rule = json{{"topic", text}};
      for (const std::string right : {"publish", "subscribe"})
        if (text.starts_with(right + ":"))
          rule = {{"topic", text.substr(right.size() + 1)}, {"allow", right}};
      body["topics"].push_back(std::move(rule));
    }
    if (!expires->empty())
      body["expires"] = time_value(*expires);
    if (!addresses->empty())
      body["ipAllow"] = *addresses;
    if (!permissions->empty())
      body["permissions"] = *permissions;
    if (!key_roles->empty())
      body["roles"] = *key_roles;
    s.show(s.request("POST", "~/apps/" + encoded(*app) + "/keys", body), {});
  });
  auto* revoke = command(*keys, "revoke", "Revoke a key", "key revoke billing kX3...");
  revoke->add_option("app", *app)->required();
  revoke->add_option("id", *id)->required();
  revoke->callback([&s, app, id] {
    s.request("DELETE", "~/apps/" + encoded(*app) + "/keys/" + encoded(*id));
    s.say("revoked");
  });
}

void add_products(CLI::App& to, session& s) {
  auto* g = group(to, "product", "Products", "product get demo-inverter");
  auto key = make<std::string>(), name = make<std::string>(), model = make<std::string>(),
       more = make<std::string>();
  const auto path = [key](const std::string& rest) { return "~/products/" + encoded(*key) + rest; };
  command(*g, "list", "List products", "product list")->callback([&s] {
    s.show(s.list("~/products", 100'000), {{"KEY", "/productKey"},
                                           {"NAME", "/name"},
                                           {"MODEL", "/modelId"},
                                           {"REVISION", "/modelRevision"},
                                           {"AUTH", "/auth"}});
  });
  auto* get = command(*g, "get", "Show a product", "product get demo-inverter");
  get->add_option("product", *key)->required();
  get->callback([&s, path] { s.show(s.request("GET", path("")), {}); });
  auto* create = command(*g, "create", "Make a product; its secret is shown once",
                         "product create --name Meter --model Meter");
  create->add_option("--name", *name)->required();
  create->add_option("--model", *model)->required();
  create->add_option("--key", *key, "made by the server if not given");
  create->add_option("--set", *more, "other fields as JSON or @file");
  create->callback([&s, key, name, model, more] {
    auto body = more->empty() ? json::object() : read_json(*more);
    body["name"] = *name;
    body["modelId"] = *model;
    if (!key->empty())
      body["productKey"] = *key;
    s.show(s.request("POST", "~/products", body), {});
  });
  auto* update = command(*g, "update", "Change fields",
                         R"(product update demo-inverter '{"validation":"lenient"}')");
  update->add_option("product", *key)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  update->callback([&s, path, more] {
    const auto etag = s.etag_of(path(""));
    s.show(s.request("PATCH", path(""), read_json(*more), {{"If-Match", etag}}), {});
  });
  auto* reset = command(*g, "reset-secret", "A new product secret, shown once",
                        "product reset-secret demo-inverter");
  reset->add_option("product", *key)->required();
  reset->callback(
      [&s, path] { s.show(s.request("POST", path(":resetSecret"), json::object()), {}); });
  auto* remove =
      command(*g, "delete", "Delete a product without devices", "product delete demo-inverter");
  remove->add_option("product", *key)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path(""), nullptr, {{"If-Match", s.etag_of(path(""))}});
    s.say("deleted");
  });
  add_scripts(*g, s);
}

void add_devices(CLI::App& to, session& s) {
  auto* g = group(to, "device", "Devices, given as PRODUCT/DEVICE or assetId",
                  "device get demo-inverter/inv-01");
  auto device = make<std::string>(), product = make<std::string>(), status = make<std::string>(),
       text = make<std::string>(), more = make<std::string>(), reason = make<std::string>();
  auto most = make<std::size_t>();
  auto overlap = make<int>();
  *most = 100;
  auto* list =
      command(*g, "list", "List devices", "device list --product demo-inverter --status online");
  list->add_option("--product", *product);
  list->add_option("--status", *status, "online, offline, inactive or disabled");
  list->add_option("--search", *text, "part of the key or name");
  list->add_option("--limit", *most, "at most that many")->capture_default_str();
  list->callback([&s, product, status, text, most] {
    auto path = "~/devices?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    for (const auto& [name, v] :
         {std::pair{"productKey", *product}, {"status", *status}, {"q", *text}})
      if (!v.empty())
        path += std::string{"&"} + name + "=" + encoded(v);
    s.show(s.list(path, *most), {{"PRODUCT", "/productKey"},
                                 {"DEVICE", "/deviceKey"},
                                 {"NAME", "/name"},
                                 {"STATUS", "/status"},
                                 {"LAST DATA", "/lastDataAt"},
                                 {"ASSET ID", "/assetId"}});
  });
  const auto simple = [&](const char* name, const char* about, const char* method,
                          const char* rest) {
    auto* c = command(*g, name, about, std::string{"device "} + name + " demo-inverter/inv-01");
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
    c->callback([&s, device, method, rest] {
      const auto got = s.request(method, device_path(*device) + rest,
                                 std::string{method} == "POST" ? json::object() : json{});
      if (got.is_null())
        s.say("done");
      else
        s.show(got, {});
    });
  };
  simple("get", "Show a device", "GET", "");
  simple("status", "Whether it is connected", "GET", "/status");
  simple("attributes", "Its attributes", "GET", "/attributes");
  simple("tags", "Its tags", "GET", "/tags");
  simple("enable", "Let it log in again", "POST", ":enable");
  simple("delete", "Delete it", "DELETE", "");
  auto* create = command(*g, "create", "Register a device; its secret is shown once",
                         "device create demo-inverter/inv-99 --name 'Roof 9'");
  create->add_option("device", *device, "PRODUCT/DEVICE, or PRODUCT for a key made by the server")
      ->required();
  create->add_option("--name", *text, "for people");
  create->add_option("--set", *more, "other fields as JSON or @file");
  create->callback([&s, device, text, more] {
    const auto slash = device->find('/');
    auto body = more->empty() ? json::object() : read_json(*more);
    body["productKey"] = device->substr(0, slash);
    if (slash != std::string::npos)
      body["deviceKey"] = device->substr(slash + 1);
    if (!text->empty())
      body["name"] = *text;
    s.show(s.request("POST", "~/devices", body), {});
  });
  auto* update = command(*g, "update", "Change fields",
                         R"(device update demo-inverter/inv-01 '{"tags":{"site":"B"}}')");
  update->add_option("device", *device)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  update->callback([&s, device, more] {
    s.show(s.request("PATCH", device_path(*device), read_json(*more)), {});
  });
  auto* disable = command(*g, "disable", "Log it out and keep it out",
                          "device disable demo-inverter/inv-01 --reason stolen");
  disable->add_option("device", *device)->required();
  disable->add_option("--reason", *reason);
  disable->callback([&s, device, reason] {
    s.show(s.request("POST", device_path(*device) + ":disable", {{"reason", *reason}}), {});
  });
  auto* reset = command(*g, "reset-secret", "A new secret, shown once",
                        "device reset-secret demo-inverter/inv-01 --overlap 3600");
  reset->add_option("device", *device)->required();
  reset->add_option("--overlap", *overlap, "seconds that the old one stays valid");
  reset->callback([&s, device, overlap] {
    s.show(s.request("POST", device_path(*device) + ":resetSecret", {{"overlap", *overlap}}), {});
  });
}

}  // namespace

void add_management(CLI::App& to, session& s) {
  add_people(to, s);
  add_models(to, s);
  add_products(to, s);
  add_devices(to, s);
}

}  // namespace orrery::app::cli
