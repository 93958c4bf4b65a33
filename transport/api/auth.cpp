#include "transport/api/auth.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

const auto not_known =
    failure{errc::unauthenticated, "unauthenticated", "log in, or send an API key as Bearer token"};

/// The scheme's name counts in any case (RFC 9110, 11.1).
bool cut_scheme(std::string_view& text) {
  constexpr std::string_view scheme = "bearer ";
  if (text.size() <= scheme.size())
    return false;
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if ((text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]) != scheme[i])
      return false;
  text.remove_prefix(scheme.size());
  return true;
}

model::result<identity> by_key(const actors::catalogue_snapshot& known, const api_key_text& key,
                               model::timestamp now, std::string_view peer) {
  const auto checked = find_api_key(known, key, now, peer);
  if (!checked)
    return checked.error().reason == "unauthenticated" ? not_known : checked.error();
  const auto* found = *checked;
  const auto& org = *known.organisation(key.organisation)->state;
  return identity{.organisation = key.organisation,
                  .actor = "key:" + found->id,
                  .rights = model::organisation::rights_of(org, *found),
                  .expires = found->expires,
                  .login = {},
                  .session = {},
                  .application = found->name};
}

model::result<identity> by_token(const actors::catalogue_snapshot& known,
                                 const token_claims& claims, model::timestamp now) {
  if (claims.expires <= now)
    return failure{errc::unauthenticated, "token_expired",
                   "the access token has expired: refresh it"};
  const auto* org = known.organisation(claims.organisation);
  if (org && org->state->is_suspended)
    return failure{errc::forbidden, "org_suspended", "the organisation is suspended"};
  const auto* user = org ? org->state->find_user(claims.login) : nullptr;
  const auto* session =
      user && !user->locked ? org->state->find_session(claims.login, claims.session) : nullptr;
  if (!session || session->until <= now)
    return failure{errc::unauthenticated, "unauthenticated", "that log-in has ended: log in again"};
  return identity{.organisation = claims.organisation,
                  .actor = "user:" + claims.login,
                  .rights = model::organisation::rights_of(*org->state, *user),
                  .expires = claims.expires,
                  .login = claims.login,
                  .session = claims.session};
}

}  // namespace

model::result<identity> authenticate(const service_parts& parts, std::string_view authorization,
                                     std::string_view peer) {
  if (!cut_scheme(authorization))
    return not_known;
  const auto known = parts.known->current();
  if (const auto key = read_api_key(authorization))
    return by_key(*known, *key, parts.now(), peer);
  const auto claims = parts.tokens->read(authorization);
  if (!claims || claims->use != "access")
    return not_known;
  return by_token(*known, *claims, parts.now());
}

}  // namespace orrery::transport::api
