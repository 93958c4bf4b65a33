// A product: how its devices talk and prove who they are, and which model describes them.
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
#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"
#include "model/topic_rule.hpp"

namespace orrery::model::product {

enum class node_type : std::uint8_t { device = 0, gateway = 1 };
enum class access_mode : std::uint8_t { direct = 0, via_gateway = 1, both = 2 };
enum class data_format : std::uint8_t { json = 0, raw = 1 };
enum class authentication : std::uint8_t { secret = 0, certificate = 1, both = 2 };

/// Of a decoder script.
inline constexpr std::size_t max_script_bytes = 64 * 1024;

inline constexpr std::size_t max_firmwares = 200;
/// Upgrade jobs that a product keeps, and the devices of all of them together: older jobs go.
inline constexpr std::size_t max_jobs = 50, max_job_devices = 1000, max_kept_targets = 20'000;

/// A firmware that devices of the product may be brought.
struct firmware {
  firmware_image image;
  std::string name, description, by;
  timestamp created_at{};
};

/// What became of offering a job to a device; what came of it then is in the device's own state.
enum class offer_verdict : std::uint8_t {
  none = 0,  // not asked yet, or it could not be
  offered = 1,
  version_current = 2,
  version_unknown = 3,
  upgrade_running = 4,
  device_unknown = 5
};
struct job_target {
  std::string device_key;
  offer_verdict verdict = offer_verdict::none;
};
/// A firmware on its way to many devices.
struct ota_job {
  std::string id;
  firmware_image image;
  std::string firmware_name, by;
  delivery deliver = delivery::push;
  milliseconds upgrade_timeout{7'200'000};
  bool unknown_version = false;
  std::vector<job_target> targets;
  timestamp created_at{}, cancelled_at{};
};

struct create_product {
  std::string product_key;
  std::string organisation;
  std::string name, description;
  std::string model;                  // id of the thing model in the organisation
  std::uint64_t pinned_revision = 0;  // 0: the latest
  node_type node = node_type::device;
  access_mode access = access_mode::direct;
  data_format format = data_format::json;
  authentication auth = authentication::secret;
  bool dynamic_activation = false;
  std::uint8_t sign_methods = 1;   // bit n: sign_method n
  std::optional<validation> mode;  // overrides the model's own
  std::map<std::string, std::string> tags;
  sealed_secret secret;
  std::vector<topic_rule> topics{};  // general topics that its devices may use
};
struct update_product {
  std::optional<std::string> name, description;
  std::optional<std::uint64_t> pinned_revision;
  std::optional<access_mode> access;
  std::optional<authentication> auth;
  std::optional<bool> dynamic_activation;
  std::optional<std::uint8_t> sign_methods;
  std::optional<std::optional<validation>> mode;
  std::map<std::string, std::optional<std::string>> tags;  // nothing takes away
  std::optional<std::vector<topic_rule>> topics{};
};
struct remove_product {};
struct reset_product_secret {
  sealed_secret secret;
};
struct read_product {};
/// The script that turns the bytes of its devices into JSON and back; for products of raw data
/// alone. Whoever orders it has compiled it (transport/script).
struct set_script {
  std::string text;
};
struct remove_script {};
struct add_firmware {
  firmware what;  // `created_at` is set
};
struct remove_firmware {
  std::string id;
};
/// Kept before the devices are asked, so that none has a task of a job that nobody knows.
struct add_job {
  std::string firmware;  // its id
  ota_job what;          // without image and times
};
/// What the devices said to it.
struct note_offers {
  std::string job;
  std::map<std::string, offer_verdict> verdicts;  // by device key
};
struct cancel_job {
  std::string job;
};

using order = std::variant<create_product, update_product, remove_product, reset_product_secret,
                           read_product, set_script, remove_script, add_firmware, remove_firmware,
                           add_job, note_offers, cancel_job>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct created {
  create_product as;
  timestamp at;
};
struct updated {
  update_product changes;
  timestamp at;
};
struct removed {
  timestamp at;
};
struct secret_set {
  sealed_secret secret;
  timestamp at;
};
struct script_set {
  std::string text;
  timestamp at;
};
struct script_removed {
  timestamp at;
};
struct firmware_added {
  firmware what;
};
struct firmware_removed {
  std::string id;
};
struct job_added {
  ota_job what;
};
struct offers_noted {
  std::string job;
  std::map<std::string, offer_verdict> verdicts;
};
struct job_cancelled {
  std::string job;
  timestamp at;
};
using event =
    std::variant<created, updated, removed, secret_set, script_set, script_removed, firmware_added,
                 firmware_removed, job_added, offers_noted, job_cancelled>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string product_key, organisation, name, description, model;
  std::uint64_t pinned_revision = 0;
  node_type node = node_type::device;
  access_mode access = access_mode::direct;
  data_format format = data_format::json;
  authentication auth = authentication::secret;
  bool dynamic_activation = false;
  std::uint8_t sign_methods = 1;
  std::optional<validation> mode;
  std::map<std::string, std::string> tags;
  sealed_secret secret;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;  // as of the snapshot: the API's ETag
  cow<std::string> script;     // empty: none
  cow<std::vector<firmware>> firmwares;
  cow<std::vector<ota_job>> jobs;  // oldest first
  cow<std::vector<topic_rule>> topics;

  const firmware* find_firmware(std::string_view id) const;
  const ota_job* find_job(std::string_view id) const;
};

struct done {};
struct product_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, product_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t devices = 0;  // of the product; asked for only when it is to be removed
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// What the product's secret is sealed for.
std::string secret_owner(const std::string& product_key);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::product
