// What the structs of an operation are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/encoding.hpp"
#include "model/operation/operation.hpp"

namespace orrery::model::operation {

constexpr auto range_of(work_kind) {
  return std::pair{work_kind::import_devices, work_kind::provision_devices};
}
constexpr auto range_of(state_code) {
  return std::pair{state_code::receiving, state_code::cancelled};
}
constexpr auto range_of(result_form) {
  return std::pair{result_form::outcomes, result_form::ndjson};
}
template <field_of<row_counts> X>
auto fields_of(X& x) {
  return std::tie(x.ok, x.failed, x.skipped);
}
template <field_of<create_operation> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.kind, x.request, x.products, x.total, x.receives, x.form,
                  x.wants_secrets, x.seed, x.retention, x.max_open);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.actor, x.at);
}
template <field_of<input_added> X>
auto fields_of(X& x) {  // without the bytes: they are a row
  return std::tie(x.number, x.size, x.at);
}
template <field_of<submitted> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<offered> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<taken> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<advanced> X>
auto fields_of(X& x) {  // without the bytes: they are a row
  return std::tie(x.position, x.more, x.total, x.result_size, x.lets_go, x.at);
}
template <field_of<cancel_asked> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<ended> X>
auto fields_of(X& x) {
  return std::tie(x.how, x.reason, x.detail, x.at);
}
template <field_of<secrets_shown> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.request, x.actor, x.kind, x.products,
                  x.phase, x.counts, x.total, x.position, x.input_pieces, x.input_bytes,
                  x.result_pieces, x.result_bytes, x.form, x.wants_secrets, x.seed,
                  x.secrets_shown_at, x.attempt, x.idle_attempts, x.cancel_wanted, x.reason,
                  x.detail, x.created_at, x.updated_at, x.started_at, x.ended_at, x.due,
                  x.retention, x.revision);
}

// Between nodes.

template <field_of<add_input> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.bytes);
}
template <field_of<advance> X>
auto fields_of(X& x) {
  return std::tie(x.attempt, x.from, x.position, x.more, x.total, x.result, x.lets_go);
}
template <field_of<finish_operation> X>
auto fields_of(X& x) {
  return std::tie(x.attempt, x.reason, x.detail);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision, x.organisation);
}
template <field_of<operation_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::operation
