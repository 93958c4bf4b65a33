#include "transport/api_key.hpp"

#include "transport/address_range.hpp"

namespace orrery::transport {

std::string write_api_key(std::string_view organisation, std::string_view id,
                          std::string_view secret) {
  return "ork~" + std::string{organisation} + "~" + std::string{id} + "~" + std::string{secret};
}

std::optional<api_key_text> read_api_key(std::string_view text) {
  if (!text.starts_with("ork~"))
    return std::nullopt;
  text.remove_prefix(4);
  const auto first = text.find('~');
  const auto second = first == std::string_view::npos ? first : text.find('~', first + 1);
  if (second == std::string_view::npos)
    return std::nullopt;
  return api_key_text{std::string{text.substr(0, first)},
                      std::string{text.substr(first + 1, second - first - 1)},
                      std::string{text.substr(second + 1)}};
}

model::result<const model::organisation::api_key*> find_api_key(
    const actors::catalogue_snapshot& known, const api_key_text& key, model::timestamp now,
    std::string_view peer) {
  using model::errc;
  using model::failure;
  const auto* org = known.organisation(key.organisation);
  const auto* found = org ? org->state->find_key(key.id) : nullptr;
  if (!found || !model::equal_in_constant_time(found->secret_sha256, model::sha256_hex(key.secret)))
    return failure{errc::unauthenticated, "unauthenticated", "there is no such API key"};
  if (org->state->is_suspended)
    return failure{errc::forbidden, "org_suspended", "the organisation is suspended"};
  if (found->expires && *found->expires <= now)
    return failure{errc::unauthenticated, "token_expired", "the API key has expired"};
  if (!found->ip_allow.empty() && !in_ranges(found->ip_allow, std::string{peer}))
    return failure{errc::forbidden, "forbidden", "the API key may not be used from this address"};
  return found;
}

}  // namespace orrery::transport
