// The things that tests of actors are about: one organisation, a thing model, a product of it, and
// what its devices say.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "actors/catalogue.hpp"
#include "actors/messages.hpp"

namespace orrery::tests {

inline constexpr auto organisation = "org";
inline constexpr auto model_id = "m";
inline constexpr auto product_key = "pk";

const model::keyring& keys();

/// Points p (double up to 10, writable) and q (int), attribute zone, service go(n), event hot.
/// `points`: more of them, as JSON that begins with a comma.
model::value model_document(std::string_view points = "");
/// The commands that make the model, publish it and make the product.
model::blueprint::create_blueprint blueprint();
model::product::create_product product(std::string key = product_key);
/// Puts organisation, published model and product into a catalogue as committed changes would.
void fill(actors::catalogue& known);

model::entity_id device_id(model::shard_id shard, std::uint8_t number);
model::device::register_device registration(const model::device_name& name);
model::device::connect login(const model::device_name& name, std::string_view secret = "secret");
/// One sample of points.
model::device::report_points points(model::timestamp time,
                                    std::initializer_list<model::posted_point> what);
model::device::send_command call(const model::entity_id& id,
                                 model::milliseconds pending_ttl = model::milliseconds{0});

/// An order as an application gives it, or (with a session) the device itself.
actors::any_command order(model::device::order what, model::session_ref session = {});
actors::any_command product_order(model::product::order what);
actors::any_command blueprint_order(model::blueprint::order what);
actors::any_command organisation_order(model::organisation::order what);
actors::any_command asset_order(model::asset::order what);
actors::any_command tree_order(model::tree::order what);

/// The reply of a device as one alternative; null for a failure or another reply.
template <class Reply>
const Reply* reply_of(const actors::answer& got) {
  if (!got)
    return nullptr;
  const auto* reply = std::get_if<model::device::reply>(&got->answer);
  return reply ? std::get_if<Reply>(reply) : nullptr;
}

}  // namespace orrery::tests
