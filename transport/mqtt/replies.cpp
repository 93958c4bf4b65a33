#include "transport/mqtt/replies.hpp"

#include <algorithm>
#include <map>

#include "model/json.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::object;
using model::value;
namespace device = model::device;

value configuration_data(operation o, const device::twin_state& t) {
  const auto reported = static_cast<std::int64_t>(t.reported_version);
  auto delta = device::delta_of(t);
  if (o == operation::config_report)
    return object{{"reportedVersion", reported}, {"delta", std::move(delta)}};
  auto out = describe_configuration(t.desired_version, t.desired, std::move(delta));
  out.emplace_back("reportedVersion", reported);
  out.emplace_back("reported", t.reported);
  return out;
}

value text_map(const std::map<std::string, std::string>& tags,
               const std::vector<std::string>& ids) {
  auto out = object{};
  for (const auto& [key, text] : tags)
    if (ids.empty() || std::find(ids.begin(), ids.end(), key) != ids.end())
      out.emplace_back(key, value{text});
  return value{std::move(out)};
}

std::string_view type_name(const model::type_spec& t) {
  using enum model::data_type;
  switch (t.type) {
    case boolean:
      return "BOOL";
    case int32:
      return "INT";
    case int64:
      return "LONG";
    case float32:
      return "FLOAT";
    case float64:
      return "DOUBLE";
    case string:
      return "STRING";
    case date:
      return "DATE";
    case instant:
      return "TIMESTAMP";
    case enumeration:
      return "ENUM";
    case list:
      return "ARRAY";
    case structure:
      return "STRUCT";
    case dictionary:
      return "MAP";
    case file:
      return "FILE";
  }
  return "STRING";
}

object describe_element(const model::element& e) {
  return {{"identifier", value{e.id}},
          {"name", value{e.name}},
          {"dataType", value{type_name(e.type)}},
          {"unit", value{e.unit}}};
}
value describe_parameters(const std::vector<model::parameter_spec>& all) {
  auto out = model::array{};
  for (const auto& p : all)
    out.emplace_back(describe_element(p));
  return value{std::move(out)};
}

}  // namespace

object describe_configuration(std::uint64_t version, const object& desired, object delta) {
  return {{"desiredVersion", static_cast<std::int64_t>(version)},
          {"desired", desired},
          {"delta", std::move(delta)}};
}

value describe_firmware(const model::firmware_image& image) {
  return object{{"version", image.version},
                {"signMethod", model::name_of(image.method)},
                {"sign", image.sign},
                {"fileUrl", image.url},
                {"fileSize", image.size}};
}

std::string write_reply(std::string_view id, int code, const value& data,
                        std::string_view message) {
  auto out = std::string{"{\"id\":"};
  model::write_json_string(id, out);
  out += ",\"code\":";
  out += std::to_string(code);
  out += ",\"data\":";
  if (data.is_null())
    out += "{}";
  else
    model::write_json(data, out);
  if (!message.empty()) {
    out += ",\"message\":";
    model::write_json_string(message, out);
  }
  out += '}';
  return out;
}

value reply_data(operation o, const std::vector<std::string>& ids, const device::reply& answer,
                 const model::thing_model* m) {
  const auto* snapshot = std::get_if<device::device_snapshot>(&answer);
  if (const auto* offers = std::get_if<device::upgrades_offered>(&answer)) {
    auto out = model::array{};
    for (const auto& image : offers->images)
      out.push_back(describe_firmware(image));
    return value{std::move(out)};
  }
  if (const auto* twin = std::get_if<device::twin_status>(&answer))
    return configuration_data(o, twin->what);
  if (o == operation::model_get)
    return m ? describe(*m) : value{object{}};
  if (!snapshot)
    return value{object{}};
  if (o == operation::tag_query)
    return text_map(*snapshot->what->tags, ids);
  auto out = object{};
  for (const auto& [id, v] : snapshot->what->attributes)
    if (ids.empty() || std::find(ids.begin(), ids.end(), id) != ids.end())
      out.emplace_back(id, v);
  return value{std::move(out)};
}

value clock_data(const value& sent, model::timestamp received, model::timestamp answered) {
  const auto shown = [&](model::timestamp t) {
    return sent.is_string() ? value{std::to_string(model::to_ms(t))} : value{model::to_ms(t)};
  };
  return object{{"deviceSendTime", sent},
                {"serverRecvTime", shown(received)},
                {"serverSendTime", shown(answered)}};
}

value describe(const model::thing_model& m) {
  auto attributes = object{}, points = object{}, events = object{}, services = object{};
  for (const auto& a : m.attributes())
    attributes.emplace_back(a.id, value{describe_element(a)});
  for (const auto& p : m.points()) {
    auto e = describe_element(p);
    e.emplace_back("hasQuality", value{p.has_quality});
    points.emplace_back(p.id, value{std::move(e)});
  }
  for (const auto& e : m.events())
    events.emplace_back(e.id, value{object{{"identifier", value{e.id}},
                                           {"name", value{e.name}},
                                           {"outputData", describe_parameters(e.output)}}});
  for (const auto& s : m.services())
    services.emplace_back(s.id, value{object{{"identifier", value{s.id}},
                                             {"name", value{s.name}},
                                             {"inputData", describe_parameters(s.input)},
                                             {"outputData", describe_parameters(s.output)}}});
  return value{object{{"tslAttributeMap", value{std::move(attributes)}},
                      {"tslMeasurepointMap", value{std::move(points)}},
                      {"tslEventMap", value{std::move(events)}},
                      {"tslServiceMap", value{std::move(services)}}}};
}

}  // namespace orrery::transport::mqtt
