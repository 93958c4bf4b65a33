#include <algorithm>

#include "model/organisation/configurations.hpp"
#include "model/organisation/deciding.hpp"
#include "model/organisation/groups.hpp"
#include "model/organisation/people.hpp"
#include "model/organisation/providers.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_name_bytes = 256, max_tag_bytes = 64;
constexpr std::size_t max_authorities = 20, max_revoked = 10'000, max_list_bytes = 1024 * 1024;
constexpr std::uint8_t takes_off = 8;  // removeFromCRL

/// Tags of languages and names of time zones; whether they are known is up to who uses them.
bool is_tag(const std::string& text) {
  return text.size() <= max_tag_bytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '/' || c == '+';
         });
}

status check_settings(const std::string& name, const std::string& locale,
                      const std::string& time_zone) {
  if (name.size() > max_name_bytes || !is_tag(locale) || !is_tag(time_zone))
    return failure{errc::invalid_argument, "org_invalid",
                   "a name has at most 256 bytes; a locale (de-AT) and a time zone "
                   "(Europe/Vienna) are of letters, digits and - _ / +, at most 64"};
  return {};
}

result<decision> decide_on(const state& s, const command&, const create_organisation& c,
                           const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "org_exists", "organisation " + c.id + " exists");
  if (s.deleted)
    return refused(errc::already_exists, "org_exists",
                   "there was an organisation " + c.id + ": its id is not given again");
  if (!is_valid_key(c.id))
    return refused(errc::invalid_argument, "org_invalid",
                   "an organisation's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (auto ok = check_settings(c.name, c.locale, c.time_zone); !ok)
    return ok.error();
  auto events = std::vector<event>{};
  auto made = created{c, around.now};
  made.as.first.reset();
  events.emplace_back(std::move(made));
  if (c.first) {
    if (auto ok = check_new_user({}, *c.first); !ok)
      return ok.error();
    auto who = *c.first;
    who.created_at = around.now;
    events.emplace_back(user_set{std::move(who)});
  }
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const update_organisation& u,
                           const surroundings& around) {
  auto next = updated{u.name.value_or(s.name), u.locale.value_or(s.locale),
                      u.time_zone.value_or(s.time_zone), around.now};
  if (auto ok = check_settings(next.name, next.locale, next.time_zone); !ok)
    return ok.error();
  auto events = std::vector<event>{};
  if (u.name || u.locale || u.time_zone || !u.reveals_secrets)
    events.emplace_back(std::move(next));
  if (u.reveals_secrets && *u.reveals_secrets != s.reveals_secrets)
    events.emplace_back(reveal_set{*u.reveals_secrets, around.now});
  return then(s, std::move(events), around);
}

result<decision> decide_on(const state& s, const command&, const remove_organisation&,
                           const surroundings& around) {
  if (around.products > 0 || around.models > 0)
    return refused(errc::conflict, "org_not_empty",
                   "the organisation has " + std::to_string(around.products) + " products and " +
                       std::to_string(around.models) + " models");
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const suspend_organisation& o,
                           const surroundings& around) {
  if (o.reason.size() > max_name_bytes)
    return refused(errc::invalid_argument, "org_invalid", "a reason has at most 256 bytes");
  if (o.suspended == s.is_suspended)
    return then(s, std::vector<event>{}, around);
  return then(s, suspended{o.suspended, o.reason, around.now}, around);
}

result<decision> decide_on(const state& s, const command&, const set_quotas& q,
                           const surroundings& around) {
  const auto wrong = [](std::string detail) {
    return refused(errc::invalid_argument, "quota_invalid", std::move(detail));
  };
  const auto& items = quota_items();
  for (std::size_t i = 0; i < q.all.size(); ++i) {
    const auto& one = q.all[i];
    const auto known = std::find_if(items.begin(), items.end(),
                                    [&](const auto& item) { return item.name == one.item; });
    if (known == items.end())
      return wrong("there is no quota of " + one.item);
    if (std::any_of(q.all.begin(), q.all.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](const auto& other) { return other.item == one.item; }))
      return wrong(one.item + " is there twice");
    if (one.hard && known->most && *one.hard > *known->most)
      return wrong("there are at most " + std::to_string(*known->most) + " " + one.item);
    if (one.hard && one.soft && *one.soft > *one.hard)
      return wrong("the soft limit of " + one.item + " is above the hard one");
  }
  return then(s, quotas_set{q.all}, around);
}

result<decision> decide_on(const state& s, const command&, const open_topics& o,
                           const surroundings& around) {
  if (std::binary_search(s.topic_shards.begin(), s.topic_shards.end(), o.shard))
    return then(s, std::vector<event>{}, around);
  return then(s, topics_opened{o.shard}, around);
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
  s.locale = e.as.locale;
  s.time_zone = e.as.time_zone;
  s.created_at = e.at;
}
void apply_on(state& s, const updated& e) {
  s.name = e.name;
  s.locale = e.locale;
  s.time_zone = e.time_zone;
}
/// Its id is never taken again: messages and nodes of trees that have it may still lie somewhere.
void apply_on(state& s, const removed&) {
  auto empty = state{};
  empty.deleted = true;
  empty.id = s.id;
  empty.revision = s.revision;
  s = std::move(empty);
}
void apply_on(state& s, const suspended& e) {
  s.is_suspended = e.now;
  s.suspend_reason = e.now ? e.reason : std::string{};
  if (e.now)
    s.sessions.clear();
}
void apply_on(state& s, const reveal_set& e) {
  s.reveals_secrets = e.now;
}
void apply_on(state& s, const quotas_set& e) {
  const auto limited = [&] {
    const auto* q = s.find_quota("devices");
    return q && (q->soft || q->hard);
  };
  const auto before = limited();
  s.quotas = e.all;
  if (!before && limited())
    ++s.device_limits;
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

const application* state::find_application(std::string_view app_id) const {
  const auto found = std::find_if(applications.begin(), applications.end(),
                                  [&](const application& a) { return a.id == app_id; });
  return found == applications.end() ? nullptr : &*found;
}

const role* state::find_role(std::string_view role_name) const {
  if (const auto* built_in = built_in_role(role_name))
    return built_in;
  const auto found =
      std::find_if(roles.begin(), roles.end(), [&](const role& r) { return r.name == role_name; });
  return found == roles.end() ? nullptr : &*found;
}

const device_group* state::find_group(std::string_view group_id) const {
  const auto found = std::find_if(groups.begin(), groups.end(),
                                  [&](const device_group& g) { return g.id == group_id; });
  return found == groups.end() ? nullptr : &*found;
}

const identity_provider* state::find_provider(std::string_view provider_id) const {
  const auto found = std::find_if(providers.begin(), providers.end(),
                                  [&](const auto& p) { return p.id == provider_id; });
  return found == providers.end() ? nullptr : &*found;
}

const identity_link* state::find_identity(std::string_view issuer, std::string_view subject) const {
  const auto found = std::find_if(identities.begin(), identities.end(), [&](const auto& i) {
    return i.subject == subject && i.issuer == issuer;
  });
  return found == identities.end() ? nullptr : &*found;
}

const configuration* state::find_configuration(std::string_view configuration_id) const {
  const auto found = std::find_if(configurations.begin(), configurations.end(),
                                  [&](const configuration& c) { return c.id == configuration_id; });
  return found == configurations.end() ? nullptr : &*found;
}

const quota* state::find_quota(std::string_view item) const {
  const auto found =
      std::find_if(quotas.begin(), quotas.end(), [&](const quota& q) { return q.item == item; });
  return found == quotas.end() ? nullptr : &*found;
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
