// The key by which an application logs in, as a text: by HTTP as a Bearer token, by MQTT as the
// password.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "actors/catalogue.hpp"
#include "model/result.hpp"

namespace orrery::transport {

/// The text of an API key: "ork~<organisation>~<key id>~<secret>".
std::string write_api_key(std::string_view organisation, std::string_view id,
                          std::string_view secret);
struct api_key_text {
  std::string organisation, id, secret;
};
std::optional<api_key_text> read_api_key(std::string_view text);

/// The key of that text, good at `now` from that address; it lives as long as `known`. Fails:
/// `unauthenticated` (reason "token_expired" if it was good once), `forbidden` from elsewhere or
/// while the organisation is suspended ("org_suspended").
model::result<const model::organisation::api_key*> find_api_key(
    const actors::catalogue_snapshot& known, const api_key_text& key, model::timestamp now,
    std::string_view peer);

}  // namespace orrery::transport
