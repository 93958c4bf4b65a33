// Topics and payloads to orders for the device, answers and downlinks back to payloads.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/device/device.hpp"
#include "model/result.hpp"

namespace orrery::transport::mqtt {

/// What a publish of a device is, by its topic.
enum class operation : unsigned char {
  points_post,
  points_post_batch,
  points_resume,
  points_resume_batch,
  event_post,
  attribute_update,
  attribute_query,
  attribute_delete,
  tag_update,
  tag_query,
  tag_delete,
  model_get,
  command_reply,
  subscriptions,  // of a kept session
  delivered,      // a command is acknowledged, not yet answered
  unknown,
};

/// Short name for metrics ("points_post").
std::string_view name_of(operation o);

struct classified {
  operation what = operation::unknown;
  std::string_view element;  // event_post: the event's id
  bool own = false;          // the topic is one of this device's
  bool wants_reply = false;  // a request, to be answered on topic + "_reply"
};
/// Never fails: a topic that is nobody's is `unknown`.
classified classify(std::string_view topic, const model::device_name& device);

/// A request as read from its payload.
struct request {
  std::string id;                            // "" if it could not be read
  model::result<model::device::order> what;  // or why not
  std::vector<std::string> ids;              // attributes or tags asked for; empty: all
};
/// Reads the JSON payload of a request that is not `command_reply`. Sub-devices are not served yet:
/// a batch entry of another device is `forbidden`.
request read_request(const classified& topic, std::string_view payload,
                     const model::device_name& device);
/// The result code of malformed parameters of that request.
int format_code(operation o);

/// A device's answer to a command. Fails: `invalid_argument`.
model::result<model::device::complete_command> read_command_reply(std::string_view payload);

/// {"id":..,"code":..,"data":..[,"message":..]}, compact.
std::string write_reply(std::string_view id, int code, const model::value& data,
                        std::string_view message);
/// The data of a successful reply. `ids`: those asked for, as in `request`.
model::value reply_data(operation o, const std::vector<std::string>& ids,
                        const model::device::reply& answer, const model::thing_model* model);

/// At most `most` bytes of a UTF-8 text, cut between characters.
std::string_view clip(std::string_view text, std::size_t most);

struct outgoing {
  std::string topic, payload;
};
outgoing write_downlink(const model::downlink& d);

/// tslAttributeMap, tslMeasurepointMap, tslEventMap, tslServiceMap.
model::value describe(const model::thing_model& m);

}  // namespace orrery::transport::mqtt
