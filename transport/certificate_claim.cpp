#include "transport/certificate_claim.hpp"

#include <string_view>

namespace orrery::transport {
namespace {

constexpr std::string_view claim_begins = "urn:orrery:device:";

}  // namespace

std::string claim_text(const std::string& organisation, const model::entity_id& of) {
  return std::string{claim_begins} + organisation + ':' + to_string(of);
}

std::optional<certificate_claim> read_claim(const std::vector<std::string>& uris,
                                            std::uint16_t shards) {
  for (const auto& uri : uris) {
    if (!uri.starts_with(claim_begins))
      continue;
    const auto rest = std::string_view{uri}.substr(claim_begins.size());
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos)
      continue;
    const auto of = model::parse_entity_id(rest.substr(colon + 1));
    if (of && of->shard < shards && model::is_valid_key(rest.substr(0, colon)))
      return certificate_claim{std::string{rest.substr(0, colon)}, *of};
  }
  return std::nullopt;
}

}  // namespace orrery::transport
