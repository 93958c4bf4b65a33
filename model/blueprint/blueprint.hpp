// The life of a thing model: one draft that is edited, published revisions that never change.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::model::blueprint {

struct revision_record {
  std::uint64_t number = 0;
  value document;
  std::string note;
  timestamp published_at{};
  std::string actor;
};

struct create_blueprint {
  std::string organisation;
  std::string model_id;
  value document;
};
struct save_draft {
  value document;
};
struct discard_draft {};
struct publish {
  std::string note;
  bool force = false;
};
struct set_deprecated {
  bool deprecated;
};
struct remove_blueprint {};
struct read_blueprint {};

using order = std::variant<create_blueprint, save_draft, discard_draft, publish, set_deprecated,
                           remove_blueprint, read_blueprint>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct created {
  create_blueprint as;
  timestamp at;
};
struct draft_saved {
  value document;
  timestamp at;
};
struct draft_discarded {
  timestamp at;
};
struct published {
  revision_record revision;
};
struct removed {
  timestamp at;
};
struct deprecated_set {
  bool deprecated;
  timestamp at;
};
using event =
    std::variant<created, draft_saved, draft_discarded, published, removed, deprecated_set>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, model_id;
  std::optional<value> draft;
  std::vector<revision_record> revisions;  // rising; the last one is in force
  bool deprecated = false;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;  // of the entity: the API's ETag
};

struct done {};
struct blueprint_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, blueprint_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t products = 0;  // that use the model
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// What a change means for devices in use.
enum class change_class : std::uint8_t { compatible, risky, breaking };
struct finding {
  change_class weight;
  problem what;
};
/// Every difference that is more than compatible.
std::vector<finding> compare(const thing_model& before, const thing_model& after);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::blueprint
