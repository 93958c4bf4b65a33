#include "actors/tree_rows.hpp"

#include "storage/keys.hpp"

namespace orrery::actors {

namespace keys = storage::keys;
using storage::family;

model::result<std::optional<model::tree::node>> tree_rows::find(const model::entity_id& id) const {
  if (id.shard != tree_.shard)
    return std::optional<model::tree::node>{};
  const auto row = from_.get(family::state, keys::tree_node(tree_, id));
  if (!row)
    return row.error();
  if (!*row)
    return std::optional<model::tree::node>{};
  auto n = model::tree::decode_node(**row);
  if (!n)
    return n.error();
  return std::optional{std::move(*n)};
}

model::result<std::optional<model::entity_id>> tree_rows::holder(
    const model::entity_id& asset) const {
  const auto row = from_.get(family::index, keys::tree_holder(tree_, asset));
  if (!row)
    return row.error();
  return *row ? keys::from_ulid_bytes(tree_.shard, **row) : std::nullopt;
}

model::status tree_rows::children(const model::entity_id& parent, std::string_view from,
                                  bool backwards, const visitor& visit) const {
  const auto prefix = keys::tree_places(tree_, parent);
  const auto begin = from.empty() ? std::string{} : prefix + std::string{from};
  return from_.scan(family::index, prefix, begin, backwards, [&](std::string_view key, auto) {
    if (key == begin)
      return true;  // from behind it on
    const auto place = key.substr(prefix.size());
    const auto id = model::tree::node_of(place, tree_.shard);
    return !id || visit(place, *id);
  });
}

}  // namespace orrery::actors
