// idp: identity providers of the organisation.
#include <fstream>
#include <iostream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

using texts = std::vector<std::string>;

/// "value=role,role": what somebody has who shows that value.
json mapping(const std::string& text) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    throw refused{"expected VALUE=ROLE[,ROLE...], not " + text};
  auto roles = json::array();
  for (auto rest = text.substr(equals + 1); !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    if (comma > 0)
      roles.push_back(rest.substr(0, comma));
    rest.erase(0, std::min(comma + 1, rest.size()));
  }
  return {{"value", text.substr(0, equals)}, {"roles", std::move(roles)}};
}

std::string first_line(const std::string& file) {
  auto in = std::ifstream{file};
  auto text = std::string{};
  if (!std::getline(in, text))
    throw refused{file + " cannot be read"};
  return text;
}

}  // namespace

void add_providers(CLI::App& to, session& s) {
  auto* g = group(to, "idp", "Identity providers: who proves who people are", "idp list");
  command(*g, "list", "List identity providers", "idp list")->callback([&s] {
    s.show(s.list("~/identityProviders", 1000), {{"ID", "/id"},
                                                 {"NAME", "/name"},
                                                 {"ISSUER", "/issuer"},
                                                 {"CLIENT", "/clientId"},
                                                 {"ENABLED", "/enabled"}});
  });
  auto id = make<std::string>();
  const auto path = [id] { return "~/identityProviders/" + encoded(*id); };
  auto* get = command(*g, "get", "Show an identity provider", "idp get corp");
  get->add_option("provider", *id)->required();
  get->callback([&s, path] { s.show(s.request("GET", path()), {}); });

  struct wanted {
    std::string issuer, client, secret_file, name, login_claim, name_claim, mail_claim, role_claim;
    texts scopes, maps, roles, domains, redirects;
    bool creates = false, links = false, disabled = false, no_secret = false;
  };
  auto w = make<wanted>();
  auto* put = command(*g, "put", "Add an identity provider, or put this in its place",
                      "idp put corp --issuer https://id.example.org --client-id orrery "
                      "--secret-file secret --create-users --role viewer");
  put->add_option("provider", *id, "as it is named at log-ins")->required();
  put->add_option("--issuer", w->issuer, "its URL, exactly as its tokens have it")->required();
  put->add_option("--client-id", w->client, "as it knows Orrery")->required();
  auto* secret = put->add_option("--secret-file", w->secret_file,
                                 "reads the client's secret from there; without it the secret "
                                 "stays as it is");
  put->add_flag("--no-secret", w->no_secret, "the client has none")->excludes(secret);
  auto* name = put->add_option("--name", w->name, "for people");
  auto* scopes = put->add_option("--scope", w->scopes, "beside openid; else profile and email");
  auto* login_claim = put->add_option("--login-claim", w->login_claim, "else preferred_username");
  auto* name_claim = put->add_option("--name-claim", w->name_claim, "else name");
  auto* mail_claim = put->add_option("--mail-claim", w->mail_claim, "else email");
  put->add_option("--role-claim", w->role_claim,
                  "whose values give roles, such as groups or realm_access.roles");
  put->add_option("--map", w->maps, "VALUE=ROLE[,ROLE...]: what a value of that claim gives");
  put->add_option("--role", w->roles, "of everybody who comes by it");
  put->add_option("--domain", w->domains, "lets in only who has a verified mail of these");
  put->add_option("--redirect", w->redirects, "address that browsers may come back to");
  put->add_flag("--create-users", w->creates, "who is not known is made a person");
  put->add_flag("--link-by-mail", w->links, "who has a verified mail of a person is that person");
  put->add_flag("--disabled", w->disabled, "nobody logs in by it for now");
  put->callback([&s, w, path, secret, name, scopes, login_claim, name_claim, mail_claim] {
    auto body = json{
        {"issuer", w->issuer},       {"clientId", w->client},        {"roleClaim", w->role_claim},
        {"defaultRoles", w->roles},  {"createUsers", w->creates},    {"linkByMail", w->links},
        {"mailDomains", w->domains}, {"redirectUris", w->redirects}, {"enabled", !w->disabled}};
    body["roles"] = json::array();
    for (const auto& text : w->maps)
      body["roles"].push_back(mapping(text));
    if (secret->count() > 0)
      body["clientSecret"] = first_line(w->secret_file);
    if (w->no_secret)
      body["clientSecret"] = nullptr;
    if (name->count() > 0)
      body["name"] = w->name;
    if (scopes->count() > 0)
      body["scopes"] = w->scopes;
    for (const auto& [member, option, text] :
         {std::tuple{"loginClaim", login_claim, &w->login_claim},
          std::tuple{"nameClaim", name_claim, &w->name_claim},
          std::tuple{"mailClaim", mail_claim, &w->mail_claim}})
      if (option->count() > 0)
        body[member] = *text;
    s.show(s.request("PUT", path(), body), {});
  });
  auto* remove = command(*g, "delete", "Take it away; the people stay", "idp delete corp");
  remove->add_option("provider", *id)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path());
    s.say("deleted");
  });
}

}  // namespace orrery::app::cli
