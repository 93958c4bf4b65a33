// Topics and payloads to orders for the device, answers and downlinks back to payloads.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/device/device.hpp"
#include "model/result.hpp"
#include "transport/group_request.hpp"

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

/// A certificate that a device asks for.
struct certificate_wish {
  std::string csr;  // PEM; of a renewal it may be empty
  std::int64_t days = 730;
  std::optional<bool> rsa;  // the authority's keys
  std::string sn;           // of the one that is renewed: handle or serial number
};

/// A request as read from its payload.
struct request {
  std::string id;                            // "" if it could not be read
  model::result<model::device::order> what;  // or why not
  std::vector<std::string> ids;              // attributes or tags asked for; empty: all
  group_ptr group = {};                      // it concerns several devices: instead of `what`
  std::optional<certificate_wish> certificate = {};  // instead of `what`
  std::optional<model::value> clock = {};            // instead of `what`: when the device sent it
  bool subscribes_to_replies = false;                // its client does, where it waits for them
};
/// Asked only where a request concerns several devices: most do not.
using world_source = std::function<group_world()>;

/// Reads the JSON payload of a request that is not an answer to a command. `self`: who sends it.
request read_request(const classified& topic, std::string_view payload, const group_self& self,
                     const world_source& world);
/// The result code of malformed parameters of that request.
int format_code(operation o);

/// A device's answer to a command. Fails: `invalid_argument`.
model::result<model::device::complete_command> read_command_reply(std::string_view payload);

/// A device's answer to the call with that id, whatever bytes it is.
model::device::complete_command read_rrpc_response(std::string_view id, std::string_view payload);

/// {"id":..,"code":..,"data":..[,"message":..]}, compact.
std::string write_reply(std::string_view id, int code, const model::value& data,
                        std::string_view message);
/// The data of a successful reply. `ids`: those asked for, as in `request`.
model::value reply_data(operation o, const std::vector<std::string>& ids,
                        const model::device::reply& answer, const model::thing_model* model);

/// What the clock tells, in the form of `sent`: numbers or texts, milliseconds since 1970. The
/// device has the middle of both ways, and from that how far its own clock is off.
model::value clock_data(const model::value& sent, model::timestamp received,
                        model::timestamp answered);

/// At most `most` bytes of a UTF-8 text, cut between characters.
std::string_view clip(std::string_view text, std::size_t most);

struct outgoing {
  std::string topic, payload;
};
/// `sub_device_alone`: a client that takes a notice's sub-device as an object, not in a list.
outgoing write_downlink(const model::downlink& d, bool sub_device_alone = false);
/// What a device is told that has proved itself by its product's secret. `id`: decimal.
outgoing write_activation(const model::device_name& device, const model::entity_id& asset,
                          std::string_view secret, std::string_view id);

/// tslAttributeMap, tslMeasurepointMap, tslEventMap, tslServiceMap.
model::value describe(const model::thing_model& m);

}  // namespace orrery::transport::mqtt
