// What is said to an OpenID provider and what it says: its description (OpenID Connect Discovery
// 1.0), the question a browser brings it (Core 1.0, 3.1.2; PKCE, RFC 7636), the exchange of a code
// for a token (3.1.3), and whom it means. Texts alone: no network, no clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/organisation/organisation.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "model/value.hpp"
#include "net/web_client.hpp"

namespace orrery::transport {

struct provider_metadata {
  std::string issuer, authorization, token, keys;
  std::string user_info;        // "": it has none
  bool secret_in_body = false;  // it does not take the client's secret as Basic
  bool names_itself = false;    // with each code (RFC 9207)
};
/// Where an issuer is described.
std::string description_url(std::string_view issuer);
/// Fails: `invalid_argument` if it is of another issuer, lacks what a log-in needs, or sends
/// elsewhere than by https (but for issuers on this machine itself).
model::result<provider_metadata> read_description(std::string_view json, std::string_view issuer);

/// A log-in that was begun. It is sealed and kept by whoever began it, not here: any node can go
/// on with it, and nobody without it.
struct login_transaction {
  std::string organisation, provider;
  std::string issuer, client_id;  // as the provider was then
  std::string redirect_uri;
  std::string state, nonce, verifier;
  std::string session;  // id that the session will have: it counts once
  model::timestamp until{};
};
std::string write_transaction(const login_transaction& t);
std::optional<login_transaction> read_transaction(std::string_view text);

/// "a=b&c=d", escaped (application/x-www-form-urlencoded).
std::string form_text(const std::vector<std::pair<std::string, std::string>>& fields);
/// Where the browser is to go.
std::string authorization_url(const provider_metadata& at,
                              const model::organisation::identity_provider& p,
                              const login_transaction& t);
/// `secret`: the client's, "" if it has none.
net::web_request code_exchange(const provider_metadata& at,
                               const model::organisation::identity_provider& p,
                               const std::string& secret, const login_transaction& t,
                               const std::string& code);

/// What came for a code.
struct provider_tokens {
  std::string id_token, access_token;
};
/// Fails: `unauthenticated` "idp_refused" with the provider's word for it; `unavailable`
/// "idp_unavailable" if it says that it is out of order.
model::result<provider_tokens> read_tokens(const net::web_reply& reply);

/// Somebody as a provider knows him.
struct outside_person {
  std::string subject;
  std::string login, name, mail;
  bool mail_verified = false;
  std::vector<std::string> values;  // of the claim of roles, those that have roles here
};
outside_person person_of(const model::value& claims,
                         const model::organisation::identity_provider& p);
/// Whether a claim that the provider was set up with is missing.
bool lacks_claims(const model::value& claims, const model::organisation::identity_provider& p);
/// Whether the claim of roles is, if the provider was set up with one.
bool lacks_roles(const model::value& claims, const model::organisation::identity_provider& p);
/// Claims with those beside that `info` has more; a mail and whether it is verified are taken from
/// one of them, or said of the same mail by both. Fails: `unauthenticated` "idp_token_invalid" if
/// that is of somebody else.
model::result<model::value> with_user_info(const model::value& claims, const model::value& info);

}  // namespace orrery::transport
