#include "transport/mqtt/downlinks.hpp"

#include "model/json.hpp"
#include "transport/mqtt/replies.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::object;
using model::value;

outgoing write_message(std::string topic, std::string_view id, std::string_view method,
                       const value& params) {
  auto out = outgoing{std::move(topic), "{\"id\":"};
  model::write_json_string(id, out.payload);
  out.payload += ",\"version\":\"1.0\",\"method\":";
  model::write_json_string(method, out.payload);
  out.payload += ",\"params\":";
  model::write_json(params, out.payload);
  out.payload += '}';
  return out;
}

std::string topic_of(const model::device_name& device) {
  return "/sys/" + device.product_key + '/' + device.device_key + '/';
}
std::string session_topic_of(const model::device_name& device) {
  return "/ext/session/" + device.product_key + '/' + device.device_key + '/';
}

std::string_view name_of(model::device_notice::kind what) {
  switch (what) {
    case model::device_notice::kind::enabled:
      return "enable";
    case model::device_notice::kind::disabled:
      return "disable";
    case model::device_notice::kind::deleted:
      return "delete";
  }
  return "";
}

}  // namespace

outgoing write_downlink(const model::downlink& d, bool sub_device_alone) {
  const auto service = topic_of(d.target) + "thing/service/";
  if (const auto* call = std::get_if<model::service_call>(&d.what))
    return write_message(service + call->service, d.id, "thing.service." + call->service,
                         value{call->input});
  if (const auto* write = std::get_if<model::points_write>(&d.what))
    return write_message(service + "measurepoint/set", d.id, "thing.service.measurepoint.set",
                         value{write->values});
  if (const auto* read = std::get_if<model::points_read>(&d.what)) {
    auto ids = model::array{};
    for (const auto& id : read->ids)
      ids.emplace_back(id);
    return write_message(service + "measurepoint/get", d.id, "thing.service.measurepoint.get",
                         value{std::move(ids)});
  }
  if (const auto* offer = std::get_if<model::firmware_offer>(&d.what))
    return write_message(topic_of(d.target) + "ota/device/upgrade", d.id, "ota.device.upgrade",
                         describe_firmware(offer->image));
  if (const auto* push = std::get_if<model::twin_push>(&d.what))
    return write_message(topic_of(d.target) + "thing/config/push", d.id, "thing.config.push",
                         describe_configuration(push->version, push->desired, push->delta));
  if (const auto* call = std::get_if<model::rrpc_call>(&d.what))
    return {topic_of(d.target) + "rrpc/request/" + d.id, call->payload};
  const auto& notice = std::get<model::device_notice>(d.what);
  const auto verb = std::string{name_of(notice.what)};
  if (!notice.sub)
    return write_message(topic_of(d.target) + "thing/" + verb, d.id, "thing." + verb,
                         value{object{}});
  auto who = value{object{{"productKey", value{notice.sub->product_key}},
                          {"deviceKey", value{notice.sub->device_key}}}};
  if (!sub_device_alone) {
    auto list = model::array{};
    list.push_back(std::move(who));
    who = value{std::move(list)};
  }
  return write_message(session_topic_of(d.target) + "combine/" + verb, d.id, "combine." + verb,
                       who);
}

outgoing write_activation(const model::device_name& device, const model::entity_id& asset,
                          std::string_view secret, std::string_view id) {
  return write_message(session_topic_of(device) + "thing/activate/info", id, "thing.activate.info",
                       value{object{{"assetId", value{to_string(asset)}},
                                    {"productKey", value{device.product_key}},
                                    {"deviceKey", value{device.device_key}},
                                    {"deviceSecret", value{secret}}}});
}

}  // namespace orrery::transport::mqtt
