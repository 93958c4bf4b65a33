// A logical asset: a thing that is no device (a site, a building, a line), with a model, attributes
// and tags of its own. Where it stands is the trees' matter (model/tree).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/tags.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::model::asset {

struct create_asset {
  std::string organisation, name, description, timezone;
  std::string model_id;  // empty: of no model, any attributes
  object attributes;
  tag_map tags;
};
struct update_asset {
  std::optional<std::string> name, description, timezone;
  object attributes;  // null takes away
  tag_changes tags;
};
struct remove_asset {};
struct read_asset {};

using order = std::variant<create_asset, update_asset, remove_asset, read_asset>;
struct command {
  asset::order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
  std::string organisation = {};  // in whose name; another's is not there. Empty: of the service
};

struct created {
  create_asset as;
  timestamp at;
};
struct updated {
  update_asset changes;
  timestamp at;
};
struct removed {
  timestamp at;
};
using event = std::variant<created, updated, removed>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, name, description, timezone, model_id;
  object attributes;
  tag_map tags;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;
};

struct done {};
struct asset_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, asset_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  /// The published model that it is of, or is to be of; null: none, or there is no such model.
  const thing_model* model = nullptr;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::asset
