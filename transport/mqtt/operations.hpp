// What a message of a device is, by its topic: the one table of the topics of the device protocol.
#pragma once

#include <string>
#include <string_view>

#include "model/ids.hpp"

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
  log_post,
  network_report,
  connection_state,
  device_register,
  topology_add,
  topology_delete,
  topology_get,
  sub_login,
  sub_login_batch,
  sub_logout,
  certificate_apply,
  certificate_renew,
  file_upload,
  file_download,
  file_delete,
  channel_points,
  channel_events,
  channel_attributes,
  raw_up,          // bytes for the product's script
  raw_down_reply,  // bytes that answer a command
  firmware_inform,
  firmware_progress,
  firmware_getversion,
  config_get,
  config_report,
  clock,  // what time it is: no entity is asked
  command_reply,
  rrpc_response,  // bytes that answer bytes
  notice_reply,   // to what wants no answer
  subscriptions,  // of a kept session
  delivered,      // a command is acknowledged, not yet answered
  unknown,
};

/// Short name for metrics ("points_post").
std::string_view name_of(operation o);

/// /sys/{pk}/{dk}/, /ext/session/{pk}/{dk}/, /sys/{pk}/integration/ and /ext/ntp/{pk}/{dk}/.
enum class topic_tree : unsigned char { none, device, session, channel, clock };

/// Views into the topic.
struct classified {
  operation what = operation::unknown;
  topic_tree tree = topic_tree::none;
  std::string_view product_key, device_key;  // whose topic it is; a channel has no device
  std::string_view element;  // event_post: the event's id; rrpc_response: the call's
  bool wants_reply = false;  // a request, to be answered on its answer_topic

  bool is_of(const model::device_name& device) const {
    return product_key == device.product_key && device_key == device.device_key;
  }
};
/// Never fails: a topic that is nobody's is `unknown`.
classified classify(std::string_view topic);
/// Where a request on `topic` is answered: topic + "_reply", but for the clock.
std::string answer_topic(const classified& what, std::string_view topic);
/// What a gateway may do for a sub-device on that one's own topics.
bool is_for_sub_devices(operation o);
/// The result code of malformed parameters of that request.
int format_code(operation o);

}  // namespace orrery::transport::mqtt
