#include "actors/configurations.hpp"

#include "model/organisation/configurations.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
namespace filter = model::filter;
namespace organisation = model::organisation;

bool asks_products(const filter::expression& e) {
  if (e.what == filter::expression::kind::one) {
    const auto& name = e.test.field.front();
    return name == "modelId" || name == "rootModelId" || name == "productType";
  }
  for (const auto& part : e.parts)
    if (asks_products(part))
      return true;
  return false;
}

bool asks_products(const std::string& text) {
  const auto read = filter::parse(text, device::wide_limits());
  return read && asks_products(*read);
}

}  // namespace

model::result<std::string> target_filter(std::string_view target,
                                         const std::vector<organisation::product_facts>& products,
                                         const organisation::group_facts& groups) {
  if (const auto ok = organisation::read_target(target); !ok)
    return ok.error();
  return organisation::device_filter(target, products, groups);
}

std::shared_ptr<const device::configuration_set> compile_configurations(
    const organisation::state& of,
    const std::function<std::vector<organisation::product_facts>()>& products) {
  auto made = std::make_shared<device::configuration_set>();
  const auto order = organisation::in_order(of.configurations);
  if (order.empty())
    return made;
  // A group's rule may ask for products as well as a target.
  for (const auto* c : order)
    made->asks_products = made->asks_products || asks_products(c->target);
  for (const auto& g : of.groups)
    made->asks_products = made->asks_products || asks_products(g.rule);
  const auto groups = organisation::facts_of(of.groups);
  const auto facts = made->asks_products ? products() : std::vector<organisation::product_facts>{};
  for (const auto* c : order) {
    auto text = target_filter(c->target, facts, groups);
    if (!text)
      continue;
    const auto parsed = filter::parse(*text, device::wide_limits());
    if (!parsed)
      continue;
    auto target = filter::check(*parsed, device::search_fields());
    if (!target)
      continue;
    made->reads |= device::looked_at(*target);
    made->all.push_back({c->id, c->version, c->desired, std::move(*text), std::move(*target)});
  }
  return made;
}

}  // namespace orrery::actors
