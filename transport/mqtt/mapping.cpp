#include "transport/mqtt/mapping.hpp"

#include <algorithm>
#include <cmath>

#include "model/base64.hpp"
#include "model/json.hpp"
#include "transport/mqtt/gateway_mapping.hpp"
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

struct row {
  topic_tree tree;
  std::string_view rest;
  operation what;
  int format;  // the result code of malformed parameters
};
// The one table of fixed topics: a new one is a line here and a case below.
constexpr row table[] = {
    {topic_tree::device, "thing/measurepoint/post", operation::points_post, 1206},
    {topic_tree::device, "thing/measurepoint/post/batch", operation::points_post_batch, 1206},
    {topic_tree::device, "thing/measurepoint/resume", operation::points_resume, 1206},
    {topic_tree::device, "thing/measurepoint/resume/batch", operation::points_resume_batch, 1206},
    {topic_tree::device, "thing/attribute/update", operation::attribute_update, 1207},
    {topic_tree::device, "thing/attribute/query", operation::attribute_query, 1208},
    {topic_tree::device, "thing/attribute/delete", operation::attribute_delete, 1209},
    {topic_tree::device, "thing/tag/update", operation::tag_update, 1200},
    {topic_tree::device, "thing/tag/query", operation::tag_query, 1200},
    {topic_tree::device, "thing/tag/delete", operation::tag_delete, 1200},
    {topic_tree::device, "thing/tsltemplate/get", operation::model_get, 1200},
    {topic_tree::device, "thing/log/post", operation::log_post, 1200},
    {topic_tree::device, "network/status/report", operation::network_report, 1200},
    {topic_tree::device, "connection/state/post", operation::connection_state, 1200},
    {topic_tree::device, "thing/device/register", operation::device_register, 1200},
    {topic_tree::device, "thing/topo/add", operation::topology_add, 1255},
    {topic_tree::device, "thing/topo/delete", operation::topology_delete, 1256},
    {topic_tree::device, "thing/topo/get", operation::topology_get, 1200},
    {topic_tree::device, "security/cert/apply", operation::certificate_apply, 1200},
    {topic_tree::device, "security/cert/renew", operation::certificate_renew, 1200},
    {topic_tree::device, "thing/file/upload", operation::file_upload, 1200},
    {topic_tree::device, "thing/file/download", operation::file_download, 1200},
    {topic_tree::device, "thing/file/delete", operation::file_delete, 1200},
    {topic_tree::device, "ota/device/inform", operation::firmware_inform, 1200},
    {topic_tree::device, "ota/device/progress", operation::firmware_progress, 1200},
    {topic_tree::device, "ota/device/getversion", operation::firmware_getversion, 1200},
    {topic_tree::device, "thing/config/get", operation::config_get, 1200},
    {topic_tree::device, "thing/config/report", operation::config_report, 1200},
    {topic_tree::clock, "request", operation::clock, 1200},
    {topic_tree::session, "combine/login", operation::sub_login, 1220},
    {topic_tree::session, "combine/login/batch", operation::sub_login_batch, 1220},
    {topic_tree::session, "combine/logout", operation::sub_logout, 1220},
    {topic_tree::channel, "measurepoint/post", operation::channel_points, 1206},
    {topic_tree::channel, "event/post", operation::channel_events, 1200},
    {topic_tree::channel, "attribute/post", operation::channel_attributes, 1207},
    {topic_tree::channel, "attributes/post", operation::channel_attributes, 1207},
    {topic_tree::device, "thing/model/up_raw", operation::raw_up, 1220},
    {topic_tree::channel, "model/up_raw", operation::raw_up, 1220},
    {topic_tree::channel, "up_raw", operation::raw_up, 1220},
};
// Answers to what is sent without waiting for one.
constexpr std::pair<topic_tree, std::string_view> notice_replies[] = {
    {topic_tree::device, "thing/disable_reply"},
    {topic_tree::device, "thing/enable_reply"},
    {topic_tree::device, "thing/delete_reply"},
    {topic_tree::device, "traffic/control"},
    {topic_tree::device, "ota/device/upgrade_reply"},
    {topic_tree::device, "thing/config/push_reply"},
    {topic_tree::session, "combine/disable_reply"},
    {topic_tree::session, "combine/enable_reply"},
    {topic_tree::session, "combine/delete_reply"},
    {topic_tree::session, "thing/activate/info_reply"},
};

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

bool is_number(std::string_view text) {
  constexpr std::size_t most_digits = 20;
  return !text.empty() && text.size() <= most_digits &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
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

/// As devices are told of it.
object describe_configuration(std::uint64_t version, const object& desired, object delta) {
  return {{"desiredVersion", static_cast<std::int64_t>(version)},
          {"desired", desired},
          {"delta", std::move(delta)}};
}

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

/// A number, or its digits.
bool is_clock_time(const value& v) {
  if (v.is_int())
    return v.as_int() >= 0;
  return v.is_string() && is_number(v.as_string());
}

/// As devices are told of it.
value describe_firmware(const model::firmware_image& image) {
  return object{{"version", image.version},
                {"signMethod", model::name_of(image.method)},
                {"sign", image.sign},
                {"fileUrl", image.url},
                {"fileSize", image.size}};
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
    case operation::log_post:
      return "log_post";
    case operation::network_report:
      return "network_report";
    case operation::connection_state:
      return "connection_state";
    case operation::device_register:
      return "device_register";
    case operation::topology_add:
      return "topology_add";
    case operation::topology_delete:
      return "topology_delete";
    case operation::topology_get:
      return "topology_get";
    case operation::sub_login:
      return "sub_login";
    case operation::sub_login_batch:
      return "sub_login_batch";
    case operation::sub_logout:
      return "sub_logout";
    case operation::certificate_apply:
      return "certificate_apply";
    case operation::certificate_renew:
      return "certificate_renew";
    case operation::file_upload:
      return "file_upload";
    case operation::file_download:
      return "file_download";
    case operation::file_delete:
      return "file_delete";
    case operation::channel_points:
      return "channel_points";
    case operation::channel_events:
      return "channel_events";
    case operation::channel_attributes:
      return "channel_attributes";
    case operation::raw_up:
      return "raw_up";
    case operation::raw_down_reply:
      return "raw_down_reply";
    case operation::firmware_inform:
      return "firmware_inform";
    case operation::firmware_progress:
      return "firmware_progress";
    case operation::firmware_getversion:
      return "firmware_getversion";
    case operation::config_get:
      return "config_get";
    case operation::config_report:
      return "config_report";
    case operation::clock:
      return "clock";
    case operation::command_reply:
      return "command_reply";
    case operation::rrpc_response:
      return "rrpc_response";
    case operation::notice_reply:
      return "notice_reply";
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

namespace {

/// The next level of a topic; what is left of it begins behind the slash.
std::string_view next_level(std::string_view& rest) {
  const auto slash = rest.find('/');
  const auto level = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  return level;
}

constexpr auto rrpc_answers = std::string_view{"rrpc/response/"};

bool is_reply_of_command(std::string_view rest) {
  return rest.starts_with("thing/service/");
}

}  // namespace

classified classify(std::string_view topic) {
  auto out = classified{};
  const auto is_reply = topic.ends_with("_reply");
  out.wants_reply = !is_reply;
  auto rest = topic;
  if (rest.starts_with('/'))
    rest.remove_prefix(1);
  else if (topic.find("/integration/") == std::string_view::npos)
    return out;  // only the channel's topics are known without the first slash too
  const auto root = next_level(rest);
  if (root == "sys")
    out.tree = topic_tree::device;
  else if (root != "ext")
    return out;
  else if (const auto branch = next_level(rest); branch == "session")
    out.tree = topic_tree::session;
  else if (branch == "ntp")
    out.tree = topic_tree::clock;
  else
    return out;
  out.product_key = next_level(rest);
  out.device_key = next_level(rest);
  if (out.tree == topic_tree::device && out.device_key == "integration") {
    out.tree = topic_tree::channel;
    out.device_key = {};
  }
  // One client answers notices under /ext/session/session/{pk}/: the keys one level too late.
  const auto misplaced = out.tree == topic_tree::session && out.product_key == "session";
  if (out.tree == topic_tree::device && is_reply && is_reply_of_command(rest)) {
    out.what = operation::command_reply;
    return out;
  }
  if (out.tree == topic_tree::device && rest.starts_with(rrpc_answers) &&
      is_number(rest.substr(rrpc_answers.size()))) {
    out.what = operation::rrpc_response;
    out.element = rest.substr(rrpc_answers.size());
    out.wants_reply = false;
    return out;
  }
  if (out.tree == topic_tree::device && rest == "thing/model/down_raw_reply") {
    out.what = operation::raw_down_reply;
    return out;
  }
  for (const auto& [tree, answer] : notice_replies)
    if (tree == out.tree && answer == rest) {
      out.what = operation::notice_reply;
      out.wants_reply = false;
      return out;
    }
  if (is_reply || misplaced)
    return out;
  for (const auto& r : table)
    if (r.tree == out.tree && r.rest == rest) {
      out.what = r.what;
      return out;
    }
  constexpr auto head = std::string_view{"thing/event/"}, tail = std::string_view{"/post"};
  if (out.tree == topic_tree::device && rest.starts_with(head) && rest.ends_with(tail) &&
      rest.size() > head.size() + tail.size()) {
    out.element = rest.substr(head.size(), rest.size() - head.size() - tail.size());
    if (out.element.find('/') == std::string_view::npos)
      out.what = operation::event_post;
  }
  return out;
}

std::string answer_topic(const classified& what, std::string_view topic) {
  constexpr auto asks = std::string_view{"request"};
  if (what.what == operation::clock)
    return std::string{topic.substr(0, topic.size() - asks.size())} + "response";
  return std::string{topic} + "_reply";
}

bool is_for_sub_devices(operation o) {
  switch (o) {
    case operation::points_post:
    case operation::points_post_batch:
    case operation::points_resume:
    case operation::points_resume_batch:
    case operation::event_post:
    case operation::attribute_update:
    case operation::attribute_query:
    case operation::attribute_delete:
    case operation::tag_update:
    case operation::tag_query:
    case operation::tag_delete:
    case operation::model_get:
    case operation::log_post:
    case operation::network_report:
    case operation::raw_up:
    case operation::raw_down_reply:
    case operation::firmware_inform:
    case operation::firmware_progress:
    case operation::firmware_getversion:
    case operation::config_get:
    case operation::config_report:
    case operation::clock:
    case operation::file_upload:
    case operation::file_download:
    case operation::file_delete:
    case operation::command_reply:
    case operation::rrpc_response:
    case operation::notice_reply:
      return true;
    case operation::connection_state:
    case operation::certificate_apply:
    case operation::certificate_renew:
    case operation::device_register:
    case operation::topology_add:
    case operation::topology_delete:
    case operation::topology_get:
    case operation::sub_login:
    case operation::sub_login_batch:
    case operation::sub_logout:
    case operation::channel_points:
    case operation::channel_events:
    case operation::channel_attributes:
    case operation::subscriptions:
    case operation::delivered:
    case operation::unknown:
      return false;
  }
  return false;
}

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

std::string_view clip(std::string_view text, std::size_t most) {
  if (text.size() <= most)
    return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
    --most;  // a byte that continues a character
  return text.substr(0, most);
}

namespace {

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
