// Free bytes to a device that is there, and its answer. They are beside the queue of commands:
// whoever asks waits for the answer, so nothing of it outlives the call.
#include <algorithm>

#include "model/base64.hpp"
#include "model/device/decisions.hpp"

namespace orrery::model::device {

std::optional<std::string> free_bytes(const value& from) {
  if (!from.is_object() || from.as_object().size() != 1)
    return std::nullopt;
  const auto& [name, content] = from.as_object().front();
  if (!content.is_string())
    return std::nullopt;
  if (name == "payload")
    return content.as_string();
  return name == "base64" ? from_base64(content.as_string()) : std::nullopt;
}

result<decision> decide_rrpc(const state& s, const command_record& asked,
                             const surroundings& around) {
  auto c = asked;
  const auto bytes = free_bytes(value{c.input});
  if (!bytes)
    return refused(errc::invalid_argument, "format_error",
                   "expected a payload as text, or as base64");
  if (bytes->size() > max_rrpc_bytes)
    return refused(errc::too_large, "payload_too_large",
                   "a payload has at most " + std::to_string(max_rrpc_bytes) + " bytes");
  if (!s.connection.online)
    return refused(errc::conflict, "device_offline", label(s) + " is offline");
  const auto open = std::count_if(s.commands->begin(), s.commands->end(), is_rrpc);
  if (open >= max_rrpc_open)
    return refused(
        errc::conflict, "queue_full",
        label(s) + " has " + std::to_string(open) + " calls to answer, which is the limit");
  c.created_at = around.now;
  c.pending_ttl = milliseconds{0};
  c.state = command_record::state_code::queued;
  auto d = decision{{}, command_accepted{c}};
  d.events.push_back(command_queued{c});
  d.events.push_back(command_sent{c.id, next_downlink_id(s, around.now), around.now});
  return d;
}

}  // namespace orrery::model::device
