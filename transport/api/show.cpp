#include "transport/api/show.hpp"

namespace orrery::transport::api {

namespace device = model::device;

std::string_view name_of(device::protocol p) {
  switch (p) {
    case device::protocol::none:
      return "none";
    case device::protocol::mqtt:
      return "mqtt";
    case device::protocol::http:
      return "http";
    case device::protocol::coap:
      return "coap";
  }
  return "none";
}

std::string_view name_of(device::command_record::state_code s) {
  using code = device::command_record::state_code;
  switch (s) {
    case code::queued:
      return "queued";
    case code::cancelled:
      return "cancelled";
    case code::expired:
      return "expired";
    case code::sent:
      return "sent";
    case code::succeeded:
      return "succeeded";
    case code::failed:
      return "failed";
    case code::timed_out:
      return "timeout";
  }
  return "failed";
}

std::string_view name_of_level(std::uint8_t level) {
  constexpr std::string_view names[] = {"info", "warning", "error"};
  return names[level < 3 ? level : 0];
}

model::value show_tags(const std::map<std::string, std::string>& tags) {
  auto o = model::object{};
  for (const auto& [k, v] : tags)
    o.emplace_back(k, v);
  return o;
}

namespace {

model::value connection(const exchange& e, const device::state& s) {
  auto o = model::object{{"online", s.connection.online}};
  if (s.connection.protocol != device::protocol::none) {
    o.emplace_back("protocol", name_of(s.connection.protocol));
    o.emplace_back("address", s.connection.address);
    o.emplace_back("secure", s.connection.secure);
    if (s.connection.by_gateway)
      o.emplace_back("byGateway", true);
    o.emplace_back("since", e.show(s.connection.since));
    if (!s.connection.online)
      o.emplace_back("reason", *s.connection.reason);
  }
  return o;
}

/// Those that are there: a device may still name some that are gone.
model::array show_groups(const exchange& e, const device::state& s) {
  auto all = model::array{};
  if (s.groups().empty())
    return all;
  const auto known = e.parts().known->current();
  const auto* org = known->organisation(s.organisation());
  for (const auto& id : s.groups())
    if (org && org->state->find_group(id))
      all.emplace_back(id);
  return all;
}

void add_override(model::object& o, const exchange& e, const device::state& s) {
  const auto& shown = s.shown();
  if (shown.empty())
    return;
  o.emplace_back("override", model::object{{"status", device::name_of(shown.as)},
                                           {"until", e.show(shown.until)},
                                           {"by", shown.by},
                                           {"at", e.show(shown.at)}});
}

void add_time(model::object& o, const exchange& e, const char* name, model::timestamp t) {
  if (t != model::timestamp{})
    o.emplace_back(name, e.show(t));
}

}  // namespace

model::value show_device(const exchange& e, const model::entity_id& id, const device::state& s) {
  auto o = model::object{
      {"assetId", to_string(id)},         {"productKey", s.name().product_key},
      {"deviceKey", s.name().device_key}, {"name", s.display_name},
      {"description", *s.description},    {"timezone", *s.timezone},
      {"status", device::status_of(s)},   {"enabled", s.admin == device::admin_state::enabled},
      {"connection", connection(e, s)},   {"attributes", s.attributes},
      {"tags", show_tags(*s.tags)},       {"createdAt", e.show(s.created_at)},
      {"updatedAt", e.show(s.updated_at)}};
  if (!s.gateway().empty())
    o.emplace_back("gateway", to_string(s.gateway().id));
  if (!s.mirrored().empty())
    o.emplace_back("mirrorOf", to_string(s.mirrored().source));
  if (auto groups = show_groups(e, s); !groups.empty())
    o.emplace_back("groups", std::move(groups));
  if (!s.admin_reason->empty())
    o.emplace_back("adminReason", *s.admin_reason);
  add_override(o, e, s);
  if (const auto& out = s.retirement(); !out.empty())
    o.emplace_back("retirement", model::object{{"at", e.show(out.at)},
                                               {"purgeAt", e.show(out.purge_at)},
                                               {"by", out.by},
                                               {"reason", out.reason}});
  if (s.activated_at)
    o.emplace_back("activatedAt", e.show(*s.activated_at));
  add_time(o, e, "lastOnlineAt", s.last_online);
  add_time(o, e, "lastOfflineAt", s.last_offline);
  add_time(o, e, "lastDataAt", s.last_data);
  return o;
}

model::value show_status(const exchange& e, const model::entity_id& id, const device::state& s) {
  auto o = model::object{{"assetId", to_string(id)},
                         {"productKey", s.name().product_key},
                         {"deviceKey", s.name().device_key},
                         {"status", device::status_of(s)},
                         {"connection", connection(e, s)}};
  add_override(o, e, s);
  add_time(o, e, "lastDataAt", s.last_data);
  return o;
}

model::value show_command(const std::function<model::value(model::timestamp)>& time,
                          const model::entity_id& id, const device::command_record& c) {
  constexpr std::string_view types[] = {"service", "points", "read",
                                        "rrpc"};  // in the order of form
  const auto is_service = c.type == device::command_record::form::service;
  auto o = model::object{{"id", to_string(id) + "-" + to_string(c.id)},
                         {"assetId", to_string(id)},
                         {"type", types[static_cast<std::size_t>(c.type)]},
                         {"state", name_of(c.state)},
                         {"input", c.input},
                         {"actor", c.actor},
                         {"timeout", c.timeout.count() / 1000},
                         {"pendingTtl", c.pending_ttl.count() / 1000},
                         {"createdAt", time(c.created_at)}};
  if (is_service)
    o.emplace_back("element", c.element);
  if (c.sent_at != model::timestamp{})
    o.emplace_back("sentAt", time(c.sent_at));
  if (c.finished_at != model::timestamp{})
    o.emplace_back("finishedAt", time(c.finished_at));
  using code = device::command_record::state_code;
  if (c.state == code::succeeded || c.state == code::failed) {
    o.emplace_back("code", c.code);
    o.emplace_back("output", c.output);
  }
  if (!c.message.empty())
    o.emplace_back("message", c.message);
  if (c.late_reply)
    o.emplace_back("lateReply", *c.late_reply);
  return o;
}

model::value show_command(const exchange& e, const model::entity_id& id,
                          const device::command_record& c) {
  return show_command([&e](model::timestamp t) { return e.show(t); }, id, c);
}

actors::any_command device_order(const exchange& e, device::order what,
                                 std::optional<std::uint64_t> expected) {
  return device::command{std::move(what), {}, e.who.actor, expected};
}

}  // namespace orrery::transport::api
