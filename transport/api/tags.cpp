// Which tags there are (part of group E of the API): keys and values, with how many things have
// them.
#include <algorithm>

#include "actors/tag_counts.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t max_assets = 100'000;  // that are looked at
constexpr std::uint64_t assets_at_once = 500;

/// `is_whole`: nothing was left out before.
void answer(const exchange_ptr& e, std::string_view kind, const actors::tag_counts& tags,
            bool is_whole) {
  auto items = model::array{};
  for (const auto& [key, of] : tags.keys()) {
    auto values = model::array{};
    for (const auto& [text, n] : of.values)
      if (values.size() < actors::tag_counts::max_values)
        values.push_back(model::object{{"value", text}, {"count", static_cast<std::int64_t>(n)}});
    items.push_back(
        model::object{{"key", key},
                      {"count", static_cast<std::int64_t>(of.devices)},
                      {"values", std::move(values)},
                      {"truncated", of.values.size() > actors::tag_counts::max_values}});
  }
  e->reply(200, model::object{{"kind", kind},
                              {"items", std::move(items)},
                              {"truncated", !is_whole || !tags.is_whole()}});
}

void tags_of_devices(const exchange_ptr& e) {
  e->with_reach({}, [e](std::string filter) {
    e->parts().query->count({.organisation = e->who.organisation,
                             .filter = std::move(filter),
                             .groups = std::string{actors::every_tag}},
                            [e](const model::result<actors::device_counts>& counts) {
                              if (!counts)
                                return e->fail(counts.error());
                              auto tags = actors::tag_counts{};
                              tags.add(*counts);
                              answer(e, "device", tags, true);
                            });
  });
}

void tags_of_products(const exchange_ptr& e) {
  auto tags = actors::tag_counts{};
  const auto known = e->parts().known->current();
  for (const auto& [product_key, p] : known->products)
    if (p->state->organisation == e->who.organisation &&
        e->who.may_for("product:read", product_key))
      for (const auto& [key, text] : p->state->tags)
        tags.add(key, text, 1);
  answer(e, "product", tags, true);
}

/// Logical assets have no index: shard by shard they are looked at, up to a bound.
struct asset_tags : std::enable_shared_from_this<asset_tags> {
  exchange_ptr e;
  actors::asset_list_question q;
  actors::tag_counts tags{};
  std::size_t looked_at = 0;

  void next() {
    if (q.shard >= e->parts().shard_count)
      return answer(e, "asset", tags, true);
    if (looked_at >= max_assets)
      return answer(e, "asset", tags, false);
    e->parts().query->assets(
        q, [self = shared_from_this()](const model::result<actors::asset_page>& page) {
          if (!page)
            return self->e->fail(page.error());
          for (const auto& a : page->assets)
            for (const auto& [key, text] : a.tags)
              self->tags.add(key, text, 1);
          self->looked_at += page->assets.size();
          self->q.cursor = page->next;
          if (page->next.empty())
            ++self->q.shard;
          self->next();
        });
  }
};

void list(const exchange_ptr& e) {
  auto kind = e->query("kind");
  if (kind.empty())
    kind = "device";
  if (kind == "device")
    return tags_of_devices(e);
  if (kind != "product" && kind != "asset")
    return e->fail(
        {errc::invalid_argument, "malformed", "kind: expected device, product or asset"});
  const auto needed = kind + ":read";
  if (!e->who.may_for_some(needed))
    return e->fail({errc::forbidden, "forbidden", "needs the permission " + needed});
  if (kind == "product")
    return tags_of_products(e);
  if (!e->who.may(needed))
    return e->fail(
        {errc::forbidden, "scope_denied", "needs the permission " + needed + " without a scope"});
  const auto all = std::make_shared<asset_tags>();
  all->e = e;
  all->q.organisation = e->who.organisation;
  all->q.sort = actors::asset_sort::logical;
  all->q.limit = assets_at_once;
  all->next();
}

}  // namespace

std::vector<route> tag_routes() {
  return {
      {"GET", "~/tags", "device:read", list, "listTags",
       "Keys and values of the tags that there are, counted: of devices, products "
       "(`product:read`) or logical assets (`asset:read`)",
       "", "TagCounts", 200, "kind"},
  };
}

}  // namespace orrery::transport::api
