#include "model/device/whole_update.hpp"

#include <algorithm>

namespace orrery::model::device {
namespace {

bool has(const object& attributes, const std::string& id) {
  return std::any_of(attributes.begin(), attributes.end(),
                     [&](const auto& one) { return one.first == id; });
}

bool cloud_may_write(const attribute_spec& a) {
  using access = attribute_spec::access_mode;
  return a.access == access::read_write || a.access == access::cloud;
}

}  // namespace

result<update_device> whole_update(const state& s, update_device wanted, const thing_model* model) {
  if (!wanted.display_name)
    wanted.display_name = s.name().device_key;
  if (!wanted.description)
    wanted.description = "";
  if (!wanted.timezone)
    wanted.timezone = "";
  auto& attributes = wanted.attributes;
  std::erase_if(attributes, [](const auto& one) { return one.second.is_null(); });
  auto missing = std::vector<problem>{};
  if (model) {
    for (const auto& a : model->attributes()) {
      if (!cloud_may_write(a) || has(attributes, a.id))
        continue;
      if (a.default_value)
        attributes.emplace_back(a.id, *a.default_value);
      else if (a.required)
        missing.push_back({a.id, "required_missing", "the attribute is required"});
      else if (has(s.attributes, a.id))
        attributes.emplace_back(a.id, nullptr);
    }
  } else {
    for (const auto& [id, v] : s.attributes)
      if (!has(attributes, id))
        attributes.emplace_back(id, nullptr);
  }
  if (!missing.empty()) {
    auto detail = missing.front().where + ": " + missing.front().detail;
    return failure{errc::invalid_argument, "model_validate_failed", std::move(detail),
                   std::move(missing)};
  }
  for (const auto& [key, text] : *s.tags)
    wanted.tags.emplace(key, std::nullopt);
  return wanted;
}

}  // namespace orrery::model::device
