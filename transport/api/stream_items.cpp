#include "transport/api/stream_items.hpp"

#include <algorithm>

#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using actors::feed_kind;

// In the order of feed_kind.
const std::vector<std::string_view> kinds{"points", "events", "presence", "lifecycle", "commands"};

/// One item: the device and the time, then what happened.
struct item_writer {
  const actors::feed_item& item;
  const std::set<std::string>& points;
  model::timestamp now;
  model::array& out;

  model::object head(model::timestamp t) const {
    return {{"asset", to_string(item.who.id)},
            {"pk", item.who.called->name.product_key},
            {"dk", item.who.called->name.device_key},
            {"t", model::to_ms(t)}};
  }
  void tell(std::string_view event, model::timestamp t, model::object more = {}) const {
    auto o = head(t);
    o.emplace_back("event", event);
    std::move(more.begin(), more.end(), std::back_inserter(o));
    out.emplace_back(std::move(o));
  }
  void tell_command(const device::command_record& c, model::timestamp t) const {
    auto o = head(t);
    o.emplace_back("command",
                   show_command([](model::timestamp at) { return model::value{model::to_ms(at)}; },
                                item.who.id, c));
    out.emplace_back(std::move(o));
  }

  void operator()(const device::points_accepted& e) const {
    for (const auto& sample : e.samples) {
      auto values = model::object{};
      for (const auto& p : sample.points)
        if (points.empty() || points.contains(p.id)) {
          auto v = model::object{{"value", p.v}};
          if (p.quality >= 0)
            v.emplace_back("q", int{p.quality});
          values.emplace_back(p.id, std::move(v));
        }
      if (values.empty())
        continue;
      auto o = head(sample.time);
      o.emplace_back("v", std::move(values));
      out.emplace_back(std::move(o));
    }
  }
  void operator()(const device::event_raised& e) const {
    tell(e.event, e.time, {{"level", name_of_level(e.level)}, {"output", e.output}});
  }
  void operator()(const device::connected& e) const {
    tell("online", e.at, {{"protocol", name_of(e.protocol)}});
  }
  void operator()(const device::disconnected& e) const {
    tell("offline", e.at, {{"reason", e.reason}});
  }
  void operator()(const device::registered& e) const { tell("created", e.at); }
  void operator()(const device::updated& e) const { tell("updated", e.at); }
  void operator()(const device::admin_state_set& e) const {
    tell(e.now == device::admin_state::enabled ? "enabled" : "disabled", e.at);
  }
  void operator()(const device::removed& e) const { tell("deleted", e.at); }
  void operator()(const device::secret_set&) const { tell("credentialRotated", now); }
  void operator()(const device::attributes_changed& e) const {
    tell("attributesChanged", e.at, {{"changes", e.changes}});
  }
  void operator()(const device::tags_changed& e) const { tell("tagsChanged", e.at); }
  void operator()(const device::command_queued& e) const {
    tell_command(e.what, e.what.created_at);
  }
  void operator()(const device::command_sent& e) const {
    auto o = head(e.at);
    o.emplace_back("command", model::object{{"id", to_string(item.who.id) + "-" + to_string(e.id)},
                                            {"state", "sent"}});
    out.emplace_back(std::move(o));
  }
  void operator()(const device::command_finished& e) const {
    tell_command(e.what, e.what.finished_at);
  }
  void operator()(const device::late_reply_noted& e) const {
    tell_command(e.what, e.what.finished_at);
  }
  void operator()(const device::gateway_bound& e) const {
    tell("bound", e.at, {{"gateway", to_string(e.gateway.id)}});
  }
  void operator()(const device::gateway_unbound& e) const {
    tell("unbound", e.at, {{"gateway", to_string(e.gateway)}});
  }
  void operator()(const device::activation_reopened& e) const {
    tell("activationReopened", e.at, {{"until", model::to_ms(e.until)}});
  }
  void operator()(const device::version_reported& e) const {
    tell("firmwareChanged", e.at, {{"version", e.version}, {"before", e.before}});
  }
  void operator()(const device::twin_changed& e) const {
    tell("twinChanged", e.at,
         {{"version", static_cast<std::int64_t>(e.version)}, {"desired", e.desired}});
  }
  void operator()(const device::layers_changed& e) const {
    auto all = model::array{};
    for (const auto& l : e.all)
      all.emplace_back(model::object{{"id", l.id},
                                     {"version", static_cast<std::int64_t>(l.version)},
                                     {"state", device::name_of(l.state)}});
    tell("configurationsChanged", e.at, {{"configurations", std::move(all)}});
  }
  void operator()(const device::twin_reported& e) const {
    tell("twinReported", e.at,
         {{"version", static_cast<std::int64_t>(e.version)}, {"reported", e.reported}});
  }
  void operator()(const device::certificate_expiring& e) const {
    tell("certificateExpiring", e.at,
         {{"sn", static_cast<std::int64_t>(e.sn)},
          {"days", int{e.days}},
          {"notAfter", model::to_ms(e.not_after)}});
  }
  void operator()(const device::groups_changed& e) const {
    auto groups = model::array{};
    for (const auto& id : e.groups)
      groups.emplace_back(id);
    tell("groupsChanged", e.at, {{"groups", std::move(groups)}});
  }
  void operator()(const device::status_overridden& e) const {
    tell("statusOverridden", e.what.at,
         {{"status", device::name_of(e.what.as)}, {"until", model::to_ms(e.what.until)}});
  }
  void operator()(const device::override_ended& e) const { tell("overrideEnded", e.at); }
  void operator()(const device::renamed& e) const {
    tell(e.replaces ? "replaced" : "moved", e.at,
         {{"before", model::object{{"pk", e.before.product_key}, {"dk", e.before.device_key}}}});
  }
  void operator()(const device::emigrated& e) const {
    const auto& now_called = e.what.name;
    tell("organisationChanged", e.what.at,
         {{"from", e.before},
          {"to", e.organisation},
          {"now", model::object{{"pk", now_called.product_key}, {"dk", now_called.device_key}}}});
  }
  void operator()(const device::retired& e) const {
    tell(
        "retired", e.what.at,
        {{"reason", e.what.reason}, {"by", e.what.by}, {"purgeAt", model::to_ms(e.what.purge_at)}});
  }
  void operator()(const device::restored& e) const { tell("restored", e.at); }
  void operator()(const device::mirror_set& e) const {
    tell("mirrorSet", e.what.since, {{"source", to_string(e.what.source)}});
  }
  void operator()(const device::mirror_ended& e) const {
    tell("mirrorEnded", e.at, {{"source", to_string(e.source)}});
  }
  // Matters of a job: its calls tell of them.
  void operator()(const device::upgrade_offered&) const {}
  void operator()(const device::upgrade_published&) const {}
  void operator()(const device::upgrade_progressed&) const {}
  void operator()(const device::upgrade_ended&) const {}
  void operator()(const device::upgrade_retried&) const {}
  // Matters of the transport, certificates and files: no feed has them (actors/feed, belongs_to).
  void operator()(const device::sub_devices_changed&) const {}
  void operator()(const device::twin_pushed&) const {}
  void operator()(const device::sub_device_noted&) const {}
  void operator()(const device::activation_granted&) const {}
  void operator()(const device::activation_settled&) const {}
  void operator()(const device::picture_reported&) const {}
  void operator()(const device::certificate_added&) const {}
  void operator()(const device::certificate_revoked&) const {}
  void operator()(const device::file_added&) const {}
  void operator()(const device::file_stored&) const {}
  void operator()(const device::file_removed&) const {}
  void operator()(const device::subscriptions_changed&) const {}
  void operator()(const device::command_delivered&) const {}
  // Of who shows it: the mirror tells of it.
  void operator()(const device::mirrors_changed&) const {}
  // Matters of names: `renamed` tells of them.
  void operator()(const device::rename_prevented&) const {}
  void operator()(const device::former_name_forgotten&) const {}
  void operator()(const device::name_reserved&) const {}
  void operator()(const device::name_doubted&) const {}
  void operator()(const device::name_settled&) const {}
};

std::set<std::string> read_texts(fields& f, std::string_view name) {
  auto all = f.texts(name, 1000).value_or(std::vector<std::string>{});
  return {std::make_move_iterator(all.begin()), std::make_move_iterator(all.end())};
}

}  // namespace

model::result<stream_request> read_subscription(fields& f, const std::string& organisation) {
  auto asked = stream_request{};
  asked.sid = f.text("sid", 64).value_or("");
  const auto kind = f.word("kind", kinds);
  f.word("mode", {"live"});
  f.word("from", {"latest"});
  const auto* given = f.any("filter");
  const auto nothing = model::value{model::object{}};
  auto g = fields{given ? *given : nothing, "/filter"};
  asked.filter.organisation = organisation;
  asked.filter.products = read_texts(g, "products");
  asked.filter.points = read_texts(g, "points");
  for (const auto& asset : read_texts(g, "assets"))
    if (const auto id = model::parse_entity_id(asset))
      asked.filter.devices.insert(*id);
    else
      g.note("assets", "type_mismatch", "expected assetIds");
  if (asked.sid.empty())
    f.missing("sid");
  if (!kind && !f.has("kind"))
    f.missing("kind");
  if (auto good = g.finish(); !good)
    f.problems.insert(f.problems.end(), good.error().problems.begin(), good.error().problems.end());
  if (auto good = f.finish(); !good)
    return good.error();
  asked.filter.kind =
      static_cast<feed_kind>(std::find(kinds.begin(), kinds.end(), *kind) - kinds.begin());
  return asked;
}

std::string_view needed_for(feed_kind kind) {
  return kind == feed_kind::points || kind == feed_kind::events ? "data:read" : "device:read";
}

void show_item(const actors::feed_item& item, const std::set<std::string>& points,
               model::timestamp now, model::array& out) {
  std::visit(item_writer{item, points, now, out}, (*item.events)[item.index]);
}

}  // namespace orrery::transport::api
