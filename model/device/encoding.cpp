// Events, snapshots and rows of a device as bytes: an old form is read for ever, a new one gets a
// new version.
//
//   events   version u8 (1) | events (model/encoding.hpp)
//   state    version u8 (1) | revision varint | fields
//   latest   version u8 (1) | revision varint | last data time | points
//   command  version u8 (1) | fields
#include "model/device/device.hpp"
#include "model/kind_encoding.hpp"

namespace orrery::model::device {

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
  return std::tie(x.online, x.session, x.protocol, x.address, x.secure, x.since, x.reason);
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
  return std::tie(x.at);
}
template <field_of<secret_set> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.old_valid_until);
}
template <field_of<connected> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.protocol, x.address, x.secure, x.first, x.keeps_session, x.resumed,
                  x.at);
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
  return std::tie(x.changes);
}
template <field_of<command_delivered> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<naming> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.organisation);
}
template <field_of<state> X>
auto fields_of(X& s) {
  return std::tie(s.exists, s.deleted, s.called, s.display_name, s.description, s.timezone, s.admin,
                  s.admin_reason, s.created_at, s.updated_at, s.activated_at, s.secret,
                  s.old_secret, s.old_secret_until, s.attributes, s.tags, s.connection,
                  s.session_epoch, s.downlinks, s.last_online, s.last_offline, s.commands,
                  s.timed_out, s.keeps_session, s.subscriptions);
}

namespace {

constexpr std::uint8_t version = 1;

failure damaged(std::string_view what) {
  return {errc::corrupted,
          "device " + std::string{what} + " does not decode: damaged, or of a newer version"};
}

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "device");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "device");
}

std::string encode_latest(const telemetry& t, std::uint64_t revision, timestamp last_data) {
  auto out = byte_writer{};
  out.u8(version);
  out.varint(revision);
  out.time(last_data);
  write(out, t.latest);
  return out.take();
}

result<std::uint64_t> decode_latest(std::string_view bytes, telemetry& t, timestamp& last_data) {
  auto in = byte_reader{bytes};
  if (in.u8() != version)
    return damaged("latest values");
  const auto revision = in.varint();
  last_data = in.time();
  t.latest.clear();
  read(in, t.latest);
  if (!in.ok() || !in.at_end())
    return damaged("latest values");
  return revision;
}

std::string encode_command(const command_record& c) {
  return write_versioned(version, c);
}

result<command_record> decode_command(std::string_view bytes) {
  auto c = command_record{};
  if (!read_versioned(version, bytes, c))
    return damaged("command");
  return c;
}

}  // namespace orrery::model::device
