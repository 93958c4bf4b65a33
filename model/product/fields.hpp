// What the structs of a product are made of, for its encodings: on disk (encoding.cpp) and between
// nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's alternatives;
// new ones come last, and with a new version of what has them.
#pragma once

#include "model/encoding.hpp"
#include "model/product/product.hpp"

namespace orrery::model::product {

constexpr auto range_of(node_type) {
  return std::pair{node_type::device, node_type::gateway};
}
constexpr auto range_of(access_mode) {
  return std::pair{access_mode::direct, access_mode::both};
}
constexpr auto range_of(data_format) {
  return std::pair{data_format::json, data_format::raw};
}
constexpr auto range_of(authentication) {
  return std::pair{authentication::secret, authentication::both};
}

template <field_of<create_product> X>
auto fields_of(X& x) {
  return std::tie(x.product_key, x.organisation, x.name, x.description, x.model, x.pinned_revision,
                  x.node, x.access, x.format, x.auth, x.dynamic_activation, x.sign_methods, x.mode,
                  x.tags, x.secret);
}
template <field_of<update_product> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.pinned_revision, x.access, x.auth, x.dynamic_activation,
                  x.sign_methods, x.mode, x.tags);
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
template <field_of<secret_set> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.at);
}
template <field_of<script_set> X>
auto fields_of(X& x) {
  return std::tie(x.text, x.at);
}
template <field_of<script_removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.product_key, x.organisation, x.name, x.description,
                  x.model, x.pinned_revision, x.node, x.access, x.format, x.auth,
                  x.dynamic_activation, x.sign_methods, x.mode, x.tags, x.secret, x.created_at,
                  x.updated_at, x.revision, x.script);
}

// Between nodes.

template <field_of<reset_product_secret> X>
auto fields_of(X& x) {
  return std::tie(x.secret);
}
template <field_of<set_script> X>
auto fields_of(X& x) {
  return std::tie(x.text);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<product_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::product
