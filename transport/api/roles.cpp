// Roles of an organisation, who has them, and what somebody may do (group A of the API).
#include <set>

#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "role_unknown", "no such role"};
const auto no_subject =
    failure{errc::not_found, "subject_unknown", "no such person, application or key"};

model::value show(const exchange& e, const organisation::role& r) {
  auto o = model::object{{"name", r.name},
                         {"description", r.description},
                         {"permissions", texts(r.permissions)},
                         {"scope", show_scope(r.within)},
                         {"builtin", organisation::built_in_role(r.name) != nullptr}};
  if (r.created_at != model::timestamp{}) {
    o.emplace_back("createdAt", e.show(r.created_at));
    o.emplace_back("createdBy", r.actor);
    o.emplace_back("updatedAt", e.show(r.updated_at));
  }
  return o;
}

const auto fields_of_roles =
    filter::schema{{{.name = "name", .sortable = true},
                    {.name = "description"},
                    {.name = "permissions", .type = filter::field_type::texts},
                    {.name = "builtin", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  auto all = std::vector<list_row>{};
  for (const auto* roles : {&organisation::built_in_roles(), &org->state->roles})
    for (const auto& r : *roles)
      all.push_back({r.name, [&e, &r] { return show(*e, r); }});
  reply_list(e, fields_of_roles, std::move(all));
}

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  reply_found(e, org->state->find_role(e->param("role")), unknown, show);
}

/// Names of things, as the rules want them.
std::vector<std::string> read_names(fields& f, const char* name) {
  auto names = f.texts(name, organisation::max_scope_names).value_or(std::vector<std::string>{});
  for (std::size_t i = 0; i < names.size(); ++i)
    if (!model::is_valid_key(names[i]))
      f.note(std::string{name} + "/" + std::to_string(i), "invalid",
             "expected an id: 1 to 64 characters of A-Z a-z 0-9 . _ -");
  return names;
}

organisation::scope read_scope(fields& f, const model::value* given) {
  if (!given)
    return {};
  auto g = fields{*given, "/scope"};
  auto within = organisation::scope{read_names(g, "products"), read_names(g, "groups"),
                                    read_names(g, "treeNodes")};
  if (auto ok = g.finish(); !ok) {
    const auto& found = ok.error().problems;
    f.problems.insert(f.problems.end(), found.begin(), found.end());
  }
  return within;
}

model::result<organisation::role> read_role(const exchange& e, const std::string& name) {
  const auto body = e.body();
  if (!body)
    return body.error();
  auto f = fields{*body};
  auto r = organisation::role{};
  r.name = name.empty() ? f.text("name", 64).value_or("") : name;
  if (!name.empty() && f.text("name", 64).value_or(name) != name)
    f.note("name", "not_allowed", "a role keeps its name");
  r.description = f.text("description", 1024).value_or("");
  r.permissions = f.texts("permissions", organisation::max_role_permissions)
                      .value_or(std::vector<std::string>{});
  r.within = read_scope(f, f.any("scope"));
  if (r.name.empty() && !f.has("name"))
    f.missing("name");
  if (!f.has("permissions"))
    f.missing("permissions");
  for (std::size_t i = 0; i < r.permissions.size(); ++i)
    if (!organisation::is_permission(r.permissions[i]))
      f.note("permissions/" + std::to_string(i), "invalid",
             "a permission is area:action, area:* or *");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  return r;
}

organisation::rights rights_of(const organisation::role& r) {
  return {{r.name, r.permissions, r.within}};
}

/// Whoever changes a role changes what others may do: neither the old nor the new one is more than
/// he has.
void put(const exchange_ptr& e, bool is_new) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* before = is_new ? nullptr : org->state->find_role(e->param("role"));
  if (!is_new && !before)
    return e->fail(unknown);
  const auto wanted = read_role(*e, e->param("role"));
  if (!wanted)
    return e->fail(wanted.error());
  if (before)
    if (const auto why = above(*e, rights_of(*before), "the role " + before->name))
      return e->fail(*why);
  if (const auto why = beyond(*e, rights_of(*wanted)))
    return e->fail(*why);
  if (before)
    e->was(show(*e, *before));
  e->ask(org->id, order_of(*e, organisation::put_role{*wanted, is_new}, *expected),
         [e, is_new, name = wanted->name](const actors::outcome& done) {
           const auto after = organisation_in(done);
           const auto* now = after->find_role(name);
           if (is_new)
             note_quota(*e, *after, "roles", after->roles.size());
           e->reply(is_new ? 201 : 200, show(*e, *now), headers_of(done, now->revision));
         });
}
void create(const exchange_ptr& e) {
  put(e, true);
}
void replace(const exchange_ptr& e) {
  put(e, false);
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* found = org->state->find_role(e->param("role"));
  if (!found)
    return e->fail(unknown);
  if (const auto why = above(*e, rights_of(*found), "the role " + found->name))
    return e->fail(*why);
  e->was(show(*e, *found));
  e->ask(
      org->id, order_of(*e, organisation::remove_role{found->name}, *expected),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

// ---- who has what

/// A person or an application of the organisation, by the names in the path.
struct subject {
  const organisation::user* person = nullptr;
  const organisation::application* app = nullptr;
  explicit operator bool() const { return person || app; }
  const std::vector<std::string>& roles() const { return person ? person->roles : app->roles; }
};

subject find_subject(const organisation::state& org, const std::string& kind,
                     const std::string& name) {
  if (kind == "users")
    return {org.find_user(name), nullptr};
  if (kind == "apps")
    return {nullptr, org.find_application(name)};
  return {};
}

model::value show_grants(const exchange& e, const organisation::state& org,
                         const std::vector<std::string>& roles) {
  auto grants = model::array{};
  for (const auto& g : organisation::rights_of(org, roles))
    grants.emplace_back(show_grant(g));
  return model::object{{"kind", e.param("kind")},
                       {"subject", e.param("subject")},
                       {"roles", texts(roles)},
                       {"grants", std::move(grants)}};
}

void get_grants(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto found = find_subject(*org->state, e->param("kind"), e->param("subject"));
  if (!found)
    return e->fail(no_subject);
  e->reply_one(show_grants(*e, *org->state, found.roles()));
}

/// Gives the subject of the route these roles and no others; `then` gets the organisation after it.
void grant(const exchange_ptr& e, const std::vector<std::string>& roles,
           std::function<void(const actors::outcome&)> then) {
  const auto org = own_organisation(*e);
  const auto found = find_subject(*org->state, e->param("kind"), e->param("subject"));
  if (!found)
    return e->fail(no_subject);
  if (const auto why =
          above(*e, organisation::rights_of(*org->state, found.roles()), e->param("subject")))
    return e->fail(*why);
  if (const auto why = beyond(*e, organisation::rights_of(*org->state, roles)))
    return e->fail(*why);
  if (found.person && e->who.login == found.person->login)
    return e->fail({errc::conflict, "state_conflict", "nobody changes his own roles"});
  e->was(show_grants(*e, *org->state, found.roles()));
  auto what =
      found.person
          ? organisation::order{organisation::update_user{found.person->login, {}, {}, roles}}
          : organisation::order{organisation::update_application{found.app->id, {}, roles}};
  e->ask(org->id, order_of(*e, std::move(what)), std::move(then));
}

void put_grants(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto roles = read_roles(f, *own_organisation(*e)->state);
  if (!roles && !f.has("roles"))
    f.missing("roles");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  grant(e, *roles, [e, roles = *roles](const actors::outcome& done) {
    e->reply(200, show_grants(*e, *organisation_in(done), roles), exchange::revision_headers(done));
  });
}

void delete_grants(const exchange_ptr& e) {
  grant(e, {}, [e](const actors::outcome& done) {
    e->reply_empty(204, exchange::revision_headers(done));
  });
}

void check(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto user = f.text("user", 64), app = f.text("app", 64), key = f.text("key", 64);
  const auto permission = f.text("permission", 128);
  if ((user ? 1 : 0) + (app ? 1 : 0) + (key ? 1 : 0) != 1)
    f.note("user", "required_missing", "name one of user, app and key");
  if (!permission && !f.has("permission"))
    f.missing("permission");
  else if (permission && !organisation::is_permission(*permission))
    f.note("permission", "invalid", "a permission is area:action, area:* or *");
  auto about = organisation::resource{};
  if (const auto* given = f.any("resource")) {
    auto g = fields{*given, "/resource"};
    about.product = g.text("product", 64).value_or("");
    about.groups = read_names(g, "groups");
    about.tree_nodes = read_names(g, "treeNodes");
    if (auto ok = g.finish(); !ok) {
      const auto& found = ok.error().problems;
      f.problems.insert(f.problems.end(), found.begin(), found.end());
    }
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto org = own_organisation(*e);
  auto has = std::optional<organisation::rights>{};
  if (const auto* found = user ? org->state->find_user(*user) : nullptr)
    has = organisation::rights_of(*org->state, *found);
  else if (const auto* application = app ? org->state->find_application(*app) : nullptr)
    has = organisation::rights_of(*org->state, *application);
  else if (const auto* used = key ? org->state->find_key(*key) : nullptr)
    has = organisation::rights_of(*org->state, *used);
  if (!has)
    return e->fail(no_subject);
  const auto said = organisation::evaluate(*has, *permission, about);
  e->reply(200, model::object{{"allowed", said.allowed}, {"why", said.why}});
}

}  // namespace

std::vector<route> role_routes() {
  return {
      {"GET", "~/roles", "iam:role", list, "listRoles", "Roles, built-in ones too", "", "Roles",
       200, "limit cursor filter sort fields"},
      {"POST", "~/roles", "iam:role", create, "createRole", "Make a role", "NewRole", "Role", 201,
       ""},
      {"GET", "~/roles/{role}", "iam:role", get, "getRole", "A role", "", "Role", 200, ""},
      {"PUT", "~/roles/{role}", "iam:role", replace, "replaceRole",
       "Change a role; it counts at once", "RoleChange", "Role", 200, ""},
      {"DELETE", "~/roles/{role}", "iam:role", remove, "deleteRole", "Delete a role nobody has", "",
       "", 204, ""},
      {"GET", "~/grants/{kind}/{subject}", "iam:role", get_grants, "getGrants",
       "What a person (kind `users`) or an application (`apps`) has by roles", "", "Grants", 200,
       ""},
      {"PUT", "~/grants/{kind}/{subject}", "iam:role", put_grants, "setGrants",
       "Give somebody these roles and no others", "RoleNames", "Grants", 200, ""},
      {"DELETE", "~/grants/{kind}/{subject}", "iam:role", delete_grants, "deleteGrants",
       "Take all roles from somebody", "", "", 204, ""},
      {"POST", "~/grants:check", "iam:read", check, "checkGrant",
       "Whether somebody may do something, and why", "GrantQuestion", "GrantAnswer", 200, ""},
  };
}

}  // namespace orrery::transport::api
