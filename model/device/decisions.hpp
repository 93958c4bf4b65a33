// What the decisions about a device share. For model/device alone.
#pragma once

#include <string>
#include <vector>

#include "model/device/device.hpp"

namespace orrery::model::device {

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;  // clang 14 deduces no aggregates

inline result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

inline std::string label(const state& s) {
  return s.name().product_key + "/" + s.name().device_key;
}

inline decision only(event e, reply answer = done{}) {
  auto d = decision{{}, std::move(answer)};
  d.events.push_back(std::move(e));
  return d;
}

/// The command of the queue that is under way; null: none.
const command_record* outstanding(const state& s);
/// The next number of a message to the device, as text.
std::string next_downlink_id(const state& s, timestamp now);
/// Adds the event that sends the next waiting command, if after `events` the device is there and
/// nothing is under way.
void send_next_after(const state& s, timestamp now, std::vector<event>& events);
command_finished finish(command_record c, command_record::state_code as, timestamp now,
                        std::string message);
/// What follows when the device's session ends.
decision leave(const state& s, std::string_view reason, timestamp now);
/// True if the device is on-line through that connection, whatever the login.
bool is_connected_by(const state& s, const session_ref& connection);
/// Whether a session, or a gateway's connection, may give that order.
status check_session(const state& s, const command& c);

// rrpc.cpp
result<decision> decide_rrpc(const state& s, const command_record& asked,
                             const surroundings& around);

// login.cpp
/// When what is kept of a session goes: nothing while it has a connection, or if it lasts without
/// end.
std::optional<timestamp> session_deadline(const state& s);
result<decision> decide_login(const state& s, const connect& c, const std::optional<entity_id>& by,
                              const surroundings& around);
result<decision> decide_on(const state& s, const reopen_activation& r, const surroundings& around);

// certificates.cpp
result<decision> decide_on(const state& s, const add_certificate& a, const surroundings& around);
result<decision> decide_on(const state& s, const revoke_certificate& r, const surroundings& around);
/// The days whose warning's time has come by `now`; not_warned: none yet.
std::uint8_t warning_due(const certificate& c, timestamp now);
/// When the next warning of a certificate's end is due; nothing: there is none to come.
std::optional<timestamp> certificate_deadline(const state& s);
/// Adds the warnings that are due.
void warn_of_ends(const state& s, timestamp now, std::vector<event>& events);

// gateway.cpp
result<decision> decide_on(const state& s, const bind_gateway& b, const surroundings& around);
result<decision> decide_on(const state& s, const unbind_gateway& u, const surroundings& around);
result<decision> decide_on(const state& s, const change_sub_devices& c, const surroundings& around);
result<decision> decide_on(const state& s, const note_sub_device& n, const surroundings& around);
result<decision> decide_on(const state& s, const report_picture& r, const surroundings& around);

// firmware.cpp
result<decision> decide_on(const state& s, const offer_upgrade& o, const surroundings& around);
result<decision> decide_on(const state& s, const cancel_upgrade& c, const surroundings& around);
result<decision> decide_on(const state& s, const retry_upgrade& r, const surroundings& around);
result<decision> decide_on(const state& s, const report_version& r, const surroundings& around);
result<decision> decide_on(const state& s, const report_progress& r, const surroundings& around);
result<decision> decide_on(const state& s, const ask_upgrade& a, const surroundings& around);
result<decision> decide_on(const state& s, const read_firmware& r, const surroundings& around);
/// As much of the state after `events` as messages to the device depend on.
state outlook(const state& s, const std::vector<event>& events);
/// Adds the event that pushes the firmware that waits, if after `events` the device is there.
void publish_after(const state& s, timestamp now, std::vector<event>& events);
/// The task runs out of time then; nothing: it has all the time there is.
std::optional<timestamp> upgrade_deadline(const state& s);
/// Adds the end of a task whose time is over.
void end_late_upgrade(const state& s, timestamp now, std::vector<event>& events);

// twin.cpp
result<decision> decide_on(const state& s, const change_twin& c, const std::string& actor,
                           const surroundings& around);
result<decision> decide_on(const state& s, const report_twin& r, const surroundings& around);
result<decision> decide_on(const state& s, const read_twin& r, const surroundings& around);
/// Adds the event that pushes how the device is to be configured, if after `events` it is there and
/// has not said that it is so.
void push_twin_after(const state& s, timestamp now, std::vector<event>& events);
/// Whether that can be desired of the device: no larger and no deeper than a document may be, and
/// what its model has as attributes is of their types.
status check_desired(const object& document, const surroundings& around);

// layers.cpp
/// What configurations of the fleet make of a decision: other ones may be for the device after it,
/// or they are in another state.
void settle_layers(const state& s, const command& c, const surroundings& around, decision& d);
// standing.cpp
result<decision> decide_on(const state& s, const change_groups& c, const surroundings& around);
result<decision> decide_on(const state& s, const kick_device& k, const surroundings& around);
result<decision> decide_on(const state& s, const override_status& o, const std::string& actor,
                           const surroundings& around);
result<decision> decide_on(const state& s, const end_override& e, const surroundings& around);
/// When the status that it is shown with ends; nothing: it is shown as it is.
std::optional<timestamp> override_deadline(const state& s);

// names.cpp
result<decision> decide_on(const state& s, const reserve_name& r, const surroundings& around);
result<decision> decide_on(const state& s, const rename_device& r, const surroundings& around);
result<decision> decide_on(const state& s, const confirm_name& c, const surroundings& around);
result<decision> decide_on(const state& s, const forget_former_name& f, const surroundings& around);
result<decision> decide_on(const state& s, const settle_name& n, const surroundings& around);
result<decision> decide_on(const state& s, const doubt_name& d, const surroundings& around);
/// What becomes of an alias as time goes by.
result<decision> look_after_alias(const state& s, const surroundings& around);

// retirement.cpp
result<decision> decide_on(const state& s, const retire_device& r, const std::string& actor,
                           const surroundings& around);
result<decision> decide_on(const state& s, const restore_device& r, const surroundings& around);
/// When a retired device is removed; nothing: it is in service.
std::optional<timestamp> purge_deadline(const state& s);
/// Whether that may be asked of the device: of one that is out of service little but reading.
status check_retirement(const state& s, const order& o);
/// The event that ends a device.
removed removal_of(const state& s, timestamp now);

// mirror.cpp
result<decision> decide_on(const state& s, const set_mirror& m, const surroundings& around);
result<decision> decide_on(const state& s, const end_mirror& m, const surroundings& around);
result<decision> decide_on(const state& s, const link_mirror& l, const surroundings& around);
result<decision> decide_on(const state& s, const unlink_mirror& l, const surroundings& around);

// emigration.cpp
result<decision> decide_on(const state& s, const emigrate_device& e, const surroundings& around);

// files.cpp
result<decision> decide_on(const state& s, const add_file& a, const surroundings& around);
result<decision> decide_on(const state& s, const store_file& f, const surroundings& around);
result<decision> decide_on(const state& s, const remove_file& r, const surroundings& around);
result<decision> decide_on(const state& s, const read_file& r, const surroundings& around);

// login.cpp, gateway.cpp
/// True if `secret` (sealed for this device) gives the proof's digest.
bool secret_proves(const sealed_secret& secret, const login_proof& proof, const state& s,
                   const surroundings& around);
/// True if one of the secrets that count now does.
bool own_secret_proves(const login_proof& proof, const state& s, const surroundings& around);

}  // namespace orrery::model::device
