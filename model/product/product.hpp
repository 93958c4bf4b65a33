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
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"

namespace orrery::model::product {

enum class node_type : std::uint8_t { device = 0, gateway = 1 };
enum class access_mode : std::uint8_t { direct = 0, via_gateway = 1, both = 2 };
enum class data_format : std::uint8_t { json = 0, raw = 1 };
enum class authentication : std::uint8_t { secret = 0, certificate = 1, both = 2 };

/// Of a decoder script.
inline constexpr std::size_t max_script_bytes = 64 * 1024;

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

using order = std::variant<create_product, update_product, remove_product, reset_product_secret,
                           read_product, set_script, remove_script>;
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
using event = std::variant<created, updated, removed, secret_set, script_set, script_removed>;

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
