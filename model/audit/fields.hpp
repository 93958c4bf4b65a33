// What the structs of an audit log are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/audit/audit.hpp"
#include "model/encoding.hpp"

namespace orrery::model::audit {

template <field_of<record> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.time, x.hash, x.text);
}
template <field_of<appended> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.what, x.due);
}
template <field_of<pruned> X>
auto fields_of(X& x) {
  return std::tie(x.first, x.first_time, x.anchor, x.bytes, x.due);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.next, x.hash, x.time, x.first,
                  x.first_time, x.anchor, x.bytes, x.due, x.revision);
}

// Between nodes.

template <field_of<append_record> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.entry, x.request, x.again);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<noted> X>
auto fields_of(X& x) {
  return std::tie(x.number);
}
template <field_of<head> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.number, x.hash, x.time, x.first, x.anchor);
}

}  // namespace orrery::model::audit
