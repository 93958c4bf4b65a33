#include "transport/mqtt/operations.hpp"

#include <utility>

#include "transport/mqtt/params.hpp"

namespace orrery::transport::mqtt {
namespace {

struct row {
  topic_tree tree;
  std::string_view rest;
  operation what;
  int format;  // the result code of malformed parameters
};
// The one table of fixed topics: a new one is a line here and a case in requests.cpp.
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

}  // namespace orrery::transport::mqtt
