#include "model/organisation/providers.hpp"

#include <algorithm>
#include <set>

#include "model/organisation/deciding.hpp"
#include "model/organisation/people.hpp"

namespace orrery::model::organisation {
namespace {

constexpr std::size_t max_url_bytes = 512, max_text_bytes = 256, max_secret_bytes = 2048;
constexpr std::size_t max_subject_bytes = 255;  // OpenID Connect Core 1.0, 2
constexpr std::size_t max_login = 64, max_role_names = 20;

failure provider_unknown(const std::string& id) {
  return {errc::not_found, "idp_unknown", "no identity provider " + id};
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string lower(std::string_view text) {
  auto out = std::string{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

/// What a URL says of where it leads; an empty host if it is none.
struct parts_of_url {
  bool tls = false;
  std::string_view host, rest;  // an IPv6 address in its brackets; path and query
};

parts_of_url parts_of(std::string_view url) {
  auto p = parts_of_url{};
  if (url.size() > max_url_bytes || !is_visible(url))
    return p;
  p.tls = url.starts_with("https://");
  if (!p.tls && !url.starts_with("http://"))
    return p;
  url.remove_prefix(p.tls ? 8 : 7);
  const auto end = std::min(url.find_first_of("/?#"), url.size());
  auto place = url.substr(0, end);
  p.rest = url.substr(end);
  if (place.find_first_of("@\\\"<>^`{|}%") != std::string_view::npos)
    return {};
  const auto bracket = place.starts_with('[') ? place.find(']') : 0;
  if (bracket == std::string_view::npos)
    return {};
  if (const auto colon = place.find(':', bracket); colon != std::string_view::npos) {
    const auto port = place.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.front() == '0' ||
        port.find_first_not_of("0123456789") != std::string_view::npos ||
        std::stoul(std::string{port}) > 65'535)
      return {};
    place = place.substr(0, colon);
  }
  if (bracket > 0 && (bracket < 3 || place.size() != bracket + 1 ||
                      place.substr(1, bracket - 1).find_first_not_of("0123456789abcdefABCDEF:.") !=
                          std::string_view::npos))
    return {};
  p.host = place;
  return p;
}

bool is_loopback(std::string_view host) {
  return host == "127.0.0.1" || host == "[::1]" || host == "localhost";
}

bool is_domain(std::string_view text) {
  return !text.empty() && text.size() <= 253 && text.front() != '.' && text.back() != '.' &&
         text.find('.') != std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

/// Words of a scope (RFC 6749, 3.3).
bool is_scope(std::string_view text) {
  return !text.empty() && text.size() <= 128 && is_visible(text) &&
         text.find_first_of("\"\\") == std::string_view::npos;
}

bool is_claim(std::string_view text) {
  return text.size() <= max_text_bytes && is_visible(text);
}

failure wrong(std::string detail) {
  return {errc::invalid_argument, "provider_invalid", std::move(detail)};
}

/// Links of which no provider has the issuer any more go.
void drop_orphans(state& s) {
  std::erase_if(s.identities, [&](const identity_link& i) {
    return std::none_of(s.providers.begin(), s.providers.end(),
                        [&](const identity_provider& p) { return p.issuer == i.issuer; });
  });
}

}  // namespace

bool is_provider_url(std::string_view url) {
  const auto p = parts_of(url);
  return !p.host.empty() && (p.tls || is_loopback(p.host)) &&
         p.rest.find_first_of("?#") == std::string_view::npos;
}

bool is_loopback_url(std::string_view url) {
  const auto p = parts_of(url);
  return !p.tls && is_loopback(p.host);
}

bool allows_redirect(const identity_provider& p, std::string_view uri) {
  const auto parts = parts_of(uri);
  if (parts.host.empty() || parts.rest.find('#') != std::string_view::npos)
    return false;
  if (!parts.tls && (parts.host == "127.0.0.1" || parts.host == "[::1]"))
    return true;
  return std::find(p.redirect_uris.begin(), p.redirect_uris.end(), uri) != p.redirect_uris.end();
}

status check_provider(const state& s, const identity_provider& p) {
  if (!is_valid_key(p.id))
    return wrong("a provider's id is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (p.name.size() > max_text_bytes)
    return wrong("a name has at most 256 bytes");
  if (!is_provider_url(p.issuer))
    return wrong(
        "an issuer is a URL of https without query and fragment, at most 512 bytes; of http only "
        "on this machine itself (localhost, 127.0.0.1, [::1])");
  if (p.client_id.empty() || p.client_id.size() > max_text_bytes || !is_visible(p.client_id))
    return wrong("a client id is 1 to 256 visible characters");
  if (p.client_secret.bytes.size() > max_secret_bytes)
    return wrong("a client's secret has at most 1024 bytes");
  if (p.scopes.size() > max_scopes || !std::all_of(p.scopes.begin(), p.scopes.end(), is_scope))
    return wrong("there are at most 20 scopes, each a word");
  for (const auto* claim : {&p.login_claim, &p.name_claim, &p.mail_claim, &p.role_claim})
    if (!is_claim(*claim))
      return wrong("a claim's name has at most 256 visible characters");
  if (p.role_map.size() > max_role_mappings)
    return wrong("at most 100 values have roles");
  if (p.role_claim.empty() && !p.role_map.empty())
    return wrong("values have roles only where a claim says them: roleClaim");
  for (std::size_t i = 0; i < p.role_map.size(); ++i) {
    const auto& one = p.role_map[i];
    if (one.value.empty() || one.value.size() > max_text_bytes)
      return wrong("a value of the claim of roles has 1 to 256 bytes");
    if (std::any_of(p.role_map.begin(), p.role_map.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](const role_mapping& other) { return other.value == one.value; }))
      return wrong("the value " + one.value + " is there twice");
    if (auto ok = check_roles(s, one.roles); !ok)
      return ok;
  }
  if (p.mail_domains.size() > max_mail_domains ||
      !std::all_of(p.mail_domains.begin(), p.mail_domains.end(), is_domain))
    return wrong("there are at most 50 domains of mail, in lower case: example.org");
  if (p.links_by_mail && p.mail_domains.empty())
    return wrong(
        "who is linked by his mail is of a domain that the provider speaks for: "
        "mailDomains");
  if (p.redirect_uris.size() > max_redirect_uris)
    return wrong("there are at most 20 addresses that people are sent back to");
  for (const auto& uri : p.redirect_uris)
    if (const auto parts = parts_of(uri); parts.host.empty() ||
                                          !(parts.tls || is_loopback(parts.host)) ||
                                          parts.rest.find('#') != std::string_view::npos)
      return wrong("people are sent back to https, or to their own machine; not to " + uri);
  return check_roles(s, p.default_roles);
}

std::string login_from(std::string_view claimed) {
  auto login = std::string{claimed.substr(0, max_login)};
  for (auto& c : login)
    if (!is_valid_key(std::string(1, c)))
      c = '-';
  return login;
}

std::vector<std::string> roles_from(const identity_provider& p,
                                    const std::vector<std::string>& values) {
  auto roles = std::vector<std::string>{};
  const auto add = [&](const std::vector<std::string>& more) {
    for (const auto& r : more)
      if (std::find(roles.begin(), roles.end(), r) == roles.end() && roles.size() < max_role_names)
        roles.push_back(r);
  };
  add(p.default_roles);
  for (const auto& one : p.role_map)
    if (std::find(values.begin(), values.end(), one.value) != values.end())
      add(one.roles);
  return roles;
}

rights rights_by(const state& s, const identity_provider& p) {
  auto roles = std::set<std::string>{p.default_roles.begin(), p.default_roles.end()};
  for (const auto& one : p.role_map)
    roles.insert(one.roles.begin(), one.roles.end());
  auto linked = std::set<std::string_view>{};
  for (const auto& link : s.identities)
    if (link.issuer == p.issuer)
      linked.insert(link.login);
  for (const auto& u : s.users)
    if (linked.contains(u.login))
      roles.insert(u.roles.begin(), u.roles.end());
  auto all = rights_of(s, std::vector<std::string>{roles.begin(), roles.end()});
  if (p.links_by_mail)
    all.push_back({{}, {"*"}, {}});
  return all;
}

bool is_of_domains(const identity_provider& p, std::string_view mail) {
  const auto at = mail.rfind('@');
  return at != std::string_view::npos && at > 0 &&
         std::find(p.mail_domains.begin(), p.mail_domains.end(), lower(mail.substr(at + 1))) !=
             p.mail_domains.end();
}

result<decision> decide_on(const state& s, const command& c, const put_provider& p,
                           const surroundings& around) {
  const auto* found = s.find_provider(p.what.id);
  auto what = p.what;
  if (p.keeps_secret && found) {
    // Another issuer would be told a secret that is none of its own.
    if (!found->client_secret.empty() && found->issuer != what.issuer)
      return refused(errc::invalid_argument, "provider_invalid",
                     "another issuer needs a secret of its own: send clientSecret");
    what.client_secret = found->client_secret;
  }
  if (auto ok = check_provider(s, what); !ok)
    return ok.error();
  if (found) {
    if (auto ok = check_expected(c, found->revision); !ok)
      return ok.error();
  } else if (c.expected_revision) {
    return provider_unknown(what.id);
  }
  if (!found && s.providers.size() >= max_providers)
    return refused(errc::conflict, "quota_exceeded",
                   "an organisation has at most 10 identity providers");
  what.updated_at = around.now;
  what.created_at = found ? found->created_at : around.now;
  what.actor = found ? found->actor : c.actor;
  return then(s, provider_set{std::move(what)}, around);
}

result<decision> decide_on(const state& s, const command& c, const remove_provider& r,
                           const surroundings& around) {
  const auto* found = s.find_provider(r.id);
  if (!found)
    return provider_unknown(r.id);
  if (auto ok = check_expected(c, found->revision); !ok)
    return ok.error();
  return then(s, provider_removed{r.id}, around);
}

namespace {

/// The one person whom a mail is of; null: nobody's, or several have it.
const user* find_by_mail(const state& s, std::string_view mail) {
  const user* found = nullptr;
  const auto wanted = lower(mail);
  for (const auto& u : s.users)
    if (!u.mail.empty() && lower(u.mail) == wanted) {
      if (found)
        return nullptr;
      found = &u;
    }
  return found;
}

/// A login that nobody has: as it is claimed, or with something of the subject behind it.
std::string free_login(const state& s, const open_external_session& o) {
  auto login = login_from(o.login);
  if (!login.empty() && !s.find_user(login))
    return login;
  const auto more = '-' + sha256_hex(o.issuer + '\n' + o.subject).substr(0, 12);
  return (login.empty() ? "user" : login.substr(0, max_login - more.size())) + more;
}

}  // namespace

result<decision> decide_on(const state& s, const command&, const open_external_session& o,
                           const surroundings& around) {
  if (s.is_suspended)
    return refused(errc::forbidden, "org_suspended", "the organisation is suspended");
  const auto* p = s.find_provider(o.provider);
  if (!p || !p->enabled || p->issuer != o.issuer || p->client_id != o.client_id)
    return refused(errc::conflict, "idp_changed", "the identity provider was changed meanwhile");
  if (o.subject.empty() || o.subject.size() > max_subject_bytes)
    return refused(errc::unauthenticated, "idp_token_invalid", "a subject has 1 to 255 characters");
  if (std::any_of(s.sessions.begin(), s.sessions.end(),
                  [&](const login_session& one) { return one.id == o.what.id; }))
    return refused(errc::unauthenticated, "idp_transaction_used", "that log-in was made already");
  const auto is_of_them = o.mail_verified && is_of_domains(*p, o.mail);
  if (!p->mail_domains.empty() && !is_of_them)
    return refused(errc::forbidden, "idp_mail_refused",
                   "only who has a verified mail of the provider's domains is let in");
  const auto* link = s.find_identity(o.issuer, o.subject);
  const auto* known = link ? s.find_user(link->login) : nullptr;
  auto events = std::vector<event>{};
  if (!known && p->links_by_mail && is_of_them) {
    known = find_by_mail(s, o.mail);
    if (known && std::count_if(s.identities.begin(), s.identities.end(), [&](const auto& i) {
                   return i.login == known->login;
                 }) >= static_cast<std::ptrdiff_t>(max_identities))
      return refused(errc::conflict, "quota_exceeded",
                     known->login + " is linked with 5 identities already");
  }
  if (known && known->locked)
    return refused(errc::forbidden, "locked", "an administrator has locked this login");
  if (!known && !p->creates_users)
    return refused(errc::forbidden, "idp_person_unknown",
                   "nobody here is linked with that person, and the provider makes no new ones");
  auto who = known ? *known : user{};
  auto is_other = !known;
  if (!known) {
    who.login = free_login(s, o);
    who.name = o.name.empty() || o.name.size() > max_text_bytes ? who.login : o.name;
    who.mail = o.mail_verified ? o.mail : std::string{};
    who.created_at = around.now;
    who.roles = roles_from(*p, o.values);
    if (s.find_user(who.login))
      return refused(errc::already_exists, "login_exists", "login " + who.login + " exists");
    if (!check_new_user(s, who))
      who.mail.clear();
    if (auto ok = check_new_user(s, who); !ok)
      return ok.error();
    if (auto ok = check_room(s, "users"); !ok)
      return ok.error();
  } else if (!p->role_claim.empty()) {
    auto roles = roles_from(*p, o.values);
    is_other = roles != who.roles;
    who.roles = std::move(roles);
  }
  auto session = o.what;
  session.login = who.login;
  if (is_other)
    events.emplace_back(user_set{std::move(who)});
  if (!link || link->login != session.login)
    events.emplace_back(identity_linked{{o.issuer, o.subject, session.login, around.now}});
  open_one(s, session, around.now, events);
  return then(s, std::move(events), around);
}

void apply_on(state& s, const provider_set& e) {
  auto what = e.what;
  what.revision = s.revision + 1;
  put_into(s.providers, what, &identity_provider::id);
  drop_orphans(s);
}
void apply_on(state& s, const provider_removed& e) {
  std::erase_if(s.providers, [&](const identity_provider& p) { return p.id == e.id; });
  drop_orphans(s);
}
void apply_on(state& s, const identity_linked& e) {
  std::erase_if(s.identities, [&](const identity_link& i) {
    return i.issuer == e.what.issuer && i.subject == e.what.subject;
  });
  s.identities.push_back(e.what);
}

}  // namespace orrery::model::organisation
