// Any bytes as what an OpenID provider says: a description, keys, tokens, claims; and as URLs.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "model/json.hpp"
#include "model/organisation/providers.hpp"
#include "transport/base64url.hpp"
#include "transport/oidc_provider.hpp"
#include "transport/oidc_token.hpp"

namespace {

using namespace orrery;

void demand(bool holds) {
  if (!holds)
    std::abort();
}

void check_token(std::string_view in) {
  const auto head = transport::read_token_head(in);
  if (!head)
    return;
  demand(in.size() <= transport::max_token_bytes);
  demand(head->algorithm == "RS256" || head->algorithm == "PS256" || head->algorithm == "ES256");
  const auto key = transport::signing_key{};  // none: nothing is signed by it
  (void)transport::find_key({key}, *head);
}

void check_keys(std::string_view in) {
  const auto keys = transport::read_keys(in);
  if (!keys)
    return;
  demand(keys->size() <= transport::max_signing_keys);
  for (const auto& k : *keys) {
    demand(k.key != nullptr);
    for (const auto* algorithm : {"RS256", "PS256", "ES256"}) {
      const auto head = transport::token_head{algorithm, k.id};
      // Nobody signs by chance.
      demand(!transport::read_token("e30.e30." + std::string(86, 'A'), head, k));
    }
  }
}

void check_claims(std::string_view in) {
  const auto claims = model::parse_json(in);
  if (!claims)
    return;
  auto p = model::organisation::identity_provider{};
  p.login_claim = "a";
  p.name_claim = "b.c";
  p.mail_claim = "email";
  p.role_claim = "r";
  p.role_map = {{"x", {"viewer"}}, {"y", {"admin"}}};
  const auto who = transport::person_of(*claims, p);
  demand(who.values.size() <= p.role_map.size());
  demand(!who.mail_verified || !who.mail.empty());
  demand(model::organisation::login_from(who.login).size() <= 64);
  (void)transport::lacks_claims(*claims, p);
  (void)transport::with_user_info(*claims, *claims);
  const auto wants =
      transport::token_wants{"https://a.org", "c", "n", model::from_ms(1'700'000'000'000)};
  if (transport::check_claims(*claims, wants))
    demand(claims->find("nonce")->as_string() == "n");
}

void check_urls(std::string_view in) {
  auto p = model::organisation::identity_provider{};
  if (model::organisation::allows_redirect(p, in))
    demand(in.starts_with("http://127.0.0.1") || in.starts_with("http://[::1]"));
  const auto place = net::read_url(in);
  if (model::organisation::is_provider_url(in))
    demand(place && (place->tls || place->host == "127.0.0.1" || place->host == "::1" ||
                     place->host == "localhost"));
  if (place)
    demand(place->authority.find_first_of("\r\n ") == std::string::npos && place->port != 0);
  (void)transport::read_description(in, "https://a.org");
  if (const auto t = transport::read_transaction(in))
    demand(transport::read_transaction(transport::write_transaction(*t)).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto in = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 4) {
    case 0:
      check_token(in);
      break;
    case 1:
      check_keys(in);
      break;
    case 2:
      check_claims(in);
      break;
    default:
      check_urls(in);
  }
  return 0;
}
