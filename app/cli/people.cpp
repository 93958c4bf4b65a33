// login, logout, totp, user, role, app, key.
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/cli/session.hpp"

namespace orrery::app::cli {

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

namespace {

using texts = std::vector<std::string>;

/// Members of a body that were given on the command line.
json given(std::initializer_list<std::pair<const char*, CLI::Option*>> options) {
  auto body = json::object();
  for (const auto& [name, option] : options)
    if (option->count() > 0)
      body[name] = option->as<std::string>();
  return body;
}

/// What it says is nobody's business, and it may stay open longer than this program.
void open_browser(const std::string& url) {
  const auto child = fork();
  if (child != 0) {
    if (child > 0)
      waitpid(child, nullptr, 0);
    return;
  }
  if (fork() == 0) {
    const auto silent = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const auto fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
      dup2(silent, fd);
    execlp("xdg-open", "xdg-open", url.c_str(), static_cast<char*>(nullptr));
  }
  _exit(0);
}

void add_log_ins(CLI::App& to, session& s) {
  auto* login = command(to, "login", "Log in and keep the tokens in the profile",
                        "--server http://127.0.0.1:8090 login --user admin");
  auto user = make<std::string>(), file = make<std::string>(), org = make<std::string>(),
       code = make<std::string>(), provider = make<std::string>();
  auto patience = make<std::uint64_t>(300);
  auto opens = make<bool>();
  *user = "admin";
  auto* by_name = login->add_option("--user", *user, "login name")->capture_default_str();
  login->add_option("--organisation,--org", *org, "its id; `default` if not given");
  login->add_option("--otp", *code, "a code of the second factor, or a spare code");
  login->add_option("--password-file", *file,
                    "reads the password from there; else ORRERY_PASSWORD, else it is asked for");
  auto* by_provider =
      login
          ->add_option("--provider", *provider,
                       "by that identity provider of the organisation, in a browser")
          ->excludes(by_name);
  login->add_option("--timeout", *patience, "seconds that the browser may take")
      ->check(CLI::Range(1, 600))
      ->capture_default_str()
      ->needs(by_provider);
  login->add_flag("--browser", *opens, "opens the browser of this machine (xdg-open)")
      ->needs(by_provider);
  login->callback([&s, user, file, org, code, provider, patience, opens] {
    if (!provider->empty()) {
      s.login_by(*provider, *org, std::chrono::seconds{*patience}, [opens](const std::string& url) {
        std::cerr << "Log in there with a browser of this machine:\n" << std::flush;
        std::cout << url << std::endl;
        if (*opens)
          open_browser(url);
      });
      s.say("logged in by " + *provider + " at " + s.server);
      return;
    }
    auto password = std::string{};
    if (file->empty()) {
      password = ask_password();
    } else {
      auto in = std::ifstream{*file};
      if (!std::getline(in, password))
        throw refused{*file + " cannot be read"};
    }
    s.login(*user, password, *org, *code);
    s.say("logged in as " + *user + " at " + s.server);
  });
  command(to, "logout", "End the log-in of the profile", "logout")->callback([&s] {
    s.logout();
    s.say("logged out");
  });
  auto* totp = group(to, "totp", "The second factor of whoever is logged in", "totp enrol");
  command(*totp, "enrol", "A secret for a phone, and spare codes, shown once", "totp enrol")
      ->callback([&s] { s.show(s.request("POST", "/auth/totp", json::object()), {}); });
  const auto with_code = [&](const char* name, const char* about, const char* path) {
    auto* c = command(*totp, name, about, std::string{"totp "} + name + " 123456");
    c->add_option("code", *code)->required();
    c->callback([&s, code, path] {
      s.request("POST", path, {{"otp", *code}});
      s.say("done");
    });
  };
  with_code("confirm", "Show a code: from now on a login needs one", "/auth/totp:confirm");
  with_code("disable", "Show a code: a login needs none any more", "/auth/totp:disable");
}

void add_users(CLI::App& to, session& s) {
  auto* g = group(to, "user", "People", "user list");
  command(*g, "list", "List people", "user list")->callback([&s] {
    s.show(s.list("~/users", 10'000), {{"LOGIN", "/login"},
                                       {"NAME", "/name"},
                                       {"MAIL", "/mail"},
                                       {"ROLES", "/roles"},
                                       {"LOCKED", "/locked"},
                                       {"2ND FACTOR", "/secondFactor"}});
  });
  auto who = make<std::string>();
  auto roles = make<texts>();
  const auto path = [who](const char* rest) { return "~/users/" + encoded(*who) + rest; };
  auto* add =
      command(*g, "add", "Add a person; the password is asked for", "user add eve --role viewer");
  add->add_option("login", *who)->required();
  auto* name = add->add_option("--name", "for people");
  auto* mail = add->add_option("--mail", "an address");
  add->add_option("--role", *roles, "admin, operator, viewer, or one of your own");
  add->callback([&s, who, name, mail, roles] {
    auto body = given({{"name", name}, {"mail", mail}});
    body["login"] = *who;
    body["password"] = ask_password();
    if (!roles->empty())
      body["roles"] = *roles;
    s.show(s.request("POST", "~/users", body), {});
  });
  auto* update = command(*g, "update", "Change a person; roles count at once",
                         "user update eve --role operator");
  update->add_option("login", *who)->required();
  auto* new_name = update->add_option("--name", "for people");
  auto* new_mail = update->add_option("--mail", "an address");
  update->add_option("--role", *roles, "in place of those that he has");
  update->callback([&s, path, new_name, new_mail, roles] {
    auto body = given({{"name", new_name}, {"mail", new_mail}});
    if (!roles->empty())
      body["roles"] = *roles;
    s.show(s.request("PATCH", path(""), body), {});
  });
  const auto simple = [&](const char* called, const char* about, const char* method,
                          const char* rest) {
    auto* c = command(*g, called, about, std::string{"user "} + called + " eve");
    c->add_option("login", *who)->required();
    c->callback([&s, path, method, rest] {
      const auto got =
          s.request(method, path(rest), std::string{method} == "POST" ? json::object() : json{});
      got.is_null() ? s.say("done") : s.show(got, {});
    });
  };
  simple("get", "Show a person", "GET", "");
  simple("lock", "End his log-ins and let him not log in", "POST", ":lock");
  simple("unlock", "Let him log in again", "POST", ":unlock");
  simple("reset-totp", "Take away a second factor that was lost", "POST", ":resetSecondFactor");
  simple("delete", "Remove a person", "DELETE", "");
  auto* reset =
      command(*g, "reset-password", "Set a password; it is asked for", "user reset-password eve");
  reset->add_option("login", *who)->required();
  reset->callback([&s, path] {
    s.request("POST", path(":resetPassword"), {{"password", ask_password()}});
    s.say("set; who was logged in with the old one is logged out");
  });
}

/// "users/eve" or "apps/billing" as a path.
std::string subject_path(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos)
    throw refused{"a subject is users/LOGIN or apps/APP"};
  return "~/grants/" + encoded(text.substr(0, slash)) + "/" + encoded(text.substr(slash + 1));
}

void add_roles(CLI::App& to, session& s) {
  auto* g = group(to, "role", "Roles, and who has them", "role list");
  command(*g, "list", "List roles", "role list")->callback([&s] {
    s.show(s.list("~/roles", 1000), {{"NAME", "/name"},
                                     {"BUILT IN", "/builtin"},
                                     {"PERMISSIONS", "/permissions"},
                                     {"PRODUCTS", "/scope/products"}});
  });
  auto name = make<std::string>(), about = make<std::string>(), subject = make<std::string>(),
       permission = make<std::string>();
  auto permissions = make<texts>(), products = make<texts>(), groups = make<texts>(),
       nodes = make<texts>(), roles = make<texts>();
  const auto path = [name] { return "~/roles/" + encoded(*name); };
  auto* get = command(*g, "get", "Show a role", "role get site-a");
  get->add_option("role", *name)->required();
  get->callback([&s, path] { s.show(s.request("GET", path()), {}); });
  const auto writes = [&](const char* called, const char* what, bool is_new) {
    auto* c = command(
        *g, called, what,
        std::string{"role "} + called + " site-a --permission device:* --product demo-inverter");
    c->add_option("role", *name)->required();
    c->add_option("--permission", *permissions, "such as data:read, device:*")->required();
    c->add_option("--product", *products, "holds for these products and their devices alone");
    c->add_option("--group", *groups, "holds for these groups of devices");
    c->add_option("--node", *nodes, "holds for what hangs on these nodes of asset trees");
    c->add_option("--description", *about, "for people");
    c->callback([&s, path, name, about, permissions, products, groups, nodes, is_new] {
      const auto body =
          json{{"name", *name},
               {"description", *about},
               {"permissions", *permissions},
               {"scope", {{"products", *products}, {"groups", *groups}, {"treeNodes", *nodes}}}};
      s.show(is_new ? s.request("POST", "~/roles", body) : s.request("PUT", path(), body), {});
    });
  };
  writes("create", "Make a role", true);
  writes("update", "Change a role; it counts at once", false);
  auto* remove = command(*g, "delete", "Delete a role nobody has", "role delete site-a");
  remove->add_option("role", *name)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path());
    s.say("deleted");
  });
  auto* of = command(*g, "of", "What somebody has by roles", "role of users/eve");
  of->add_option("subject", *subject, "users/LOGIN or apps/APP")->required();
  of->callback([&s, subject] { s.show(s.request("GET", subject_path(*subject)), {}); });
  auto* grant = command(*g, "grant", "Give somebody these roles and no others",
                        "role grant users/eve site-a viewer");
  grant->add_option("subject", *subject, "users/LOGIN or apps/APP")->required();
  grant->add_option("roles", *roles, "none: all are taken away");
  grant->callback([&s, subject, roles] {
    s.show(s.request("PUT", subject_path(*subject), {{"roles", *roles}}), {});
  });
  auto* check = command(*g, "check", "Whether somebody may do something, and why",
                        "role check users/eve device:write --product demo-inverter");
  check->add_option("subject", *subject, "users/LOGIN, apps/APP or keys/KEY")->required();
  check->add_option("permission", *permission, "area:action")->required();
  auto* product = check->add_option("--product", "whose devices it is about");
  check->add_option("--group", *groups, "groups that the device is in");
  check->add_option("--node", *nodes, "nodes of trees that it hangs on");
  check->callback([&s, subject, permission, product, groups, nodes] {
    const auto slash = subject->find('/');
    const auto kind = subject->substr(0, slash);
    if (slash == std::string::npos || (kind != "users" && kind != "apps" && kind != "keys"))
      throw refused{"a subject is users/LOGIN, apps/APP or keys/KEY"};
    auto about_what = given({{"product", product}});
    about_what["groups"] = *groups;
    about_what["treeNodes"] = *nodes;
    s.show(s.request("POST", "~/grants:check",
                     {{kind.substr(0, kind.size() - 1), subject->substr(slash + 1)},
                      {"permission", *permission},
                      {"resource", about_what}}),
           {});
  });
}

void add_apps(CLI::App& to, session& s) {
  auto* g = group(to, "app", "Applications", "app list");
  command(*g, "list", "List applications", "app list")->callback([&s] {
    s.show(s.list("~/apps", 10'000), {{"ID", "/id"},
                                      {"NAME", "/name"},
                                      {"ROLES", "/roles"},
                                      {"KEYS", "/keys"},
                                      {"CREATED", "/createdAt"}});
  });
  auto id = make<std::string>();
  auto roles = make<texts>();
  const auto path = [id] { return "~/apps/" + encoded(*id); };
  auto* get = command(*g, "get", "Show an application", "app get billing");
  get->add_option("app", *id)->required();
  get->callback([&s, path] { s.show(s.request("GET", path()), {}); });
  auto* create = command(*g, "create", "Make an application", "app create billing --role viewer");
  create->add_option("app", *id)->required();
  auto* name = create->add_option("--name", "for people");
  create->add_option("--role", *roles, "what its keys may do unless they say it themselves");
  create->callback([&s, id, name, roles] {
    auto body = given({{"name", name}});
    body["id"] = *id;
    body["roles"] = *roles;
    s.show(s.request("POST", "~/apps", body), {});
  });
  auto* update = command(*g, "update", "Change an application; roles count at once for its keys",
                         "app update billing --role operator");
  update->add_option("app", *id)->required();
  auto* new_name = update->add_option("--name", "for people");
  update->add_option("--role", *roles, "in place of those that it has");
  update->callback([&s, path, new_name, roles] {
    auto body = given({{"name", new_name}});
    if (!roles->empty())
      body["roles"] = *roles;
    s.show(s.request("PATCH", path(), body), {});
  });
  auto* remove =
      command(*g, "delete", "Delete an application and revoke its keys", "app delete billing");
  remove->add_option("app", *id)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path());
    s.say("deleted");
  });
}

json topic_rules(const texts& topics) {
  auto rules = json::array();
  for (const auto& text : topics) {
    auto rule = json{{"topic", text}};
    for (const std::string right : {"publish", "subscribe"})
      if (text.starts_with(right + ":"))
        rule = {{"topic", text.substr(right.size() + 1)}, {"allow", right}};
    rules.push_back(std::move(rule));
  }
  return rules;
}

void add_keys(CLI::App& to, session& s) {
  auto* keys = group(to, "key", "API keys of applications", "key list billing");
  auto app = make<std::string>(), id = make<std::string>(), expires = make<std::string>();
  auto addresses = make<texts>(), topics = make<texts>(), permissions = make<texts>(),
       roles = make<texts>();
  auto overlap = make<std::int64_t>();
  auto* list = command(*keys, "list", "List keys", "key list billing");
  list->add_option("app", *app)->required();
  list->callback([&s, app] {
    s.show(s.list("~/apps/" + encoded(*app) + "/keys", 10'000), {{"ID", "/id"},
                                                                 {"ROLES", "/roles"},
                                                                 {"PERMISSIONS", "/permissions"},
                                                                 {"CREATED", "/createdAt"},
                                                                 {"EXPIRES", "/expires"}});
  });
  auto* create = command(*keys, "create", "Make a key; it is shown once",
                         "key create billing --permission data:read --ip 10.0.0.0/8");
  create->add_option("app", *app, "made too if there is none")->required();
  create->add_option("--permission", *permissions, "such as data:read, device:*");
  create->add_option("--role", *roles, "admin, operator, viewer, or one of your own");
  create->add_option("--expires", *expires, "RFC 3339 or epoch ms; never if not given");
  create->add_option("--ip", *addresses,
                     "address or network it may be used from; any if not given");
  create->add_option("--topic", *topics,
                     "general topics that it may use by MQTT: [publish:|subscribe:]filter");
  create->callback([&s, app, permissions, roles, expires, addresses, topics] {
    auto body = json::object();
    if (!topics->empty())
      body["topics"] = topic_rules(*topics);
    if (!expires->empty())
      body["expires"] = time_value(*expires);
    if (!addresses->empty())
      body["ipAllow"] = *addresses;
    if (!permissions->empty())
      body["permissions"] = *permissions;
    if (!roles->empty())
      body["roles"] = *roles;
    s.show(s.request("POST", "~/apps/" + encoded(*app) + "/keys", body), {});
  });
  const auto path = [app, id] { return "~/apps/" + encoded(*app) + "/keys/" + encoded(*id); };
  auto* rotate = command(*keys, "rotate", "Another key in its place, shown once",
                         "key rotate billing kX3... --overlap 86400");
  rotate->add_option("app", *app)->required();
  rotate->add_option("id", *id)->required();
  rotate->add_option("--overlap", *overlap, "seconds that the old one counts")
      ->capture_default_str();
  rotate->callback([&s, path, overlap] {
    s.show(s.request("POST", path() + ":rotate", {{"overlap", *overlap}}), {});
  });
  auto* revoke = command(*keys, "revoke", "Revoke a key", "key revoke billing kX3...");
  revoke->add_option("app", *app)->required();
  revoke->add_option("id", *id)->required();
  revoke->callback([&s, path] {
    s.request("DELETE", path());
    s.say("revoked");
  });
}

}  // namespace

void add_people(CLI::App& to, session& s) {
  add_log_ins(to, s);
  add_users(to, s);
  add_roles(to, s);
  add_apps(to, s);
  add_keys(to, s);
}

}  // namespace orrery::app::cli
