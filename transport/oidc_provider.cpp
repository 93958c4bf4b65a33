#include "transport/oidc_provider.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include <openssl/evp.h>

#include "model/base64.hpp"
#include "model/json.hpp"
#include "model/organisation/providers.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport {
namespace {

namespace organisation = model::organisation;
using model::errc;
using model::failure;

constexpr std::size_t max_mail_bytes = 254, max_name_bytes = 256, max_login_bytes = 256;

std::string text_of(const model::value& v, std::string_view name) {
  const auto* found = v.find(name);
  return found && found->is_string() ? found->as_string() : std::string{};
}

bool has_text(const model::value& v, std::string_view list, std::string_view wanted) {
  const auto* found = v.find(list);
  return found && found->is_array() &&
         std::any_of(found->as_array().begin(), found->as_array().end(),
                     [&](const auto& one) { return one.is_string() && one.as_string() == wanted; });
}

/// A claim by its name, or by a path of names with dots between.
const model::value* claim_at(const model::value& claims, std::string_view name) {
  if (name.empty())
    return nullptr;
  if (const auto* found = claims.find(name))
    return found;
  const auto* at = &claims;
  while (at && !name.empty()) {
    const auto dot = std::min(name.find('.'), name.size());
    at = at->find(name.substr(0, dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return at;
}

std::string text_at(const model::value& claims, std::string_view name, std::size_t most) {
  const auto* found = claim_at(claims, name);
  return found && found->is_string() && found->as_string().size() <= most ? found->as_string()
                                                                          : std::string{};
}

void escape(std::string& out, std::string_view text) {
  constexpr auto digits = "0123456789ABCDEF";
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~'))
      out += c;
    else
      ((out += '%') += digits[byte >> 4]) += digits[byte & 15];
  }
}

std::string sha256_of(std::string_view text) {
  auto digest = std::array<unsigned char, EVP_MAX_MD_SIZE>{};
  auto size = 0u;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

std::string description_url(std::string_view issuer) {
  while (issuer.ends_with('/'))
    issuer.remove_suffix(1);
  return std::string{issuer} + "/.well-known/openid-configuration";
}

model::result<provider_metadata> read_description(std::string_view json, std::string_view issuer) {
  const auto wrong = [](std::string why) {
    return failure{errc::invalid_argument, "the provider's description " + std::move(why)};
  };
  const auto read = model::parse_json(json, {.max_bytes = 256 * 1024, .max_depth = 16});
  if (!read || !read->is_object())
    return wrong("is no JSON object");
  auto m = provider_metadata{};
  m.issuer = text_of(*read, "issuer");
  if (m.issuer != issuer)
    return wrong("is of another issuer: " + m.issuer.substr(0, 200));
  m.authorization = text_of(*read, "authorization_endpoint");
  m.token = text_of(*read, "token_endpoint");
  m.keys = text_of(*read, "jwks_uri");
  m.user_info = text_of(*read, "userinfo_endpoint");
  const auto here = organisation::is_loopback_url(issuer);
  const auto may_go = [&](const std::string& url) {
    const auto place = net::read_url(url);
    return place && (place->tls || (here && organisation::is_loopback_url(url)));
  };
  for (const auto& [name, url] :
       {std::pair{"authorization_endpoint", &m.authorization},
        std::pair{"token_endpoint", &m.token}, std::pair{"jwks_uri", &m.keys}})
    if (!may_go(*url))
      return wrong(std::string{"has no "} + name + " by https");
  if (!m.user_info.empty() && !may_go(m.user_info))
    return wrong("has a userinfo_endpoint that is not by https");
  constexpr auto methods = "token_endpoint_auth_methods_supported";
  m.secret_in_body = !has_text(*read, methods, "client_secret_basic") &&
                     has_text(*read, methods, "client_secret_post");
  const auto* names = read->find("authorization_response_iss_parameter_supported");
  m.names_itself = names && names->is_bool() && names->as_bool();
  return m;
}

std::string write_transaction(const login_transaction& t) {
  return model::to_json(model::object{{"o", t.organisation},
                                      {"p", t.provider},
                                      {"u", t.issuer},
                                      {"c", t.client_id},
                                      {"r", t.redirect_uri},
                                      {"s", t.state},
                                      {"n", t.nonce},
                                      {"v", t.verifier},
                                      {"i", t.session},
                                      {"e", model::to_ms(t.until)}});
}

std::optional<login_transaction> read_transaction(std::string_view text) {
  const auto read = model::parse_json(text, {.max_bytes = 8192, .max_depth = 2});
  const auto* until = read ? read->find("e") : nullptr;
  if (!until || !until->is_int())
    return std::nullopt;
  auto t = login_transaction{.organisation = text_of(*read, "o"),
                             .provider = text_of(*read, "p"),
                             .issuer = text_of(*read, "u"),
                             .client_id = text_of(*read, "c"),
                             .redirect_uri = text_of(*read, "r"),
                             .state = text_of(*read, "s"),
                             .nonce = text_of(*read, "n"),
                             .verifier = text_of(*read, "v"),
                             .session = text_of(*read, "i"),
                             .until = model::from_ms(until->as_int())};
  if (t.state.empty() || t.nonce.empty() || t.verifier.empty() || t.session.empty())
    return std::nullopt;
  return t;
}

std::string form_text(const std::vector<std::pair<std::string, std::string>>& fields) {
  auto out = std::string{};
  for (const auto& [name, value] : fields) {
    if (!out.empty())
      out += '&';
    escape(out, name);
    out += '=';
    escape(out, value);
  }
  return out;
}

std::string authorization_url(const provider_metadata& at, const organisation::identity_provider& p,
                              const login_transaction& t) {
  auto scope = std::string{"openid"};
  for (const auto& s : p.scopes)
    if (s != "openid")
      scope += ' ' + s;
  return at.authorization + (at.authorization.find('?') == std::string::npos ? '?' : '&') +
         form_text({{"response_type", "code"},
                    {"client_id", p.client_id},
                    {"redirect_uri", t.redirect_uri},
                    {"scope", scope},
                    {"state", t.state},
                    {"nonce", t.nonce},
                    {"code_challenge", to_base64url(sha256_of(t.verifier))},
                    {"code_challenge_method", "S256"}});
}

net::web_request code_exchange(const provider_metadata& at,
                               const organisation::identity_provider& p, const std::string& secret,
                               const login_transaction& t, const std::string& code) {
  auto fields =
      std::vector<std::pair<std::string, std::string>>{{"grant_type", "authorization_code"},
                                                       {"code", code},
                                                       {"redirect_uri", t.redirect_uri},
                                                       {"code_verifier", t.verifier}};
  auto r = net::web_request{.method = "POST", .url = at.token};
  r.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
               {"Accept", "application/json"}};
  if (!secret.empty() && !at.secret_in_body) {
    auto both = std::string{};  // escaped first: RFC 6749, 2.3.1
    escape(both, p.client_id);
    both += ':';
    escape(both, secret);
    r.headers.emplace_back("Authorization", "Basic " + model::to_base64(both));
  } else {
    fields.emplace_back("client_id", p.client_id);
    if (!secret.empty())
      fields.emplace_back("client_secret", secret);
  }
  r.body = form_text(fields);
  return r;
}

model::result<provider_tokens> read_tokens(const net::web_reply& reply) {
  if (reply.status >= 500 || reply.status == 429)
    return failure{errc::unavailable, "idp_unavailable",
                   "the provider answers " + std::to_string(reply.status)};
  const auto read = model::parse_json(reply.body, {.max_bytes = 256 * 1024, .max_depth = 16});
  if (reply.status != 200) {
    auto word = read ? text_of(*read, "error") : std::string{};
    if (word.size() > 64 || !std::all_of(word.begin(), word.end(),
                                         [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; }))
      word.clear();
    const auto is_ours = word == "invalid_client" || word == "unauthorized_client";
    return failure{errc::unauthenticated, "idp_refused",
                   "the provider does not take the " +
                       std::string{is_ours ? "client id and secret that are set up here" : "code"} +
                       ": " + (word.empty() ? std::to_string(reply.status) : word)};
  }
  auto tokens = provider_tokens{};
  if (read) {
    tokens.id_token = text_of(*read, "id_token");
    tokens.access_token = text_of(*read, "access_token");
  }
  if (tokens.id_token.empty())
    return failure{errc::unauthenticated, "idp_token_invalid", "the provider gave no ID token"};
  const auto& access = tokens.access_token;  // it stands in a header
  if (access.size() > 8192 ||
      !std::all_of(access.begin(), access.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    tokens.access_token.clear();
  return tokens;
}

outside_person person_of(const model::value& claims, const organisation::identity_provider& p) {
  auto who = outside_person{};
  who.subject = text_of(claims, "sub");
  who.login = text_at(claims, p.login_claim, max_login_bytes);
  who.name = text_at(claims, p.name_claim, max_name_bytes);
  who.mail = text_at(claims, p.mail_claim, max_mail_bytes);
  // What is verified is the claim `email` (Core 1.0, 5.1), and no other one.
  const auto* verified = claims.find("email_verified");
  who.mail_verified = p.mail_claim == "email" && !who.mail.empty() && verified &&
                      ((verified->is_bool() && verified->as_bool()) ||
                       (verified->is_string() && verified->as_string() == "true"));
  const auto* roles = claim_at(claims, p.role_claim);
  for (const auto& one : p.role_map)
    if (roles &&
        ((roles->is_string() && roles->as_string() == one.value) ||
         (roles->is_array() &&
          std::any_of(roles->as_array().begin(), roles->as_array().end(),
                      [&](const auto& v) { return v.is_string() && v.as_string() == one.value; }))))
      who.values.push_back(one.value);
  return who;
}

bool lacks_claims(const model::value& claims, const organisation::identity_provider& p) {
  const auto lacks = [&](const std::string& name) {
    return !name.empty() && !claim_at(claims, name);
  };
  return lacks(p.login_claim) || lacks(p.name_claim) || lacks(p.mail_claim) ||
         lacks(p.role_claim) || (!p.mail_claim.empty() && lacks("email_verified"));
}

bool lacks_roles(const model::value& claims, const organisation::identity_provider& p) {
  return !p.role_claim.empty() && !claim_at(claims, p.role_claim);
}

model::result<model::value> with_user_info(const model::value& claims, const model::value& info) {
  if (!claims.is_object() || !info.is_object() || text_of(info, "sub") != text_of(claims, "sub"))
    return failure{errc::unauthenticated, "idp_token_invalid",
                   "the provider's user info is of somebody else"};
  const auto mail = text_of(claims, "email");
  const auto takes_mail = !claims.find("email") && info.find("email");
  const auto takes_verified = takes_mail || (!claims.find("email_verified") && !mail.empty() &&
                                             mail == text_of(info, "email"));
  auto all = model::object{};
  for (const auto& [name, v] : claims.as_object())
    if (name != "email_verified" || !takes_mail)
      all.emplace_back(name, v);
  for (const auto& [name, v] : info.as_object())
    if (name == "email_verified" ? takes_verified : !claims.find(name))
      all.emplace_back(name, v);
  return model::value{std::move(all)};
}

}  // namespace orrery::transport
