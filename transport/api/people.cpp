// People of an organisation (group A of the API), and what the calls of that group share.
#include "transport/api/people.hpp"

#include "observe/log.hpp"
#include "transport/api/listing.hpp"
#include "transport/api/routes.hpp"
#include "transport/device_quota.hpp"
namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace log = observe::log;
namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr std::size_t least_password = 10, most_password = 1024;

model::value show(const exchange& e, const organisation::state& org, const organisation::user& u) {
  auto identities = model::array{};
  for (const auto& i : org.identities)
    if (i.login == u.login)
      identities.emplace_back(model::object{
          {"issuer", i.issuer}, {"subject", i.subject}, {"linkedAt", e.show(i.linked_at)}});
  const auto kept_out = u.locked_until > e.parts().now();
  auto o = model::object{{"login", u.login},
                         {"name", u.name},
                         {"mail", u.mail},
                         {"roles", texts(u.roles)},
                         {"locked", u.locked || kept_out},
                         {"secondFactor", u.second.is_needed()},
                         {"identities", std::move(identities)},
                         {"createdAt", e.show(u.created_at)}};
  if (!u.locked && kept_out)
    o.emplace_back("lockedUntil", e.show(u.locked_until));
  return o;
}

const auto fields_of_users =
    filter::schema{{{.name = "login", .sortable = true},
                    {.name = "name", .sortable = true},
                    {.name = "mail", .sortable = true},
                    {.name = "roles", .type = filter::field_type::texts},
                    {.name = "locked", .type = filter::field_type::truth},
                    {.name = "secondFactor", .type = filter::field_type::truth},
                    {.name = "createdAt", .type = filter::field_type::time, .sortable = true}}};

void list(const exchange_ptr& e) {
  auto all = std::vector<list_row>{};
  const auto org = own_organisation(*e);
  for (const auto& u : org->state->users)
    all.push_back({u.login, [&e, &org, &u] { return show(*e, *org->state, u); }});
  reply_list(e, fields_of_users, std::move(all));
}

const auto unknown = failure{errc::not_found, "user_unknown", "no such user"};

void get(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* found = org->state->find_user(e->param("login"));
  if (!found)
    return e->fail(unknown);
  e->reply(200, show(*e, *org->state, *found), {{"ETag", exchange::etag(found->revision)}});
}

/// The person as he is after an order.
void reply_changed(const exchange_ptr& e, int status, const std::string& login,
                   const actors::outcome& done) {
  const auto org = organisation_in(done);
  const auto* now = org->find_user(login);
  e->reply(status, show(*e, *org, *now), headers_of(done, now->revision));
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto org = own_organisation(*e);
  auto f = fields{*body};
  auto user = organisation::user{};
  user.login = f.text("login", 64).value_or("");
  user.name = f.text("name", 256).value_or(user.login);
  user.mail = f.text("mail", 254).value_or("");
  user.roles = read_roles(f, *org->state).value_or(std::vector<std::string>{"viewer"});
  if (user.login.empty())
    f.missing("login");
  const auto password = read_password(f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (const auto why = beyond(*e, organisation::rights_of(*org->state, user)))
    return e->fail(*why);
  on_hashing_thread(e, [e, org, user, password] {
    auto made = user;
    made.password_hash = hash_password(password);
    e->ask(org->id, order_of(*e, organisation::create_user{made}),
           [e, login = made.login](const actors::outcome& done) {
             const auto after = organisation_in(done);
             note_quota(*e, *after, "users", after->users.size());
             reply_changed(e, 201, login, done);
           });
  });
}

/// The person of the route, if the caller may touch him; else it is answered.
const organisation::user* touch(const exchange_ptr& e, const organisation::state& org) {
  const auto* found = org.find_user(e->param("login"));
  if (!found) {
    e->fail(unknown);
    return nullptr;
  }
  if (const auto why = above(*e, organisation::rights_of(org, *found), found->login)) {
    e->fail(*why);
    return nullptr;
  }
  e->was(show(*e, org, *found));
  return found;
}

void update(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  const auto org = own_organisation(*e);
  auto f = fields{*body};
  auto u = organisation::update_user{};
  u.login = e->param("login");
  u.name = f.text("name", 256);
  u.mail = f.text("mail", 254);
  u.roles = read_roles(f, *org->state);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (!touch(e, *org->state))
    return;
  if (u.roles) {
    if (e->who.login == u.login)
      return e->fail({errc::conflict, "state_conflict", "nobody changes his own roles"});
    if (const auto why = beyond(*e, organisation::rights_of(*org->state, *u.roles)))
      return e->fail(*why);
  }
  const auto login = u.login;
  e->ask(org->id, order_of(*e, std::move(u), *expected),
         [e, login](const actors::outcome& done) { reply_changed(e, 200, login, done); });
}

void set_lock(const exchange_ptr& e, bool locked) {
  const auto org = own_organisation(*e);
  const auto* found = touch(e, *org->state);
  if (!found)
    return;
  if (e->who.login == found->login)
    return e->fail({errc::conflict, "state_conflict", "nobody locks himself"});
  const auto login = found->login;
  e->ask(org->id, order_of(*e, organisation::lock_user{login, locked}),
         [e, login](const actors::outcome& done) { reply_changed(e, 200, login, done); });
}
void lock(const exchange_ptr& e) {
  set_lock(e, true);
}
void unlock(const exchange_ptr& e) {
  set_lock(e, false);
}

/// An order after which there is nothing to show.
void tell(const exchange_ptr& e, organisation::order what) {
  e->ask(own_organisation(*e)->id, order_of(*e, std::move(what)), [e](const actors::outcome& done) {
    e->reply_empty(204, exchange::revision_headers(done));
  });
}

void remove(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  const auto* found = touch(e, *org->state);
  if (!found)
    return;
  if (e->who.login == found->login)
    return e->fail({errc::conflict, "state_conflict", "nobody can delete himself"});
  tell(e, organisation::remove_user{found->login});
}

void set_password(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto password = read_password(f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto org = own_organisation(*e);
  if (touch(e, *org->state))
    on_hashing_thread(e, [e, password] {
      tell(e, organisation::set_password{e->param("login"), hash_password(password)});
    });
}

void reset_second_factor(const exchange_ptr& e) {
  const auto org = own_organisation(*e);
  if (const auto* found = touch(e, *org->state)) {
    if (e->who.login == found->login)
      return e->fail({errc::conflict, "state_conflict", "one's own is ended with a code of it"});
    tell(e, organisation::remove_second_factor{found->login});
  }
}

}  // namespace

std::shared_ptr<const actors::catalogue_organisation> find_organisation(const service_parts& parts,
                                                                        const std::string& id) {
  const auto known = parts.known->current();
  const auto found = known->organisations.find(id);
  return found == known->organisations.end() ? nullptr : found->second;
}

std::shared_ptr<const actors::catalogue_organisation> own_organisation(const exchange& e) {
  static const auto none = [] {
    auto empty = actors::catalogue_organisation{};
    empty.state = std::make_shared<const organisation::state>();
    return std::make_shared<const actors::catalogue_organisation>(std::move(empty));
  }();
  auto found = find_organisation(e.parts(), e.who.organisation);
  return found ? found : none;  // it went this moment
}

actors::any_command order_of(const exchange& e, organisation::order what,
                             std::optional<std::uint64_t> expected) {
  return organisation::command{std::move(what), e.who.actor.empty() ? "login" : e.who.actor,
                               expected};
}

std::shared_ptr<const organisation::state> organisation_in(const actors::outcome& done) {
  const auto& reply = std::get<organisation::reply>(done.answer);
  return std::get<organisation::organisation_snapshot>(reply).what;
}

exchange::headers headers_of(const actors::outcome& done, std::uint64_t revision) {
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(revision));
  return h;
}

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

model::value texts(const std::vector<std::string>& all) {
  auto a = model::array{};
  for (const auto& t : all)
    a.emplace_back(t);
  return a;
}

std::optional<std::vector<std::string>> read_roles(fields& f, const organisation::state& org) {
  auto roles = f.texts("roles", 20);
  for (const auto& r : roles.value_or(std::vector<std::string>{}))
    if (!org.find_role(r))
      f.note("roles", "not_allowed", "no role " + r);
  return roles;
}

std::string read_password(fields& f) {
  auto password = f.text("password", most_password);
  if (!password && !f.has("password"))
    f.missing("password");
  else if (password && password->size() < least_password)
    f.note("password", "too_short", "at least 10 characters");
  return password.value_or("");
}

model::object show_scope(const organisation::scope& s) {
  return {{"products", texts(s.products)},
          {"groups", texts(s.groups)},
          {"treeNodes", texts(s.tree_nodes)}};
}

model::object show_grant(const organisation::grant& g) {
  return {{"role", g.role}, {"permissions", texts(g.permissions)}, {"scope", show_scope(g.within)}};
}

std::optional<failure> beyond(const exchange& e, const organisation::rights& given) {
  for (const auto& grant : given)
    if (const auto missing = organisation::missing_to_give(e.who.rights, grant))
      return failure{errc::forbidden, "forbidden",
                     "you cannot give a permission that you do not have: " + *missing};
  return std::nullopt;
}

std::optional<failure> above(const exchange& e, const organisation::rights& has,
                             const std::string& whom) {
  for (const auto& grant : has)
    if (organisation::missing_to_give(e.who.rights, grant))
      return failure{errc::forbidden, "forbidden", whom + " may do more than you"};
  return std::nullopt;
}

void note_quota(const exchange& e, const organisation::state& org, std::string_view item,
                std::uint64_t used) {
  const auto* quota = org.find_quota(item);
  if (!quota || !quota->soft || used != *quota->soft + 1)
    return;
  note_soft_limit(e, org.id, item, used, *quota->soft);
}

quota_use use_of(const device_room& room) {
  return {"devices", room.used, room.devices, room.soft, room.hard};
}

void warn_of_quota(const exchange& e, const quota_use& now, exchange::headers& headers) {
  if (!now.soft || now.used <= *now.soft)
    return;
  auto text = std::string{now.item} + "; used=" + std::to_string(now.used) +
              "; soft=" + std::to_string(*now.soft);
  if (now.hard)
    text += "; hard=" + std::to_string(*now.hard);
  headers.emplace_back("X-Quota-Warning", std::move(text));
  if (now.used - now.news <= *now.soft)
    note_soft_limit(e, e.who.organisation, now.item, now.used, *now.soft);
}

void note_soft_limit(const exchange& e, const std::string& organisation, std::string_view item,
                     std::uint64_t used, std::uint64_t soft) {
  log::warn("api", "soft limit passed",
            {{"organisation", organisation}, {"item", item}, {"used", used}, {"soft", soft}});
  quotas_reached(*e.parts().metrics, "soft").add();
}

std::uint64_t count_in_catalogue(const exchange& e, const std::string& id, std::string_view item) {
  const auto known = e.parts().known->current();
  const auto count = [&](const auto& all) {
    auto n = std::uint64_t{0};
    for (const auto& [key, one] : all)
      n += one->state->organisation == id ? 1 : 0;
    return n;
  };
  if (item == "products")
    return count(known->products);
  const auto* library = known->blueprint(id, std::string{model::blueprint::library_id});
  return count(known->blueprints) - (library ? 1 : 0);
}

model::status check_catalogue_quota(const exchange& e, std::string_view item) {
  const auto org = own_organisation(e);
  if (!org->state->find_quota(item))
    return {};
  const auto used = count_in_catalogue(e, e.who.organisation, item);
  auto ok = organisation::check_quota(*org->state, item, used);
  if (ok)
    note_quota(e, *org->state, item, used + 1);
  return ok;
}

std::vector<route> people_routes() {
  return {
      {"GET", "~/users", "iam:user", list, "listUsers", "People of the organisation", "", "Users",
       200, "limit cursor filter sort fields"},
      {"POST", "~/users", "iam:user", create, "createUser", "Add a person", "NewUser", "User", 201,
       ""},
      {"GET", "~/users/{login}", "iam:user", get, "getUser", "A person", "", "User", 200, ""},
      {"PATCH", "~/users/{login}", "iam:user", update, "updateUser",
       "Change a person; roles count at once", "UserChange", "User", 200, ""},
      {"DELETE", "~/users/{login}", "iam:user", remove, "deleteUser", "Remove a person", "", "",
       204, ""},
      {"POST", "~/users/{login}:lock", "iam:user", lock, "lockUser",
       "End his log-ins, and let him not log in any more", "", "User", 200, ""},
      {"POST", "~/users/{login}:unlock", "iam:user", unlock, "unlockUser",
       "Let him log in again, also if bad passwords keep him out", "", "User", 200, ""},
      {"POST", "~/users/{login}:resetPassword", "iam:user", set_password, "resetPassword",
       "Set a password; tokens given for the old one end", "NewPassword", "", 204, ""},
      {"POST", "~/users/{login}:resetSecondFactor", "iam:user", reset_second_factor,
       "resetSecondFactor", "Take away the second factor of somebody who has lost it", "", "", 204,
       ""},
  };
}

}  // namespace orrery::transport::api
