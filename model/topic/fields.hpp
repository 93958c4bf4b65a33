// What the structs of a topic are made of, for its encodings: on disk (encoding.cpp) and between
// nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's alternatives;
// new ones come last, and with a new version of what has them.
#pragma once

#include "model/message_fields.hpp"
#include "model/topic/topic.hpp"

namespace orrery::model::topic {

template <field_of<retained> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.message);
}
template <field_of<cleared> X>
auto fields_of(X& x) {
  return std::tie(x.expired);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.name, x.message, x.revision);
}

// Between nodes.

template <field_of<retain> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.message);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<retained_messages> X>
auto fields_of(X& x) {
  return std::tie(x.messages);
}

}  // namespace orrery::model::topic
