#include "model/organisation/people.hpp"

#include <algorithm>

#include "model/organisation/deciding.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_sessions = 100;  // of one person
constexpr std::size_t max_roles = 20;      // of one subject
constexpr std::size_t max_mail_bytes = 254;
constexpr auto first_lock = std::chrono::minutes{15};
constexpr auto longest_lock = std::chrono::hours{24};
constexpr auto longest_overlap = std::chrono::days{30};

failure user_unknown(const std::string& login) {
  return {errc::not_found, "user_unknown", "no user " + login};
}
failure role_unknown(const std::string& name) {
  return {errc::not_found, "role_unknown", "no role " + name};
}
failure app_unknown(const std::string& id) {
  return {errc::not_found, "app_unknown", "no application " + id};
}
failure key_unknown(const std::string& id) {
  return {errc::not_found, "key_unknown", "no key " + id};
}

status check_mail(const std::string& mail) {
  const auto at = mail.find('@');
  const auto is_good = mail.size() <= max_mail_bytes && at != std::string::npos && at > 0 &&
                       at + 1 < mail.size() && mail.find('@', at + 1) == std::string::npos &&
                       std::none_of(mail.begin(), mail.end(), [](char c) {
                         return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
                       });
  if (mail.empty() || is_good)
    return {};
  return failure{errc::invalid_argument, "mail_invalid",
                 "an address of mail is name@place, at most 254 bytes"};
}

/// Fails with the first that does.
status first_failure(std::initializer_list<status> all) {
  for (const auto& one : all)
    if (!one)
      return one;
  return {};
}

}  // namespace

// ---- people

status check_roles(const state& s, const std::vector<std::string>& roles) {
  if (roles.size() > max_roles)
    return failure{errc::invalid_argument, "role_invalid", "at most 20 roles for one"};
  for (const auto& name : roles)
    if (!s.find_role(name))
      return failure{errc::invalid_argument, "role_invalid", "no role " + name};
  return {};
}

status check_new_user(const state& s, const user& who) {
  if (!is_valid_key(who.login))
    return failure{errc::invalid_argument, "login_invalid",
                   "a login is 1 to 64 characters of A-Z a-z 0-9 . _ -"};
  return first_failure({check_roles(s, who.roles), check_mail(who.mail)});
}

result<decision> decide_on(const state& s, const command&, const create_user& c,
                           const surroundings& around) {
  if (s.find_user(c.who.login))
    return refused(errc::already_exists, "login_exists", "login " + c.who.login + " exists");
  if (auto ok = first_failure({check_new_user(s, c.who), check_room(s, "users")}); !ok)
    return ok.error();
  auto who = c.who;
  who.created_at = around.now;
  return then(s, user_set{std::move(who)}, around);
}

result<decision> decide_on(const state& s, const command& c, const update_user& u,
                           const surroundings& around) {
  const auto* found = s.find_user(u.login);
  if (!found)
    return user_unknown(u.login);
  auto who = *found;
  who.name = u.name.value_or(who.name);
  who.mail = u.mail.value_or(who.mail);
  who.roles = u.roles.value_or(who.roles);
  if (auto ok =
          first_failure({check_expected(c, found->revision),
                         u.roles ? check_roles(s, who.roles) : status{}, check_mail(who.mail)});
      !ok)
    return ok.error();
  return then(s, user_set{std::move(who)}, around);
}

result<decision> decide_on(const state& s, const command&, const lock_user& l,
                           const surroundings& around) {
  const auto* found = s.find_user(l.login);
  if (!found)
    return user_unknown(l.login);
  auto who = *found;
  who.locked = l.locked;
  if (l.locked)
    return then(s, {user_set{std::move(who)}, session_ended{l.login, {}}}, around);
  who.failures = 0;
  who.locked_until = {};
  return then(s, user_set{std::move(who)}, around);
}

result<decision> decide_on(const state& s, const command&, const set_password& p,
                           const surroundings& around) {
  const auto* found = s.find_user(p.login);
  if (!found)
    return user_unknown(p.login);
  auto who = *found;
  who.password_hash = p.password_hash;
  who.failures = 0;
  who.locked_until = {};
  return then(s, {user_set{std::move(who)}, session_ended{p.login, {}}}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_user& r,
                           const surroundings& around) {
  if (!s.find_user(r.login))
    return user_unknown(r.login);
  return then(s, user_removed{r.login}, around);
}

result<decision> decide_on(const state& s, const command&, const set_second_factor& f,
                           const surroundings& around) {
  const auto* found = s.find_user(f.login);
  if (!found)
    return user_unknown(f.login);
  if (found->second.is_needed())
    return refused(errc::conflict, "totp_active",
                   f.login + " has a second factor: take that away first");
  if (f.secret.empty() || f.spare_codes.size() > max_spare_codes)
    return refused(errc::invalid_argument, "totp_invalid",
                   "a second factor has a secret, and at most 10 spare codes");
  auto who = *found;
  who.second = {f.secret, false, 0, f.spare_codes};
  return then(s, user_set{std::move(who)}, around);
}

namespace {

/// Whether a code that was good for that secret still is.
status is_of(const second_factor& second, const sealed_secret& secret) {
  if (secret.empty() || secret == second.secret)
    return {};
  return failure{errc::unauthenticated, "bad_credentials",
                 "the second factor was replaced meanwhile"};
}

/// Takes the code away, if it counts.
status use_code(second_factor& second, std::uint64_t step, const std::string& spare_code) {
  if (step == 0 && spare_code.empty())
    return failure{errc::unauthenticated, "otp_required", "a code of the second factor is needed"};
  if (!spare_code.empty() && std::erase(second.spare_codes, spare_code) > 0)
    return {};
  if (step <= second.last_step)
    return failure{errc::unauthenticated, "bad_credentials", "that code was used already"};
  second.last_step = step;
  return {};
}

}  // namespace

result<decision> decide_on(const state& s, const command&, const confirm_second_factor& f,
                           const surroundings& around) {
  const auto* found = s.find_user(f.login);
  if (!found)
    return user_unknown(f.login);
  if (found->second.secret.empty() || found->second.confirmed)
    return refused(errc::conflict, "totp_unknown", "there is no second factor to confirm");
  if (auto ok = is_of(found->second, f.secret); !ok)
    return ok.error();
  if (!found->may_log_in(around.now))
    return refused(errc::forbidden, "locked", "the login " + f.login + " is locked");
  auto who = *found;
  who.second.confirmed = true;
  who.second.last_step = f.step;
  return then(s, user_set{std::move(who)}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_second_factor& f,
                           const surroundings& around) {
  const auto* found = s.find_user(f.login);
  if (!found)
    return user_unknown(f.login);
  if (found->second.secret.empty())
    return refused(errc::not_found, "totp_unknown", f.login + " has no second factor");
  auto who = *found;
  if (f.by_code) {
    if (!found->may_log_in(around.now))
      return refused(errc::forbidden, "locked", "the login " + f.login + " is locked");
    if (auto ok = is_of(who.second, f.secret); !ok)
      return ok.error();
    if (auto ok = use_code(who.second, f.step, f.spare_code); !ok)
      return ok.error();
  }
  who.second = {};
  return then(s, user_set{std::move(who)}, around);
}

// ---- log-ins

result<decision> decide_on(const state& s, const command&, const note_bad_login& n,
                           const surroundings& around) {
  const auto* found = s.find_user(n.login);
  if (!found)
    return user_unknown(n.login);
  if (!found->may_log_in(around.now))  // those that were under way when it was locked
    return then(s, std::vector<event>{}, around);
  auto who = *found;
  ++who.failures;
  if (who.failures >= around.max_login_failures) {
    auto lock = milliseconds{first_lock};
    for (auto i = around.max_login_failures; i < who.failures && lock < longest_lock; ++i)
      lock *= 2;
    who.locked_until = around.now + std::min<milliseconds>(lock, longest_lock);
  }
  return then(s, user_set{std::move(who)}, around);
}

void open_one(const state& s, const login_session& what, timestamp now,
              std::vector<event>& events) {
  auto open = std::size_t{0};
  const login_session* oldest = nullptr;
  for (const auto& session : s.sessions)
    if (session.login == what.login && session.until > now) {
      ++open;
      oldest = oldest ? oldest : &session;
    }
  if (open >= max_sessions)
    events.emplace_back(session_ended{oldest->login, oldest->id});
  for (const auto& session : s.sessions)  // what is over is swept by whoever comes next
    if (session.until <= now)
      events.emplace_back(session_ended{session.login, session.id});
  events.emplace_back(session_set{what});
}

result<decision> decide_on(const state& s, const command&, const open_session& o,
                           const surroundings& around) {
  const auto* found = s.find_user(o.what.login);
  if (!found)
    return user_unknown(o.what.login);
  if (s.is_suspended)
    return refused(errc::forbidden, "org_suspended", "the organisation is suspended");
  if (!found->may_log_in(around.now))
    return refused(errc::forbidden, "locked", "the login " + o.what.login + " is locked");
  auto events = std::vector<event>{};
  auto who = *found;
  if (!o.password_hash.empty() && o.password_hash != found->password_hash)
    return refused(errc::unauthenticated, "bad_credentials", "the password was changed meanwhile");
  if (who.second.is_needed()) {
    if (auto ok = is_of(who.second, o.second); !ok)
      return ok.error();
    if (auto ok = use_code(who.second, o.step, o.spare_code); !ok)
      return ok.error();
  }
  if (found->failures > 0 || who.second.is_needed()) {
    who.failures = 0;
    who.locked_until = {};
    events.emplace_back(user_set{std::move(who)});
  }
  open_one(s, o.what, around.now, events);
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const keep_session& k,
                           const surroundings& around) {
  const auto* found = s.find_session(k.what.login, k.what.id);
  if (!found || found->until <= around.now)
    return refused(errc::not_found, "session_unknown", "that session is over");
  if (k.what.generation == found->generation) {
    auto next = k.what;
    ++next.generation;
    next.refreshed_at = around.now;
    return then(s, session_set{std::move(next)}, around);
  }
  if (k.what.generation + 1 == found->generation &&
      around.now - found->refreshed_at <= refresh_grace)
    return then(s, std::vector<event>{}, around);
  return then(s, session_ended{k.what.login, k.what.id}, around);
}

result<decision> decide_on(const state& s, const command&, const end_session& e,
                           const surroundings& around) {
  if (!s.find_session(e.login, e.id))
    return decision{};  // over already
  return then(s, session_ended{e.login, e.id}, around);
}

// ---- roles

namespace {

status check_role(const role& r) {
  const auto wrong = [](std::string detail) {
    return failure{errc::invalid_argument, "role_invalid", std::move(detail)};
  };
  if (!is_valid_key(r.name))
    return wrong("a role's name is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (r.permissions.size() > max_role_permissions)
    return wrong("a role has at most 100 permissions");
  for (const auto& p : r.permissions)
    if (!is_permission(p))
      return wrong("a permission is area:action, area:* or *, not " + p);
  for (const auto* names : {&r.within.products, &r.within.groups, &r.within.tree_nodes}) {
    if (names->size() > max_scope_names)
      return wrong("a scope names at most 100 of each sort");
    for (const auto& name : *names)
      if (!is_valid_key(name))
        return wrong("a scope names things by their ids");
  }
  return {};
}

bool is_used(const state& s, const std::string& name) {
  const auto by = [&](const auto& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& one) {
      return std::find(one.roles.begin(), one.roles.end(), name) != one.roles.end();
    });
  };
  const auto given_by = [&](const identity_provider& p) {
    return by(p.role_map) ||
           std::find(p.default_roles.begin(), p.default_roles.end(), name) != p.default_roles.end();
  };
  return by(s.users) || by(s.applications) || by(s.keys) ||
         std::any_of(s.providers.begin(), s.providers.end(), given_by);
}

}  // namespace

result<decision> decide_on(const state& s, const command& c, const put_role& p,
                           const surroundings& around) {
  if (built_in_role(p.what.name))
    return refused(errc::conflict, "role_builtin", p.what.name + " is a built-in role");
  const auto* found = s.find_role(p.what.name);
  if (p.is_new && found)
    return refused(errc::already_exists, "role_exists", "role " + p.what.name + " exists");
  if (!p.is_new && !found)
    return role_unknown(p.what.name);
  if (auto ok = check_role(p.what); !ok)
    return ok.error();
  if (auto ok = found ? check_expected(c, found->revision) : check_room(s, "roles"); !ok)
    return ok.error();
  auto what = p.what;
  what.updated_at = around.now;
  what.created_at = found ? found->created_at : around.now;
  what.actor = found ? found->actor : c.actor;
  return then(s, role_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const remove_role& r,
                           const surroundings& around) {
  if (built_in_role(r.name))
    return refused(errc::conflict, "role_builtin", r.name + " is a built-in role");
  const auto* found = s.find_role(r.name);
  if (!found)
    return role_unknown(r.name);
  if (auto ok = check_expected(c, found->revision); !ok)
    return ok.error();
  if (is_used(s, r.name))
    return refused(errc::conflict, "role_in_use",
                   "somebody or an identity provider has the role " + r.name);
  return then(s, role_removed{r.name}, around);
}

// ---- applications and their keys

result<decision> decide_on(const state& s, const command& c, const create_application& a,
                           const surroundings& around) {
  if (s.find_application(a.what.id))
    return refused(errc::already_exists, "app_exists", "application " + a.what.id + " exists");
  if (!is_valid_key(a.what.id))
    return refused(errc::invalid_argument, "app_invalid",
                   "an application's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (auto ok = first_failure({check_roles(s, a.what.roles), check_room(s, "apps")}); !ok)
    return ok.error();
  auto what = a.what;
  what.created_at = around.now;
  what.actor = c.actor;
  return then(s, application_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const update_application& u,
                           const surroundings& around) {
  const auto* found = s.find_application(u.id);
  if (!found)
    return app_unknown(u.id);
  auto what = *found;
  what.name = u.name.value_or(what.name);
  what.roles = u.roles.value_or(what.roles);
  if (auto ok = first_failure(
          {check_expected(c, found->revision), u.roles ? check_roles(s, what.roles) : status{}});
      !ok)
    return ok.error();
  return then(s, application_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const remove_application& r,
                           const surroundings& around) {
  const auto* found = s.find_application(r.id);
  if (!found)
    return app_unknown(r.id);
  if (auto ok = check_expected(c, found->revision); !ok)
    return ok.error();
  return then(s, application_removed{r.id}, around);
}

namespace {

/// Keys whose successors have taken their place go with whoever comes next.
void sweep_keys(const state& s, timestamp now, std::vector<event>& events) {
  for (const auto& k : s.keys)
    if (!k.replaced_by.empty() && k.expires && *k.expires <= now)
      events.emplace_back(key_removed{k.id});
}

}  // namespace

result<decision> decide_on(const state& s, const command& c, const create_key& k,
                           const surroundings& around) {
  if (s.find_key(k.key.id))
    return refused(errc::already_exists, "key_exists", "key " + k.key.id + " exists");
  if (!is_valid_key(k.key.name))
    return refused(errc::invalid_argument, "app_invalid",
                   "an application's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  const auto* app = s.find_application(k.key.name);
  if (!k.key.speaks_for_itself() && k.key.topics.empty() && (!app || app->roles.empty()))
    return refused(errc::invalid_argument, "permissions_missing",
                   "a key needs a permission, a role, or a rule for topics, if its application "
                   "has no roles");
  if (auto ok = first_failure({check_roles(s, k.key.roles), check_topic_rules(k.key.topics),
                               check_room(s, "keys"), app ? status{} : check_room(s, "apps")});
      !ok)
    return ok.error();
  auto events = std::vector<event>{};
  if (!app)
    events.emplace_back(application_set{{k.key.name, k.key.name, {}, around.now, c.actor, 0}});
  sweep_keys(s, around.now, events);
  auto key = k.key;
  key.created_at = around.now;
  key.actor = c.actor;
  events.emplace_back(key_set{std::move(key)});
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command& c, const rotate_key& r,
                           const surroundings& around) {
  const auto* found = s.find_key(r.id);
  if (!found)
    return key_unknown(r.id);
  if (found->expires && *found->expires <= around.now)
    return refused(errc::conflict, "key_expired", "key " + r.id + " is over: make another one");
  if (!found->replaced_by.empty())
    return refused(errc::conflict, "key_rotated",
                   "key " + found->replaced_by + " is in its place already");
  if (r.overlap < milliseconds{0} || r.overlap > longest_overlap)
    return refused(errc::invalid_argument, "overlap_invalid",
                   "the old key counts for 0 to 30 days more");
  if (s.find_key(r.new_id))
    return refused(errc::already_exists, "key_exists", "key " + r.new_id + " exists");
  if (auto ok = check_room(s, "keys"); !ok && r.overlap > milliseconds{0})
    return ok.error();
  auto next = *found;
  next.id = r.new_id;
  next.secret_sha256 = r.secret_sha256;
  next.created_at = around.now;
  next.actor = c.actor;
  auto events = std::vector<event>{};
  sweep_keys(s, around.now, events);
  if (r.overlap == milliseconds{0}) {
    events.emplace_back(key_removed{r.id});
  } else {
    auto old = *found;
    old.expires = old.expires ? std::min<timestamp>(*old.expires, around.now + r.overlap)
                              : around.now + r.overlap;
    old.replaced_by = r.new_id;
    events.emplace_back(key_set{std::move(old)});
  }
  events.emplace_back(key_set{std::move(next)});
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const revoke_key& r,
                           const surroundings& around) {
  if (!s.find_key(r.id))
    return key_unknown(r.id);
  return then(s, key_removed{r.id}, around);
}

// ---- what follows

void apply_on(state& s, const user_set& e) {
  auto who = e.what;
  who.revision = s.revision + 1;
  put_into(s.users, who, &user::login);
}
void apply_on(state& s, const session_set& e) {
  for (auto& session : s.sessions)
    if (session.login == e.what.login && session.id == e.what.id) {
      session = e.what;
      return;
    }
  s.sessions.push_back(e.what);
}
void apply_on(state& s, const session_ended& e) {
  std::erase_if(s.sessions, [&](const login_session& session) {
    return session.login == e.login && (e.id.empty() || session.id == e.id);
  });
}
void apply_on(state& s, const user_removed& e) {
  std::erase_if(s.users, [&](const user& u) { return u.login == e.login; });
  std::erase_if(s.identities, [&](const identity_link& i) { return i.login == e.login; });
  apply_on(s, session_ended{e.login, {}});
}
void apply_on(state& s, const role_set& e) {
  auto what = e.what;
  what.revision = s.revision + 1;
  put_into(s.roles, what, &role::name);
}
void apply_on(state& s, const role_removed& e) {
  std::erase_if(s.roles, [&](const role& r) { return r.name == e.name; });
}
void apply_on(state& s, const application_set& e) {
  auto what = e.what;
  what.revision = s.revision + 1;
  put_into(s.applications, what, &application::id);
}
void apply_on(state& s, const application_removed& e) {
  std::erase_if(s.applications, [&](const application& a) { return a.id == e.id; });
  std::erase_if(s.keys, [&](const api_key& k) { return k.name == e.id; });
}
void apply_on(state& s, const key_set& e) {
  put_into(s.keys, e.what, &api_key::id);
}
void apply_on(state& s, const key_removed& e) {
  std::erase_if(s.keys, [&](const api_key& k) { return k.id == e.id; });
}

// ---- what somebody has

rights rights_of(const state& s, const std::vector<std::string>& roles) {
  auto all = rights{};
  for (const auto& name : roles)
    if (const auto* found = s.find_role(name))
      all.push_back({name, found->permissions, found->within});
  return all;
}

rights rights_of(const state& s, const user& who) {
  return rights_of(s, who.roles);
}

rights rights_of(const state& s, const application& what) {
  return rights_of(s, what.roles);
}

rights rights_of(const state& s, const api_key& key) {
  if (!key.speaks_for_itself()) {
    const auto* app = s.find_application(key.name);
    return app ? rights_of(s, *app) : rights{};
  }
  auto all = rights_of(s, key.roles);
  if (!key.permissions.empty())
    all.push_back({{}, key.permissions, {}});
  return all;
}

}  // namespace orrery::model::organisation
