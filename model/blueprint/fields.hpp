// What the structs of a thing model are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/blueprint/blueprint.hpp"
#include "model/encoding.hpp"

namespace orrery::model::blueprint {

template <field_of<revision_record> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.document, x.note, x.published_at, x.actor, x.reason,
                  x.parent_revision, x.effective);
}
template <field_of<create_blueprint> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.model_id, x.document, x.copied_from);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<draft_saved> X>
auto fields_of(X& x) {
  return std::tie(x.document, x.at);
}
template <field_of<draft_discarded> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<published> X>
auto fields_of(X& x) {
  return std::tie(x.revision);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<change_about> X>
auto fields_of(X& x) {
  return std::tie(x.deprecated, x.members);
}
template <field_of<about_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<share> X>
auto fields_of(X& x) {
  return std::tie(x.with, x.on);
}
template <field_of<shared> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.at);
}
template <field_of<change_library> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.elements);
}
template <field_of<library_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.model_id, x.draft, x.revisions,
                  x.deprecated, x.created_at, x.updated_at, x.revision, x.about, x.copied_from,
                  x.shared_with, x.library);
}

// Between nodes.

template <field_of<save_draft> X>
auto fields_of(X& x) {
  return std::tie(x.document);
}
template <field_of<publish> X>
auto fields_of(X& x) {
  return std::tie(x.note, x.force, x.reason);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<blueprint_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::blueprint
