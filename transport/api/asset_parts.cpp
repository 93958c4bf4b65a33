#include "transport/api/asset_parts.hpp"

#include <algorithm>

#include "model/filter/folded.hpp"

namespace orrery::transport::api {

namespace asset = model::asset;
using model::errc;
using model::failure;

failure unknown_asset() {
  return {errc::not_found, "asset_unknown", "no such asset here"};
}

failure is_device(const actors::asset_facts& f) {
  return {errc::conflict, "asset_is_device",
          to_string(f.id) + " is a device: it is changed among the devices"};
}

model::entity_id fresh_asset_id(const exchange& e) {
  return model::make_entity_id(
      e.parts().ask->shard_of(model::device_name{"asset", model::random_text(12)}), e.parts().now(),
      model::random_entropy());
}

const asset::asset_snapshot& asset_snapshot_in(const actors::outcome& done) {
  return std::get<asset::asset_snapshot>(std::get<asset::reply>(done.answer));
}

model::value show_logical(const exchange& e, const model::entity_id& id, const asset::state& s) {
  auto f = actors::asset_facts{};
  f.id = id;
  f.name = s.name;
  f.description = s.description;
  f.timezone = s.timezone;
  f.model_id = s.model_id;
  f.tags = s.tags;
  f.created_at = s.created_at;
  f.updated_at = s.updated_at;
  auto o = show_asset(e, f).as_object();
  o.emplace_back("attributes", s.attributes);
  return o;
}

bool asset_listing::is_wanted(const actors::asset_facts& f, const model::value& shown) const {
  const auto* of = shown.find("modelId");
  const auto has_model = [&](const auto& m) { return of && of->as_string() == m; };
  const auto has_tag = [&](const auto& tag) {
    const auto found = f.tags.find(tag.first);
    return found != f.tags.end() && found->second == tag.second;
  };
  return (models.empty() || std::any_of(models.begin(), models.end(), has_model)) &&
         (text.empty() || model::filter::folded(f.name).find(text) != std::string::npos) &&
         std::all_of(tags.begin(), tags.end(), has_tag);
}

void asset_listing::next() {
  if (q.shard >= e->parts().shard_count)
    return done(std::move(items), {});
  if (items.size() == limit)
    return done(std::move(items), std::to_string(q.shard) + ' ' + q.cursor);
  q.limit = limit - items.size();
  e->parts().query->assets(
      q, [self = shared_from_this()](const model::result<actors::asset_page>& got) {
        if (!got)
          return self->e->fail(got.error());
        for (const auto& f : got->assets)
          if (auto shown = show_asset(*self->e, f); self->is_wanted(f, shown))
            self->items.push_back(std::move(shown));
        self->q.cursor = got->next;
        if (got->next.empty())
          ++self->q.shard;
        self->next();
      });
}

bool asset_listing::go_on(const std::string& from) {
  const auto blank = from.find(' ');
  const auto number = from.substr(0, blank);
  if (blank == std::string::npos || number.empty() || number.size() > 5 ||
      number.find_first_not_of("0123456789") != std::string::npos)
    return false;
  q.shard = static_cast<model::shard_id>(std::stoul(number));
  q.cursor = from.substr(blank + 1);
  return true;
}

std::shared_ptr<asset_listing> begin_asset_list(const exchange_ptr& e, std::string_view kind) {
  const auto l = std::make_shared<asset_listing>();
  l->e = e;
  l->q.organisation = e->who.organisation;
  l->q.sort = kind == "device"    ? actors::asset_sort::device
              : kind == "logical" ? actors::asset_sort::logical
                                  : actors::asset_sort::any;
  return l;
}

}  // namespace orrery::transport::api
