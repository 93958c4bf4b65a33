// What the structs of a device are made of, for its encodings: on disk (encoding.cpp) and between
// nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's alternatives;
// new ones come last, and with a new version of what has them.
#pragma once

#include "model/device/device.hpp"
#include "model/encoding.hpp"

namespace orrery::model::device {

constexpr auto range_of(admin_state) {
  return std::pair{admin_state::enabled, admin_state::disabled};
}
constexpr auto range_of(protocol) {
  return std::pair{protocol::none, protocol::coap};
}
constexpr auto range_of(command_record::form) {
  return std::pair{command_record::form::service, command_record::form::rrpc};
}
constexpr auto range_of(login_secret) {
  return std::pair{login_secret::device, login_secret::either};
}
constexpr auto range_of(certificate::state_code) {
  return std::pair{certificate::state_code::issued, certificate::state_code::revoked};
}
constexpr auto range_of(file_record::state_code) {
  return std::pair{file_record::state_code::pending, file_record::state_code::stored};
}
constexpr auto range_of(command_record::state_code) {
  return std::pair{command_record::state_code::queued, command_record::state_code::timed_out};
}

constexpr auto range_of(status_override::status_code) {
  return std::pair{status_override::status_code::inactive, status_override::status_code::offline};
}

constexpr auto range_of(applied_layer::state_code) {
  return std::pair{applied_layer::state_code::pending, applied_layer::state_code::refused};
}

constexpr auto range_of(upgrade_task::state_code) {
  return std::pair{upgrade_task::state_code::pending, upgrade_task::state_code::cancelled};
}
constexpr auto range_of(upgrade_task::step_code) {
  return std::pair{upgrade_task::step_code::none, upgrade_task::step_code::rebooting};
}
constexpr auto range_of(upgrade_task::reason_code) {
  return std::pair{upgrade_task::reason_code::none, upgrade_task::reason_code::wrong_version};
}

template <field_of<upgrade_task> X>
auto fields_of(X& x) {
  return std::tie(x.job, x.image, x.deliver, x.timeout, x.state, x.phase, x.progress, x.reason,
                  x.late, x.step, x.note, x.attempt, x.offered_at, x.published_at, x.upgrading_at,
                  x.finished_at, x.wrong_since);
}
template <field_of<command_record> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.type, x.element, x.input, x.actor, x.timeout, x.pending_ttl, x.state,
                  x.created_at, x.sent_at, x.finished_at, x.downlink_id, x.delivered, x.waiter,
                  x.code, x.output, x.message, x.late_reply);
}
template <field_of<register_device> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.organisation, x.display_name, x.description, x.timezone, x.secret,
                  x.attributes, x.tags);
}
template <field_of<update_device> X>
auto fields_of(X& x) {
  return std::tie(x.display_name, x.description, x.timezone, x.attributes, x.tags);
}
template <field_of<connection_state> X>
auto fields_of(X& x) {
  return std::tie(x.online, x.session, x.protocol, x.address, x.secure, x.since, x.reason,
                  x.by_gateway);
}
template <field_of<latest_point> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.v, x.quality, x.time, x.server_time);
}
template <field_of<registered> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<updated> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<admin_state_set> X>
auto fields_of(X& x) {
  return std::tie(x.now, x.reason, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at, x.fingerprints);
}
template <field_of<secret_set> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.old_valid_until);
}
template <field_of<connected> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.protocol, x.address, x.secure, x.first, x.keeps_session, x.resumed,
                  x.at, x.by_gateway, x.certificate_sn, x.session_lasts);
}
template <field_of<disconnected> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.reason, x.at);
}
template <field_of<points_accepted> X>
auto fields_of(X& x) {
  return std::tie(x.samples, x.backfill, x.at);
}
template <field_of<event_raised> X>
auto fields_of(X& x) {
  return std::tie(x.event, x.level, x.output, x.time, x.at);
}
template <field_of<attributes_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<tags_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.replace, x.at);
}
template <field_of<command_queued> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<command_sent> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.downlink_id, x.at);
}
template <field_of<command_finished> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<late_reply_noted> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<subscriptions_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.ends_session, x.lasts);
}
template <field_of<kept_session> X>
auto fields_of(X& x) {
  return std::tie(x.filters, x.lasts, x.until);
}
template <field_of<command_delivered> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<gateway_link> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name);
}
template <field_of<gateway_bound> X>
auto fields_of(X& x) {
  return std::tie(x.gateway, x.at);
}
template <field_of<gateway_unbound> X>
auto fields_of(X& x) {
  return std::tie(x.gateway, x.at);
}
template <field_of<sub_devices_changed> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<sub_device_noted> X>
auto fields_of(X& x) {
  return std::tie(x.sub, x.what, x.downlink_id, x.at);
}
template <field_of<activation_granted> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.at);
}
template <field_of<activation_settled> X>
auto fields_of(X& x) {
  return std::tie(x.fresh, x.at);
}
template <field_of<activation_reopened> X>
auto fields_of(X& x) {
  return std::tie(x.until, x.at);
}
template <field_of<report_picture> X>
auto fields_of(X& x) {
  return std::tie(x.nodes, x.relations, x.full);
}
template <field_of<picture_reported> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.at);
}
template <field_of<certificate> X>
auto fields_of(X& x) {
  return std::tie(x.sn, x.issuer, x.serial, x.fingerprint, x.subject, x.not_before, x.not_after,
                  x.state, x.reason, x.pem, x.superseded_until, x.warned);
}
template <field_of<certificate_folder> X>
auto fields_of(X& x) {
  return std::tie(x.all, x.in_session);
}
template <field_of<certificate_added> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.renews, x.superseded_until, x.dropped, x.at, x.dropped_fingerprints);
}
template <field_of<certificate_revoked> X>
auto fields_of(X& x) {
  return std::tie(x.sn, x.reason, x.at);
}
template <field_of<certificate_expiring> X>
auto fields_of(X& x) {
  return std::tie(x.sn, x.days, x.not_after, x.at);
}
template <field_of<version_reported> X>
auto fields_of(X& x) {
  return std::tie(x.version, x.before, x.at);
}
template <field_of<upgrade_offered> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<upgrade_published> X>
auto fields_of(X& x) {
  return std::tie(x.downlink_id, x.at);
}
template <field_of<upgrade_progressed> X>
auto fields_of(X& x) {
  return std::tie(x.progress, x.step, x.note, x.at);
}
template <field_of<upgrade_ended> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.reason, x.step, x.note, x.at);
}
template <field_of<upgrade_retried> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<file_record> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.size, x.sha256, x.md5, x.state, x.actor, x.created_at,
                  x.stored_at);
}
template <field_of<file_folder> X>
auto fields_of(X& x) {
  return std::tie(x.all);
}
template <field_of<file_added> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.dropped);
}
template <field_of<file_stored> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.sha256, x.md5, x.at);
}
template <field_of<file_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.at);
}
template <field_of<firmware_state> X>
auto fields_of(X& x) {
  return std::tie(x.version, x.reported_at, x.task);
}
template <field_of<twin_version> X>
auto fields_of(X& x) {
  return std::tie(x.version, x.by, x.at, x.applied_at);
}
template <field_of<twin_state> X>
auto fields_of(X& x) {
  return std::tie(x.desired, x.reported, x.desired_version, x.reported_version, x.applied_version,
                  x.desired_at, x.reported_at, x.desired_by, x.history);
}
template <field_of<twin_changed> X>
auto fields_of(X& x) {
  return std::tie(x.desired, x.version, x.by, x.at);
}
template <field_of<twin_reported> X>
auto fields_of(X& x) {
  return std::tie(x.reported, x.version, x.applied, x.at);
}
template <field_of<twin_pushed> X>
auto fields_of(X& x) {
  return std::tie(x.downlink_id, x.at);
}
template <field_of<applied_layer> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.version, x.state, x.reason);
}
template <field_of<layering> X>
auto fields_of(X& x) {
  return std::tie(x.all, x.common, x.own);
}
template <field_of<layers_changed> X>
auto fields_of(X& x) {
  return std::tie(x.all, x.common, x.own, x.at);
}
template <field_of<status_override> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.until, x.by, x.at);
}
template <field_of<groups_changed> X>
auto fields_of(X& x) {
  return std::tie(x.groups, x.at);
}
template <field_of<status_overridden> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<override_ended> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<renaming> X>
auto fields_of(X& x) {
  return std::tie(x.renames, x.alias, x.former, x.former_name);
}
template <field_of<name_alias> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.renames, x.look_at, x.looked_at);
}
template <field_of<reserve_name> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.organisation, x.device, x.renames);
}
template <field_of<renamed> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.before, x.alias, x.replaces, x.secret, x.fresh, x.former, x.at);
}
template <field_of<rename_prevented> X>
auto fields_of(X& x) {
  return std::tie(x.renames);
}
template <field_of<name_reserved> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.at);
}
template <field_of<name_doubted> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<name_settled> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<retirement> X>
auto fields_of(X& x) {
  return std::tie(x.at, x.purge_at, x.by, x.reason, x.groups);
}
template <field_of<mirroring> X>
auto fields_of(X& x) {
  return std::tie(x.source, x.points, x.since);
}
template <field_of<mirror_link> X>
auto fields_of(X& x) {
  return std::tie(x.mirror, x.name, x.points);
}
template <field_of<retired> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<restored> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.at);
}
template <field_of<mirror_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<mirror_ended> X>
auto fields_of(X& x) {
  return std::tie(x.source, x.at);
}
template <field_of<mirrors_changed> X>
auto fields_of(X& x) {
  return std::tie(x.all, x.at);
}
template <field_of<emigrated> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.organisation, x.before);
}
template <field_of<activation> X>
auto fields_of(X& x) {
  return std::tie(x.fresh, x.granted_at, x.reopened_until);
}
template <field_of<network_picture> X>
auto fields_of(X& x) {
  return std::tie(x.nodes, x.relations, x.at);
}
// What a snapshot has behind its fields: `renaming`, `alias` and those behind them (encoding.cpp).
template <field_of<family> X>
auto fields_of(X& x) {
  return std::tie(x.activation, x.gateway, x.sub_devices, x.picture, x.certificates, x.firmware,
                  x.twin, x.files, x.groups, x.shown, x.layers);
}
template <field_of<naming> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.organisation);
}
template <field_of<former_secret> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.until);
}
template <field_of<state> X>
auto fields_of(X& s) {
  return std::tie(s.exists, s.deleted, s.called, s.display_name, s.description, s.timezone, s.admin,
                  s.admin_reason, s.created_at, s.updated_at, s.activated_at, s.secret,
                  s.old_secret, s.attributes, s.tags, s.connection, s.session_epoch, s.downlinks,
                  s.last_online, s.last_offline, s.commands, s.timed_out, s.keeps_session, s.kept,
                  s.family);
}

// Between nodes.

template <field_of<set_admin_state> X>
auto fields_of(X& x) {
  return std::tie(x.wanted, x.reason);
}
template <field_of<reset_secret> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.overlap);
}
template <field_of<presented_certificate> X>
auto fields_of(X& x) {
  return std::tie(x.issuer, x.serial, x.fingerprint, x.not_after);
}
template <field_of<connect> X>
auto fields_of(X& x) {
  return std::tie(x.proof, x.keeps_session, x.resumes, x.session, x.protocol, x.address, x.secure,
                  x.secret, x.fresh, x.presented, x.session_lasts);
}
template <field_of<add_certificate> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.renews, x.overlap);
}
template <field_of<revoke_certificate> X>
auto fields_of(X& x) {
  return std::tie(x.sn, x.serial, x.reason);
}
template <field_of<certificate_bound> X>
auto fields_of(X& x) {
  return std::tie(x.sn);
}
template <field_of<disconnect> X>
auto fields_of(X& x) {
  return std::tie(x.reason);
}
template <field_of<session_lost> X>
auto fields_of(X& x) {
  return std::tie(x.node_incarnation);
}
template <field_of<posted_sample> X>
auto fields_of(X& x) {
  return std::tie(x.time, x.points);
}
template <field_of<report_points> X>
auto fields_of(X& x) {
  return std::tie(x.samples, x.backfill, x.skip_invalid, x.allow_offline);
}
template <field_of<report_event> X>
auto fields_of(X& x) {
  return std::tie(x.event, x.output, x.time);
}
template <field_of<change_attributes> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.side);
}
template <field_of<change_tags> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.replace);
}
template <field_of<send_command> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<complete_command> X>
auto fields_of(X& x) {
  return std::tie(x.downlink_id, x.code, x.output, x.message);
}
template <field_of<cancel_commands> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<read_latest> X>
auto fields_of(X& x) {
  return std::tie(x.ids);
}
template <field_of<read_samples> X>
auto fields_of(X& x) {
  return std::tie(x.from, x.to);
}
template <field_of<change_subscriptions> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.ends_session, x.lasts);
}
template <field_of<note_delivered> X>
auto fields_of(X& x) {
  return std::tie(x.downlink_id);
}
template <field_of<bind_gateway> X>
auto fields_of(X& x) {
  return std::tie(x.gateway, x.organisation, x.proof, x.dry_run);
}
template <field_of<unbind_gateway> X>
auto fields_of(X& x) {
  return std::tie(x.gateway, x.dry_run, x.while_online);
}
template <field_of<change_sub_devices> X>
auto fields_of(X& x) {
  return std::tie(x.changes);
}
template <field_of<note_sub_device> X>
auto fields_of(X& x) {
  return std::tie(x.sub, x.what);
}
template <field_of<reopen_activation> X>
auto fields_of(X& x) {
  return std::tie(x.lasts);
}
template <field_of<offer_upgrade> X>
auto fields_of(X& x) {
  return std::tie(x.job, x.image, x.deliver, x.timeout, x.unknown_version);
}
template <field_of<cancel_upgrade> X>
auto fields_of(X& x) {
  return std::tie(x.job);
}
template <field_of<retry_upgrade> X>
auto fields_of(X& x) {
  return std::tie(x.job);
}
template <field_of<report_version> X>
auto fields_of(X& x) {
  return std::tie(x.version);
}
template <field_of<report_progress> X>
auto fields_of(X& x) {
  return std::tie(x.step, x.note);
}
template <field_of<change_twin> X>
auto fields_of(X& x) {
  return std::tie(x.patch, x.replace, x.expected);
}
template <field_of<report_twin> X>
auto fields_of(X& x) {
  return std::tie(x.patch, x.replace, x.applied);
}

template <field_of<change_groups> X>
auto fields_of(X& x) {
  return std::tie(x.add, x.remove);
}
template <field_of<override_status> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.until);
}
template <field_of<rename_device> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.alias, x.renames, x.replaces, x.secret, x.fresh, x.former);
}
template <field_of<retire_device> X>
auto fields_of(X& x) {
  return std::tie(x.reason, x.quarantine);
}
template <field_of<restore_device> X>
auto fields_of(X& x) {
  return std::tie(x.secret);
}
template <field_of<set_mirror> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<end_mirror> X>
auto fields_of(X& x) {
  return std::tie(x.source);
}
template <field_of<link_mirror> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<unlink_mirror> X>
auto fields_of(X& x) {
  return std::tie(x.mirror);
}
template <field_of<emigrate_device> X>
auto fields_of(X& x) {
  return std::tie(x.to, x.organisation);
}
template <field_of<confirm_name> X>
auto fields_of(X& x) {
  return std::tie(x.alias, x.renames);
}
template <field_of<forget_former_name> X>
auto fields_of(X& x) {
  return std::tie(x.alias);
}
template <field_of<settle_name> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.renames, x.held);
}
template <field_of<name_standing> X>
auto fields_of(X& x) {
  return std::tie(x.held, x.renames, x.name, x.former, x.gateway, x.former_name);
}
template <field_of<file_limits> X>
auto fields_of(X& x) {
  return std::tie(x.most_files, x.most_bytes, x.most_bytes_each);
}
template <field_of<add_file> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.limits);
}
template <field_of<store_file> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.size, x.sha256, x.md5);
}
template <field_of<remove_file> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<read_file> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<file_status> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.organisation, x.what);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.session, x.actor, x.expected_revision, x.gateway);
}
template <field_of<connection_granted> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.epoch, x.organisation, x.resumed, x.subscriptions, x.gateway,
                  x.activated);
}
template <field_of<latest_points> X>
auto fields_of(X& x) {
  return std::tie(x.points);
}
template <field_of<unsaved_samples> X>
auto fields_of(X& x) {
  return std::tie(x.batches);
}
template <field_of<command_accepted> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<commands_cancelled> X>
auto fields_of(X& x) {
  return std::tie(x.ids);
}
template <field_of<device_bound> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<firmware_status> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.what);
}
template <field_of<upgrades_offered> X>
auto fields_of(X& x) {
  return std::tie(x.images);
}
template <field_of<twin_status> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.layers);
}
template <field_of<points_taken> X>
auto fields_of(X& x) {
  return std::tie(x.dropped);
}

}  // namespace orrery::model::device
