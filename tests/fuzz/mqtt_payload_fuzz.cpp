// Any payload on any topic of a device: it gives an order that the model can check, or a failure
// with a result code, and a reply that is JSON. The first byte chooses the topic.
#include <cstdint>
#include <cstdlib>

#include "model/json.hpp"
#include "transport/mqtt/downlinks.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/operations.hpp"
#include "transport/mqtt/replies.hpp"
#include "transport/mqtt/requests.hpp"

namespace {

using namespace orrery::transport::mqtt;
namespace model = orrery::model;
namespace device = model::device;

constexpr std::string_view topics[] = {"/sys/pk/dk/thing/measurepoint/post",
                                       "/sys/pk/dk/thing/measurepoint/post/batch",
                                       "/sys/pk/dk/thing/measurepoint/resume",
                                       "/sys/pk/dk/thing/measurepoint/resume/batch",
                                       "/sys/pk/dk/thing/event/hot/post",
                                       "/sys/pk/dk/thing/attribute/update",
                                       "/sys/pk/dk/thing/attribute/query",
                                       "/sys/pk/dk/thing/attribute/delete",
                                       "/sys/pk/dk/thing/tag/update",
                                       "/sys/pk/dk/thing/tag/query",
                                       "/sys/pk/dk/thing/tag/delete",
                                       "/sys/pk/dk/thing/tsltemplate/get",
                                       "/sys/pk/dk/thing/log/post",
                                       "/sys/pk/dk/network/status/report",
                                       "/sys/pk/dk/connection/state/post",
                                       "/sys/pk/dk/thing/device/register",
                                       "/sys/pk/dk/thing/topo/add",
                                       "/sys/pk/dk/thing/topo/delete",
                                       "/sys/pk/dk/thing/topo/get",
                                       "/ext/session/pk/dk/combine/login",
                                       "/ext/session/pk/dk/combine/login/batch",
                                       "/ext/session/pk/dk/combine/logout",
                                       "/sys/pk/integration/measurepoint/post",
                                       "/sys/pk/integration/event/post",
                                       "/sys/pk/integration/attribute/post",
                                       "/sys/pk/dk/ota/device/inform",
                                       "/sys/pk/dk/ota/device/progress",
                                       "/sys/pk/dk/ota/device/getversion",
                                       "/sys/pk/dk/security/cert/apply",
                                       "/sys/pk/dk/security/cert/renew",
                                       "/ext/ntp/pk/dk/request",
                                       "/sys/pk/dk/thing/config/get",
                                       "/sys/pk/dk/thing/config/report",
                                       "/sys/pk/dk/thing/file/upload",
                                       "/sys/pk/dk/thing/file/download",
                                       "/sys/pk/dk/thing/file/delete"};

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

orrery::transport::group_self sender() {
  auto who = orrery::transport::group_self{};
  who.link.name = {"pk", "dk"};
  who.organisation = "org";
  who.gateway = who.channel = true;
  return who;
}

orrery::transport::group_world world() {
  static const auto keys = model::keyring{{7}};
  static const auto known = std::make_shared<const orrery::actors::catalogue_snapshot>();
  return {known, &keys, [](const model::device_name&) { return model::shard_id{3}; },
          model::from_ms(1'700'000'000'000)};
}

void check_wish(const certificate_wish& wish) {
  demand(wish.csr.size() <= 16 * 1024 && (!wish.csr.empty() || !wish.sn.empty()));
  demand(wish.days >= 1 && wish.days <= 3650 && wish.sn.size() <= 64);
}

/// Whatever the devices answer, it ends.
void check_group(orrery::transport::group_request& group) {
  auto answers = std::vector<orrery::actors::answer>{};
  for (auto steps = 0;; ++steps) {
    demand(steps < 10);
    const auto questions = group.next(std::move(answers));
    if (questions.empty())
      break;
    answers = {};
    for (std::size_t i = 0; i < questions.size(); ++i)
      if (i % 2 == 0)
        answers.emplace_back(orrery::actors::outcome{device::reply{device::done{}}});
      else
        answers.emplace_back(model::failure{model::errc::not_found, "device_unknown", "no"});
  }
  const auto over = group.outcome();
  demand(model::parse_json(write_reply("1", 200, over.data, "")).has_value());
  if (over.why)
    demand(result_code(*over.why, 1200) != 200);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto payload = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  const auto choice = data[0] % (std::size(topics) + 1);
  if (choice == std::size(topics)) {
    const auto bytes = read_rrpc_response("1", payload);
    demand(bytes.code != 0 || device::free_bytes(bytes.output) == payload);
    const auto done = read_command_reply(payload);
    if (!done)
      check_failure(done.error());
    else
      demand(
          model::parse_json(write_reply(done->downlink_id, done->code, done->output, done->message))
              .has_value());
    return 0;
  }
  const auto topic = classify(topics[choice]);
  const auto asked = read_request(topic, payload, sender(), world);
  if (asked.group)
    check_group(*asked.group);
  else if (asked.certificate)
    check_wish(*asked.certificate);
  else if (asked.clock)
    demand(model::parse_json(model::to_json(clock_data(*asked.clock, {}, {}))).has_value());
  else if (!asked.what)
    check_failure(asked.what.error());
  else
    check_order(*asked.what);
  const auto reply = asked.what ? write_reply(asked.id, 200, {}, "")
                                : write_reply(asked.id, 1200, {}, asked.what.error().detail);
  const auto read = model::parse_json(reply, {.max_bytes = ~std::size_t{0}});
  demand(read && read->find("id")->as_string() == asked.id && read->find("data"));
  return 0;
}
