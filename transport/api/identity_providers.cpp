// Identity providers of an organisation (group A of the API).
#include "model/organisation/providers.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/identity_desk.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;
using provider = organisation::identity_provider;

constexpr std::size_t max_url = 512, max_text = 256, max_secret = 1024;

const auto unknown = failure{errc::not_found, "idp_unknown", "no such identity provider"};

model::value show(const exchange& e, const provider& p) {
  auto map = model::array{};
  for (const auto& one : p.role_map)
    map.emplace_back(model::object{{"value", one.value}, {"roles", texts(one.roles)}});
  return model::object{{"id", p.id},
                       {"name", p.name},
                       {"issuer", p.issuer},
                       {"clientId", p.client_id},
                       {"hasSecret", !p.client_secret.empty()},
                       {"scopes", texts(p.scopes)},
                       {"loginClaim", p.login_claim},
                       {"nameClaim", p.name_claim},
                       {"mailClaim", p.mail_claim},
                       {"roleClaim", p.role_claim},
                       {"roles", std::move(map)},
                       {"defaultRoles", texts(p.default_roles)},
                       {"createUsers", p.creates_users},
                       {"linkByMail", p.links_by_mail},
                       {"mailDomains", texts(p.mail_domains)},
                       {"redirectUris", texts(p.redirect_uris)},
                       {"enabled", p.enabled},
                       {"createdAt", e.show(p.created_at)},
                       {"createdBy", p.actor},
                       {"updatedAt", e.show(p.updated_at)}};
}

const auto fields_of_providers =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "issuer", .sortable = true},
                    {.name = "enabled", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_list(e, fields_of_providers, org->state->providers, &provider::id, show);
}

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_found(e, org->state->find_provider(e->param("provider")), unknown, show);
}

std::vector<std::string> read_role_names(fields& f, const char* name,
                                         const organisation::state& org) {
  auto roles = f.texts(name, 20).value_or(std::vector<std::string>{});
  for (const auto& r : roles)
    if (!org.find_role(r))
      f.note(name, "not_allowed", "no role " + r);
  return roles;
}

std::vector<organisation::role_mapping> read_map(fields& f, const organisation::state& org) {
  auto map = std::vector<organisation::role_mapping>{};
  const auto* given = f.array("roles", organisation::max_role_mappings);
  if (!given)
    return map;
  for (std::size_t i = 0; i < given->size(); ++i) {
    auto g = fields{(*given)[i], "/roles/" + std::to_string(i)};
    auto one = organisation::role_mapping{};
    one.value = g.text("value", max_text).value_or("");
    if (one.value.empty() && !g.has("value"))
      g.missing("value");
    one.roles = read_role_names(g, "roles", org);
    if (!g.has("roles"))
      g.missing("roles");
    if (auto ok = g.finish(); !ok) {
      const auto& found = ok.error().problems;
      f.problems.insert(f.problems.end(), found.begin(), found.end());
    }
    map.push_back(std::move(one));
  }
  return map;
}

struct wanted_provider {
  provider what;
  bool keeps_secret = false;
};

model::result<wanted_provider> read(const exchange& e, const organisation::state& org) {
  const auto body = e.body();
  if (!body)
    return body.error();
  auto f = fields{*body};
  auto w = wanted_provider{};
  auto& p = w.what;
  p.id = e.param("provider");
  if (f.text("id", 64).value_or(p.id) != p.id)
    f.note("id", "not_allowed", "an identity provider keeps its id");
  p.name = f.text("name", max_text).value_or(p.id);
  p.issuer = f.text("issuer", max_url).value_or("");
  p.client_id = f.text("clientId", max_text).value_or("");
  for (const auto* name : {"issuer", "clientId"})
    if (!f.has(name))
      f.missing(name);
  p.scopes = f.texts("scopes", organisation::max_scopes)
                 .value_or(std::vector<std::string>{"profile", "email"});
  p.login_claim = f.text("loginClaim", max_text).value_or("preferred_username");
  p.name_claim = f.text("nameClaim", max_text).value_or("name");
  p.mail_claim = f.text("mailClaim", max_text).value_or("email");
  p.role_claim = f.text("roleClaim", max_text).value_or("");
  p.role_map = read_map(f, org);
  p.default_roles = read_role_names(f, "defaultRoles", org);
  p.creates_users = f.truth("createUsers").value_or(false);
  p.links_by_mail = f.truth("linkByMail").value_or(false);
  p.mail_domains =
      f.texts("mailDomains", organisation::max_mail_domains).value_or(std::vector<std::string>{});
  p.redirect_uris =
      f.texts("redirectUris", organisation::max_redirect_uris).value_or(std::vector<std::string>{});
  p.enabled = f.truth("enabled").value_or(true);
  // Whoever leaves it out leaves it as it is; null takes it away.
  const auto* secret = (*body).find("clientSecret");
  w.keeps_secret = !secret;
  if (secret && secret->is_null()) {
    static_cast<void>(f.any("clientSecret"));
  } else if (const auto text = f.text("clientSecret", max_secret)) {
    if (text->empty())
      f.note("clientSecret", "too_short", "a secret has a character at least; null: there is none");
    p.client_secret = e.parts().keys->seal(*text, secret_owner(e.who.organisation, p.id));
  }
  if (auto ok = f.finish(); !ok)
    return ok.error();
  return w;
}

/// Nobody makes, changes or takes away a provider by which people get more than he has.
void put(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* before = org->state->find_provider(e->param("provider"));
  auto wanted = read(*e, *org->state);
  if (!wanted)
    return e->fail(wanted.error());
  if (before) {
    if (const auto why = above(*e, organisation::rights_by(*org->state, *before),
                               "whoever comes by " + before->id))
      return e->fail(*why);
    e->was(show(*e, *before));
  }
  if (const auto why = beyond(*e, organisation::rights_by(*org->state, wanted->what)))
    return e->fail(*why);
  const auto id = wanted->what.id;
  e->ask(org->id,
         order_of(*e, organisation::put_provider{std::move(wanted->what), wanted->keeps_secret},
                  *expected),
         [e, id](const actors::outcome& done) {
           const auto after = organisation_in(done);
           const auto* now = after->find_provider(id);
           e->reply(200, show(*e, *now), headers_of(done, now->revision));
         });
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* found = org->state->find_provider(e->param("provider"));
  if (!found)
    return e->fail(unknown);
  if (const auto why =
          above(*e, organisation::rights_by(*org->state, *found), "whoever comes by " + found->id))
    return e->fail(*why);
  e->was(show(*e, *found));
  e->ask(
      org->id, order_of(*e, organisation::remove_provider{found->id}, *expected),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

}  // namespace

std::vector<route> identity_provider_routes() {
  return {
      {"GET", "~/identityProviders", "iam:idp", list, "listIdentityProviders",
       "Who proves who people are", "", "IdentityProviders", 200,
       "limit cursor filter sort fields"},
      {"GET", "~/identityProviders/{provider}", "iam:idp", get, "getIdentityProvider",
       "An identity provider, without its client's secret", "", "IdentityProvider", 200, ""},
      {"PUT", "~/identityProviders/{provider}", "iam:idp", put, "putIdentityProvider",
       "Add an identity provider, or put this in its place; it counts at the next log-in",
       "IdentityProviderChange", "IdentityProvider", 200, ""},
      {"DELETE", "~/identityProviders/{provider}", "iam:idp", remove, "deleteIdentityProvider",
       "Take it away, and what links people with it; the people stay", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
