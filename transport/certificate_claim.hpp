// Whose a certificate of our own authorities says that it is. No proof of anything: it tells where
// to look.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ids.hpp"

namespace orrery::transport {

struct certificate_claim {
  std::string organisation;
  model::entity_id device;
  bool operator==(const certificate_claim&) const = default;
};

/// What such a certificate has as its subject's alternative name.
std::string claim_text(const std::string& organisation, const model::entity_id& device);
/// Of the first of the names that is one; nothing: none is. Devices in shards from `shards` on are
/// none.
std::optional<certificate_claim> read_claim(const std::vector<std::string>& uris,
                                            std::uint16_t shards);

}  // namespace orrery::transport
