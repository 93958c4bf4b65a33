// What an event makes happen outside its entity, in model terms. Effects run once, after the
// commit, on the node that committed, and never on replay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/firmware.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "model/topic_message.hpp"
#include "model/value.hpp"

namespace orrery::model {

/// A message for the physical device. `id` (decimal digits, unique per device, never reused) comes
/// back in its answer.
struct service_call {
  std::string service;
  object input;
};
struct points_write {
  object values;
};
struct points_read {
  std::vector<std::string> ids;
};
/// Something happened to the device, or to a sub-device of it: told, no answer is waited for.
struct device_notice {
  enum class kind : std::uint8_t { enabled = 0, disabled = 1, deleted = 2 } what = kind::enabled;
  std::optional<device_name> sub;  // nothing: the device itself
};
/// The device is to install that. No answer is waited for: what it reports afterwards counts.
struct firmware_offer {
  firmware_image image;
};
/// Bytes that mean something to the device and whoever sends them alone. It answers with bytes.
struct rrpc_call {
  std::string payload;
};
/// How the device is to be configured has changed, or it does not say yet that it is so. `delta`:
/// what it lacks. No answer is waited for: what it reports afterwards counts.
struct twin_push {
  std::uint64_t version = 0;
  object desired, delta;
};
struct downlink {
  std::string id;
  device_name target;
  std::variant<service_call, points_write, points_read, device_notice, firmware_offer, rrpc_call,
               twin_push, topic_delivery>
      what;
  bool repeated = false;  // the session was resumed and may have had it before
};

/// Hands a downlink to the session, wherever it is.
struct deliver {
  session_ref session;
  downlink message;
};

/// Ends a session that lost its right: taken over, disabled, deleted, secret reset.
struct close_session {
  session_ref session;
  std::string_view reason;  // static text
};

/// Answers somebody who waits for the end of a command: a name, not a handle; a lost waiter finds
/// the outcome in the command log.
struct waiter_ref {
  std::uint64_t node_incarnation = 0;
  std::uint64_t number = 0;  // 0: nobody waits
  bool operator==(const waiter_ref&) const = default;
};
struct settle_waiter {
  waiter_ref waiter;
  entity_id command;
};

/// Wake the entity at that time with `time_passed`: made by the entity actor whenever its next
/// deadline is another one.
struct remind {
  timestamp at;
  entity_kind kind = entity_kind::device;
};

/// Tells a gateway what happened to a sub-device of it. Lost if its shard cannot be asked: the
/// sub-device's own state is what counts.
struct tell_gateway {
  entity_id gateway;
  device_name sub;
  device_notice::kind what = device_notice::kind::enabled;
};

/// The gateway that this is an effect of is gone: that device is nobody's sub-device any more. Lost
/// as above.
struct release_sub_device {
  entity_id sub;
};

/// The shard's host is to know it: a filter of a client, or a topic that has a retained message.
/// Never leaves the node.
struct index_topic {
  std::string organisation, text;
  enum class entry : std::uint8_t { filter, retained } sort = entry::filter;
  bool present = true;
};

/// A message of a client that cannot publish it itself any more: its will. Lost with the node.
struct publish_message {
  std::string organisation;
  topic_message what;
};

/// A client is over: the group of that filter has a member less.
struct leave_group {
  std::string organisation, filter, member;
};

/// An operation waits for somebody who works on it: whoever does on this node may begin. Never
/// leaves the node.
struct run_operation {};

/// The alias that this is an effect of does not know whether the device has its name: somebody is
/// to look. Never leaves the node; asked again while nobody has.
struct look_for_name {
  entity_id device;
  std::uint64_t renames = 0;
};

/// The gateway that this is an effect of is called otherwise now. Lost as above.
struct tell_gateway_name {
  entity_id sub;
  device_name name;
  std::string organisation;
};

/// The device that this is an effect of has that name no more: it is gone. Lost if the alias cannot
/// be asked, which then finds out when somebody wants the name.
struct release_name {
  entity_id alias;
};

/// The device that this is an effect of shows the points of that one no more. Lost as above: its
/// feed is told of somebody who is not there.
struct leave_mirror {
  entity_id source;
};

using effect =
    std::variant<deliver, close_session, settle_waiter, remind, tell_gateway, release_sub_device,
                 index_topic, publish_message, leave_group, run_operation, look_for_name,
                 release_name, tell_gateway_name, leave_mirror>;

}  // namespace orrery::model
