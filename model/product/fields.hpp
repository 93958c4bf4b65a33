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

constexpr auto range_of(offer_verdict) {
  return std::pair{offer_verdict::none, offer_verdict::device_unknown};
}

template <field_of<firmware> X>
auto fields_of(X& x) {
  return std::tie(x.image, x.name, x.description, x.by, x.created_at);
}
template <field_of<job_target> X>
auto fields_of(X& x) {
  return std::tie(x.device_key, x.verdict);
}
template <field_of<ota_job> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.image, x.firmware_name, x.by, x.deliver, x.upgrade_timeout,
                  x.unknown_version, x.targets, x.created_at, x.cancelled_at);
}
template <field_of<create_product> X>
auto fields_of(X& x) {
  return std::tie(x.product_key, x.organisation, x.name, x.description, x.model, x.pinned_revision,
                  x.node, x.access, x.format, x.auth, x.dynamic_activation, x.sign_methods, x.mode,
                  x.tags, x.secret, x.topics);
}
template <field_of<update_product> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.pinned_revision, x.access, x.auth, x.dynamic_activation,
                  x.sign_methods, x.mode, x.tags, x.topics);
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
template <field_of<firmware_added> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<firmware_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<job_added> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<offers_noted> X>
auto fields_of(X& x) {
  return std::tie(x.job, x.verdicts);
}
template <field_of<job_cancelled> X>
auto fields_of(X& x) {
  return std::tie(x.job, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.product_key, x.organisation, x.name, x.description,
                  x.model, x.pinned_revision, x.node, x.access, x.format, x.auth,
                  x.dynamic_activation, x.sign_methods, x.mode, x.tags, x.secret, x.created_at,
                  x.updated_at, x.revision, x.script, x.firmwares, x.jobs, x.topics);
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
template <field_of<add_firmware> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<remove_firmware> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<add_job> X>
auto fields_of(X& x) {
  return std::tie(x.firmware, x.what);
}
template <field_of<note_offers> X>
auto fields_of(X& x) {
  return std::tie(x.job, x.verdicts);
}
template <field_of<cancel_job> X>
auto fields_of(X& x) {
  return std::tie(x.job);
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
