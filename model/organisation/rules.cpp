#include <algorithm>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_users = 1000, max_keys = 1000, max_sessions = 100;  // of one person
constexpr std::size_t max_authorities = 20, max_revoked = 10'000, max_list_bytes = 1024 * 1024;
constexpr std::uint8_t takes_off = 8;  // removeFromCRL
constexpr auto first_lock = std::chrono::minutes{15};
constexpr auto longest_lock = std::chrono::hours{24};

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

decision then(const state& s, std::vector<event> events, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  for (const auto& e : events)
    organisation::apply(*after, e);
  return {std::move(events), organisation_snapshot{around.self, std::move(after)}};
}
decision then(const state& s, event e, const surroundings& around) {
  auto events = std::vector<event>{};
  events.push_back(std::move(e));
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const create_organisation& c,
                           const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "org_exists", "organisation " + c.id + " exists");
  if (!is_valid_key(c.id))
    return refused(errc::invalid_argument, "org_invalid",
                   "an organisation's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  return then(s, created{c, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const update_organisation& u,
                           const surroundings& around) {
  return then(s, updated{u.name, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const create_user& c,
                           const surroundings& around) {
  if (s.find_user(c.who.login))
    return refused(errc::already_exists, "login_exists", "login " + c.who.login + " exists");
  if (!is_valid_key(c.who.login))
    return refused(errc::invalid_argument, "login_invalid",
                   "a login is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (s.users.size() >= max_users)
    return refused(errc::conflict, "quota_exceeded", "an organisation has at most 1000 users");
  auto who = c.who;
  who.created_at = around.now;
  return then(s, user_set{std::move(who)}, around);
}

result<decision> decide_on(const state& s, const command&, const set_password& p,
                           const surroundings& around) {
  const auto* found = s.find_user(p.login);
  if (!found)
    return refused(errc::not_found, "user_unknown", "no user " + p.login);
  auto who = *found;
  who.password_hash = p.password_hash;
  who.failures = 0;
  who.locked_until = {};
  return then(s, {user_set{std::move(who)}, session_ended{p.login, {}}}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_user& r,
                           const surroundings& around) {
  if (!s.find_user(r.login))
    return refused(errc::not_found, "user_unknown", "no user " + r.login);
  return then(s, user_removed{r.login}, around);
}

result<decision> decide_on(const state& s, const command&, const note_bad_login& n,
                           const surroundings& around) {
  const auto* found = s.find_user(n.login);
  if (!found)
    return refused(errc::not_found, "user_unknown", "no user " + n.login);
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

result<decision> decide_on(const state& s, const command&, const open_session& o,
                           const surroundings& around) {
  const auto* found = s.find_user(o.what.login);
  if (!found)
    return refused(errc::not_found, "user_unknown", "no user " + o.what.login);
  if (found->locked_until > around.now)
    return refused(errc::forbidden, "locked", "too many bad passwords for " + o.what.login);
  auto events = std::vector<event>{};
  if (found->failures > 0) {
    auto who = *found;
    who.failures = 0;
    who.locked_until = {};
    events.emplace_back(user_set{std::move(who)});
  }
  auto open = std::size_t{0};
  const login_session* oldest = nullptr;
  for (const auto& session : s.sessions)
    if (session.login == o.what.login && session.until > around.now) {
      ++open;
      oldest = oldest ? oldest : &session;
    }
  if (open >= max_sessions)
    events.emplace_back(session_ended{oldest->login, oldest->id});
  for (const auto& session : s.sessions)  // what is over is swept by whoever comes next
    if (session.until <= around.now)
      events.emplace_back(session_ended{session.login, session.id});
  events.emplace_back(session_set{o.what});
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const keep_session& k,
                           const surroundings& around) {
  const auto* found = s.find_session(k.what.login, k.what.id);
  if (!found || found->until <= around.now)
    return refused(errc::not_found, "session_unknown", "that session is over");
  return then(s, session_set{k.what}, around);
}

result<decision> decide_on(const state& s, const command&, const end_session& e,
                           const surroundings& around) {
  if (!s.find_session(e.login, e.id))
    return decision{};  // over already
  return then(s, session_ended{e.login, e.id}, around);
}

result<decision> decide_on(const state& s, const command& c, const create_key& k,
                           const surroundings& around) {
  if (s.find_key(k.key.id))
    return refused(errc::already_exists, "key_exists", "key " + k.key.id + " exists");
  if (s.keys.size() >= max_keys)
    return refused(errc::conflict, "quota_exceeded", "an organisation has at most 1000 keys");
  if (k.key.permissions.empty() && k.key.topics.empty())
    return refused(errc::invalid_argument, "permissions_missing",
                   "a key needs at least one permission, or a rule for topics");
  auto key = k.key;
  key.created_at = around.now;
  key.actor = c.actor;
  if (auto ok = check_topic_rules(key.topics); !ok)
    return ok.error();
  return then(s, key_set{std::move(key)}, around);
}

result<decision> decide_on(const state& s, const command&, const open_topics& o,
                           const surroundings& around) {
  if (std::binary_search(s.topic_shards.begin(), s.topic_shards.end(), o.shard))
    return then(s, std::vector<event>{}, around);
  return then(s, topics_opened{o.shard}, around);
}

result<decision> decide_on(const state& s, const command&, const revoke_key& r,
                           const surroundings& around) {
  if (!s.find_key(r.id))
    return refused(errc::not_found, "key_unknown", "no key " + r.id);
  return then(s, key_removed{r.id}, around);
}

failure authority_unknown(const std::string& id) {
  return {errc::not_found, "authority_unknown", "no authority " + id};
}

result<decision> decide_on(const state& s, const command& c, const add_authority& a,
                           const surroundings& around) {
  using origin = certificate_authority::origin;
  if (s.find_authority(a.what.id) ||
      (a.what.kind == origin::built_in && s.built_in(a.what.keys) != nullptr))
    return refused(errc::already_exists, "authority_exists",
                   "authority " + a.what.id + " is there already");
  const auto external = a.what.kind == origin::external;
  if (a.what.id.empty() || a.what.key.empty() != external || a.what.is_pending() != external)
    return refused(errc::invalid_argument, "authority_invalid",
                   "an authority needs a key id, and a built-in one its key, but an external one "
                   "a way to prove that");
  if (s.authorities.size() >= max_authorities)
    return refused(errc::conflict, "quota_exceeded", "an organisation has at most 20 authorities");
  auto what = a.what;
  what.created_at = around.now;
  what.actor = c.actor;
  return then(s, authority_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command&, const remove_authority& r,
                           const surroundings& around) {
  const auto* found = s.find_authority(r.id);
  if (!found)
    return authority_unknown(r.id);
  if (found->kind == certificate_authority::origin::built_in)
    return refused(errc::conflict, "authority_built_in",
                   "what a built-in authority has signed would be good for nothing");
  return then(s, authority_removed{r.id}, around);
}

result<decision> decide_on(const state& s, const command&, const list_revocation& l,
                           const surroundings& around) {
  const auto* found = s.find_authority(l.authority);
  if (!found || found->kind != certificate_authority::origin::built_in)
    return authority_unknown(l.authority);
  const auto row = std::find_if(found->revoked.begin(), found->revoked.end(),
                                [&](const revocation& r) { return r.serial == l.what.serial; });
  const auto listed = row != found->revoked.end();
  if (l.what.reason == takes_off ? !listed : listed && row->reason == l.what.reason)
    return then(s, std::vector<event>{}, around);  // as wanted already
  if (found->revoked.size() >= max_revoked)
    return refused(errc::conflict, "quota_exceeded",
                   "an authority has at most 10,000 revoked certificates whose time is not over");
  auto what = l.what;
  what.at = around.now;
  return then(s, revocation_listed{l.authority, std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command&, const set_revocations& r,
                           const surroundings& around) {
  const auto* found = s.find_authority(r.authority);
  if (!found)
    return authority_unknown(r.authority);
  if (found->kind != certificate_authority::origin::external)
    return refused(errc::conflict, "authority_built_in",
                   "a built-in authority signs its revocation list itself");
  if (r.list.size() > max_list_bytes)
    return refused(errc::too_large, "revocation_list_too_large",
                   "a revocation list has at most 1 MiB");
  return then(s, revocations_set{r.authority, r.list, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const prove_authority& p,
                           const surroundings& around) {
  const auto* found = s.find_authority(p.id);
  if (!found)
    return authority_unknown(p.id);
  if (!found->is_pending())
    return refused(errc::conflict, "authority_proved", "authority " + p.id + " is proved already");
  if (p.nonce != found->nonce)
    return refused(errc::invalid_argument, "proof_invalid", "that proves another authority");
  return then(s, authority_proved{p.id, around.now}, around);
}

status check_ban(const ban& b, timestamp now) {
  const auto wrong = [](const char* detail) {
    return failure{errc::invalid_argument, "ban_invalid", detail};
  };
  const auto slash = b.subject.find('/');
  switch (b.what) {
    case ban::kind::device:
      if (slash == std::string::npos || !is_valid_key(b.subject.substr(0, slash)) ||
          !is_valid_key(b.subject.substr(slash + 1)))
        return wrong("a device is named by its product's key, a slash, and its own");
      break;
    case ban::kind::product:
      if (!is_valid_key(b.subject))
        return wrong("a product is named by its key");
      break;
    case ban::kind::address:
      if (b.subject.empty() || b.subject.size() > 64)
        return wrong("an address, or a range of addresses, has at most 64 characters");
      break;
    case ban::kind::certificate:
      if (b.subject.size() != 64 ||
          b.subject.find_first_not_of("0123456789abcdef") != std::string::npos)
        return wrong("a certificate is named by its SHA-256 fingerprint, 64 hex digits");
      break;
  }
  if (b.reason.size() > 256)
    return wrong("a reason has at most 256 bytes");
  if (!b.holds(now))
    return wrong("a ban ends in the future");
  return {};
}

result<decision> decide_on(const state& s, const command& c, const set_ban& b,
                           const surroundings& around) {
  if (auto ok = check_ban(b.what, around.now); !ok)
    return ok.error();
  auto what = b.what;
  what.created_at = around.now;
  what.actor = c.actor;
  auto events = std::vector<event>{};
  const auto id = ban_id(what);
  auto others = std::size_t{0};
  for (const auto& one : s.bans)  // what is over is swept by whoever comes next
    if (const auto old = ban_id(one); old != id) {
      if (one.holds(around.now))
        ++others;
      else
        events.emplace_back(ban_removed{old});
    }
  if (others >= max_bans)
    return refused(errc::conflict, "quota_exceeded", "an organisation has at most 1000 bans");
  events.emplace_back(ban_set{std::move(what)});
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const remove_ban& r,
                           const surroundings& around) {
  const auto* found = s.find_ban(r.id);
  if (!found || !found->holds(around.now))
    return refused(errc::not_found, "ban_unknown", "no ban " + r.id);
  return then(s, ban_removed{r.id}, around);
}

result<decision> decide_on(const state& s, const command&, const read_organisation&,
                           const surroundings& around) {
  return decision{{}, organisation_snapshot{around.self, std::make_shared<const state>(s)}};
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.id = e.as.id;
  s.name = e.as.name;
  s.created_at = e.at;
}
void apply_on(state& s, const updated& e) {
  s.name = e.name;
}
void apply_on(state& s, const user_set& e) {
  for (auto& u : s.users)
    if (u.login == e.what.login) {
      u = e.what;
      return;
    }
  s.users.push_back(e.what);
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
  apply_on(s, session_ended{e.login, {}});
}
void apply_on(state& s, const key_set& e) {
  s.keys.push_back(e.what);
}
void apply_on(state& s, const key_removed& e) {
  std::erase_if(s.keys, [&](const api_key& k) { return k.id == e.id; });
}
void apply_on(state& s, const topics_opened& e) {
  s.topic_shards.insert(std::lower_bound(s.topic_shards.begin(), s.topic_shards.end(), e.shard),
                        e.shard);
}
void apply_on(state& s, const authority_set& e) {
  s.authorities.push_back(e.what);
}
void apply_on(state& s, const authority_removed& e) {
  std::erase_if(s.authorities, [&](const certificate_authority& a) { return a.id == e.id; });
}
void apply_on(state& s, const authority_proved& e) {
  for (auto& a : s.authorities)
    if (a.id == e.id)
      a.nonce.clear();
}
void apply_on(state& s, const ban_removed& e) {
  std::erase_if(s.bans, [&](const ban& b) { return ban_id(b) == e.id; });
}
void apply_on(state& s, const ban_set& e) {
  apply_on(s, ban_removed{ban_id(e.what)});
  s.bans.push_back(e.what);
}
void apply_on(state& s, const revocation_listed& e) {
  for (auto& a : s.authorities)
    if (a.id == e.authority) {
      std::erase_if(a.revoked, [&](const revocation& r) {
        return r.serial == e.what.serial || r.until <= e.what.at;
      });
      if (e.what.reason != takes_off)
        a.revoked.push_back(e.what);
      ++a.list_number;
    }
}
void apply_on(state& s, const revocations_set& e) {
  for (auto& a : s.authorities)
    if (a.id == e.authority) {
      a.list = e.list;
      ++a.list_number;
    }
}

}  // namespace

const user* state::find_user(std::string_view login) const {
  const auto found =
      std::find_if(users.begin(), users.end(), [&](const user& u) { return u.login == login; });
  return found == users.end() ? nullptr : &*found;
}

const api_key* state::find_key(std::string_view key_id) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const api_key& k) { return k.id == key_id; });
  return found == keys.end() ? nullptr : &*found;
}

const certificate_authority* state::find_authority(std::string_view authority_id) const {
  const auto found = std::find_if(authorities.begin(), authorities.end(),
                                  [&](const auto& a) { return a.id == authority_id; });
  return found == authorities.end() ? nullptr : &*found;
}

std::string ban_id(const ban& b) {
  return sha256_hex(std::to_string(static_cast<int>(b.what)) + ':' + b.subject).substr(0, 16);
}

const ban* state::find_ban(std::string_view wanted) const {
  const auto found =
      std::find_if(bans.begin(), bans.end(), [&](const auto& b) { return ban_id(b) == wanted; });
  return found == bans.end() ? nullptr : &*found;
}

const certificate_authority* state::built_in(certificate_authority::algorithm keys) const {
  const auto found = std::find_if(authorities.begin(), authorities.end(), [&](const auto& a) {
    return a.kind == certificate_authority::origin::built_in && a.keys == keys;
  });
  return found == authorities.end() ? nullptr : &*found;
}

const login_session* state::find_session(std::string_view login,
                                         std::string_view session_id) const {
  const auto found = std::find_if(sessions.begin(), sessions.end(), [&](const login_session& x) {
    return x.id == session_id && x.login == login;
  });
  return found == sessions.end() ? nullptr : &*found;
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  if (!s.exists && !std::holds_alternative<create_organisation>(c.what))
    return refused(errc::not_found, "org_unknown", "no such organisation");
  return std::visit([&](const auto& what) { return decide_on(s, c, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::organisation
