// What the structs of an asset tree are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/encoding.hpp"
#include "model/tree/tree.hpp"

namespace orrery::model::tree {

template <field_of<node> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.parent, x.order, x.asset, x.device, x.label, x.tags, x.below, x.revision,
                  x.created_at, x.updated_at);
}
template <field_of<by_node> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<by_asset> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<position> X>
auto fields_of(X& x) {
  return std::tie(x.first, x.after);
}
template <field_of<placing> X>
auto fields_of(X& x) {
  return std::tie(x.node, x.parent, x.where, x.asset, x.device, x.label, x.tags);
}
template <field_of<create_tree> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.name, x.description, x.tags, x.root);
}
template <field_of<change_tree> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.tags);
}
template <field_of<former> X>
auto fields_of(X& x) {
  return std::tie(x.parent, x.order, x.asset);
}
template <field_of<node_change> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.now, x.before);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.root, x.at);
}
template <field_of<changed> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<nodes_changed> X>
auto fields_of(X& x) {
  return std::tie(x.all, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.name, x.description, x.tags, x.root,
                  x.nodes, x.created_at, x.updated_at, x.revision);
}
constexpr auto range_of(change_note::sort) {
  return std::pair{change_note::sort::tree, change_note::sort::removed};
}
template <field_of<change_note> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.node);
}

// Between nodes.

template <field_of<remove_tree> X>
auto fields_of(X& x) {
  return std::tie(x.cascade);
}
template <field_of<add_nodes> X>
auto fields_of(X& x) {
  return std::tie(x.items, x.together);
}
template <field_of<binding> X>
auto fields_of(X& x) {
  return std::tie(x.asset, x.device);
}
template <field_of<change_node> X>
auto fields_of(X& x) {
  return std::tie(x.which, x.label, x.tags, x.asset, x.expected);
}
template <field_of<move_node> X>
auto fields_of(X& x) {
  return std::tie(x.which, x.parent, x.where, x.expected);
}
constexpr auto range_of(orphans) {
  return std::pair{orphans::refuse, orphans::remove};
}
template <field_of<remove_node> X>
auto fields_of(X& x) {
  return std::tie(x.which, x.children, x.expected);
}
template <field_of<release_asset> X>
auto fields_of(X& x) {
  return std::tie(x.asset);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision, x.organisation);
}
template <field_of<tree_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}
constexpr auto range_of(refusal::sort) {
  return std::pair{refusal::sort::invalid, refusal::sort::conflict};
}
template <field_of<refusal> X>
auto fields_of(X& x) {
  return std::tie(x.why, x.reason, x.detail);
}
template <field_of<nodes_placed> X>
auto fields_of(X& x) {
  return std::tie(x.items);
}
template <field_of<nodes_removed> X>
auto fields_of(X& x) {
  return std::tie(x.logical, x.nodes);
}

}  // namespace orrery::model::tree
