#include "model/asset/asset.hpp"

namespace orrery::model::asset {
namespace {

constexpr std::size_t max_text = 256, max_description = 2'000, max_timezone = 64;
constexpr std::size_t max_attributes = 200;

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

decision then(const state& s, event e, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  asset::apply(*after, e);
  auto d = decision{{}, asset_snapshot{around.self, std::move(after)}};
  d.events.push_back(std::move(e));
  return d;
}

void merge(object& attributes, const object& changes) {
  for (const auto& [name, v] : changes)
    if (v.is_null())
      std::erase_if(attributes, [&of = name](const auto& one) { return one.first == of; });
    else
      set_member(attributes, name, v);
}

/// All that must hold of an asset whatever it was changed from.
status check(const state& s) {
  if (s.name.empty() || s.name.size() > max_text)
    return failure{errc::invalid_argument, "name_invalid",
                   "an asset's name is 1 to 256 characters"};
  if (s.description.size() > max_description || s.timezone.size() > max_timezone)
    return failure{errc::invalid_argument, "description_invalid",
                   "a description is at most 2,000 characters, a time zone 64"};
  if (s.attributes.size() > max_attributes)
    return failure{errc::too_large, "too_many_attributes", "an asset has at most 200 attributes"};
  const auto kept = tags_after({}, all_tags(s.tags));
  return kept ? status{} : status{kept.error()};
}

result<decision> decide_on(const state& s, const create_asset& c, const surroundings& around) {
  if (s.exists || s.deleted)
    return refused(errc::already_exists, "asset_exists", "there is such an asset");
  if (!c.model_id.empty() && !around.model)
    return refused(errc::not_found, "model_unknown", "no published model " + c.model_id);
  auto as = c;
  if (around.model) {
    auto whole = around.model->complete_attributes(std::move(as.attributes));
    if (!whole)
      return whole.error();
    as.attributes = std::move(*whole);
  }
  auto d = then(s, created{std::move(as), around.now}, around);
  if (auto ok = check(*std::get<asset_snapshot>(d.answer).what); !ok)
    return ok.error();
  return d;
}

result<decision> decide_on(const state& s, const update_asset& u, const surroundings& around) {
  auto changes = u;
  if (around.model && !u.attributes.empty()) {
    auto checked = around.model->check_attributes(u.attributes, thing_model::side::cloud);
    if (!checked)
      return checked.error();
    changes.attributes = std::move(*checked);
  }
  auto d = then(s, updated{std::move(changes), around.now}, around);
  if (auto ok = check(*std::get<asset_snapshot>(d.answer).what); !ok)
    return ok.error();
  return d;
}

result<decision> decide_on(const state& s, const remove_asset&, const surroundings& around) {
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const read_asset&, const surroundings& around) {
  return decision{{}, asset_snapshot{around.self, std::make_shared<const state>(s)}};
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.organisation = e.as.organisation;
  s.name = e.as.name;
  s.description = e.as.description;
  s.timezone = e.as.timezone;
  s.model_id = e.as.model_id;
  s.attributes = e.as.attributes;
  s.tags = e.as.tags;
  s.created_at = s.updated_at = e.at;
}
void apply_on(state& s, const updated& e) {
  if (e.changes.name)
    s.name = *e.changes.name;
  if (e.changes.description)
    s.description = *e.changes.description;
  if (e.changes.timezone)
    s.timezone = *e.changes.timezone;
  merge(s.attributes, e.changes.attributes);
  merge_tags(s.tags, e.changes.tags);
  s.updated_at = e.at;
}
void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  const auto hidden = s.exists && !c.organisation.empty() && c.organisation != s.organisation;
  if (hidden || (!s.exists && !std::holds_alternative<create_asset>(c.what)))
    return refused(errc::not_found, "asset_unknown", "no such asset");
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::asset
