// Logins, users and the keys of applications (group A of the API).
#include <algorithm>

#include "transport/address_range.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/time_text.hpp"
#include "transport/api/topic_rules.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

std::shared_ptr<const actors::catalogue_organisation> organisation_of(const service_parts& parts,
                                                                      const std::string& id) {
  const auto known = parts.known->current();
  const auto found = known->organisations.find(id);
  return found == known->organisations.end() ? nullptr : found->second;
}

actors::any_command order(const exchange_ptr& e, organisation::order what) {
  return organisation::command{std::move(what), e->who.actor.empty() ? "login" : e->who.actor, {}};
}

model::value tokens_for(const service_parts& parts, const std::string& org,
                        const organisation::login_session& session) {
  const auto sign = [&](const char* use, model::timestamp expires) {
    return parts.tokens->sign({org, session.login, use, session.id, expires});
  };
  const auto now = parts.now();  // read once: the time left is then the whole of it
  const auto access_ends =
      std::min<model::timestamp>(now + parts.settings.api.access_ttl, session.until);
  return model::object{
      {"access", sign("access", access_ends)},
      {"refresh", sign("refresh", session.until)},
      {"tokenType", "Bearer"},
      {"expiresIn", std::chrono::floor<std::chrono::seconds>(access_ends - now).count()}};
}

/// Hashing takes tens of milliseconds: it runs on the query pool, and only so much of it may wait,
/// so that nobody can stop the reads of others by guessing passwords.
void on_hashing_thread(const exchange_ptr& e, std::function<void()> work) {
  constexpr auto most = 16;
  const auto& open = e->parts().hashing;
  if (open->fetch_add(1) >= most) {
    open->fetch_sub(1);
    return e->fail(
        {errc::too_many_requests, "rate_limited", "too many passwords are being checked"});
  }
  e->parts().query->run([open, work = std::move(work)] {
    work();
    open->fetch_sub(1);
  });
}

void login(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto user = f.text("user", 64);
  const auto password = f.text("password", 1024);
  const auto org = f.text("organisation", 64).value_or("default");
  if (!user)
    f.missing("user");
  if (!password)
    f.missing("password");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  on_hashing_thread(e, [e, org, login = *user, password = *password] {
    const auto bad = failure{errc::unauthenticated, "bad_credentials", "user or password is wrong"};
    const auto known = organisation_of(e->parts(), org);
    const auto* found = known ? known->state->find_user(login) : nullptr;
    if (found && found->locked_until > e->parts().now())
      return e->fail({errc::forbidden, "locked",
                      "too many bad passwords; locked until " + to_text(found->locked_until)});
    // Whoever does not exist takes as long as who does.
    static const auto nobody = hash_password(model::random_text(24));
    const auto good = verify_password(password, found ? found->password_hash : nobody) && found;
    if (!found)
      return e->fail(bad);
    if (!good)  // The answer waits for the note: a lock counts at once.
      return e->parts().ask->ask(
          known->id, order(e, organisation::note_bad_login{login}),
          [e, bad](const actors::answer& noted) { e->fail(noted ? bad : noted.error()); });
    const auto session = organisation::login_session{
        login, model::random_text(16), e->parts().now() + e->parts().settings.api.refresh_ttl};
    e->ask(known->id, order(e, organisation::open_session{session}),
           [e, org, session](const actors::outcome&) {
             e->reply(200, tokens_for(e->parts(), org, session));
           });
  });
}

void refresh(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  f.word("grant", {"refresh"});
  const auto token = f.text("refresh", 4096);
  if (!token)
    f.missing("refresh");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto claims = e->parts().tokens->read(*token);
  const auto bad = failure{errc::unauthenticated, "bad_credentials",
                           "the refresh token is not valid: log in again"};
  const auto now = e->parts().now();
  if (!claims || claims->use != "refresh" || claims->expires <= now)
    return e->fail(bad);
  const auto org = organisation_of(e->parts(), claims->organisation);
  const auto* session = org ? org->state->find_session(claims->login, claims->session) : nullptr;
  if (!session || session->until <= now)
    return e->fail(bad);
  auto longer = *session;
  const auto life = e->parts().settings.api.refresh_ttl;
  // Half its life is left: nothing is written for it.
  if (session->until - now > life / 2)
    return e->reply(200, tokens_for(e->parts(), claims->organisation, longer));
  longer.until = now + life;
  e->ask(org->id, order(e, organisation::keep_session{longer}),
         [e, name = claims->organisation, longer](const actors::outcome&) {
           e->reply(200, tokens_for(e->parts(), name, longer));
         });
}

void me(const exchange_ptr& e) {
  auto permissions = model::array{};
  for (const auto& p : e->who.permissions)
    permissions.emplace_back(p);
  e->reply(200, model::object{{"organisation", e->who.organisation},
                              {"actor", e->who.actor},
                              {"permissions", std::move(permissions)}});
}

model::value texts(const std::vector<std::string>& all) {
  auto a = model::array{};
  for (const auto& t : all)
    a.emplace_back(t);
  return a;
}

model::value show_user(const exchange& e, const organisation::user& u) {
  return model::object{{"login", u.login},
                       {"name", u.name},
                       {"roles", texts(u.roles)},
                       {"locked", u.locked_until > e.parts().now()},
                       {"createdAt", e.show(u.created_at)}};
}

model::value show_key(const exchange& e, const organisation::api_key& k) {
  auto o = model::object{{"id", k.id},
                         {"app", k.name},
                         {"permissions", texts(k.permissions)},
                         {"ipAllow", texts(k.ip_allow)},
                         {"createdAt", e.show(k.created_at)},
                         {"createdBy", k.actor}};
  if (k.expires)
    o.emplace_back("expires", e.show(*k.expires));
  if (!k.topics.empty())
    o.emplace_back("topics", show_topic_rules(k.topics));
  return o;
}

void get_organisation(const exchange_ptr& e) {
  const auto org = organisation_of(e->parts(), e->who.organisation);
  if (!org)
    return e->fail({errc::not_found, "org_unknown", "no such organisation"});
  e->reply_one(model::object{{"id", org->state->id},
                             {"name", org->state->name},
                             {"createdAt", e->show(org->state->created_at)}});
}

/// A page of what is in memory: `all` in order, `key_of` the text that they are ordered by.
template <class T>
void page(const exchange_ptr& e, std::vector<const T*> all, std::string T::*key,
          model::value (*show)(const exchange&, const T&)) {
  const auto limit = e->limit();
  const auto after = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), after ? nullptr : &after.error()})
    if (why)
      return e->fail(*why);
  std::sort(all.begin(), all.end(), [&](const T* a, const T* b) { return a->*key < b->*key; });
  auto items = model::array{};
  auto last = std::string{};
  for (const auto* one : all) {
    if (one->*key <= *after)
      continue;
    if (items.size() == *limit)
      return e->reply_page(std::move(items), last);
    items.push_back(show(*e, *one));
    last = one->*key;
  }
  e->reply_page(std::move(items), "");
}

const auto fields_of_users =
    filter::schema{{{.name = "login", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "roles", .type = filter::field_type::texts},
                    {.name = "locked", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true}}};

void list_users(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  const auto org = organisation_of(e->parts(), e->who.organisation);
  for (const auto& u : org->state->users)
    all.push_back({u.login, [&e, &u] { return show_user(*e, u); }});
  reply_list(e, fields_of_users, std::move(all));
}

const auto user_unknown = failure{errc::not_found, "user_unknown", "no such user"};

void get_user(const exchange_ptr& e) {
  const auto org = organisation_of(e->parts(), e->who.organisation);
  const auto* found = org->state->find_user(e->param("login"));
  if (!found)
    return e->fail(user_unknown);
  e->reply_one(show_user(*e, *found));
}

/// Why the caller may not give these: nobody gives what he does not have.
std::optional<failure> beyond(const exchange& e, const std::vector<std::string>& permissions) {
  for (const auto& p : permissions)
    if (!e.who.may(p))
      return failure{errc::forbidden, "forbidden",
                     "you cannot give a permission that you do not have: " + p};
  return std::nullopt;
}

void create_user(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto user = organisation::user{};
  user.login = f.text("login", 64).value_or("");
  user.name = f.text("name", 256).value_or(user.login);
  user.roles = f.texts("roles", 10).value_or(std::vector<std::string>{"viewer"});
  const auto password = f.text("password", 1024);
  if (user.login.empty())
    f.missing("login");
  if (!password)
    f.missing("password");
  else if (password->size() < 10)
    f.note("password", "too_short", "at least 10 characters");
  for (const auto& r : user.roles)
    if (organisation::permissions_of(r).empty())
      f.note("roles", "not_allowed", "no role " + r + "; there are admin, operator and viewer");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  for (const auto& r : user.roles)
    if (const auto why = beyond(*e, organisation::permissions_of(r)))
      return e->fail(*why);
  const auto org = organisation_of(e->parts(), e->who.organisation);
  on_hashing_thread(e, [e, org, user, password = *password] {
    auto made = user;
    made.password_hash = hash_password(password);
    e->ask(org->id, order(e, organisation::create_user{made}),
           [e, login = made.login](const actors::outcome& done) {
             const auto* reply = std::get_if<organisation::reply>(&done.answer);
             const auto& state = *std::get<organisation::organisation_snapshot>(*reply).what;
             e->reply(201, show_user(*e, *state.find_user(login)),
                      exchange::revision_headers(done));
           });
  });
}

/// Why the caller may not touch that person: he would take over rights that he does not have.
std::optional<failure> above(const exchange& e, const organisation::state& org,
                             const std::string& login) {
  const auto* found = org.find_user(login);
  if (!found)
    return user_unknown;
  for (const auto& r : found->roles)
    if (beyond(e, organisation::permissions_of(r)))
      return failure{errc::forbidden, "forbidden", login + " may do more than you"};
  return std::nullopt;
}

void remove_user(const exchange_ptr& e) {
  const auto org = organisation_of(e->parts(), e->who.organisation);
  if (const auto why = above(*e, *org->state, e->param("login")))
    return e->fail(*why);
  if (e->who.login == e->param("login"))
    return e->fail({errc::conflict, "state_conflict", "nobody can delete himself"});
  e->ask(
      org->id, order(e, organisation::remove_user{e->param("login")}),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

void set_password(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto password = f.text("password", 1024);
  if (!password)
    f.missing("password");
  else if (password->size() < 10)
    f.note("password", "too_short", "at least 10 characters");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto org = organisation_of(e->parts(), e->who.organisation);
  if (const auto why = above(*e, *org->state, e->param("login")))
    return e->fail(*why);
  on_hashing_thread(e, [e, org, password = *password] {
    e->ask(org->id,
           order(e, organisation::set_password{e->param("login"), hash_password(password)}),
           [e](const actors::outcome& done) {
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

bool is_permission(const std::string& text) {
  const auto is_word = [](std::string_view w) {
    return !w.empty() && w.size() <= 32 &&
           w.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string_view::npos;
  };
  const auto colon = text.find(':');
  if (colon == std::string::npos)
    return text == "*";
  const auto action = std::string_view{text}.substr(colon + 1);
  return is_word(std::string_view{text}.substr(0, colon)) && (action == "*" || is_word(action));
}

void create_key(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto key = organisation::api_key{};
  key.name = e->param("app");
  key.permissions = f.texts("permissions", 100).value_or(std::vector<std::string>{});
  for (const auto& r : f.texts("roles", 10).value_or(std::vector<std::string>{})) {
    const auto& of_role = organisation::permissions_of(r);
    if (of_role.empty())
      f.note("roles", "not_allowed", "no role " + r + "; there are admin, operator and viewer");
    key.permissions.insert(key.permissions.end(), of_role.begin(), of_role.end());
  }
  key.expires = f.time("expires");
  key.ip_allow = f.texts("ipAllow", 100).value_or(std::vector<std::string>{});
  key.topics = read_topic_rules(f, "topics").value_or(key.topics);
  if (!model::is_valid_key(key.name))
    f.note("app", "invalid", "an application's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (key.permissions.empty() && key.topics.empty())
    f.note("permissions", "required_missing", "give permissions, roles or topics");
  for (std::size_t i = 0; i < key.permissions.size(); ++i)
    if (!is_permission(key.permissions[i]))
      f.note("permissions/" + std::to_string(i), "invalid",
             "a permission is area:action, area:* or *");
  for (std::size_t i = 0; i < key.ip_allow.size(); ++i)
    if (!is_address_range(key.ip_allow[i]))
      f.note("ipAllow/" + std::to_string(i), "invalid",
             "expected an address or a network such as 10.0.0.0/8");
  if (key.expires && *key.expires <= e->parts().now())
    f.note("expires", "out_of_range", "is over already");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (const auto why = beyond(*e, key.permissions))
    return e->fail(*why);
  key.id = "k" + model::random_text(15);
  const auto secret = model::random_text(40);
  key.secret_sha256 = model::sha256_hex(secret);
  const auto org = organisation_of(e->parts(), e->who.organisation);
  e->ask(org->id, order(e, organisation::create_key{key}),
         [e, id = key.id, secret](const actors::outcome& done) {
           const auto& reply = std::get<organisation::reply>(done.answer);
           const auto& state = *std::get<organisation::organisation_snapshot>(reply).what;
           auto shown = show_key(*e, *state.find_key(id)).as_object();
           shown.emplace_back("secret", secret);
           shown.emplace_back("apiKey", write_api_key(state.id, id, secret));
           e->reply(201, std::move(shown), exchange::revision_headers(done));
         });
}

void list_keys(const exchange_ptr& e) {
  auto all = std::vector<const organisation::api_key*>{};
  const auto org = organisation_of(e->parts(), e->who.organisation);
  for (const auto& k : org->state->keys)
    if (k.name == e->param("app"))
      all.push_back(&k);
  page(e, std::move(all), &organisation::api_key::id, show_key);
}

void revoke_key(const exchange_ptr& e) {
  const auto org = organisation_of(e->parts(), e->who.organisation);
  const auto* key = org->state->find_key(e->param("key"));
  if (!key || key->name != e->param("app"))
    return e->fail({errc::not_found, "key_unknown", "no such key"});
  e->ask(
      org->id, order(e, organisation::revoke_key{e->param("key")}),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

void logout(const exchange_ptr& e) {
  if (e->who.session.empty())
    return e->fail({errc::conflict, "state_conflict",
                    "an API key has no log-in to end: revoke the key instead"});
  const auto org = organisation_of(e->parts(), e->who.organisation);
  e->ask(org->id, order(e, organisation::end_session{e->who.login, e->who.session}),
         [e](const actors::outcome&) { e->reply_empty(204); });
}

}  // namespace

std::vector<route> people_routes() {
  return {
      {"POST", "/auth/login", "", login, "login", "Log in with a password", "Login", "Tokens", 200,
       ""},
      {"POST", "/auth/token", "", refresh, "refreshToken", "New tokens for a refresh token",
       "Refresh", "Tokens", 200, ""},
      {"POST", "/auth/logout", "any", logout, "logout",
       "End the log-in: its access and refresh tokens count no more", "", "", 204, ""},
      {"GET", "/auth/me", "any", me, "whoAmI", "Who asks, and what he may do", "", "Identity", 200,
       ""},
      {"GET", "/orgs/{org}", "any", get_organisation, "getOrganisation", "The organisation", "",
       "Organisation", 200, ""},
      {"GET", "~/users", "iam:user", list_users, "listUsers", "People of the organisation", "",
       "Users", 200, "limit cursor filter sort fields"},
      {"GET", "~/users/{login}", "iam:user", get_user, "getUser", "A person", "", "User", 200, ""},
      {"POST", "~/users", "iam:user", create_user, "createUser", "Add a person", "NewUser", "User",
       201, ""},
      {"DELETE", "~/users/{login}", "iam:user", remove_user, "deleteUser", "Remove a person", "",
       "", 204, ""},
      {"POST", "~/users/{login}:resetPassword", "iam:user", set_password, "resetPassword",
       "Set a password; tokens given for the old one end", "NewPassword", "", 204, ""},
      {"GET", "~/apps/{app}/keys", "iam:app", list_keys, "listKeys", "Keys of an application", "",
       "Keys", 200, "limit cursor"},
      {"POST", "~/apps/{app}/keys", "iam:app", create_key, "createKey",
       "Make a key for an application; its secret is shown once", "NewKey", "CreatedKey", 201, ""},
      {"DELETE", "~/apps/{app}/keys/{key}", "iam:app", revoke_key, "revokeKey", "Revoke a key", "",
       "", 204, ""},
  };
}

}  // namespace orrery::transport::api
