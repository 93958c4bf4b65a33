// Any payload on any topic of a device: it gives an order that the model can check, or a failure
// with a result code, and a reply that is JSON. The first byte chooses the topic.
#include <cstdint>
#include <cstdlib>

#include "model/json.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/mapping.hpp"

namespace {

using namespace orrery::transport::mqtt;
namespace model = orrery::model;
namespace device = model::device;

constexpr std::string_view topics[] = {
    "thing/measurepoint/post",   "thing/measurepoint/post/batch",
    "thing/measurepoint/resume", "thing/measurepoint/resume/batch",
    "thing/event/hot/post",      "thing/attribute/update",
    "thing/attribute/query",     "thing/attribute/delete",
    "thing/tag/update",          "thing/tag/query",
    "thing/tag/delete",          "thing/tsltemplate/get"};

constexpr auto document = R"({"format": "tm/1", "id": "m", "name": "m",
  "attributes": [{"id": "a1", "type": {"t": "string"}}, {"id": "a2", "type": {"t": "struct", "fields": [
    {"id": "x", "type": {"t": "int"}}]}}],
  "measurePoints": [
    {"id": "d", "type": {"t": "double", "min": -1000, "max": 1000}},
    {"id": "f", "type": {"t": "float"}},
    {"id": "i", "type": {"t": "int"}},
    {"id": "q", "hasQuality": true, "type": {"t": "double"}},
    {"id": "s", "type": {"t": "string", "maxLength": 10}},
    {"id": "b", "type": {"t": "bool"}},
    {"id": "t", "type": {"t": "date"}},
    {"id": "e", "type": {"t": "enum", "values": {"0": "off", "1": "on"}}},
    {"id": "l", "type": {"t": "array", "items": {"t": "double"}}},
    {"id": "m", "type": {"t": "struct", "fields": [{"id": "x", "type": {"t": "int"}, "required": true}]}}],
  "services": [{"id": "go", "output": [{"id": "n", "type": {"t": "int"}}]}],
  "events": [{"id": "hot", "level": "warning", "output": [{"id": "n", "type": {"t": "double"}}]}]})";

void demand(bool holds) {
  if (!holds)
    std::abort();
}

const model::thing_model& thing() {
  static const auto made = [] {
    auto m = model::thing_model::compile(*model::parse_json(document));
    demand(m.has_value());
    return std::move(*m);
  }();
  return made;
}

void check_failure(const model::failure& why) {
  demand(!is_ours(why));  // no payload makes the service look broken
  demand(result_code(why, 1200) != 200);
}

/// As the rules of a device do.
void check_order(const device::order& what) {
  if (const auto* points = std::get_if<device::report_points>(&what)) {
    for (const auto& one : points->samples)
      for (const auto mode : {model::validation::strict, model::validation::lenient})
        if (const auto checked = thing().check_points(one.points, mode); !checked)
          check_failure(checked.error());
  } else if (const auto* event = std::get_if<device::report_event>(&what)) {
    if (const auto checked =
            thing().check_event(event->event, event->output, model::validation::strict);
        !checked)
      check_failure(checked.error());
  } else if (const auto* attributes = std::get_if<device::change_attributes>(&what)) {
    if (const auto checked = thing().check_attributes(attributes->changes, attributes->side);
        !checked)
      check_failure(checked.error());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto self = model::device_name{"pk", "dk"};
  const auto payload = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  const auto choice = data[0] % (std::size(topics) + 1);
  if (choice == std::size(topics)) {
    const auto done = read_command_reply(payload);
    if (!done)
      check_failure(done.error());
    else
      demand(
          model::parse_json(write_reply(done->downlink_id, done->code, done->output, done->message))
              .has_value());
    return 0;
  }
  const auto name = "/sys/pk/dk/" + std::string{topics[choice]};
  const auto topic = classify(name, self);
  const auto asked = read_request(topic, payload, self);
  if (!asked.what)
    check_failure(asked.what.error());
  else
    check_order(*asked.what);
  const auto reply = asked.what ? write_reply(asked.id, 200, {}, "")
                                : write_reply(asked.id, 1200, {}, asked.what.error().detail);
  const auto read = model::parse_json(reply, {.max_bytes = ~std::size_t{0}});
  demand(read && read->find("id")->as_string() == asked.id && read->find("data"));
  return 0;
}
