// Configurations of the fleet as devices need them, and which of them are for one device. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/device/device.hpp"
#include "model/device/search.hpp"
#include "model/filter/schema.hpp"

namespace orrery::model::device {

struct fleet_configuration {
  std::string id;
  std::uint64_t version = 0;
  object patch;
  std::string text;  // of the target, with what stands in products and groups put in
  filter::checked_filter target;
};

/// Those of an organisation that are enabled, in the order in which they are laid.
struct configuration_set {
  std::vector<fleet_configuration> all;
  search_mask reads = 0;       // the fields that their targets look at
  bool asks_products = false;  // a target looks at what stands in products
  /// Two of the same say the same to every device.
  bool says_the_same_as(const configuration_set& other) const;
};

/// The fields that a filter looks at.
search_mask looked_at(const filter::checked_filter& f);
/// The fields that an event may change, those without an index too. It does not change `updatedAt`
/// and telemetry by these words.
search_mask changed_by(const event& e);

using configurations_of_device = std::vector<const fleet_configuration*>;
/// Those whose target accepts the device, in their order.
configurations_of_device for_device(const configuration_set& all, const entity_id& id,
                                    const state& s);
/// True if the device is to be told to look (review_layers).
bool must_review(const configuration_set& all, const entity_id& id, const state& s);

/// What those ask for together: each laid on those before it (RFC 7396).
object laid(const configurations_of_device& layers);
/// The part of a patch that is desired as it asks for it: a later layer may ask for something else.
object in_force(const object& patch, const object& desired);
/// In which state a layer is.
applied_layer::state_code state_of(const object& patch, const twin_state& twin);

}  // namespace orrery::model::device
