// Filters of devices as people write them, as the index of devices reads them: what stands in the
// product is turned into the keys of products, and EnOS' names of fields are ours. Pure; any
// thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/organisation/organisation.hpp"
#include "model/result.hpp"

namespace orrery::model::organisation {

/// What a filter may ask for of a device's product.
struct product_facts {
  std::string key;
  std::string model;
  std::vector<std::string> ancestors;  // of the model, the root first; without itself
  bool gateway = false;
};

/// Groups by id, each with its rule; "" of those that devices are put into.
using group_facts = std::map<std::string, std::string, std::less<>>;
group_facts facts_of(const std::vector<model::organisation::device_group>& groups);
/// So many groups with a rule a filter may name.
inline constexpr int max_rules_named = 20;

/// Fields that a filter of devices may name beside model::device::search_fields: "modelId",
/// "rootModelId", "productType". "deviceName.<locale>" and "name.<locale>" are the name. A group
/// with a rule is what its rule asks for; one that is not there has nobody. "" stays "". Fails:
/// `invalid_argument` "bad_filter".
model::result<std::string> device_filter(std::string_view text,
                                         const std::vector<product_facts>& products,
                                         const group_facts& groups = {});
/// The same of a group's rule, which names no group with a rule.
model::result<std::string> rule_filter(std::string_view rule,
                                       const std::vector<product_facts>& products,
                                       const group_facts& groups);

/// One of them at least; of none, nothing fulfils it.
std::string any_of(const std::vector<std::string>& filters);
/// Both of them; "" is everything.
std::string both(std::string_view a, std::string_view b);
/// `field = "text"`.
std::string equals(std::string_view field, std::string_view text);
/// `field in ("a", "b")`; of none, one that nothing fulfils.
std::string one_of(std::string_view field, const std::set<std::string>& texts);
/// The text somewhere in the device key or the name.
std::string mentions(std::string_view text);

}  // namespace orrery::model::organisation
