// What an event makes of a device.
#include <algorithm>

#include "model/device/device.hpp"

namespace orrery::model::device {
namespace {

constexpr std::size_t max_timed_out_kept = 8;

void merge(object& into, const object& changes) {
  for (const auto& [key, v] : changes)
    if (v.is_null())
      std::erase_if(into, [&gone = key](const auto& member) { return member.first == gone; });
    else
      set_member(into, key, v);
}

void merge(std::map<std::string, std::string>& into,
           const std::map<std::string, std::optional<std::string>>& changes) {
  for (const auto& [key, v] : changes)
    if (v)
      into[key] = *v;
    else
      into.erase(key);
}

void apply_on(state& s, const registered& e) {
  s.exists = true;
  s.deleted = false;
  s.called = naming{e.as.name, e.as.organisation};
  s.display_name = e.as.display_name;
  s.description = e.as.description;
  s.timezone = e.as.timezone;
  s.secret = e.as.secret;
  s.attributes = e.as.attributes;
  s.tags = e.as.tags;
  s.created_at = s.updated_at = e.at;
}

void apply_on(state& s, const updated& e) {
  if (e.changes.display_name)
    s.display_name = *e.changes.display_name;
  if (e.changes.description)
    s.description = *e.changes.description;
  if (e.changes.timezone)
    s.timezone = *e.changes.timezone;
  merge(s.attributes, e.changes.attributes);
  if (!e.changes.tags.empty())
    s.tags.change([&](auto& tags) { merge(tags, e.changes.tags); });
  s.updated_at = e.at;
}

void apply_on(state& s, const admin_state_set& e) {
  s.admin = e.now;
  s.admin_reason = e.reason;
  s.updated_at = e.at;
}

void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
  if (!s.certificates().empty() || !s.twin().empty() || !s.files().empty() || !s.groups().empty() ||
      !s.shown().empty() || !s.alias().empty() || !s.retirement().empty())
    s.family.change([](auto& f) {
      f.certificates = {};
      f.twin = {};
      f.files = {};
      f.groups = {};
      f.shown = {};
      f.alias = {};
      f.retirement = {};
    });
}

/// What really happens ends what somebody wants shown.
void show_as_it_is(state& s) {
  if (!s.shown().empty())
    s.family.change([](auto& f) { f.shown = {}; });
}

void apply_on(state& s, const secret_set& e) {
  s.old_secret = former_secret{s.secret, e.old_valid_until};
  s.secret = e.secret;
  if (!s.activation().fresh.empty())
    s.family.change([](auto& f) { f.activation = {}; });
}

void note_certificate_in_use(certificate_folder& folder, std::uint32_t sn) {
  folder.in_session = sn;
  for (auto& one : folder.all)
    if (one.sn == sn && one.state == certificate::state_code::issued)
      one.state = certificate::state_code::active;
}

void apply_on(state& s, const connected& e) {
  s.connection = {.online = true,
                  .secure = e.secure,
                  .by_gateway = e.by_gateway,
                  .protocol = e.protocol,
                  .session = e.session,
                  .address = e.address,
                  .since = e.at,
                  .reason = {}};
  s.session_epoch = e.session.epoch;
  s.keeps_session = e.keeps_session;
  if (e.keeps_session || !s.kept->empty())
    s.kept.change([&](auto& kept) {
      if (!e.resumed)
        kept.filters = {};
      kept.lasts = e.keeps_session ? e.session_lasts : milliseconds{0};
      kept.until = {};
    });
  s.last_online = e.at;
  show_as_it_is(s);
  if (e.first)
    s.activated_at = e.at;
  if (!s.certificates().empty())
    note_certificate_in_use(s.family.edit().certificates.edit(), e.certificate_sn);
}

void apply_on(state& s, const disconnected& e) {
  s.connection.online = false;
  s.connection.since = e.at;
  s.connection.reason = e.reason;
  s.last_offline = e.at;
  show_as_it_is(s);
  if (s.kept->lasts.count() > 0)
    s.kept.edit().until = e.at + s.kept->lasts;
}

void apply_on(state& s, const points_accepted& e) {
  apply_points(s, std::make_shared<const points_accepted>(e));
}

void apply_on(state&, const event_raised&) {}

void apply_on(state& s, const attributes_changed& e) {
  merge(s.attributes, e.changes);
  s.updated_at = e.at;
}

void apply_on(state& s, const tags_changed& e) {
  if (e.replace)
    s.tags = {};
  s.tags.change([&](auto& tags) { merge(tags, e.changes); });
  s.updated_at = e.at;
}

void take_number(state& s, const std::string& downlink_id) {
  auto number = std::uint64_t{0};
  for (const auto digit : downlink_id)
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  s.downlinks = number;
}

void apply_on(state& s, const command_queued& e) {
  s.commands.edit().push_back(e.what);
}

void apply_on(state& s, const command_sent& e) {
  auto& commands = s.commands.edit();
  const auto c =
      std::find_if(commands.begin(), commands.end(), [&](const auto& r) { return r.id == e.id; });
  if (c == commands.end())
    return;
  c->state = command_record::state_code::sent;
  c->downlink_id = e.downlink_id;
  c->sent_at = e.at;
  std::rotate(commands.begin(), c, c + 1);  // the one under way is first
  take_number(s, e.downlink_id);
}

void apply_on(state& s, const command_finished& e) {
  s.commands.change([&](auto& commands) {
    std::erase_if(commands, [&](const auto& r) { return r.id == e.what.id; });
  });
  if (e.what.state != command_record::state_code::timed_out || is_rrpc(e.what))
    return;
  auto& kept = s.timed_out.edit();
  kept.push_back(e.what);
  if (kept.size() > max_timed_out_kept)
    kept.erase(kept.begin());
}

void apply_on(state& s, const subscriptions_changed& e) {
  s.kept.change([&](auto& kept) {
    for (const auto& [filter, level] : e.changes)
      if (level)
        kept.filters[filter] = *level;
      else
        kept.filters.erase(filter);
    kept.lasts = e.lasts.value_or(kept.lasts);
  });
  if (e.ends_session) {
    s.keeps_session = false;
    s.kept = {};
  }
}

void apply_on(state& s, const command_delivered& e) {
  for (auto& c : s.commands.edit())
    if (c.id == e.id)
      c.delivered = true;
}

void apply_on(state& s, const gateway_bound& e) {
  s.family.edit().gateway = e.gateway;
  s.updated_at = e.at;
}

void apply_on(state& s, const gateway_unbound& e) {
  s.family.change([](auto& f) { f.gateway = {}; });
  s.updated_at = e.at;
}

void apply_on(state& s, const sub_devices_changed& e) {
  s.family.change([&](auto& f) {
    for (const auto& [name, id] : e.changes)
      if (id)
        f.sub_devices[name] = *id;
      else
        f.sub_devices.erase(name);
  });
}

void apply_on(state& s, const sub_device_noted& e) {
  if (e.what == device_notice::kind::deleted)
    s.family.change([&](auto& f) { f.sub_devices.erase(e.sub); });
  if (!e.downlink_id.empty())
    take_number(s, e.downlink_id);
}

void apply_on(state& s, const activation_granted& e) {
  auto& a = s.family.edit().activation;
  if (!a.fresh.empty())
    s.secret = a.fresh;  // perhaps the device has that one
  a.fresh = e.secret;
  a.granted_at = e.at;
}

void apply_on(state& s, const activation_settled& e) {
  if (e.fresh)
    s.secret = s.activation().fresh;
  s.family.change([](auto& f) { f.activation = {}; });
}

void apply_on(state& s, const activation_reopened& e) {
  s.family.edit().activation.reopened_until = e.until;
  s.updated_at = e.at;
}

void apply_on(state& s, const picture_reported& e) {
  auto& known = s.family.edit().picture;
  if (e.what.full)
    known = {};
  merge(known.nodes, e.what.nodes);
  merge(known.relations, e.what.relations);
  known.at = e.at;
}

void apply_on(state& s, const certificate_added& e) {
  auto& all = s.family.edit().certificates.edit().all;
  std::erase_if(all, [&](const certificate& one) {
    return std::find(e.dropped.begin(), e.dropped.end(), one.sn) != e.dropped.end();
  });
  for (auto& one : all)
    if (e.renews != 0 && one.sn == e.renews) {
      one.state = certificate::state_code::superseded;
      one.superseded_until = e.superseded_until;
    }
  all.push_back(e.what);
  s.updated_at = e.at;
}

void apply_on(state& s, const certificate_revoked& e) {
  for (auto& one : s.family.edit().certificates.edit().all)
    if (one.sn == e.sn) {
      one.state = e.reason == 6   ? certificate::state_code::held
                  : e.reason == 8 ? certificate::state_code::active
                                  : certificate::state_code::revoked;
      one.reason = e.reason == 8 ? std::uint8_t{0} : e.reason;
    }
  s.updated_at = e.at;
}

void apply_on(state& s, const certificate_expiring& e) {
  for (auto& one : s.family.edit().certificates.edit().all)
    if (one.sn == e.sn)
      one.warned = e.days;
}

firmware_state& firmware_of(state& s) {
  return s.family.edit().firmware.edit();
}

void apply_on(state& s, const version_reported& e) {
  auto& f = firmware_of(s);
  f.version = e.version;
  f.reported_at = e.at;
  const auto has_rebooted = f.task && f.task->state == upgrade_task::state_code::upgrading &&
                            f.task->phase == upgrade_task::step_code::rebooting;
  if (has_rebooted && f.task->wrong_since == timestamp{} && e.version != f.task->image.version)
    f.task->wrong_since = e.at;
}

void apply_on(state& s, const upgrade_offered& e) {
  firmware_of(s).task = e.what;
}

// The other events of a task follow its offer.
template <class F>
void change_task(state& s, F f) {
  if (s.firmware().task)
    f(*firmware_of(s).task);
}

void apply_on(state& s, const upgrade_published& e) {
  change_task(s, [&](upgrade_task& t) {
    t.state = upgrade_task::state_code::published;
    t.published_at = e.at;
  });
  if (!e.downlink_id.empty())
    take_number(s, e.downlink_id);
}

void apply_on(state& s, const upgrade_progressed& e) {
  change_task(s, [&](upgrade_task& t) {
    if (t.state != upgrade_task::state_code::upgrading)
      t.upgrading_at = e.at;
    t.state = upgrade_task::state_code::upgrading;
    t.progress = std::max(t.progress, e.progress);
    t.phase = t.progress >= 100 ? upgrade_task::step_code::rebooting
                                : upgrade_task::step_code::downloading;
    t.step = e.step;
    t.note = e.note;
  });
}

void apply_on(state& s, const upgrade_ended& e) {
  change_task(s, [&](upgrade_task& t) {
    t.late = e.as == upgrade_task::state_code::succeeded && !t.is_unfinished();
    t.state = e.as;
    t.reason = e.reason;
    t.finished_at = e.at;
    t.wrong_since = {};
    if (!e.step.empty()) {
      t.step = e.step;
      t.note = e.note;
    }
  });
}

void apply_on(state& s, const upgrade_retried&) {
  change_task(s, [&](upgrade_task& t) {
    auto again = upgrade_task{.job = std::move(t.job),
                              .image = std::move(t.image),
                              .deliver = t.deliver,
                              .timeout = t.timeout,
                              .step = {},
                              .note = {},
                              .attempt = t.attempt + 1,
                              .offered_at = t.offered_at};
    t = std::move(again);
  });
}

void apply_on(state& s, const twin_changed& e) {
  auto& t = s.family.edit().twin.edit();
  t.desired = e.desired;
  t.desired_version = e.version;
  t.desired_by = e.by;
  t.desired_at = e.at;
  if (t.history.size() >= max_twin_versions)
    t.history.erase(t.history.begin());
  t.history.push_back({e.version, e.by, e.at, {}});
}

void apply_on(state& s, const layers_changed& e) {
  s.family.change([&](auto& f) {
    if (e.all.empty()) {
      f.layers = layering{};
      return;
    }
    auto& layers = f.layers.edit();
    layers.all = e.all;
    if (e.common)
      layers.common = *e.common;
    if (e.own)
      layers.own = *e.own;
  });
}

void apply_on(state& s, const twin_reported& e) {
  auto& t = s.family.edit().twin.edit();
  t.reported = e.reported;
  t.reported_version = e.version;
  t.applied_version = e.applied;
  t.reported_at = e.at;
  for (auto& v : t.history)
    if (v.version == e.applied && v.applied_at == timestamp{})
      v.applied_at = e.at;
}

void apply_on(state& s, const twin_pushed& e) {
  take_number(s, e.downlink_id);
}

void apply_on(state& s, const file_added& e) {
  auto& all = s.family.edit().files.edit().all;
  std::erase_if(all, [&](const file_record& f) {
    return std::find(e.dropped.begin(), e.dropped.end(), f.id) != e.dropped.end();
  });
  all.push_back(e.what);
}

void apply_on(state& s, const file_stored& e) {
  for (auto& f : s.family.edit().files.edit().all)
    if (f.id == e.id) {
      f.state = file_record::state_code::stored;
      f.sha256 = e.sha256;
      f.md5 = e.md5;
      f.stored_at = e.at;
    }
}

void apply_on(state& s, const file_removed& e) {
  s.family.change([&](auto& f) {
    f.files.change([&](auto& folder) {
      std::erase_if(folder.all, [&](const file_record& one) { return one.id == e.id; });
    });
  });
}

void apply_on(state& s, const groups_changed& e) {
  s.family.change([&](auto& f) { f.groups = e.groups; });
  s.updated_at = e.at;
}

void apply_on(state& s, const status_overridden& e) {
  s.family.edit().shown = e.what;
}

void apply_on(state& s, const override_ended&) {
  show_as_it_is(s);
}

void apply_on(state& s, const renamed& e) {
  s.called = naming{e.name, s.organisation()};
  s.secret = e.secret;
  if (e.replaces)
    s.old_secret = {};
  else if (!s.old_secret->empty())
    s.old_secret.edit().secret = e.former;
  auto& f = s.family.edit();
  if (e.replaces && !f.twin->empty()) {
    // What the thing before had reported is not how this one is configured.
    auto& t = f.twin.edit();
    t.applied_version = 0;
    if (!t.reported.empty())
      ++t.reported_version;
    t.reported = {};
    t.reported_at = {};
  }
  if (e.replaces)
    f.activation = {};
  else
    f.activation.fresh = e.fresh;
  auto& r = f.renaming.edit();
  ++r.renames;
  if (r.alias != entity_id{})
    r.former = r.alias;
  r.former_name = e.before;
  r.alias = e.alias;
  s.updated_at = e.at;
}

void apply_on(state& s, const rename_prevented& e) {
  s.family.edit().renaming.edit().renames = e.renames;
}

void apply_on(state& s, const former_name_forgotten&) {
  auto& r = s.family.edit().renaming.edit();
  r.former.reset();
  r.former_name.reset();
}

void apply_on(state& s, const name_reserved& e) {
  s.exists = true;
  s.called = naming{e.what.name, e.what.organisation};
  s.created_at = s.updated_at = e.at;
  s.family.edit().alias =
      name_alias{e.what.device, e.what.renames, e.at + alias_patience, timestamp{}};
}

void apply_on(state& s, const name_doubted& e) {
  auto& a = s.family.edit().alias.edit();
  a.looked_at = e.at;
  a.look_at = e.at + alias_patience;
}

void apply_on(state& s, const name_settled& e) {
  auto& a = s.family.edit().alias.edit();
  a.looked_at = e.at;
  a.look_at = {};
}

void apply_on(state& s, const retired& e) {
  s.secret = {};
  s.old_secret = {};
  s.family.change([&](auto& f) {
    f.activation = {};
    f.groups = {};
    f.shown = {};
    f.retirement = e.what;
  });
  s.updated_at = e.what.at;
}

void apply_on(state& s, const restored& e) {
  s.secret = e.secret;
  s.activated_at.reset();
  s.family.change([](auto& f) { f.retirement = {}; });
  s.updated_at = e.at;
}

void apply_on(state& s, const mirror_set& e) {
  s.family.edit().mirrored = e.what;
  s.updated_at = std::max(s.updated_at, e.what.since);
}

void apply_on(state& s, const mirror_ended& e) {
  s.family.change([](auto& f) { f.mirrored = {}; });
  s.updated_at = e.at;
}

void apply_on(state& s, const mirrors_changed& e) {
  s.family.change([&](auto& f) { f.mirrors = e.all; });
}

void apply_on(state& s, const emigrated& e) {
  apply_on(s, e.what);
  s.called = naming{e.what.name, e.organisation};
}

void apply_on(state& s, const late_reply_noted& e) {
  for (auto& c : s.timed_out.edit())
    if (c.id == e.what.id)
      c = e.what;
}

}  // namespace

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
}

namespace {

using latest_points_of = std::vector<latest_point>;

latest_points_of::iterator find(latest_points_of& latest, const std::string& id) {
  return std::lower_bound(
      latest.begin(), latest.end(), id,
      [](const latest_point& l, const std::string& wanted) { return l.id.text() < wanted; });
}

bool is_at(const latest_points_of& latest, latest_points_of::const_iterator at,
           const std::string& id) {
  return at != latest.end() && at->id.text() == id;
}

/// Room for all that `one` brings for the first time, and no more: a device keeps it for long.
void make_room(latest_points_of& latest, const sample& one) {
  const auto news = std::count_if(one.points.begin(), one.points.end(), [&](const auto& p) {
    return !is_at(latest, find(latest, p.id), p.id);
  });
  latest.reserve(latest.size() + static_cast<std::size_t>(news));
}

}  // namespace

void apply_points(state& s, std::shared_ptr<const points_accepted> batch) {
  auto& t = s.telemetry;
  for (const auto& one : batch->samples)
    for (const auto& p : one.points) {
      auto at = find(t.latest, p.id);
      if (!is_at(t.latest, at, p.id)) {
        if (t.latest.size() == t.latest.capacity()) {
          make_room(t.latest, one);
          at = find(t.latest, p.id);
        }
        at = t.latest.insert(
            at, {.id = point_name{p.id}, .v = {}, .time = timestamp::min(), .server_time = {}});
      }
      if (one.time >= at->time) {
        at->v = p.v;
        at->quality = p.quality;
        at->time = one.time;
        at->server_time = batch->at;
      }
      ++t.unsaved_points;
    }
  s.last_data = std::max(s.last_data, batch->at);
  t.unsaved.push_back(std::move(batch));
}

}  // namespace orrery::model::device
