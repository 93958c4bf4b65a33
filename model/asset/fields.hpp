// What the structs of an asset node are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/asset/asset.hpp"
#include "model/encoding.hpp"

namespace orrery::model::asset {

template <field_of<create_node> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.parent, x.name, x.device, x.order, x.depth, x.organisation, x.tags);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<renamed> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.at);
}
template <field_of<bound> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.at);
}
template <field_of<moved> X>
auto fields_of(X& x) {
  return std::tie(x.parent, x.depth, x.order, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.tree, x.parent, x.name, x.device, x.order, x.depth,
                  x.organisation, x.tags, x.created_at, x.updated_at, x.revision);
}

// Between nodes.

template <field_of<rename_node> X>
auto fields_of(X& x) {
  return std::tie(x.name);
}
template <field_of<bind_device> X>
auto fields_of(X& x) {
  return std::tie(x.device);
}
template <field_of<move_node> X>
auto fields_of(X& x) {
  return std::tie(x.parent, x.depth, x.order);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<node_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::asset
