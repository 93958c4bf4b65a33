// Model things as the API's JSON objects, where more than one part shows them.
#pragma once

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

model::value show_device(const exchange& e, const model::entity_id& id,
                         const model::device::state& s);
model::value show_status(const exchange& e, const model::entity_id& id,
                         const model::device::state& s);
/// Answers a list of devices as its query asks, of those that the filter `among` accepts.
void list_devices(const exchange_ptr& e, const std::string& among);
/// Where each part of what is desired of a device comes from, by JSON pointer: "device", the id of
/// a configuration, or "configuration" of one that has changed since.
model::object sources_of(const exchange& e, const model::device::twin_state& t,
                         const model::device::layering& layers);
/// How a device is to be configured, how it says that it is, and the difference.
model::object show_twin(const exchange& e, const model::device::twin_state& t,
                        const model::device::layering& layers);
model::value show_tags(const std::map<std::string, std::string>& tags);
/// A command of a device; its public id names the device too, so any node finds it.
model::value show_command(const std::function<model::value(model::timestamp)>& time,
                          const model::entity_id& device, const model::device::command_record& c);
model::value show_command(const exchange& e, const model::entity_id& device,
                          const model::device::command_record& c);
std::string_view name_of(model::device::command_record::state_code s);
std::string_view name_of_level(std::uint8_t level);
std::string_view name_of(model::device::protocol p);

/// The message that hands an order to a device in the name of who asks.
actors::any_command device_order(const exchange& e, model::device::order what,
                                 std::optional<std::uint64_t> expected = {});
/// The reply of that type in an outcome; null if it is another one.
template <class Reply>
const Reply* device_reply(const actors::outcome& done) {
  const auto* any = std::get_if<model::device::reply>(&done.answer);
  return any ? std::get_if<Reply>(any) : nullptr;
}

}  // namespace orrery::transport::api
