// Which devices somebody's roles reach: by their products, by groups and by nodes of asset trees.
// What hangs on trees is read from them (exchange::with_devices); all else is decided here. Pure;
// any thread.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/device/device.hpp"
#include "model/filter/schema.hpp"
#include "model/organisation/device_filter.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::transport::api {

using model::organisation::group_facts;
using model::organisation::product_facts;

/// What roles that hold somewhere only reach, for one permission. By default nothing.
struct device_reach {
  bool everything = false;
  std::set<std::string> products;
  std::set<std::string> groups;  // those that devices are put into
  struct rule {
    std::string text;  // as device_filter writes it
    model::filter::checked_filter test;
  };
  std::vector<rule> rules;              // of the other groups
  std::vector<model::entity_id> nodes;  // of asset trees: with all that is below them

  /// By products and groups; what `nodes` reach is beside it.
  bool has(const model::entity_id& id, const model::device::state& s) const;
  /// A filter of the devices that are reached; `below`: those on or below `nodes`.
  std::string filter(const std::vector<model::entity_id>& below) const;
};

/// Groups that are not there, and rules that cannot be read any more, reach nobody.
device_reach reach_of(const model::organisation::rights& has, std::string_view permission,
                      const group_facts& groups, const std::vector<product_facts>& products);

}  // namespace orrery::transport::api
