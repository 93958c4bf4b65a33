#include "tests/support/builders.hpp"

#include <stdexcept>

#include "model/json.hpp"

namespace orrery::tests {

namespace device = model::device;

const model::keyring& keys() {
  static const auto ring = model::keyring{model::keyring::key_bytes{9}};
  return ring;
}

model::value model_document(std::string_view points) {
  auto document = model::parse_json(R"({"format": "tm/1", "id": "m", "name": "m",
    "attributes": [{"id": "zone", "type": {"t": "string"}}],
    "measurePoints": [{"id": "p", "type": {"t": "double", "max": 10}, "writable": true},
                      {"id": "q", "type": {"t": "int"}, "hasQuality": true})" +
                                    std::string{points} + R"(],
    "services": [{"id": "go", "input": [{"id": "n", "type": {"t": "int"}}]}],
    "events": [{"id": "hot", "level": "warning", "output": [{"id": "n", "type": {"t": "int"}}]}]})");
  if (!document)
    throw std::logic_error{document.error().detail};
  return *document;
}

model::blueprint::create_blueprint blueprint() {
  return {organisation, model_id, model_document()};
}

model::product::create_product product(std::string key) {
  auto p = model::product::create_product{};
  p.product_key = std::move(key);
  p.organisation = organisation;
  p.name = "Product";
  p.model = model_id;
  return p;
}

void fill(actors::catalogue& known) {
  const auto id = [](model::entity_kind kind, std::string_view name) {
    return actors::catalogue_id(kind, name);
  };
  auto made = std::make_shared<model::blueprint::state>();
  model::blueprint::apply(*made, model::blueprint::created{blueprint(), {}});
  model::blueprint::apply(*made,
                          model::blueprint::published{{1, model_document(), "first", {}, "me"}});
  known.apply({id(model::entity_kind::blueprint, "org/m"),
               std::shared_ptr<const model::blueprint::state>{std::move(made)}});
  auto sold = std::make_shared<model::product::state>();
  model::product::apply(*sold, model::product::created{product(), {}});
  known.apply({id(model::entity_kind::product, product_key),
               std::shared_ptr<const model::product::state>{std::move(sold)}});
}

model::entity_id device_id(model::shard_id shard, std::uint8_t number) {
  return model::make_entity_id(shard, model::from_ms(1'600'000'000'000), {number, 1, 2, 3, number});
}

device::register_device registration(const model::device_name& name) {
  auto r = device::register_device{};
  r.name = name;
  r.organisation = organisation;
  r.secret = keys().seal("secret", device::secret_owner(name));
  return r;
}

device::connect login(const model::device_name& name, std::string_view secret) {
  auto c = device::connect{};
  c.proof = {"client", "1", model::sign_method::sha256,
             model::sign_login(name, "client", "1", model::sign_method::sha256, secret)};
  return c;
}

device::report_points points(model::timestamp time,
                             std::initializer_list<model::posted_point> what) {
  auto r = device::report_points{};
  r.samples.push_back({time, what});
  return r;
}

device::send_command call(const model::entity_id& id, model::milliseconds pending_ttl) {
  auto c = device::send_command{};
  c.what.id = id;
  c.what.element = "go";
  c.what.input = {{"n", 1}};
  c.what.pending_ttl = pending_ttl;
  return c;
}

actors::any_command order(device::order what, model::session_ref session) {
  return device::command{std::move(what), session, "user:a", {}};
}
actors::any_command product_order(model::product::order what) {
  return model::product::command{std::move(what), "user:a", {}};
}
actors::any_command blueprint_order(model::blueprint::order what) {
  return model::blueprint::command{std::move(what), "user:a", {}};
}
actors::any_command organisation_order(model::organisation::order what) {
  return model::organisation::command{std::move(what), "user:a", {}};
}
actors::any_command asset_order(model::asset::order what) {
  return model::asset::command{std::move(what), "user:a", {}};
}
actors::any_command tree_order(model::tree::order what) {
  return model::tree::command{std::move(what), "user:a", {}};
}

}  // namespace orrery::tests
