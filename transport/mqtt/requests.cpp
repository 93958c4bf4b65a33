#include "transport/mqtt/requests.hpp"

#include <cmath>
#include <cstdint>
#include <utility>

#include "model/base64.hpp"
#include "model/json.hpp"
#include "transport/mqtt/gateway_requests.hpp"
#include "transport/mqtt/params.hpp"
#include "transport/mqtt/topics.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;
using model::object;
using model::value;
namespace device = model::device;

constexpr std::size_t max_payload = 524'288, max_changes = 200;

model::result<device::order> read_points(const value& params, bool backfill) {
  auto report = device::report_points{};
  report.backfill = backfill;
  auto one = read_sample(params);
  if (!one)
    return one.error();
  report.samples.push_back(std::move(*one));
  return device::order{std::move(report)};
}

/// A batch: one order if all entries are the sender's own, else a request for several devices.
void read_batch(const value& params, const value& all, const classified& topic,
                const group_self& self, const world_source& world, request& out) {
  const auto backfill = topic.what == operation::points_resume_batch;
  if (!params.is_array() || params.as_array().empty()) {
    out.what = bad_format("params: expected an array of posts");
    return;
  }
  auto posts = std::vector<group_post>{};
  auto own = true;
  for (const auto& entry : params.as_array()) {
    auto name = read_name(entry);
    auto sample = name ? read_sample(entry) : model::result<device::posted_sample>{name.error()};
    if (!sample) {
      out.what = sample.error();
      return;
    }
    if (name->product_key.empty())
      name->product_key = topic.product_key;
    if (name->device_key.empty())
      name->device_key = topic.device_key;
    auto& post = posts.emplace_back();
    post.sample = std::move(*sample);
    own = own && topic.is_of(*name);
    if (*name != self.link.name)
      post.who = std::move(*name);
  }
  const auto skip_invalid = truth(all.find("skipInvalidMeasurepoints"));
  if (!own && !self.gateway) {
    out.what = failure{errc::forbidden, "sub_device", "that device is no sub-device of this one"};
    return;
  }
  if (!own) {
    out.group = post_for_devices(self, world(), std::move(posts), backfill, skip_invalid,
                                 truth(all.find("allowOfflineSubDevice")));
    return;
  }
  auto report = device::report_points{};
  report.backfill = backfill;
  report.skip_invalid = skip_invalid;
  for (auto& post : posts)
    report.samples.push_back(std::move(post.sample));
  out.what = device::order{std::move(report)};
}

model::result<device::order> read_event(const value& params, std::string_view event) {
  if (event.starts_with('$'))  // names of ours, below
    return failure{errc::invalid_argument, "element_unknown",
                   "the model has no event " + std::string{event}};
  const auto* output = params.find("events");
  if (!output || !output->is_object())
    return bad_format("events: expected an object of the event's parameters");
  const auto time = read_time(params);
  if (!time)
    return time.error();
  return device::order{device::report_event{std::string{event}, output->as_object(), *time}};
}

/// What a device tells of itself beside its model, kept as an event of a reserved name.
device::order report_note(std::string_view name, const value* content, const value* time) {
  auto report = device::report_event{std::string{name}, {}, {}};
  if (content && content->is_object())
    report.output = content->as_object();
  if (time)
    report.time = model::normalise_time(*time);
  return report;
}

model::result<device::order> read_picture(const value& params) {
  auto report = device::report_picture{};
  report.full = truth(params.find("isFull"));
  if (const auto* nodes = params.find("nodes"); nodes && nodes->is_array())
    for (const auto& node : nodes->as_array()) {
      const auto* id = node.find("nodeId");
      const auto text = id ? as_text(*id) : std::nullopt;
      if (!text || text->empty())
        return bad_format("nodes: every node has a nodeId");
      model::set_member(report.nodes, *text, node);
    }
  if (const auto* relations = params.find("relations"); relations && relations->is_object())
    report.relations = relations->as_object();
  return device::order{std::move(report)};
}

/// Text, or a number as one client sends it.
model::result<device::order> read_version(const value& params) {
  const auto* v = params.find("version");
  auto text = v && !v->is_bool() ? as_text(*v) : std::nullopt;
  if (!text || text->empty())
    return bad_format("version: expected the version that the device runs");
  return device::order{device::report_version{std::move(*text)}};
}

model::result<device::order> read_progress(const value& params) {
  constexpr std::size_t most_step = 64, most_note = 256;
  const auto* v = params.find("step");
  const auto step = v && !v->is_bool() ? as_text(*v) : std::nullopt;
  if (!step || step->empty())
    return bad_format("step: expected 0 to 100, or a negative number for what went wrong");
  auto report = device::report_progress{std::string{clip(*step, most_step)}, {}};
  if (const auto* desc = params.find("desc"); desc && desc->is_string())
    report.note = clip(desc->as_string(), most_note);
  return device::order{std::move(report)};
}

model::result<device::order> read_configuration(const value& params) {
  constexpr std::size_t most_digits = 18;
  auto report = device::report_twin{};
  const auto* reported = params.find("reported");
  if (!reported || !reported->is_object())
    return bad_format("reported: expected an object");
  report.patch = reported->as_object();
  report.replace = truth(params.find("replace"));
  if (const auto* version = params.find("desiredVersion"); version && !version->is_null()) {
    const auto text = version->is_double() ? "" : as_text(*version).value_or("");
    if (text.size() > most_digits || !is_number(text))
      return bad_format("desiredVersion: expected the version that the device has");
    report.applied = std::stoull(text);
  }
  return device::order{std::move(report)};
}

/// A number, or its digits.
bool is_clock_time(const value& v) {
  if (v.is_int())
    return v.as_int() >= 0;
  return v.is_string() && is_number(v.as_string());
}

/// The texts of params[name]; missing counts as empty.
model::result<std::vector<std::string>> read_ids(const value& params, const char* name) {
  auto ids = std::vector<std::string>{};
  const auto* list = params.find(name);
  if (!list || list->is_null())
    return ids;
  if (!list->is_array() || list->as_array().size() > max_changes)
    return bad_format(std::string{name} + ": expected an array of at most 200 texts");
  for (const auto& id : list->as_array()) {
    if (!id.is_string())
      return bad_format(std::string{name} + ": expected texts");
    ids.push_back(id.as_string());
  }
  return ids;
}

model::result<device::order> read_tags(const value& params) {
  if (!params.is_array() || params.as_array().size() > max_changes)
    return bad_format("params: expected an array of at most 200 {tagKey, tagValue}");
  auto change = device::change_tags{};
  for (const auto& entry : params.as_array()) {
    const auto* key = entry.find("tagKey");
    const auto* v = entry.find("tagValue");
    auto text = v ? as_text(*v) : std::nullopt;
    if (!key || !key->is_string() || !text)
      return failure{errc::invalid_argument, "tag_invalid",
                     "params: every entry has a tagKey and a tagValue"};
    change.changes[key->as_string()] = std::move(*text);
  }
  return device::order{std::move(change)};
}

model::result<certificate_wish> read_wish(const value& params, bool renewal) {
  constexpr std::size_t max_csr = 16 * 1024, max_digits = 64;
  constexpr auto max_days = 3650;
  auto out = certificate_wish{};
  if (const auto* csr = params.find("csr"); csr && csr->is_string())
    out.csr = csr->as_string();
  if (out.csr.size() > max_csr || (out.csr.empty() && !renewal))
    return bad_format("csr: expected a request in PEM form of at most 16 KiB");
  if (const auto* days = params.find("validDay"); days && !days->is_null()) {
    const auto text = as_text(*days).value_or("");
    if (text.empty() || text.size() > 4 ||
        text.find_first_not_of("0123456789") != std::string::npos || std::stoi(text) < 1 ||
        std::stoi(text) > max_days)
      return bad_format("validDay: expected 1 to 3650 days");
    out.days = std::stoi(text);
  }
  if (const auto* by = params.find("issueAuthority"); by && !by->is_null()) {
    const auto text = as_text(*by).value_or("");
    if (text != "RSA" && text != "ECC")
      return bad_format("issueAuthority: expected RSA or ECC");
    out.rsa = text == "RSA";
  }
  if (!renewal)
    return out;
  const auto* sn = params.find("certSn");
  out.sn = sn ? as_text(*sn).value_or("") : "";
  if (out.sn.empty() || out.sn.size() > max_digits)
    return bad_format("certSn: expected the handle or the serial number of a certificate");
  return out;
}

/// A digest in hex, of either case; empty: there is none. Nothing: it is no such digest.
std::optional<std::string> read_digest(const value& params, std::string_view name,
                                       std::size_t digits) {
  const auto* given = params.find(name);
  if (!given || given->is_null())
    return std::string{};
  if (!given->is_string() || (given->as_string().size() != digits && !given->as_string().empty()))
    return std::nullopt;
  auto text = given->as_string();
  for (auto& c : text)
    c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  if (text.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  return text;
}

/// {filename, fileLength, md5?, sha256?}. Who takes the order gives the file its id.
model::result<device::order> read_file_wish(const value& params) {
  constexpr std::size_t max_digits = 15, md5_digits = 32, sha256_digits = 64;
  auto out = device::add_file{};
  const auto* name = params.find("filename");
  if (!name || !name->is_string() || name->as_string().empty())
    return bad_format("filename: expected a text");
  out.what.name = name->as_string();
  const auto* length = params.find("fileLength");
  const auto digits = length ? as_text(*length).value_or("") : "";
  if (digits.empty() || digits.size() > max_digits ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return bad_format("fileLength: expected a number of bytes");
  out.what.size = std::stoull(digits);
  auto md5 = read_digest(params, "md5", md5_digits);
  auto sha256 = read_digest(params, "sha256", sha256_digits);
  if (!md5 || !sha256)
    return bad_format("md5, sha256: expected hex digits");
  out.what.md5 = std::move(*md5);
  out.what.sha256 = std::move(*sha256);
  return device::order{std::move(out)};
}

/// The code of an answer, however it is written; what cannot be read is no success.
int read_code(const value* v) {
  constexpr auto unreadable = 500;
  if (v && v->is_number()) {
    const auto number = v->as_double();
    return number >= 0 && number <= INT32_MAX && number == std::trunc(number)
               ? static_cast<int>(number)
               : unreadable;
  }
  if (v && v->is_string() && !v->as_string().empty() && v->as_string().size() < 9 &&
      v->as_string().find_first_not_of("0123456789") == std::string::npos)
    return std::stoi(v->as_string());
  return unreadable;
}

}  // namespace

request read_request(const classified& topic, std::string_view payload, const group_self& self,
                     const world_source& world) {
  auto out =
      request{{}, failure{errc::invalid_argument, "payload_empty", "the payload is empty"}, {}};
  if (payload.empty())
    return out;
  if (payload.size() > max_payload) {
    out.what = failure{errc::too_large, "message_too_large", "a payload has at most 524288 bytes"};
    return out;
  }
  auto json = model::parse_json(payload, {.max_bytes = max_payload});
  if (!json || !json->is_object()) {
    out.what = failure{errc::invalid_argument, "payload_invalid",
                       json ? "expected a JSON object" : json.error().detail};
    return out;
  }
  if (const auto* id = json->find("id"))
    out.id = as_text(*id).value_or("");
  // Of that version are the requests of clients that subscribe first.
  if (const auto* version = json->find("version"))
    out.subscribes_to_replies = version->is_string() && version->as_string() == "1.1";
  const auto* given = json->find("params");
  const auto empty = value{object{}};
  const auto& params = given ? *given : empty;
  switch (topic.what) {
    case operation::points_post:
    case operation::points_resume:
      out.what = read_points(params, topic.what == operation::points_resume);
      break;
    case operation::points_post_batch:
    case operation::points_resume_batch:
      read_batch(params, *json, topic, self, world, out);
      break;
    case operation::event_post:
      out.what = read_event(params, topic.element);
      break;
    case operation::attribute_update: {
      const auto* attributes = params.find("attributes");
      if (!attributes || !attributes->is_object() || attributes->as_object().size() > max_changes)
        out.what = bad_format("attributes: expected an object of at most 200 members");
      else
        out.what = device::order{
            device::change_attributes{attributes->as_object(), model::thing_model::side::device}};
      break;
    }
    case operation::attribute_query:
    case operation::tag_query: {
      auto ids = read_ids(params, topic.what == operation::tag_query ? "tags" : "attributes");
      if (!ids) {
        out.what = ids.error();
        break;
      }
      out.ids = std::move(*ids);
      out.what = device::order{device::read_device{}};
      break;
    }
    case operation::attribute_delete: {
      auto ids = read_ids(params, "attributes");
      if (!ids) {
        out.what = ids.error();
        break;
      }
      auto change = device::change_attributes{};
      for (auto& id : *ids)
        change.changes.emplace_back(std::move(id), value{});
      out.what = device::order{std::move(change)};
      break;
    }
    case operation::tag_update:
      out.what = read_tags(params);
      break;
    case operation::tag_delete: {
      auto ids = read_ids(params, "tags");
      if (!ids) {
        out.what = ids.error();
        break;
      }
      auto change = device::change_tags{};
      for (auto& id : *ids)
        change.changes[id] = std::nullopt;
      out.what = device::order{std::move(change)};
      break;
    }
    case operation::model_get:
      out.what = device::order{device::read_device{}};
      break;
    case operation::log_post:
      out.what = report_note("$log", params.find("logs"), params.find("time"));
      break;
    case operation::network_report:
      out.what = report_note("$network", &params, params.find("reportTime"));
      break;
    case operation::connection_state:
      out.what = read_picture(params);
      break;
    case operation::certificate_apply:
    case operation::certificate_renew: {
      auto wish = read_wish(params, topic.what == operation::certificate_renew);
      if (wish)
        out.certificate = std::move(*wish);
      else
        out.what = wish.error();
      break;
    }
    case operation::file_upload:
      out.what = read_file_wish(params);
      break;
    case operation::file_download:
    case operation::file_delete: {
      const auto* uri = params.find("fileUri");
      auto file = device::file_id_of(uri && uri->is_string() ? uri->as_string() : "");
      if (file.empty())
        out.what = bad_format("fileUri: expected enos-connect:// and what follows");
      else if (topic.what == operation::file_download)
        out.what = device::order{device::read_file{std::move(file)}};
      else
        out.what = device::order{device::remove_file{std::move(file)}};
      break;
    }
    case operation::firmware_inform:
      out.what = read_version(params);
      break;
    case operation::firmware_progress:
      out.what = read_progress(params);
      break;
    case operation::firmware_getversion:
      out.what = device::order{device::ask_upgrade{}};
      break;
    case operation::config_get:
      out.what = device::order{device::read_twin{}};
      break;
    case operation::config_report:
      out.what = read_configuration(params);
      break;
    case operation::clock: {
      // Clients have it beside the id, or where all other requests have their parameters.
      const auto* sent = json->find("deviceSendTime");
      if (!sent)
        sent = params.find("deviceSendTime");
      if (sent && is_clock_time(*sent))
        out.clock = *sent;
      else
        out.what = bad_format("deviceSendTime: expected milliseconds since 1970");
      break;
    }
    case operation::device_register:
    case operation::topology_add:
    case operation::topology_delete:
    case operation::topology_get:
    case operation::sub_login:
    case operation::sub_login_batch:
    case operation::sub_logout:
    case operation::channel_points:
    case operation::channel_events:
    case operation::channel_attributes: {
      auto group = read_group(topic, params, self, world());
      if (group)
        out.group = std::move(*group);
      else
        out.what = group.error();
      break;
    }
    case operation::raw_up:  // read by mqtt/raw first
    case operation::raw_down_reply:
    case operation::command_reply:
    case operation::rrpc_response:
    case operation::notice_reply:
    case operation::subscriptions:
    case operation::delivered:
    case operation::unknown:
      out.what = failure{errc::forbidden, "topic_forbidden", "no request has that topic"};
      break;
  }
  return out;
}

model::result<device::complete_command> read_command_reply(std::string_view payload) {
  auto json = model::parse_json(payload, {.max_bytes = max_payload});
  if (!json)
    return json.error();
  const auto* id = json->find("id");
  auto out = device::complete_command{};
  out.downlink_id = id ? as_text(*id).value_or("") : "";
  if (out.downlink_id.empty())
    return failure{errc::invalid_argument, "reply_without_id",
                   "an answer to a command has the command's id"};
  out.code = read_code(json->find("code"));
  if (const auto* data = json->find("data"))
    out.output = *data;
  if (const auto* message = json->find("message"); message && message->is_string())
    out.message = clip(message->as_string(), 1024);
  return out;
}

device::complete_command read_rrpc_response(std::string_view id, std::string_view payload) {
  constexpr auto too_large = 1008;
  auto out = device::complete_command{};
  out.downlink_id = id;
  if (payload.size() > device::max_rrpc_bytes) {
    out.code = too_large;
    out.message = "the answer has more than " + std::to_string(device::max_rrpc_bytes) + " bytes";
  } else if (is_mqtt_text(payload)) {
    out.output = object{{"payload", payload}};
  } else {
    out.output = object{{"base64", model::to_base64(payload)}};
  }
  return out;
}

}  // namespace orrery::transport::mqtt
