#include "transport/api/reach.hpp"

#include <algorithm>

#include "model/device/search.hpp"
#include "model/filter/record.hpp"

namespace orrery::transport::api {

namespace filter = model::filter;
namespace organisation = model::organisation;

bool device_reach::has(const model::entity_id& id, const model::device::state& s) const {
  if (everything || products.contains(s.name().product_key))
    return true;
  const auto& in = s.groups();
  if (std::any_of(in.begin(), in.end(), [&](const auto& g) { return groups.contains(g); }))
    return true;
  const auto seen = model::device::searched_device{id, s};
  return std::any_of(rules.begin(), rules.end(),
                     [&](const rule& r) { return filter::accepts(r.test, seen); });
}

std::string device_reach::filter(const std::vector<model::entity_id>& below) const {
  if (everything)
    return {};
  auto parts = std::vector<std::string>{};
  if (!products.empty())
    parts.push_back(organisation::one_of("productKey", products));
  if (!groups.empty())
    parts.push_back(organisation::one_of("group", groups));
  for (const auto& r : rules)
    parts.push_back(r.text);
  if (!below.empty()) {
    auto ids = std::set<std::string>{};
    for (const auto& id : below)
      ids.insert(to_string(id));
    parts.push_back(organisation::one_of("assetId", ids));
  }
  return organisation::any_of(parts);
}

device_reach reach_of(const model::organisation::rights& has, std::string_view permission,
                      const group_facts& groups, const std::vector<product_facts>& products) {
  auto reach = device_reach{};
  auto ruled = std::set<std::string>{};
  for (const auto& grant : has) {
    if (!model::organisation::permits(grant.permissions, permission))
      continue;
    const auto& within = grant.within;
    if (within.is_whole()) {
      reach = {};
      reach.everything = true;
      return reach;
    }
    reach.products.insert(within.products.begin(), within.products.end());
    for (const auto& id : within.groups)
      if (const auto found = groups.find(id); found != groups.end())
        (found->second.empty() ? reach.groups : ruled).insert(id);
    for (const auto& text : within.tree_nodes)
      if (const auto id = model::parse_entity_id(text))
        reach.nodes.push_back(*id);
  }
  for (const auto& id : ruled) {
    auto text = organisation::rule_filter(groups.find(id)->second, products, groups);
    if (!text)
      continue;
    const auto parsed = filter::parse(*text, model::device::wide_limits());
    if (!parsed)
      continue;
    if (auto checked = filter::check(*parsed, model::device::search_fields()))
      reach.rules.push_back({std::move(*text), std::move(*checked)});
  }
  std::sort(reach.nodes.begin(), reach.nodes.end());
  reach.nodes.erase(std::unique(reach.nodes.begin(), reach.nodes.end()), reach.nodes.end());
  return reach;
}

}  // namespace orrery::transport::api
