// Filters of devices as people write them, as the index of devices reads them: what stands in the
// product is turned into the keys of products, and EnOS' names of fields are ours. Pure; any
// thread.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace orrery::transport::api {

/// What a filter may ask for of a device's product.
struct product_facts {
  std::string key;
  std::string model;
  std::vector<std::string> ancestors;  // of the model, the root first; without itself
  bool gateway = false;
};

/// Fields that a filter of devices may name beside model::device::search_fields: "modelId",
/// "rootModelId", "productType". "deviceName.<locale>" and "name.<locale>" are the name.
/// "" stays "". Fails: `invalid_argument` "bad_filter".
model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products);

/// Both of them; "" is everything.
std::string both(std::string_view a, std::string_view b);
/// `field = "text"`.
std::string equals(std::string_view field, std::string_view text);
/// `field in ("a", "b")`; of none, one that nothing fulfils.
std::string one_of(std::string_view field, const std::set<std::string>& texts);
/// The text somewhere in the device key or the name.
std::string mentions(std::string_view text);

}  // namespace orrery::transport::api
