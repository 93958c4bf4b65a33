// What the structs of a client are made of, for its encodings: on disk (encoding.cpp) and between
// nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's alternatives;
// new ones come last, and with a new version of what has them.
#pragma once

#include "model/client/client.hpp"
#include "model/message_fields.hpp"

namespace orrery::model::client {

template <field_of<last_will> X>
auto fields_of(X& x) {
  return std::tie(x.message, x.delay);
}
template <field_of<attach> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.name, x.session, x.resumes, x.expiry, x.will, x.waits);
}
template <field_of<join> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.name, x.member, x.session, x.options, x.expiry);
}
template <field_of<queued> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.message, x.level, x.member, x.sent, x.received, x.retained);
}
template <field_of<attached> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.fresh, x.ends, x.will_due, x.expired, x.drops_messages, x.at);
}
template <field_of<joined> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.given, x.at);
}
template <field_of<left> X>
auto fields_of(X& x) {
  return std::tie(x.member, x.session, x.moved);
}
template <field_of<filters_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes);
}
template <field_of<message_queued> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<settled> X>
auto fields_of(X& x) {
  return std::tie(x.over, x.received);
}
template <field_of<detached> X>
auto fields_of(X& x) {
  return std::tie(x.member, x.session, x.expiry, x.unreleased, x.moved, x.keeps_will, x.at);
}
template <field_of<will_due> X>
auto fields_of(X& x) {
  return std::tie(x.message);
}
template <field_of<ended> X>
auto fields_of(X& x) {
  return std::tie(x.reason, x.sessions, x.drops_messages);
}
template <field_of<member> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.session, x.options, x.expiry, x.away_since);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.group, x.organisation, x.name, x.filters, x.members,
                  x.epoch, x.last_number, x.unreleased, x.will, x.will_waits, x.revision);
}

// Between nodes.

template <field_of<leave> X>
auto fields_of(X& x) {
  return std::tie(x.member);
}
template <field_of<change_filters> X>
auto fields_of(X& x) {
  return std::tie(x.changes);
}
template <field_of<offer> X>
auto fields_of(X& x) {
  return std::tie(x.message, x.retained);
}
template <field_of<settle> X>
auto fields_of(X& x) {
  return std::tie(x.over, x.received);
}
template <field_of<detach> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.with_will, x.expiry, x.unreleased);
}
template <field_of<session_lost> X>
auto fields_of(X& x) {
  return std::tie(x.incarnation);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<attach_granted> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.resumed, x.epoch, x.filters, x.unreleased);
}
template <field_of<offered> X>
auto fields_of(X& x) {
  return std::tie(x.taken, x.dropped);
}
template <field_of<client_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what, x.queued);
}

}  // namespace orrery::model::client
