#include "transport/mqtt/mapping.hpp"

#include <algorithm>
#include <cmath>

#include "model/json.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;
using model::object;
using model::value;
namespace device = model::device;

constexpr std::size_t max_payload = 524'288, max_changes = 200;

struct row {
  std::string_view rest;
  operation what;
  int format;
};
// The one table of fixed topics below /sys/{pk}/{dk}/: a new one is a line here and a case below.
constexpr row table[] = {
    {"thing/measurepoint/post", operation::points_post, 1206},
    {"thing/measurepoint/post/batch", operation::points_post_batch, 1206},
    {"thing/measurepoint/resume", operation::points_resume, 1206},
    {"thing/measurepoint/resume/batch", operation::points_resume_batch, 1206},
    {"thing/attribute/update", operation::attribute_update, 1207},
    {"thing/attribute/query", operation::attribute_query, 1208},
    {"thing/attribute/delete", operation::attribute_delete, 1209},
    {"thing/tag/update", operation::tag_update, 1200},
    {"thing/tag/query", operation::tag_query, 1200},
    {"thing/tag/delete", operation::tag_delete, 1200},
    {"thing/tsltemplate/get", operation::model_get, 1200},
};

failure bad_format(std::string detail) {
  return {errc::invalid_argument, "format_error", std::move(detail)};
}

bool truth(const value* v) {
  return v && ((v->is_bool() && v->as_bool()) || (v->is_string() && v->as_string() == "true"));
}

/// A text or a number as text; nothing for anything else.
std::optional<std::string> as_text(const value& v) {
  if (v.is_string())
    return v.as_string();
  if (v.is_number() || v.is_bool())
    return model::to_json(v);
  return std::nullopt;
}

model::result<device::posted_sample> read_sample(const value& params) {
  const auto* points = params.find("measurepoints");
  if (!points || !points->is_object() || points->as_object().empty())
    return bad_format("measurepoints: expected an object with a member for each point");
  auto out = device::posted_sample{};
  if (const auto* time = params.find("time"); time && !time->is_null()) {
    out.time = model::normalise_time(*time);
    if (!out.time)
      return bad_format("time: expected milliseconds since 1970");
  }
  out.points.reserve(points->as_object().size());
  for (const auto& [id, v] : points->as_object())
    out.points.push_back({id, v});
  return out;
}

model::result<device::order> read_points(const value& params, const value& all, bool backfill,
                                         bool batch, const model::device_name& self) {
  auto report = device::report_points{};
  report.backfill = backfill;
  if (!batch) {
    auto one = read_sample(params);
    if (!one)
      return one.error();
    report.samples.push_back(std::move(*one));
    return device::order{std::move(report)};
  }
  if (!params.is_array() || params.as_array().empty())
    return bad_format("params: expected an array of posts");
  report.skip_invalid = truth(all.find("skipInvalidMeasurepoints"));
  for (const auto& entry : params.as_array()) {
    for (const auto& [name, own] :
         {std::pair{"productKey", &self.product_key}, std::pair{"deviceKey", &self.device_key}}) {
      const auto* v = entry.find(name);
      if (!v || v->is_null())
        continue;
      if (!v->is_string())
        return bad_format(std::string{name} + ": expected a text");
      if (!v->as_string().empty() && v->as_string() != *own)
        return failure{errc::forbidden, "sub_device", "that device is no sub-device of this one"};
    }
    auto one = read_sample(entry);
    if (!one)
      return one.error();
    report.samples.push_back(std::move(*one));
  }
  return device::order{std::move(report)};
}

model::result<device::order> read_event(const value& params, std::string_view event) {
  const auto* output = params.find("events");
  if (!output || !output->is_object())
    return bad_format("events: expected an object of the event's parameters");
  auto report = device::report_event{std::string{event}, output->as_object(), {}};
  if (const auto* time = params.find("time"); time && !time->is_null()) {
    report.time = model::normalise_time(*time);
    if (!report.time)
      return bad_format("time: expected milliseconds since 1970");
  }
  return device::order{std::move(report)};
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

std::string_view name_of(operation o) {
  switch (o) {
    case operation::points_post:
      return "points_post";
    case operation::points_post_batch:
      return "points_post_batch";
    case operation::points_resume:
      return "points_resume";
    case operation::points_resume_batch:
      return "points_resume_batch";
    case operation::event_post:
      return "event_post";
    case operation::attribute_update:
      return "attribute_update";
    case operation::attribute_query:
      return "attribute_query";
    case operation::attribute_delete:
      return "attribute_delete";
    case operation::tag_update:
      return "tag_update";
    case operation::tag_query:
      return "tag_query";
    case operation::tag_delete:
      return "tag_delete";
    case operation::model_get:
      return "model_get";
    case operation::command_reply:
      return "command_reply";
    case operation::subscriptions:
      return "subscriptions";
    case operation::delivered:
      return "delivered";
    case operation::unknown:
      return "unknown";
  }
  return "unknown";
}

int format_code(operation o) {
  for (const auto& r : table)
    if (r.what == o)
      return r.format;
  return 1200;
}

classified classify(std::string_view topic, const model::device_name& device) {
  auto out = classified{};
  const auto level = [&topic](std::string_view wanted) {
    if (!topic.starts_with('/') || topic.substr(1, wanted.size()) != wanted ||
        topic.size() <= wanted.size() + 1 || topic[wanted.size() + 1] != '/')
      return false;
    topic.remove_prefix(wanted.size() + 1);
    return true;
  };
  const auto is_reply = topic.ends_with("_reply");
  out.wants_reply = !is_reply;
  if (!level("sys") || !level(device.product_key) || !level(device.device_key))
    return out;
  out.own = true;
  const auto rest = topic.substr(1);
  if (is_reply) {
    if (rest.starts_with("thing/service/"))
      out.what = operation::command_reply;
    return out;
  }
  for (const auto& r : table)
    if (r.rest == rest) {
      out.what = r.what;
      return out;
    }
  constexpr auto head = std::string_view{"thing/event/"}, tail = std::string_view{"/post"};
  if (rest.starts_with(head) && rest.ends_with(tail) && rest.size() > head.size() + tail.size()) {
    out.element = rest.substr(head.size(), rest.size() - head.size() - tail.size());
    if (out.element.find('/') == std::string_view::npos)
      out.what = operation::event_post;
  }
  return out;
}

request read_request(const classified& topic, std::string_view payload,
                     const model::device_name& self) {
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
  const auto* given = json->find("params");
  const auto empty = value{object{}};
  const auto& params = given ? *given : empty;
  switch (topic.what) {
    case operation::points_post:
    case operation::points_resume:
      out.what = read_points(params, *json, topic.what == operation::points_resume, false, self);
      break;
    case operation::points_post_batch:
    case operation::points_resume_batch:
      out.what =
          read_points(params, *json, topic.what == operation::points_resume_batch, true, self);
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
    case operation::command_reply:
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

std::string_view clip(std::string_view text, std::size_t most) {
  if (text.size() <= most)
    return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
    --most;  // a byte that continues a character
  return text.substr(0, most);
}

outgoing write_downlink(const model::downlink& d) {
  const auto* call = std::get_if<model::service_call>(&d.what);
  const auto name = call ? call->service : std::string{"measurepoint.set"};
  auto out =
      outgoing{"/sys/" + d.target.product_key + '/' + d.target.device_key + "/thing/service/" +
                   (call ? call->service : std::string{"measurepoint/set"}),
               "{\"id\":"};
  model::write_json_string(d.id, out.payload);
  out.payload += ",\"version\":\"1.0\",\"method\":";
  model::write_json_string("thing.service." + name, out.payload);
  out.payload += ",\"params\":";
  model::write_json(value{call ? call->input : std::get<model::points_write>(d.what).values},
                    out.payload);
  out.payload += '}';
  return out;
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
