// What the structs of a logical asset are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/asset/asset.hpp"
#include "model/encoding.hpp"

namespace orrery::model::asset {

template <field_of<create_asset> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.name, x.description, x.timezone, x.model_id, x.attributes,
                  x.tags);
}
template <field_of<update_asset> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.timezone, x.attributes, x.tags);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<updated> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.name, x.description, x.timezone,
                  x.model_id, x.attributes, x.tags, x.created_at, x.updated_at, x.revision);
}

// Between nodes.

template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision, x.organisation);
}
template <field_of<asset_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::asset
