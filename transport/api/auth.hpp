// Who sends a request: by the token in its Authorization header.
#pragma once

#include <string_view>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// `authorization`: the header's value ("Bearer ..."); `peer`: the sender's address.
/// Fails: `unauthenticated` ("unauthenticated", "token_expired"), `forbidden` (a key that may not
/// be used from there; "org_suspended").
model::result<identity> authenticate(const service_parts& parts, std::string_view authorization,
                                     std::string_view peer);

}  // namespace orrery::transport::api
