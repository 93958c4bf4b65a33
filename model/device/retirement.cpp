// A device that is taken out of service: it loses at once all that it proves itself by and all that
// it is part of, and keeps what it is and was. So it stays until it is restored, or until its time
// is over and it is removed. Each step is one decision: there is nothing half done.
#include "model/device/decisions.hpp"
#include "model/merge_patch.hpp"

namespace orrery::model::device {
namespace {

constexpr std::uint8_t ceased = 5;  // cessationOfOperation: RFC 5280, 5.3.1
constexpr std::size_t max_reason_bytes = 256;

/// What waits for the device ends.
void end_work(const state& s, timestamp now, std::vector<event>& events) {
  for (const auto& c : *s.commands)
    events.push_back(finish(c, command_record::state_code::cancelled, now,
                            "the device was taken out of service"));
  const auto& task = s.firmware().task;
  if (!task || !task->is_unfinished())
    return;
  using state_code = upgrade_task::state_code;
  using reason_code = upgrade_task::reason_code;
  const auto has_begun = task->state == state_code::upgrading;
  events.push_back(upgrade_ended{has_begun ? state_code::failed : state_code::cancelled,
                                 has_begun ? reason_code::unknown : reason_code::none,
                                 {},
                                 {},
                                 now});
}

/// Its session ends, and what is kept of it; its certificates count no more.
void end_access(const state& s, timestamp now, std::vector<event>& events) {
  if (s.connection.online)
    events.push_back(disconnected{s.connection.session, "retired", now});
  else if (!s.shown().empty())
    events.push_back(override_ended{now});  // the end of a session ends it too
  if (s.keeps_session)
    events.push_back(subscriptions_changed{{}, true});
  for (const auto& c : s.certificates().all)
    if (c.state != certificate::state_code::revoked)
      events.push_back(certificate_revoked{c.sn, ceased, now});
}

/// What is desired of the device itself stays; what configurations of the fleet have laid below it
/// goes.
void drop_layers(const state& s, const std::string& actor, timestamp now,
                 std::vector<event>& events) {
  const auto& layers = s.layers();
  if (layers.empty())
    return;
  events.push_back(layers_changed{{}, {}, {}, now});
  if (!says_the_same(value{layers.own}, value{s.twin().desired}))
    events.push_back(twin_changed{layers.own, s.twin().desired_version + 1, actor, now});
}

/// Behind `retired`, whose effects tell those that it lets go.
void let_go(const state& s, timestamp now, std::vector<event>& events) {
  if (!s.gateway().empty())
    events.push_back(gateway_unbound{s.gateway().id, now});
  if (!s.mirrored().empty())
    events.push_back(mirror_ended{s.mirrored().source, now});
  if (s.sub_devices().empty())
    return;
  auto gone = sub_devices_changed{{}, now};
  for (const auto& [name, id] : s.sub_devices())
    gone.changes.emplace(name, std::nullopt);
  events.push_back(std::move(gone));
}

/// The device after those events, without telemetry.
device_snapshot snapshot_after(const state& s, const std::vector<event>& events,
                               const entity_id& self) {
  auto after = std::make_shared<state>(s);
  after->telemetry = {};
  for (const auto& e : events)
    device::apply(*after, e);
  return {self, std::move(after)};
}

/// Reads, the end of it, and what names, nodes and mirrors ask for their own sake.
template <class Order>
constexpr bool may_be_asked =
    std::is_same_v<Order, read_device> || std::is_same_v<Order, read_latest> ||
    std::is_same_v<Order, read_samples> || std::is_same_v<Order, read_firmware> ||
    std::is_same_v<Order, read_twin> || std::is_same_v<Order, read_file> ||
    std::is_same_v<Order, retire_device> || std::is_same_v<Order, restore_device> ||
    std::is_same_v<Order, remove_device> || std::is_same_v<Order, time_passed> ||
    std::is_same_v<Order, session_lost> || std::is_same_v<Order, review_layers> ||
    std::is_same_v<Order, cancel_upgrade> || std::is_same_v<Order, confirm_name> ||
    std::is_same_v<Order, forget_former_name> || std::is_same_v<Order, settle_name> ||
    std::is_same_v<Order, doubt_name> || std::is_same_v<Order, unlink_mirror>;

}  // namespace

status check_retirement(const state& s, const order& o) {
  if (s.retirement().empty())
    return {};
  return std::visit(
      [&](const auto& what) -> status {
        using order_type = std::decay_t<decltype(what)>;
        if constexpr (may_be_asked<order_type>)
          return {};
        else if constexpr (std::is_same_v<order_type, connect>)
          // As one that is not there: it has nothing that it could prove itself by.
          return failure{errc::not_found, "device_retired", label(s) + " is out of service"};
        else
          return failure{errc::conflict, "device_retired",
                         label(s) + " is out of service: restore it first"};
      },
      o);
}

removed removal_of(const state& s, timestamp now) {
  auto gone = removed{now, {}};
  for (const auto& c : s.certificates().all)
    gone.fingerprints.push_back(c.fingerprint);
  return gone;
}

result<decision> decide_on(const state& s, const retire_device& r, const std::string& actor,
                           const surroundings& around) {
  if (!s.retirement().empty())
    return refused(errc::conflict, "device_retired", label(s) + " is out of service already");
  if (r.reason.empty() || r.reason.size() > max_reason_bytes)
    return refused(errc::invalid_argument, "reason_required",
                   label(s) + ": say why, in 1 to 256 bytes");
  if (r.quarantine < milliseconds{0} || r.quarantine > longest_quarantine)
    return refused(errc::invalid_argument, "quarantine_invalid",
                   label(s) + ": it can be restored for 0 to 365 days");
  const auto now = around.now;
  auto d = decision{};
  end_work(s, now, d.events);
  end_access(s, now, d.events);
  drop_layers(s, actor, now, d.events);
  if (!s.groups().empty())
    d.events.push_back(groups_changed{{}, now});
  d.events.push_back(retired{{now, now + r.quarantine, actor, r.reason, s.groups()}});
  let_go(s, now, d.events);
  d.answer = snapshot_after(s, d.events, around.self);
  if (r.quarantine == milliseconds{0})
    d.events.push_back(removal_of(s, now));
  return d;
}

result<decision> decide_on(const state& s, const restore_device& r, const surroundings& around) {
  const auto owner = secret_owner(s.name());
  const auto secret = around.keys.open(r.secret, owner);
  if (!secret || secret->empty())  // sealed for another name, or with another master key
    return refused(errc::conflict, "rename_conflict",
                   label(s) + " has another name than the new secret is for: ask again");
  const auto& was = s.retirement();
  if (was.empty()) {
    if (!s.secret.empty() && around.keys.open(s.secret, owner) == secret)  // asked again
      return decision{{}, snapshot_after(s, {}, around.self)};
    return refused(errc::conflict, "not_retired", label(s) + " is in service");
  }
  if (around.now >= was.purge_at)
    return refused(errc::conflict, "state_conflict", label(s) + ": its quarantine is over");
  auto d = decision{};
  d.events.push_back(restored{r.secret, around.now});
  if (!was.groups.empty())
    d.events.push_back(groups_changed{was.groups, around.now});
  d.answer = snapshot_after(s, d.events, around.self);
  return d;
}

std::optional<timestamp> purge_deadline(const state& s) {
  if (s.retirement().empty())
    return std::nullopt;
  return s.retirement().purge_at;
}

}  // namespace orrery::model::device
