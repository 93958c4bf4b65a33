// What a message on a general topic is made of, for its encodings (model/encoding.hpp). The order
// of fields is for ever.
#pragma once

#include "model/encoding.hpp"
#include "model/kind_wire.hpp"
#include "model/topic_message.hpp"

namespace orrery::model {

template <field_of<message_properties> X>
auto fields_of(X& x) {
  return std::tie(x.payload_format, x.content_type, x.response_topic, x.correlation, x.user);
}
template <field_of<user_property> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.value);
}
template <field_of<topic_message> X>
auto fields_of(X& x) {
  return std::tie(x.topic, x.payload, x.level, x.retain, x.sent, x.expiry, x.publisher, x.with);
}
template <field_of<topic_delivery> X>
auto fields_of(X& x) {
  return std::tie(x.source, x.number, x.what, x.level, x.options, x.retained, x.released);
}

}  // namespace orrery::model
