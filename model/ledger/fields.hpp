// What the structs of a ledger are made of, for its encodings: on disk (encoding.cpp) and between
// nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's alternatives;
// new ones come last, and with a new version of what has them.
#pragma once

#include "model/encoding.hpp"
#include "model/ledger/ledger.hpp"

namespace orrery::model::ledger {

template <field_of<reserved> X>
auto fields_of(X& x) {
  return std::tie(x.at, x.devices);
}
template <field_of<released> X>
auto fields_of(X& x) {
  return std::tie(x.devices);
}
template <field_of<count_begun> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.stamp, x.number, x.at);
}
template <field_of<count_ended> X>
auto fields_of(X& x) {
  return std::tie(x.used, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.stamp, x.used, x.counted_at, x.recent,
                  x.counts, x.counting_stamp, x.counting_since, x.revision);
}

// Between nodes.

template <field_of<reserve> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.stamp, x.wanted, x.hard);
}
template <field_of<release> X>
auto fields_of(X& x) {
  return std::tie(x.devices, x.count);
}
template <field_of<begin_count> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.stamp);
}
template <field_of<end_count> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.devices);
}
template <field_of<abandon_count> X>
auto fields_of(X& x) {
  return std::tie(x.number);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<room> X>
auto fields_of(X& x) {
  return std::tie(x.devices, x.used, x.count);
}
template <field_of<counting> X>
auto fields_of(X& x) {
  return std::tie(x.number);
}

}  // namespace orrery::model::ledger
