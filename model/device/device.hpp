// A device: everything that may be asked of it, everything that can happen to it, and what it is.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/cow.hpp"
#include "model/credentials.hpp"
#include "model/effect.hpp"
#include "model/firmware.hpp"
#include "model/ids.hpp"
#include "model/point_name.hpp"
#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::model::device {

enum class admin_state : std::uint8_t { enabled = 0, disabled = 1 };
enum class protocol : std::uint8_t { none = 0, mqtt = 1, http = 2, coap = 3 };
/// Whose secret a login is signed with. `either`: a gateway did not say so for its sub-device.
enum class login_secret : std::uint8_t { device = 0, product = 1, either = 2 };
/// What a product demands of a device that connects itself: its secret, a certificate that is bound
/// to it, or both.
enum class login_demand : std::uint8_t { secret = 0, certificate = 1, both = 2 };

/// A certificate that is bound to the device.
struct certificate {
  enum class state_code : std::uint8_t {
    issued = 0,  // never used
    active = 1,
    superseded = 2,  // renewed: counts until `superseded_until`
    held = 3,        // for a while not
    revoked = 4
  };
  std::uint32_t sn = 0;     // 1 to 2^31 - 1, its handle among those of the device
  std::string issuer;       // hex key id of the authority
  std::string serial;       // hex
  std::string fingerprint;  // hex SHA-256
  std::string subject;      // as RFC 2253 writes it
  timestamp not_before{}, not_after{};
  state_code state = state_code::issued;
  std::uint8_t reason = 0;  // of RFC 5280, 5.3.1; for held and revoked ones
  std::string pem;
  timestamp superseded_until{};
  std::uint8_t warned = not_warned;  // of its end: the days that were left, as last told
  static constexpr std::uint8_t not_warned = 255;
  bool operator==(const certificate&) const = default;
};
inline constexpr std::size_t max_certificates = 8;

/// A file of the device: what it is called and what is in it. The bytes are elsewhere, by `sha256`.
struct file_record {
  enum class state_code : std::uint8_t {
    pending = 0,  // its bytes may still come
    stored = 1
  };
  std::string id;           // 16 to 32 lower-case hex digits
  std::string name;         // as whoever gave it calls it
  std::uint64_t size = 0;   // bytes
  std::string sha256, md5;  // lower-case hex; of a pending one those that it must have, or nothing
  state_code state = state_code::pending;
  std::string actor;  // who asked for it
  timestamp created_at, stored_at{};
  bool operator==(const file_record&) const = default;
};
/// How many files a device may have, and how large: the settings of the node that is asked.
struct file_limits {
  std::uint64_t most_files = 100;
  std::uint64_t most_bytes = 1024ull * 1024 * 1024;  // all of them together
  std::uint64_t most_bytes_each = 100ull * 1024 * 1024;
  bool operator==(const file_limits&) const = default;
};
inline constexpr std::size_t max_files = 1'000;  // whatever the limits say
/// What has not come by then is lost.
inline constexpr milliseconds file_patience{std::chrono::hours{1}};

/// What a peer has proved to have by its TLS handshake.
struct presented_certificate {
  std::string issuer, serial, fingerprint;  // as of `certificate`
  timestamp not_after{};
};

struct latest_point {
  point_name id;
  value v;
  std::int8_t quality = -1;
  timestamp time;         // the device's
  timestamp server_time;  // of acceptance
  bool operator==(const latest_point&) const = default;
};

/// A service call or point write on its way through the queue, or free bytes beside it (states and
/// numbers as the wire protocol has them).
struct command_record {
  enum class state_code : std::uint8_t {
    queued = 1,
    cancelled = 2,
    expired = 3,
    sent = 4,
    succeeded = 5,
    failed = 6,
    timed_out = 7
  };
  enum class form : std::uint8_t { service = 0, points = 1, read = 2, rrpc = 3 };
  entity_id id;
  form type = form::service;
  std::string element;  // service id; empty for points
  object input;         // of `read`: the points asked for, as members; of `rrpc`: free_bytes
  std::string actor;    // who asked
  milliseconds timeout{30'000};
  milliseconds pending_ttl{0};
  state_code state = state_code::queued;
  timestamp created_at, sent_at{}, finished_at{};
  std::string downlink_id;  // set when sent
  bool delivered = false;   // acknowledged by the transport; only kept sessions tell
  waiter_ref waiter;
  int code = 0;  // the device's answer
  value output;
  std::string message;
  std::optional<value> late_reply;
  bool operator==(const command_record&) const = default;
};

inline bool is_rrpc(const command_record& c) {
  return c.type == command_record::form::rrpc;
}
inline constexpr std::size_t max_rrpc_bytes = 65'536;  // either way
inline constexpr int max_rrpc_open = 8;                // of one device at a time
/// Bytes as input and output of such a command have them: {"payload": text} or {"base64": text}.
std::optional<std::string> free_bytes(const value& from);

/// One device's part in a job that brings a firmware to many. Which version it has is what it
/// reports itself: that alone makes a success.
struct upgrade_task {
  enum class state_code : std::uint8_t {
    pending = 0,    // not told yet
    published = 1,  // told, or asked and was told; nothing heard of it since
    upgrading = 2,
    succeeded = 3,
    failed = 4,
    cancelled = 5
  };
  enum class step_code : std::uint8_t { none = 0, downloading = 1, rebooting = 2 };
  enum class reason_code : std::uint8_t {
    none = 0,
    unknown = 1,
    download = 2,
    verify = 3,
    write = 4,
    declined = 5,
    timeout = 6,
    wrong_version = 7
  };
  std::string job;
  firmware_image image;
  delivery deliver = delivery::push;
  milliseconds timeout{7'200'000};  // from `upgrading_at`
  state_code state = state_code::pending;
  step_code phase = step_code::none;
  std::uint8_t progress = 0;  // percent; never falls in one attempt
  reason_code reason = reason_code::none;
  bool late = false;       // succeeded after it had failed
  std::string step, note;  // as the device last said them
  std::uint32_t attempt = 1;
  timestamp offered_at{}, published_at{}, upgrading_at{}, finished_at{};
  timestamp wrong_since{};  // it was to have rebooted, and reported another version

  bool is_unfinished() const { return state < state_code::succeeded; }
  bool operator==(const upgrade_task&) const = default;
};

/// One version of what is desired: who wrote it, and when the device said that it has it.
struct twin_version {
  std::uint64_t version = 0;
  std::string by;
  timestamp at{}, applied_at{};
  bool operator==(const twin_version&) const = default;
};
inline constexpr std::size_t max_twin_versions = 50;

/// How the device is to be configured (`desired`: by configurations of the fleet and, above them,
/// by what is desired of it alone), and how it says that it is (`reported`). A version counts the
/// changes of its document; 0: there was none.
struct twin_state {
  object desired, reported;
  std::uint64_t desired_version = 0, reported_version = 0;
  std::uint64_t applied_version = 0;  // the desired one that the device has, as it says
  timestamp desired_at{}, reported_at{};
  std::string desired_by;
  std::vector<twin_version> history;  // the last max_twin_versions, oldest first
  bool empty() const { return desired_version == 0 && reported_version == 0; }
  bool operator==(const twin_state&) const = default;
};
inline constexpr std::size_t max_twin_bytes = 32'768;  // of each document, as compact JSON
inline constexpr std::size_t max_twin_depth = 8;
/// What is desired and not reported.
object delta_of(const twin_state& t);

/// A configuration of the fleet as a device has it.
struct applied_layer {
  enum class state_code : std::uint8_t {
    pending = 0,  // the device has not said that it has it
    agreed = 1,   // what it reports is what is asked for
    drifted = 2,  // it has said that it has all that is desired, and reports something else
    refused = 3   // it cannot be desired of this device: `reason`
  };
  std::string id;
  std::uint64_t version = 0;
  state_code state = state_code::pending;
  std::string reason;
  bool operator==(const applied_layer&) const = default;
};
/// What configurations of the fleet ask for, below what is desired of the device itself.
struct layering {
  std::vector<applied_layer> all;  // a later one wins
  object common;                   // what they ask for together
  object own;                      // what is desired of the device itself; empty without layers
  bool empty() const { return all.empty(); }
  bool operator==(const layering&) const = default;
};
inline constexpr std::size_t max_layers = 32;  // that one device has; more of them are refused
/// "pending", "agreed", "drifted" or "refused".
std::string_view name_of(applied_layer::state_code s);

/// The status that a device is shown with, whatever its connection says, until its next login or
/// logout or the end of that time.
struct status_override {
  enum class status_code : std::uint8_t { inactive = 0, online = 1, offline = 2 };
  status_code as = status_code::inactive;
  timestamp until{};
  std::string by;
  timestamp at{};
  bool empty() const { return until == timestamp{}; }
  bool operator==(const status_override&) const = default;
};
inline constexpr milliseconds longest_override{std::chrono::hours{24 * 30}};

inline constexpr std::size_t max_groups = 32;  // that one device is put into

/// That a device was given another name. From the name that it has an alias leads to it, in the
/// shard of that name.
struct renaming {
  std::uint64_t renames = 0;  // so often it was, or was kept from it
  entity_id alias;            // none: it has the name that it was registered with
  // The alias of the name before, and that name as its gateway knows it, until both are dealt with.
  std::optional<entity_id> former;
  std::optional<device_name> former_name;
  bool empty() const { return renames == 0; }
  bool operator==(const renaming&) const = default;
};
/// An entity that is no device but a name that one has, or is to be given.
struct name_alias {
  entity_id device;
  std::uint64_t renames = 0;  // renaming::renames of the device when the name was reserved
  timestamp look_at{};        // then it is looked whether the device has the name; none: it has
  timestamp looked_at{};
  bool empty() const { return device == entity_id{}; }
  bool operator==(const name_alias&) const = default;
};
/// A name that was reserved and not given is looked after that often.
inline constexpr milliseconds alias_patience{std::chrono::seconds{10}};

/// The device is out of service: it proves itself by nothing any more, is in no list, and can be
/// restored until `purge_at`, when it is removed.
struct retirement {
  timestamp at{}, purge_at{};
  std::string by, reason;
  std::vector<std::string> groups;  // that it was in
  bool empty() const { return at == timestamp{}; }
  bool operator==(const retirement&) const = default;
};
inline constexpr milliseconds usual_quarantine{std::chrono::hours{24 * 30}};
inline constexpr milliseconds longest_quarantine{std::chrono::hours{24 * 365}};

/// A device that has no data of its own: whoever reads its points is shown those of another one.
struct mirroring {
  entity_id source;
  std::map<std::string, std::string>
      points;  // by its own ids, the source's; empty: all as they are
  timestamp since{};
  bool empty() const { return since == timestamp{}; }
  bool operator==(const mirroring&) const = default;
};
/// Who shows the points of a device: its feed is told of them in their names too.
struct mirror_link {
  entity_id mirror;
  device_name name;
  std::map<std::string, std::string> points;  // as mirroring::points
  bool operator==(const mirror_link&) const = default;
};
inline constexpr std::size_t max_mirrors = 16;           // of one device
inline constexpr std::size_t max_mirrored_points = 500;  // that are named

// ---- commands -----------------------------------------------------------------------------------

struct register_device {
  device_name name;
  std::string organisation;
  std::string display_name, description, timezone;
  sealed_secret secret;
  object attributes;
  std::map<std::string, std::string> tags;
};
struct update_device {
  std::optional<std::string> display_name, description, timezone;
  object attributes;                                       // null takes away
  std::map<std::string, std::optional<std::string>> tags;  // nothing takes away
};
struct set_admin_state {
  admin_state wanted;
  std::string reason;
};
struct remove_device {};
struct reset_secret {
  sealed_secret secret;
  milliseconds overlap{0};  // the old one stays valid that long
};
/// A kept session's filters, each with what its transport keeps of it (MQTT: quality of service and
/// options).
using subscription_map = std::map<std::string, std::uint64_t>;
/// What a device keeps of a session while it has no connection.
struct kept_session {
  subscription_map filters;
  milliseconds lasts{0};  // after the end of the connection; 0: without end
  timestamp until{};      // if it does not last without end: set when the connection ends
  bool empty() const { return filters.empty() && lasts.count() == 0; }
  bool operator==(const kept_session&) const = default;
};
struct connect {
  login_proof proof;
  bool keeps_session = false;  // subscriptions and undelivered messages outlive the connection
  bool resumes = false;        // what the last connection left goes on
  session_ref session;         // epoch 0: the device gives the next one
  device::protocol protocol = protocol::mqtt;
  std::string address;
  bool secure = false;  // came over TLS
  login_secret secret = login_secret::device;
  sealed_secret fresh;  // what the device gets if it proves itself by its product's secret
  std::optional<presented_certificate> presented = {};
  milliseconds session_lasts{0};  // of a session that is kept: kept_session::lasts
};
/// A device that others connect through.
struct gateway_link {
  entity_id id;
  device_name name;
  bool empty() const { return name.device_key.empty(); }
  bool operator==(const gateway_link&) const = default;
};
/// Makes it a sub-device of `gateway`.
struct bind_gateway {
  gateway_link gateway;
  std::string organisation;          // the gateway's
  std::optional<login_proof> proof;  // nothing: an application asks for it
  bool dry_run = false;              // only look whether it could be
};
struct unbind_gateway {
  entity_id gateway;
  bool dry_run = false;
  bool while_online = false;  // it is logged out first
};
/// For a gateway: who its sub-devices are; nothing takes away.
struct change_sub_devices {
  std::map<device_name, std::optional<entity_id>> changes;
};
/// For a gateway: something happened to one of its sub-devices.
struct note_sub_device {
  device_name sub;
  device_notice::kind what = device_notice::kind::enabled;
};
/// The device may be activated once more, for a time.
struct reopen_activation {
  milliseconds lasts{std::chrono::hours{24}};
};
/// What the nodes behind a gateway are, as it last told: merged into what is known, or all of it.
struct report_picture {
  object nodes;      // by node id
  object relations;  // children of a node id
  bool full = false;
};
/// Binds a certificate to the device.
struct add_certificate {
  certificate what;          // without handle and state; times in whole seconds
  std::uint32_t renews = 0;  // the handle of its predecessor; 0: none
  milliseconds overlap{0};   // the predecessor counts that long
};
/// By its handle, or by its serial number. Reason 6 holds it, and 8 lets a held one count again
/// (RFC 5280, 5.3.1).
struct revoke_certificate {
  std::uint32_t sn = 0;
  std::string serial;  // hex; counts if `sn` is 0
  std::uint8_t reason = 0;
};
struct disconnect {
  std::string_view reason;  // static text: "client", "keep_alive", "socket", "taken_over", ...
};
/// A node's incarnation is gone: its sessions are too.
struct session_lost {
  std::uint64_t node_incarnation;
};
struct posted_sample {
  std::optional<timestamp> time;  // nothing: when it is accepted
  std::vector<posted_point> points;
};
struct report_points {
  std::vector<posted_sample> samples;
  bool backfill = false;       // recovered history: never a newer latest value's rival
  bool skip_invalid = false;   // drop bad points, keep the rest
  bool allow_offline = false;  // a gateway's word for a sub-device that has not logged in
};
struct report_event {
  std::string event;
  object output;
  std::optional<timestamp> time;
};
struct change_attributes {
  object changes;  // null takes away
  thing_model::side side = thing_model::side::device;
};
struct change_tags {
  std::map<std::string, std::optional<std::string>> changes;  // nothing takes away
  bool replace = false;                                       // all others go
};
struct send_command {
  command_record what;  // id, type, element, input, actor, timeout, pending_ttl, waiter
};
/// For a session that is kept; nothing takes away.
struct change_subscriptions {
  std::map<std::string, std::optional<std::uint64_t>> changes;
  bool ends_session = false;               // it is kept no longer
  std::optional<milliseconds> lasts = {};  // another time from now on: kept_session::lasts
};
/// The transport has acknowledged that message: a resumed session does not get it again.
struct note_delivered {
  std::string downlink_id;
};
struct complete_command {
  std::string downlink_id;
  int code = 0;  // 0 and 200 are success
  value output;
  std::string message;
};
struct cancel_commands {
  std::optional<entity_id> id;  // nothing: all that wait
};
struct time_passed {};
/// A job gives the device a firmware. Offering it again is no second task.
struct offer_upgrade {
  std::string job;
  firmware_image image;
  delivery deliver = delivery::push;
  milliseconds timeout{7'200'000};
  bool unknown_version = false;  // also to one that never said which version it has
};
/// Before the device has begun.
struct cancel_upgrade {
  std::string job;
};
/// After it has failed.
struct retry_upgrade {
  std::string job;
};
/// The device says which version it runs.
struct report_version {
  std::string version;
};
/// "0" to "100", or a negative number or word for what went wrong; `note`: the device's words.
struct report_progress {
  std::string step, note;
};
/// The device asks what there is for it.
struct ask_upgrade {};
/// What is desired of the device: a merge patch (RFC 7396), or all of it.
struct change_twin {
  object patch;
  bool replace = false;
  std::optional<std::uint64_t> expected;  // version of what is desired
};
/// What the device says of itself, likewise. `applied`: the version of what is desired that it has.
struct report_twin {
  object patch;
  bool replace = false;
  std::optional<std::uint64_t> applied;
};
/// Looks which configurations of the fleet are for the device, and takes them up.
struct review_layers {};
/// Puts the device into groups, and takes it out of others: what is in both is taken out.
struct change_groups {
  std::vector<std::string> add, remove;
};
/// Ends its session; it may come back at once.
struct kick_device {};
struct override_status {
  status_override::status_code as = status_override::status_code::inactive;
  timestamp until;
};
struct end_override {};
/// Reserves a name for a device, in the name's shard: makes an alias.
struct reserve_name {
  device_name name;
  std::string organisation;
  entity_id device;
  std::uint64_t renames = 0;  // renaming::renames of the device
};
/// Gives the device the name that an alias has been reserved for. All that it proves itself by ends
/// where `replaces`; else it keeps its secrets, which come sealed for the new name.
struct rename_device {
  device_name name;
  entity_id alias;
  std::uint64_t renames = 0;
  bool replaces = false;
  sealed_secret secret;
  sealed_secret fresh, former;  // activation::fresh, former_secret; empty where there is none
};
/// Whether the device has the name of that alias. If not it will not be given it any more.
struct confirm_name {
  entity_id alias;
  std::uint64_t renames = 0;
};
/// The alias of the name before is gone, and its gateway knows the new name.
struct forget_former_name {
  entity_id alias;  // of the name that it has
};
/// For an alias that was reserved before the device had been renamed `renames` times: its device
/// has the name, or not, and then the alias goes.
struct settle_name {
  entity_id device;
  std::uint64_t renames = 0;
  bool held = false;
};
/// For an alias: somebody wants the name. Is it held still?
struct doubt_name {};
/// Takes the device out of service: see `retirement`.
struct retire_device {
  std::string reason;
  milliseconds quarantine = usual_quarantine;  // 0 to longest_quarantine; 0: it is removed at once
};
/// Lets a retired device come again, with a new secret, as one that was never activated.
struct restore_device {
  sealed_secret secret;
};
/// Makes the device one that shows another.
struct set_mirror {
  mirroring what;  // `since` is not read
};
struct end_mirror {
  std::optional<entity_id> source;  // only if it is that one's mirror
};
/// For the source: it is shown by that one, or not any more.
struct link_mirror {
  mirror_link what;
};
struct unlink_mirror {
  entity_id mirror;
};
/// Gives the device to another organisation, under a product of it.
struct emigrate_device {
  rename_device to;
  std::string organisation;
};
/// A file is to come.
struct add_file {
  file_record what;  // id, name, size, digests where they are known
  file_limits limits;
};
/// It has come, and is kept. A file gets its bytes once.
struct store_file {
  std::string id;
  std::uint64_t size = 0;
  std::string sha256, md5;
};
struct remove_file {
  std::string id;
};

// Reads: answered in the order of what was asked before.
struct read_device {};
struct read_latest {
  std::vector<std::string> ids;  // empty: all
};
struct read_firmware {};
struct read_twin {};
struct read_file {
  std::string id;
};
/// Samples that are not in the store yet.
struct read_samples {
  timestamp from, to;
};

using order =
    std::variant<register_device, update_device, set_admin_state, remove_device, reset_secret,
                 connect, disconnect, session_lost, report_points, report_event, change_attributes,
                 change_tags, send_command, complete_command, cancel_commands, time_passed,
                 read_device, read_latest, read_samples, change_subscriptions, note_delivered,
                 bind_gateway, unbind_gateway, change_sub_devices, note_sub_device,
                 reopen_activation, report_picture, add_certificate, revoke_certificate,
                 offer_upgrade, cancel_upgrade, retry_upgrade, report_version, report_progress,
                 ask_upgrade, read_firmware, change_twin, report_twin, read_twin, add_file,
                 store_file, remove_file, read_file, change_groups, kick_device, override_status,
                 end_override, review_layers, reserve_name, rename_device, confirm_name,
                 forget_former_name, settle_name, doubt_name, retire_device, restore_device,
                 set_mirror, end_mirror, link_mirror, unlink_mirror, emigrate_device>;

/// An order and who gives it. A session's orders are refused once it is no longer the device's
/// session; `session.number` 0: an application or the service itself, named by `actor`.
struct command {
  order what;
  session_ref session;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;  // If-Match
  std::optional<entity_id> gateway =
      {};  // it speaks for the device; `session` is its connection then
};

// ---- events: journaled, numbered for ever
// --------------------------------------------------------

struct registered {
  register_device as;
  timestamp at;
};
struct updated {
  update_device changes;
  timestamp at;
};
struct admin_state_set {
  admin_state now;
  std::string reason;
  timestamp at;
};
struct removed {
  timestamp at;
  std::vector<std::string> fingerprints = {};  // of its certificates
};
struct secret_set {
  sealed_secret secret;
  timestamp old_valid_until;
};
struct connected {
  session_ref session;
  device::protocol protocol;
  std::string address;
  bool secure;
  bool first;  // activates the device
  bool keeps_session;
  bool resumed;  // what the last session kept goes on
  timestamp at;
  bool by_gateway = false;
  std::uint32_t certificate_sn = 0;  // of that by which it came; 0: by none
  milliseconds session_lasts{0};     // kept_session::lasts
};
struct disconnected {
  session_ref session;
  std::string reason;
  timestamp at;
};
struct points_accepted {
  std::vector<sample> samples;
  bool backfill;
  timestamp at;
};
struct event_raised {
  std::string event;
  std::uint8_t level;  // event_spec::severity
  object output;
  timestamp time, at;
};
struct attributes_changed {
  object changes;
  timestamp at;
};
struct tags_changed {
  std::map<std::string, std::optional<std::string>> changes;
  bool replace;
  timestamp at;
};
struct command_queued {
  command_record what;
};
struct command_sent {
  entity_id id;
  std::string downlink_id;
  timestamp at;
};
struct command_finished {
  command_record what;  // as it ended
};
struct late_reply_noted {
  command_record what;
};
struct subscriptions_changed {
  std::map<std::string, std::optional<std::uint64_t>> changes;
  bool ends_session = false;
  std::optional<milliseconds> lasts = {};
};
struct command_delivered {
  entity_id id;
};
struct gateway_bound {
  gateway_link gateway;
  timestamp at;
};
struct gateway_unbound {
  entity_id gateway;
  timestamp at;
};
struct sub_devices_changed {
  std::map<device_name, std::optional<entity_id>> changes;
  timestamp at;
};
struct sub_device_noted {
  device_name sub;
  device_notice::kind what;
  std::string downlink_id;  // empty: the gateway is not there to be told
  timestamp at;
};
/// It proved itself by its product's secret and is told a secret of its own.
struct activation_granted {
  sealed_secret secret;
  timestamp at;
};
/// Which of two secrets counts from now on: the one of the activation, or the one before.
struct activation_settled {
  bool fresh;
  timestamp at;
};
struct activation_reopened {
  timestamp until;
  timestamp at;
};
struct picture_reported {
  report_picture what;
  timestamp at;
};
struct certificate_added {
  certificate what;
  std::uint32_t renews;        // 0: none
  timestamp superseded_until;  // of that one
  std::vector<std::uint32_t> dropped;
  timestamp at;
  std::vector<std::string> dropped_fingerprints = {};
};
struct certificate_revoked {
  std::uint32_t sn;
  std::uint8_t reason;
  timestamp at;
};
/// It ends in so many days or less: 30, 7, 1; 0: it has ended, and nobody was there to tell before.
struct certificate_expiring {
  std::uint32_t sn;
  std::uint8_t days;
  timestamp not_after;
  timestamp at;
};

struct version_reported {
  std::string version, before;  // before: "" the first time
  timestamp at;
};
struct upgrade_offered {
  upgrade_task what;
};
/// It is claimed before it is sent, so that no attempt is sent twice.
struct upgrade_published {
  std::string downlink_id;  // empty: the device has asked for it
  timestamp at;
};
struct upgrade_progressed {
  std::uint8_t progress = 0;
  std::string step, note;
  timestamp at;
};
struct upgrade_ended {
  upgrade_task::state_code as = upgrade_task::state_code::failed;
  upgrade_task::reason_code reason = upgrade_task::reason_code::none;
  std::string step, note;  // empty: not by a report
  timestamp at;
};
struct upgrade_retried {
  timestamp at;
};
struct twin_changed {
  object desired;  // all of it
  std::uint64_t version = 0;
  std::string by;
  timestamp at;
};
struct twin_reported {
  object reported;  // all of it
  std::uint64_t version = 0;
  std::uint64_t applied = 0;
  timestamp at;
};
struct twin_pushed {
  std::string downlink_id;
  timestamp at;
};
struct file_added {
  file_record what;
  std::vector<std::string> dropped;  // that never came
};
struct file_stored {
  std::string id, sha256, md5;
  timestamp at;
};
struct file_removed {
  std::string id;
  timestamp at;
};

struct groups_changed {
  std::vector<std::string> groups;  // all that it is in now, in order
  timestamp at;
};
struct status_overridden {
  status_override what;
};
/// By somebody, or because its time is over; a login or logout ends it without this.
struct override_ended {
  timestamp at;
};
struct renamed {
  device_name name, before;
  entity_id alias;
  bool replaces = false;  // another thing has its place, and a secret of its own
  sealed_secret secret, fresh, former;
  timestamp at;
};
/// That often it counts as renamed, so that a name reserved before is not given to it any more.
struct rename_prevented {
  std::uint64_t renames = 0;
};
struct former_name_forgotten {};
// Of an alias.
struct name_reserved {
  reserve_name what;
  timestamp at;
};
struct name_doubted {
  timestamp at;
};
struct name_settled {
  timestamp at;
};

/// Other configurations are for the device, they are in another state, or something else is desired
/// of the device itself below them.
struct layers_changed {
  std::vector<applied_layer> all;
  std::optional<object> common, own;  // nothing: as before
  timestamp at;
};

struct retired {
  retirement what;
};
struct restored {
  sealed_secret secret;
  timestamp at;
};
struct mirror_set {
  mirroring what;
};
struct mirror_ended {
  entity_id source;
  timestamp at;
};
struct mirrors_changed {
  std::vector<mirror_link> all;
  timestamp at;
};
struct emigrated {
  renamed what;
  std::string organisation, before;
};

using event = std::variant<
    registered, updated, admin_state_set, removed, secret_set, connected, disconnected,
    points_accepted, event_raised, attributes_changed, tags_changed, command_queued, command_sent,
    command_finished, late_reply_noted, subscriptions_changed, command_delivered, gateway_bound,
    gateway_unbound, sub_devices_changed, sub_device_noted, activation_granted, activation_settled,
    activation_reopened, picture_reported, certificate_added, certificate_revoked, version_reported,
    upgrade_offered, upgrade_published, upgrade_progressed, upgrade_ended, upgrade_retried,
    twin_changed, twin_reported, twin_pushed, file_added, file_stored, file_removed,
    certificate_expiring, groups_changed, status_overridden, override_ended, layers_changed,
    renamed, rename_prevented, former_name_forgotten, name_reserved, name_doubted, name_settled,
    retired, restored, mirror_set, mirror_ended, mirrors_changed, emigrated>;

// ---- state
// ---------------------------------------------------------------------------------------

// Millions of these may be in memory: what most devices do not have is a `cow`, which takes no room
// where it is empty.

struct connection_state {
  bool online = false;
  bool secure = false;
  bool by_gateway = false;  // the session is that of its gateway's connection
  device::protocol protocol = protocol::none;
  session_ref session;
  std::string address;
  timestamp since{};
  cow<std::string> reason;  // why it went offline
  bool operator==(const connection_state&) const = default;
};

/// What is in the `latest` and `series` families, and not in the snapshot of the entity.
struct telemetry {
  std::vector<latest_point> latest;                             // sorted by id
  std::vector<std::shared_ptr<const points_accepted>> unsaved;  // in order of acceptance
  std::size_t unsaved_points = 0;
};

/// What a device is called, shared with all that is published of it.
struct naming {
  device_name name;
  std::string organisation;
  bool operator==(const naming&) const = default;
};

/// A secret that was handed out and not used yet.
struct activation {
  sealed_secret fresh;  // empty: none
  timestamp granted_at{};
  timestamp reopened_until{};
  bool empty() const { return fresh.empty() && reopened_until == timestamp{}; }
  bool operator==(const activation&) const = default;
};
/// The nodes behind a gateway, as it told.
struct network_picture {
  object nodes, relations;
  timestamp at{};
  bool empty() const { return at == timestamp{}; }
  bool operator==(const network_picture&) const = default;
};
/// Its certificates, and by which of them its session came.
struct certificate_folder {
  std::vector<certificate> all;  // oldest first, at most max_certificates
  std::uint32_t in_session = 0;  // a handle; 0: none
  bool empty() const { return all.empty(); }
  const certificate* find(std::uint32_t sn) const;
  const certificate* find_serial(std::string_view serial) const;
  /// By fingerprint, serial number and issuer, where the certificate says who that is.
  const certificate* find_shown(const presented_certificate& shown) const;
  bool operator==(const certificate_folder&) const = default;
};
using sub_device_map = std::map<device_name, entity_id>;

/// What the device runs, and what it is to install: its newest task, unfinished or over.
struct firmware_state {
  std::string version;  // empty: it never said
  timestamp reported_at{};
  std::optional<upgrade_task> task;
  bool empty() const { return version.empty() && !task; }
  bool operator==(const firmware_state&) const = default;
};

/// Its files, oldest first.
struct file_folder {
  std::vector<file_record> all;
  bool empty() const { return all.empty(); }
  const file_record* find(std::string_view id) const;
  bool operator==(const file_folder&) const = default;
};

/// What only gateways, sub-devices, devices on their way to a secret and those with certificates,
/// firmware, configurations, files, groups or another name have, those that are shown with another
/// status, mirrors and what they show, and what is out of service.
struct family {
  device::activation activation;
  gateway_link gateway;        // whose sub-device it is; empty: nobody's
  sub_device_map sub_devices;  // of a gateway
  network_picture picture;     // of a gateway
  cow<certificate_folder> certificates;
  cow<firmware_state> firmware;
  cow<twin_state> twin;
  cow<file_folder> files;
  cow<std::vector<std::string>> groups;  // ids, in order, none twice
  cow<status_override> shown;
  cow<layering> layers;
  cow<device::renaming> renaming;
  cow<name_alias> alias;  // it is no device, but leads to one
  cow<device::retirement> retirement;
  cow<mirroring> mirrored;                // it shows another device
  cow<std::vector<mirror_link>> mirrors;  // that show it, by id, none twice
  bool empty() const {
    return activation.empty() && gateway.empty() && sub_devices.empty() && picture.empty() &&
           certificates->empty() && firmware->empty() && twin->empty() && files->empty() &&
           groups->empty() && shown->empty() && layers->empty() && renaming->empty() &&
           alias->empty() && retirement->empty() && mirrored->empty() && mirrors->empty();
  }
  bool operator==(const family&) const = default;
};

/// The secret before this one, which still counts.
struct former_secret {
  sealed_secret secret;
  timestamp until{};
  bool empty() const { return secret.empty(); }
  bool operator==(const former_secret&) const = default;
};

struct state {
  bool exists = false;
  bool deleted = false;
  bool keeps_session = false;
  admin_state admin = admin_state::enabled;
  cow<naming> called;
  std::string display_name;
  cow<std::string> description, timezone, admin_reason;
  timestamp created_at{}, updated_at{};
  std::optional<timestamp> activated_at;
  sealed_secret secret;
  cow<former_secret> old_secret;
  object attributes;
  cow<std::map<std::string, std::string>> tags;
  connection_state connection;
  std::uint64_t session_epoch = 0;
  cow<kept_session> kept;
  std::uint64_t downlinks = 0;  // last downlink id given
  timestamp last_online{}, last_offline{}, last_data{};
  cow<std::vector<command_record>> commands;   // queued or sent, in order; the sent one is first
  cow<std::vector<command_record>> timed_out;  // the last few: a late reply finds its record
  cow<device::family> family;
  device::telemetry telemetry;

  const device_name& name() const { return called->name; }
  const std::string& organisation() const { return called->organisation; }
  const device::activation& activation() const { return family->activation; }
  const gateway_link& gateway() const { return family->gateway; }
  const sub_device_map& sub_devices() const { return family->sub_devices; }
  const certificate_folder& certificates() const { return *family->certificates; }
  const firmware_state& firmware() const { return *family->firmware; }
  const twin_state& twin() const { return *family->twin; }
  const file_folder& files() const { return *family->files; }
  const std::vector<std::string>& groups() const { return *family->groups; }
  const status_override& shown() const { return *family->shown; }
  const layering& layers() const { return *family->layers; }
  const device::renaming& renaming() const { return *family->renaming; }
  const name_alias& alias() const { return *family->alias; }
  const device::retirement& retirement() const { return *family->retirement; }
  const mirroring& mirrored() const { return *family->mirrored; }
  const std::vector<mirror_link>& mirrors() const { return *family->mirrors; }
};

/// True for what an alias answers itself. All else is meant for the device that it leads to.
bool is_for_alias(const order& o);

/// What a device's secrets are sealed for (keyring::seal).
std::string secret_owner(const device_name& name);

/// True if a login signed with the product's secret may still hand out a secret of its own.
bool may_be_activated(const state& s, timestamp now);

/// "issued", "active", "superseded", "held", "revoked" or "expired".
std::string_view status_of(const certificate& c, timestamp now);

/// "pending", "stored" or "lost".
std::string_view status_of(const file_record& f, timestamp now);
/// What points and events call it: "enos-connect://" and its id, with the ending of its name.
std::string uri_of(const file_record& f);
/// The id in such a text, with "enos-lark://" too; empty: it is none.
std::string file_id_of(std::string_view uri);

/// "inactive", "online", "offline", "disabled", "mirror" or "retired": as somebody wants it shown,
/// or as it is.
std::string_view status_of(const state& s);
/// "inactive", "online" or "offline".
std::string_view name_of(status_override::status_code s);

// ---- replies
// -------------------------------------------------------------------------------------

struct done {};
struct connection_granted {
  entity_id id;
  std::uint64_t epoch;
  std::string organisation;
  bool resumed = false;
  subscription_map subscriptions = {};  // of the session that goes on
  bool gateway = false;                 // it may speak for sub-devices
  bool activated = false;               // by the product's secret: the fresh one is the device's
};
struct device_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;  // without telemetry
};
struct latest_points {
  std::vector<latest_point> points;
};
struct unsaved_samples {
  std::vector<std::shared_ptr<const points_accepted>> batches;
};
struct command_accepted {
  command_record what;
};
struct commands_cancelled {
  std::vector<entity_id> ids;
};
struct points_taken {
  std::vector<problem> dropped;
};
struct device_bound {  // or unbound
  entity_id id;
};
struct certificate_bound {
  std::uint32_t sn;
};
struct firmware_status {
  device_name name;
  firmware_state what;
};
/// What a device that asks may install: none or one.
struct upgrades_offered {
  std::vector<firmware_image> images;
};
struct twin_status {
  twin_state what;
  layering layers = {};
};
/// Whether the device has that name.
struct name_standing {
  bool held = false;
  std::uint64_t renames = 0;
  device_name name;
  std::optional<entity_id> former, gateway;
  std::optional<device_name> former_name;
};
struct file_status {
  entity_id device;
  std::string organisation;
  file_record what;
};
using reply = std::variant<done, connection_granted, device_snapshot, latest_points,
                           unsaved_samples, command_accepted, commands_cancelled, points_taken,
                           device_bound, certificate_bound, firmware_status, upgrades_offered,
                           twin_status, file_status, name_standing>;

/// The product as the rules need it: flags and model in force.
struct product_view {
  bool exists = false;
  login_demand demands = login_demand::secret;
  bool direct_access = true;
  bool gateway = false;             // its devices have sub-devices
  bool dynamic_activation = false;  // its secret proves who is to be given his own
  sealed_secret secret;
  std::string secret_owner;       // what it is sealed for
  std::uint8_t sign_methods = 1;  // bit n: sign_method n is allowed
  validation mode = validation::strict;
  std::shared_ptr<const thing_model> model;
};

struct configuration_set;  // model/device/layers.hpp

/// What a decision may look at beside the state.
struct surroundings {
  entity_id self;
  timestamp now;
  const product_view& product;
  const keyring& keys;
  std::size_t max_queued_commands = 50;
  /// Those of the device's organisation; null: they are not known, and nothing about them changes.
  const configuration_set* configurations = nullptr;
};

struct decision {
  std::vector<event> events;
  reply answer;
};

/// Pure. Fails with what the asker must be told; nothing changes then.
result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
void apply_points(state& s, std::shared_ptr<const points_accepted> batch);
/// What `e` makes happen, looked at after it was applied.
std::vector<effect> effects(const state& s, const event& e);

/// When `time_passed` is due: the nearest deadline of a command, an upgrade or a kept session, the
/// end of a status that it is shown with, or the next warning of a certificate's end.
std::optional<timestamp> next_deadline(const state& s);

/// True for events that touch telemetry alone: they are materialised by checkpoints.
bool is_telemetry(const event& e);

// ---- bytes: versioned, held by golden files
// ------------------------------------------------------

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
/// The snapshot without telemetry; `revision` is that of the entity after the last event in it.
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);
std::string encode_latest(const telemetry& t, std::uint64_t revision, timestamp last_data);
result<std::uint64_t> decode_latest(std::string_view bytes, telemetry& out, timestamp& last_data);
std::string encode_command(const command_record& c);
result<command_record> decode_command(std::string_view bytes);

}  // namespace orrery::model::device
