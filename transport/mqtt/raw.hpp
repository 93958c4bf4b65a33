// Raw payloads: a product's script makes JSON messages of its devices' bytes, and bytes of messages
// to them.
#pragma once

#include <string>
#include <string_view>

#include "actors/catalogue.hpp"
#include "model/result.hpp"
#include "transport/mqtt/operations.hpp"
#include "transport/script.hpp"

namespace orrery::transport::mqtt {

/// A message as its script gave it.
struct raw_message {
  std::string json;
  std::string method;   // "thing.measurepoint.post", ...; empty: it has none
  std::string topic;    // that the method stands for
  bool answer = false;  // to a command
};

/// True if the product's devices speak by a script.
bool speaks_raw(const actors::catalogue_product& product);

/// Reads what came on the topic `at`, of a device or a channel. Fails: `invalid_argument`,
/// "script_missing", "script_error", "script_limit" or "payload_invalid".
model::result<raw_message> read_raw(script_cache& scripts, const actors::catalogue_product& product,
                                    const classified& at, std::string_view bytes);
/// The bytes of a JSON message to the device. Fails: as above.
model::result<std::string> write_raw(script_cache& scripts,
                                     const actors::catalogue_product& product,
                                     std::string_view json);

/// The topic that a method stands for: "thing.event.hot.post" of pk/dk is
/// /sys/pk/dk/thing/event/hot/post.
std::string topic_of(std::string_view method, const classified& at);

}  // namespace orrery::transport::mqtt
