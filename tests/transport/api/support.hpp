// What the API's tests share: an organisation with a person and keys, a clock turned by hand.
#pragma once

#include <gmock/gmock.h>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

class api_test : public testing::Test {
 protected:
  api_test() {
    auto eve = model::organisation::user{};
    eve.login = "eve";
    eve.roles = {"viewer"};
    organisation.exists = true;
    organisation.id = "org";
    organisation.users = {eve};
    organisation.sessions = {{"eve", "s1", now + std::chrono::hours{24}}};
    publish();
    parts->known = known;
    parts->feed = std::make_shared<actors::feed>(parts->settings.stream.max_queued);
    parts->tokens = std::make_shared<token_signer>("a key");
    parts->now = [this] { return now; };
  }

  /// Makes `organisation` what everybody sees.
  void publish() {
    ++organisation.revision;
    known->apply({actors::catalogue_id(model::entity_kind::organisation, organisation.id),
                  std::make_shared<const model::organisation::state>(organisation)});
  }

  /// A key with the secret "secret"; gives its text.
  std::string add_key(const std::string& id, std::vector<std::string> permissions,
                      std::optional<model::timestamp> expires = {},
                      std::vector<std::string> ip_allow = {}) {
    auto key = model::organisation::api_key{};
    key.id = id;
    key.secret_sha256 = model::sha256_hex("secret");
    key.permissions = std::move(permissions);
    key.expires = expires;
    key.ip_allow = std::move(ip_allow);
    organisation.keys.push_back(std::move(key));
    publish();
    return write_api_key(organisation.id, id, "secret");
  }
  std::string access_token(std::chrono::minutes life = std::chrono::minutes{60}) {
    return parts->tokens->sign({"org", "eve", "access", "s1", now + life});
  }

  model::timestamp now = model::from_ms(1'700'000'000'000);
  model::organisation::state organisation;
  std::shared_ptr<actors::catalogue> known = std::make_shared<actors::catalogue>();
  std::shared_ptr<service_parts> parts = std::make_shared<service_parts>();
};

}  // namespace orrery::transport::api
