#include <algorithm>
#include <array>

#include "model/device/decisions.hpp"
#include "model/device/mirror.hpp"

namespace orrery::model::device {
namespace {

constexpr std::size_t max_attributes = 200, max_tags = 100, max_subscriptions = 1024;

/// The event that sends the next waiting command, if the device is there and nothing is under way.
void send_next(const state& s, timestamp now, std::vector<event>& events) {
  if (!s.connection.online || outstanding(s))
    return;
  const auto next =
      std::find_if(s.commands->begin(), s.commands->end(), [&](const command_record& c) {
        return c.state == command_record::state_code::queued &&
               (c.pending_ttl.count() == 0 || c.created_at + c.pending_ttl > now);
      });
  if (next == s.commands->end())
    return;
  events.push_back(command_sent{next->id, next_downlink_id(s, now), now});
}

}  // namespace

const command_record* outstanding(const state& s) {
  const auto sent =
      std::find_if(s.commands->begin(), s.commands->end(), [](const command_record& c) {
        return c.state == command_record::state_code::sent && !is_rrpc(c);
      });
  return sent == s.commands->end() ? nullptr : &*sent;
}

std::string next_downlink_id(const state& s, timestamp now) {
  // Decimal digits, unique per device for ever: ms of the clock, but always above the last one.
  return std::to_string(
      std::max<std::uint64_t>(static_cast<std::uint64_t>(to_ms(now)), s.downlinks + 1));
}

// Applies to a copy of the queue what was decided so far.
void send_next_after(const state& s, timestamp now, std::vector<event>& events) {
  auto ahead = state{};
  ahead.connection = s.connection;
  ahead.commands = s.commands;
  ahead.timed_out = s.timed_out;
  ahead.downlinks = s.downlinks;
  for (const auto& e : events)
    device::apply(ahead, e);
  send_next(ahead, now, events);
}

command_finished finish(command_record c, command_record::state_code as, timestamp now,
                        std::string message) {
  c.state = as;
  c.finished_at = now;
  c.message = std::move(message);
  return {std::move(c)};
}

// A session's message counts only while it is the device's session.
status check_session(const state& s, const command& c) {
  if (c.gateway) {
    const auto by_itself = std::holds_alternative<connect>(c.what) ||
                           std::holds_alternative<bind_gateway>(c.what) ||
                           std::holds_alternative<unbind_gateway>(c.what);
    if (by_itself)
      return {};  // they look for themselves
    if (s.gateway().empty() || s.gateway().id != *c.gateway)
      return failure{errc::forbidden, "sub_device", label(s) + " is no sub-device of that gateway"};
    if (s.admin == admin_state::disabled)
      return failure{errc::forbidden, "sub_device", label(s) + " is disabled"};
    if (const auto* points = std::get_if<report_points>(&c.what); points && points->allow_offline)
      return {};
    if (!is_connected_by(s, c.session))
      return failure{errc::forbidden, "sub_device",
                     label(s) + " is not logged in through that gateway"};
    return {};
  }
  if (c.session.number == 0)
    return {};
  if (!s.connection.online || !(s.connection.session == c.session))
    return failure{errc::conflict, "session_superseded", label(s) + ": another session took over"};
  return {};
}

decision leave(const state& s, std::string_view reason, timestamp now) {
  auto d = decision{};
  d.events.push_back(disconnected{s.connection.session, std::string{reason}, now});
  for (const auto& c : *s.commands)
    if (c.pending_ttl.count() == 0)  // an immediate command needs the device to be there
      d.events.push_back(
          finish(c, command_record::state_code::failed, now, "the device went offline"));
  return d;
}

namespace {

bool is_tag_key(std::string_view key) {
  return !key.empty() && key.size() <= 50 && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '/';
  });
}

/// The tags after a change, if all of it can be kept.
result<std::map<std::string, std::string>> tags_after(
    std::map<std::string, std::string> tags,
    const std::map<std::string, std::optional<std::string>>& changes) {
  auto wrong = std::vector<problem>{};
  for (const auto& [key, v] : changes) {
    if (!is_tag_key(key))
      wrong.push_back({key, "tag_invalid", "a tag key is 1 to 50 characters of A-Z a-z 0-9 _ - /"});
    else if (v && (v->size() > 200 || (!v->empty() && (v->front() == ' ' || v->back() == ' '))))
      wrong.push_back({key, "tag_invalid",
                       "a tag value is at most 200 characters without a blank at either end"});
    if (v)
      tags[key] = *v;
    else
      tags.erase(key);
  }
  if (!wrong.empty())
    return failure{errc::invalid_argument, "tag_invalid", "tags that cannot be kept",
                   std::move(wrong)};
  if (tags.size() > max_tags)
    return failure{errc::invalid_argument, "tag_invalid", "a device has at most 100 tags"};
  return tags;
}

result<decision> decide_on(const state& s, const register_device& r, const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "device_key_exists",
                   r.name.device_key + " exists in product " + r.name.product_key);
  if (s.deleted)  // its past is not the past of whoever takes the key next
    return refused(errc::unavailable, "device_deleted", label(s) + " is being deleted: ask again");
  if (!around.product.exists || !around.product.model)
    return refused(errc::not_found, "product_unknown", "no product " + r.name.product_key);
  if (!is_valid_key(r.name.device_key))
    return refused(errc::invalid_argument, "device_key_invalid",
                   "a device key is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  if (const auto tags = tags_after({}, {r.tags.begin(), r.tags.end()}); !tags)
    return tags.error();
  auto attributes = around.product.model->complete_attributes(r.attributes);
  if (!attributes)
    return attributes.error();
  auto as = r;
  as.attributes = std::move(*attributes);
  auto e = event{registered{std::move(as), around.now}};
  auto made = std::make_shared<state>();
  device::apply(*made, e);
  return only(std::move(e), device_snapshot{around.self, std::move(made)});
}

result<decision> decide_on(const state& s, const update_device& u, const surroundings& around) {
  auto changes = u;
  if (!u.attributes.empty()) {
    auto checked = around.product.model ? around.product.model->check_attributes(
                                              u.attributes, thing_model::side::cloud)
                                        : result<object>{u.attributes};
    if (!checked)
      return checked.error();
    changes.attributes = std::move(*checked);
  }
  if (const auto tags = tags_after(*s.tags, u.tags); !tags)
    return tags.error();
  return only(updated{std::move(changes), around.now});
}

result<decision> decide_on(const state& s, const set_admin_state& a, const surroundings& around) {
  if (s.admin == a.wanted)
    return refused(errc::conflict, "state_conflict",
                   label(s) + (a.wanted == admin_state::enabled ? " is enabled already"
                                                                : " is disabled already"));
  auto d = only(admin_state_set{a.wanted, a.reason, around.now});
  if (a.wanted == admin_state::disabled && s.connection.online)
    d.events.push_back(disconnected{s.connection.session, "disabled", around.now});
  return d;
}

result<decision> decide_on(const state& s, const remove_device&, const surroundings& around) {
  auto d = decision{};
  for (const auto& c : *s.commands)
    d.events.push_back(
        finish(c, command_record::state_code::cancelled, around.now, "the device was deleted"));
  if (s.connection.online)
    d.events.push_back(disconnected{s.connection.session, "deleted", around.now});
  d.events.push_back(removal_of(s, around.now));
  // Whoever counts devices looks whether it was in service.
  auto copy = std::make_shared<state>(s);
  copy->telemetry = {};
  d.answer = device_snapshot{around.self, std::move(copy)};
  return d;
}

result<decision> decide_on(const state& s, const reset_secret& r, const surroundings& around) {
  const auto owner = device::secret_owner(s.name());
  const auto wanted = around.keys.open(r.secret, owner);
  if (!wanted)  // sealed for the name that it had before
    return refused(errc::conflict, "rename_conflict",
                   label(s) + " was given another name meanwhile: ask again");
  if (around.keys.open(s.secret, owner) == wanted)
    return decision{};  // asked again after an answer that was lost: the one before stays valid
  auto d = only(secret_set{r.secret, around.now + r.overlap});
  if (s.connection.online && r.overlap.count() == 0)
    d.events.push_back(disconnected{s.connection.session, "secret_reset", around.now});
  return d;
}

result<decision> decide_on(const state& s, const disconnect& d, const surroundings& around) {
  return leave(s, d.reason, around.now);
}

result<decision> decide_on(const state& s, const session_lost& l, const surroundings& around) {
  if (!s.connection.online || s.connection.session.node_incarnation != l.node_incarnation)
    return decision{};  // it came back elsewhere meanwhile
  return leave(s, "node_lost", around.now);
}

result<decision> decide_on(const state& s, const report_points& r, const surroundings& around) {
  if (s.admin == admin_state::disabled)
    return refused(errc::conflict, "device_disabled", label(s) + " is disabled");
  if (!around.product.model)
    return refused(errc::unavailable, "model_missing",
                   label(s) + ": its product has no published model");
  const auto& model = *around.product.model;
  const auto mode = r.skip_invalid && around.product.mode == validation::strict
                        ? validation::lenient
                        : around.product.mode;
  auto accepted = points_accepted{{}, r.backfill, around.now};
  accepted.samples.reserve(r.samples.size());
  auto taken = points_taken{};
  for (const auto& posted : r.samples) {
    auto checked = model.check_points(posted.points, mode);
    if (!checked)
      return checked.error();
    taken.dropped.insert(taken.dropped.end(), checked->dropped.begin(), checked->dropped.end());
    if (!checked->taken.empty())
      accepted.samples.push_back({posted.time.value_or(around.now), std::move(checked->taken)});
  }
  auto d = decision{{}, std::move(taken)};
  if (!accepted.samples.empty())
    d.events.push_back(std::move(accepted));
  return d;
}

result<decision> decide_on(const state&, const report_event& r, const surroundings& around) {
  if (r.event.starts_with('$'))  // what devices tell beside their model
    return only(event_raised{r.event, 0, r.output, r.time.value_or(around.now), around.now});
  if (!around.product.model)
    return refused(errc::unavailable, "model_missing", "the product has no published model");
  auto output = around.product.model->check_event(r.event, r.output, around.product.mode);
  if (!output)
    return output.error();
  const auto* spec = around.product.model->find_event(r.event);
  const auto level = spec ? static_cast<std::uint8_t>(spec->level) : std::uint8_t{0};
  return only(
      event_raised{r.event, level, std::move(*output), r.time.value_or(around.now), around.now});
}

result<decision> decide_on(const state& s, const change_attributes& a, const surroundings& around) {
  if (a.changes.size() > max_attributes)
    return refused(errc::too_large, "too_many_attributes", "at most 200 attributes in one request");
  if (a.changes.empty())
    return decision{};
  if (!around.product.model)
    return refused(errc::unavailable, "model_missing",
                   label(s) + ": its product has no published model");
  auto checked = around.product.model->check_attributes(a.changes, a.side);
  if (!checked)
    return checked.error();
  return only(attributes_changed{std::move(*checked), around.now});
}

result<decision> decide_on(const state& s, const change_tags& t, const surroundings& around) {
  const auto after =
      tags_after(t.replace ? std::map<std::string, std::string>{} : *s.tags, t.changes);
  if (!after)
    return after.error();
  if (*after == *s.tags)
    return decision{};
  return only(tags_changed{t.changes, t.replace, around.now});
}

result<object> check_command(const thing_model& model, const command_record& c) {
  switch (c.type) {
    case command_record::form::service:
      return model.check_input(c.element, c.input);
    case command_record::form::points:
      return model.check_writes(c.input);
    case command_record::form::read:
    case command_record::form::rrpc:
      break;
  }
  for (const auto& [id, nothing] : c.input)
    if (!model.find_point(id))
      return failure{errc::invalid_argument, "element_unknown", "the model has no point " + id};
  return c.input;
}

result<decision> decide_on(const state& s, const send_command& asked, const surroundings& around) {
  auto c = asked.what;
  if (s.admin == admin_state::disabled)
    return refused(errc::conflict, "device_disabled", label(s) + " is disabled");
  if (!s.activated_at)
    return refused(errc::conflict, "device_inactive", label(s) + " has never been online");
  if (is_rrpc(c))
    return decide_rrpc(s, c, around);
  if (!around.product.model)
    return refused(errc::unavailable, "model_missing",
                   label(s) + ": its product has no published model");
  auto input = check_command(*around.product.model, c);
  if (!input)
    return input.error();
  c.input = std::move(*input);
  c.created_at = around.now;
  c.state = command_record::state_code::queued;
  if (!s.connection.online && c.pending_ttl.count() == 0)
    return refused(errc::conflict, "device_offline",
                   label(s) + " is offline and the command may not wait");
  if (s.commands->size() >= around.max_queued_commands)
    return refused(errc::conflict, "queue_full",
                   label(s) + " has " + std::to_string(s.commands->size()) +
                       " commands waiting, which is the limit");
  auto d = decision{{}, command_accepted{c}};
  d.events.push_back(command_queued{std::move(c)});
  send_next_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state& s, const complete_command& c, const surroundings& around) {
  const auto sent =
      std::find_if(s.commands->begin(), s.commands->end(), [&](const command_record& r) {
        return r.state == command_record::state_code::sent && r.downlink_id == c.downlink_id;
      });
  if (sent == s.commands->end()) {
    const auto late = std::find_if(
        s.timed_out->begin(), s.timed_out->end(),
        [&](const command_record& r) { return r.downlink_id == c.downlink_id && !r.late_reply; });
    if (late == s.timed_out->end())
      return refused(errc::not_found, "command_unknown",
                     label(s) + ": no command waits for the answer " + c.downlink_id);
    auto noted = *late;
    noted.late_reply = c.output;
    return only(late_reply_noted{std::move(noted)});
  }
  auto message = c.message;
  if (sent->type == command_record::form::service && around.product.model && c.output.is_object()) {
    // A reply is never lost: what does not fit the model is kept, with a warning.
    const auto wrong = around.product.model->check_output(sent->element, c.output.as_object());
    if (!wrong.empty())
      message += (message.empty() ? "" : "; ") + std::string{"output does not fit the model: "} +
                 wrong.front().where + ": " + wrong.front().detail;
  }
  auto ok = c.code == 0 || c.code == 200;
  if (is_rrpc(*sent) && ok && !free_bytes(c.output)) {
    ok = false;  // it came as the answer to another sort of command
    message = "the answer is no free bytes";
  }
  auto over =
      finish(*sent, ok ? command_record::state_code::succeeded : command_record::state_code::failed,
             around.now, std::move(message));
  over.what.code = c.code;
  over.what.output = c.output;
  auto d = only(std::move(over));
  send_next_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state& s, const change_subscriptions& c, const surroundings&) {
  auto news = subscriptions_changed{{}, c.ends_session};
  if (c.lasts && *c.lasts != s.kept->lasts)
    news.lasts = c.lasts;
  auto size = s.kept->filters.size();
  for (const auto& [filter, level] : c.changes) {
    const auto known = s.kept->filters.find(filter);
    const auto is_known = known != s.kept->filters.end();
    if (level ? is_known && known->second == *level : !is_known)
      continue;
    size += level && !is_known ? 1 : 0;
    news.changes.emplace(filter, level);
  }
  if (size > max_subscriptions)
    return refused(errc::too_large, "too_many_subscriptions",
                   "a session keeps at most " + std::to_string(max_subscriptions) + " filters");
  if ((news.changes.empty() && !news.lasts && !c.ends_session) || !s.keeps_session)
    return decision{};
  return only(std::move(news));
}

result<decision> decide_on(const state& s, const note_delivered& n, const surroundings&) {
  const auto* sent = outstanding(s);
  if (!sent || sent->downlink_id != n.downlink_id || sent->delivered)
    return decision{};  // over already
  return only(command_delivered{sent->id});
}

result<decision> decide_on(const state& s, const cancel_commands& c, const surroundings& around) {
  auto cancelled = commands_cancelled{};
  auto d = decision{};
  for (const auto& waiting : *s.commands)
    if (waiting.state == command_record::state_code::queued && (!c.id || *c.id == waiting.id)) {
      cancelled.ids.push_back(waiting.id);
      d.events.push_back(
          finish(waiting, command_record::state_code::cancelled, around.now, "cancelled"));
    }
  if (c.id && cancelled.ids.empty())
    return refused(errc::conflict, "command_final",
                   "command " + to_string(*c.id) + " is under way or over");
  d.answer = std::move(cancelled);
  return d;
}

result<decision> decide_on(const state& s, const time_passed&, const surroundings& around) {
  auto d = decision{};
  if (const auto until = purge_deadline(s)) {
    if (*until <= around.now)
      d.events.push_back(removal_of(s, around.now));
    return d;
  }
  for (const auto& c : *s.commands)
    if (c.state == command_record::state_code::sent) {
      if (c.sent_at + c.timeout <= around.now)
        d.events.push_back(finish(c, command_record::state_code::timed_out, around.now,
                                  "the device did not answer in time"));
    } else if (c.pending_ttl.count() > 0 && c.created_at + c.pending_ttl <= around.now) {
      d.events.push_back(
          finish(c, command_record::state_code::expired, around.now, "not sent in time"));
    }
  if (!d.events.empty())
    send_next_after(s, around.now, d.events);
  end_late_upgrade(s, around.now, d.events);
  if (const auto until = session_deadline(s); until && *until <= around.now)
    d.events.push_back(subscriptions_changed{{}, true});
  warn_of_ends(s, around.now, d.events);
  if (const auto until = override_deadline(s); until && *until <= around.now)
    d.events.push_back(override_ended{around.now});
  return d;
}

result<decision> decide_on(const state& s, const read_device&, const surroundings& around) {
  auto copy = std::make_shared<state>(s);
  copy->telemetry = {};
  return decision{{}, device_snapshot{around.self, std::move(copy)}};
}

result<decision> decide_on(const state&, const review_layers&, const surroundings&) {
  return decision{};  // settle_layers does it
}

result<decision> decide_on(const state& s, const read_latest& r, const surroundings&) {
  auto found = latest_points{};
  for (const auto& p : s.telemetry.latest)
    if (r.ids.empty() || std::find(r.ids.begin(), r.ids.end(), p.id.text()) != r.ids.end())
      found.points.push_back(p);
  return decision{{}, std::move(found)};
}

result<decision> decide_on(const state& s, const read_samples& r, const surroundings&) {
  auto found = unsaved_samples{};
  for (const auto& batch : s.telemetry.unsaved)
    if (std::any_of(batch->samples.begin(), batch->samples.end(),
                    [&](const sample& x) { return x.time >= r.from && x.time <= r.to; }))
      found.batches.push_back(batch);
  return decision{{}, std::move(found)};
}

}  // namespace

std::string secret_owner(const device_name& name) {
  return "device-secret:" + name.product_key + '/' + name.device_key;
}

std::string_view status_of(const state& s) {
  if (!s.retirement().empty())
    return "retired";
  if (s.admin == admin_state::disabled)
    return "disabled";
  if (!s.mirrored().empty())
    return "mirror";
  if (!s.shown().empty())
    return name_of(s.shown().as);
  if (!s.activated_at)
    return "inactive";
  return s.connection.online ? "online" : "offline";
}

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  if (!std::holds_alternative<register_device>(c.what) &&
      !std::holds_alternative<reserve_name>(c.what)) {
    if (!s.exists)
      return failure{errc::not_found, "device_unknown", "no such device"};
    if (auto ok = check_session(s, c); !ok)
      return ok.error();
    if (auto ok = check_retirement(s, c.what); !ok)
      return ok.error();
    if (auto ok = check_mirror(s, c.what); !ok)
      return ok.error();
  }
  if (!s.alias().empty() && std::holds_alternative<time_passed>(c.what))
    return look_after_alias(s, around);
  // What the service itself says of a gateway is how it is called now (effect tell_gateway_name):
  // that binds nobody.
  if (const auto* told = std::get_if<bind_gateway>(&c.what);
      told && c.actor == "service" && s.gateway().id != told->gateway.id)
    return decision{};
  auto decided = std::visit(
      [&](const auto& what) {
        if constexpr (std::is_same_v<std::decay_t<decltype(what)>, connect>)
          return decide_login(s, what, c.gateway, around);
        else if constexpr (std::is_same_v<std::decay_t<decltype(what)>, change_twin> ||
                           std::is_same_v<std::decay_t<decltype(what)>, override_status> ||
                           std::is_same_v<std::decay_t<decltype(what)>, retire_device>)
          return decide_on(s, what, c.actor, around);
        else
          return decide_on(s, what, around);
      },
      c.what);
  if (decided)
    settle_layers(s, c, around, *decided);
  return decided;
}

std::optional<timestamp> next_deadline(const state& s) {
  if (!s.alias().empty())
    return s.alias().look_at == timestamp{} ? std::nullopt : std::optional{s.alias().look_at};
  auto nearest = upgrade_deadline(s);
  for (const auto& c : *s.commands) {
    auto at = std::optional<timestamp>{};
    if (c.state == command_record::state_code::sent)
      at = c.sent_at + c.timeout;
    else if (c.pending_ttl.count() > 0)
      at = c.created_at + c.pending_ttl;
    if (at && (!nearest || *at < *nearest))
      nearest = at;
  }
  for (const auto& at :
       {session_deadline(s), certificate_deadline(s), override_deadline(s), purge_deadline(s)})
    if (at && (!nearest || *at < *nearest))
      nearest = at;
  return nearest;
}

bool is_telemetry(const event& e) {
  return std::holds_alternative<points_accepted>(e);
}

}  // namespace orrery::model::device
