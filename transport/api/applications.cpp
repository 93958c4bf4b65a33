// Applications and their keys (group A of the API).
#include <algorithm>

#include "transport/address_range.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/topic_rules.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr auto longest_overlap = std::int64_t{30 * 86'400};

const auto no_app = failure{errc::not_found, "app_unknown", "no such application"};
const auto no_key = failure{errc::not_found, "key_unknown", "no such key"};

model::value show(const exchange& e, const organisation::state& org,
                  const organisation::application& a) {
  const auto keys = std::count_if(org.keys.begin(), org.keys.end(),
                                  [&](const auto& k) { return k.name == a.id; });
  return model::object{{"id", a.id},
                       {"name", a.name},
                       {"roles", texts(a.roles)},
                       {"keys", static_cast<std::int64_t>(keys)},
                       {"createdAt", e.show(a.created_at)},
                       {"createdBy", a.actor}};
}

const auto fields_of_apps =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "roles", .type = filter::field_type::texts},
                    {.name = "keys", .type = filter::field_type::number, .sortable = true},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "createdBy"}}};

void list(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  const auto org = own_organisation(*e);
  for (const auto& a : org->state->applications)
    all.push_back({a.id, [&e, &org, &a] { return show(*e, *org->state, a); }});
  reply_list(e, fields_of_apps, std::move(all));
}

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* found = org->state->find_application(e->param("app"));
  if (!found)
    return e->fail(no_app);
  e->reply(200, show(*e, *org->state, *found), {{"ETag", exchange::etag(found->revision)}});
}

void reply_changed(const exchange_ptr& e, int status, const std::string& id,
                   const actors::outcome& done) {
  const auto after = organisation_in(done);
  const auto* now = after->find_application(id);
  e->reply(status, show(*e, *after, *now), headers_of(done, now->revision));
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto org = own_organisation(*e);
  auto f = fields{*body};
  auto app = organisation::application{};
  app.id = f.text("id", 64).value_or("");
  app.name = f.text("name", 256).value_or(app.id);
  app.roles = read_roles(f, *org->state).value_or(app.roles);
  if (app.id.empty() && !f.has("id"))
    f.missing("id");
  else if (!model::is_valid_key(app.id))
    f.note("id", "invalid", "an application's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (const auto why = beyond(*e, organisation::rights_of(*org->state, app)))
    return e->fail(*why);
  e->ask(org->id, order_of(*e, organisation::create_application{app}),
         [e, id = app.id](const actors::outcome& done) {
           const auto after = organisation_in(done);
           note_quota(*e, *after, "apps", after->applications.size());
           reply_changed(e, 201, id, done);
         });
}

void update(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto* found = org->state->find_application(e->param("app"));
  if (!found)
    return e->fail(no_app);
  e->was(show(*e, *org->state, *found));
  auto f = fields{*body};
  auto u = organisation::update_application{};
  u.id = found->id;
  u.name = f.text("name", 256);
  u.roles = read_roles(f, *org->state);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (u.roles) {
    if (const auto why = above(*e, organisation::rights_of(*org->state, *found), found->id))
      return e->fail(*why);
    if (const auto why = beyond(*e, organisation::rights_of(*org->state, *u.roles)))
      return e->fail(*why);
  }
  e->ask(org->id, order_of(*e, std::move(u), *expected),
         [e, id = found->id](const actors::outcome& done) { reply_changed(e, 200, id, done); });
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  const auto& keys = org->state->keys;
  for (const auto& k : keys)
    if (k.name == e->param("app"))
      if (const auto why = above(*e, organisation::rights_of(*org->state, k), "a key of it"))
        return e->fail(*why);
  if (const auto* found = org->state->find_application(e->param("app")))
    if (const auto why = above(*e, organisation::rights_of(*org->state, *found), found->id))
      return e->fail(*why);
  if (const auto* found = org->state->find_application(e->param("app")))
    e->was(show(*e, *org->state, *found));
  e->ask(
      org->id, order_of(*e, organisation::remove_application{e->param("app")}, *expected),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

// ---- keys

/// `permissions`: all that it has without a scope, by whichever role.
model::object show_key(const exchange& e, const organisation::state& org,
                       const organisation::api_key& k) {
  auto permissions = model::array{};
  for (const auto& grant : organisation::rights_of(org, k))
    if (grant.within.is_whole())
      for (const auto& p : grant.permissions)
        permissions.emplace_back(p);
  auto o = model::object{{"id", k.id},
                         {"app", k.name},
                         {"permissions", std::move(permissions)},
                         {"roles", texts(k.roles)},
                         {"ipAllow", texts(k.ip_allow)},
                         {"createdAt", e.show(k.created_at)},
                         {"createdBy", k.actor}};
  if (k.expires)
    o.emplace_back("expires", e.show(*k.expires));
  if (!k.topics.empty())
    o.emplace_back("topics", show_topic_rules(k.topics));
  if (!k.replaced_by.empty())
    o.emplace_back("replacedBy", k.replaced_by);
  return o;
}

/// The key as it was just made, with what is shown once.
void reply_made(const exchange_ptr& e, const std::string& id, const std::string& secret,
                const actors::outcome& done) {
  const auto after = organisation_in(done);
  note_quota(*e, *after, "keys", after->keys.size());
  auto shown = show_key(*e, *after, *after->find_key(id));
  shown.emplace_back("secret", secret);
  shown.emplace_back("apiKey", write_api_key(after->id, id, secret));
  e->reply(201, std::move(shown), exchange::revision_headers(done));
}

std::string fresh_key_id() {
  return "k" + model::random_text(15);
}

model::result<organisation::api_key> read_key(const exchange& e, const organisation::state& org) {
  const auto body = e.body();
  if (!body)
    return body.error();
  auto f = fields{*body};
  auto key = organisation::api_key{};
  key.name = e.param("app");
  key.permissions = f.texts("permissions", 100).value_or(key.permissions);
  key.roles = read_roles(f, org).value_or(key.roles);
  key.expires = f.time("expires");
  key.ip_allow = f.texts("ipAllow", 100).value_or(key.ip_allow);
  key.topics = read_topic_rules(f, "topics").value_or(key.topics);
  if (!model::is_valid_key(key.name))
    f.note("app", "invalid", "an application's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  const auto* app = org.find_application(key.name);
  if (!key.speaks_for_itself() && key.topics.empty() && (!app || app->roles.empty()))
    f.note("permissions", "required_missing",
           "give permissions, roles or topics: the application has no roles");
  for (std::size_t i = 0; i < key.permissions.size(); ++i)
    if (!organisation::is_permission(key.permissions[i]))
      f.note("permissions/" + std::to_string(i), "invalid",
             "a permission is area:action, area:* or *");
  for (std::size_t i = 0; i < key.ip_allow.size(); ++i)
    if (!is_address_range(key.ip_allow[i]))
      f.note("ipAllow/" + std::to_string(i), "invalid",
             "expected an address or a network such as 10.0.0.0/8");
  if (key.expires && *key.expires <= e.parts().now())
    f.note("expires", "out_of_range", "is over already");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  return key;
}

void create_key(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  auto key = read_key(*e, *org->state);
  if (!key)
    return e->fail(key.error());
  if (const auto why = beyond(*e, organisation::rights_of(*org->state, *key)))
    return e->fail(*why);
  key->id = fresh_key_id();
  const auto secret = model::random_text(40);
  key->secret_sha256 = model::sha256_hex(secret);
  e->ask(
      org->id, order_of(*e, organisation::create_key{*key}),
      [e, id = key->id, secret](const actors::outcome& done) { reply_made(e, id, secret, done); });
}

const auto fields_of_keys =
    filter::schema{{{.name = "id", .sortable = true},
                    {.name = "permissions", .type = filter::field_type::texts},
                    {.name = "roles", .type = filter::field_type::texts},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
                    {.name = "createdBy"},
                    {.name = "expires", .type = filter::field_type::time, .sortable = true}}};

void list_keys(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  if (!org->state->find_application(e->param("app")))
    return e->fail(no_app);
  auto all = std::vector<list_row>{};
  for (const auto& k : org->state->keys)
    if (k.name == e->param("app"))
      all.push_back({k.id, [&e, &org, &k] { return show_key(*e, *org->state, k); }});
  reply_list(e, fields_of_keys, std::move(all));
}

/// The key of the route; null, and answered, if there is none.
const organisation::api_key* find_key(const exchange_ptr& e, const organisation::state& org) {
  const auto* key = org.find_key(e->param("key"));
  if (key && key->name == e->param("app")) {
    e->was(show_key(*e, org, *key));
    return key;
  }
  e->fail(no_key);
  return nullptr;
}

void rotate_key(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto overlap = std::chrono::seconds{f.integer("overlap", 0, longest_overlap).value_or(0)};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto org = own_organisation(*e);
  const auto* key = find_key(e, *org->state);
  if (!key)
    return;
  if (const auto why = above(*e, organisation::rights_of(*org->state, *key), "the key"))
    return e->fail(*why);
  const auto secret = model::random_text(40);
  auto id = fresh_key_id();
  e->ask(org->id,
         order_of(*e, organisation::rotate_key{key->id, id, model::sha256_hex(secret), overlap}),
         [e, id, secret](const actors::outcome& done) { reply_made(e, id, secret, done); });
}

void revoke_key(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* key = find_key(e, *org->state);
  if (!key)
    return;
  if (const auto why = above(*e, organisation::rights_of(*org->state, *key), "the key"))
    return e->fail(*why);
  e->ask(
      org->id, order_of(*e, organisation::revoke_key{key->id}),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

}  // namespace

std::vector<route> application_routes() {
  return {
      {"GET", "~/apps", "iam:app", list, "listApps", "Applications", "", "Apps", 200,
       "limit cursor filter sort fields"},
      {"POST", "~/apps", "iam:app", create, "createApp", "Make an application", "NewApp", "App",
       201, ""},
      {"GET", "~/apps/{app}", "iam:app", get, "getApp", "An application", "", "App", 200, ""},
      {"PATCH", "~/apps/{app}", "iam:app", update, "updateApp",
       "Change an application; roles count at once for its keys", "AppChange", "App", 200, ""},
      {"DELETE", "~/apps/{app}", "iam:app", remove, "deleteApp",
       "Delete an application and revoke its keys", "", "", 204, ""},
      {"GET", "~/apps/{app}/keys", "iam:app", list_keys, "listKeys", "Keys of an application", "",
       "Keys", 200, "limit cursor filter sort fields"},
      {"POST", "~/apps/{app}/keys", "iam:app", create_key, "createKey",
       "Make a key for an application, and the application if there is none; its secret is shown "
       "once",
       "NewKey", "CreatedKey", 201, ""},
      {"POST", "~/apps/{app}/keys/{key}:rotate", "iam:app", rotate_key, "rotateKey",
       "Another key in its place, shown once; the old one counts for `overlap` seconds more",
       "Overlap", "CreatedKey", 201, ""},
      {"DELETE", "~/apps/{app}/keys/{key}", "iam:app", revoke_key, "revokeKey", "Revoke a key", "",
       "", 204, ""},
  };
}

}  // namespace orrery::transport::api
