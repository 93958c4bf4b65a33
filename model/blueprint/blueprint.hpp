// The life of a thing model: one draft that is edited, published revisions that never change. A
// model may inherit from another one (inheritance.hpp) and be shared with other organisations. The
// library of an organisation, elements that are ready to be used in models, is kept the same way.
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
  std::string reason = {};              // why a change that breaks devices was forced
  std::uint64_t parent_revision = 0;    // newest one of its parent then; 0: it has no parent
  std::optional<value> effective = {};  // with what it inherited then; nothing: it has no parent
};
/// What devices that stay with the revision are checked against.
const value& effective_document(const revision_record& r);

struct create_blueprint {
  std::string organisation;
  std::string model_id;
  value document;
  std::string copied_from = {};  // the model that it was cloned from, for information
};
struct save_draft {
  value document;
};
struct discard_draft {};
struct publish {
  std::string note;
  bool force = false;       // although the change is risky or breaks devices
  std::string reason = {};  // needed to break devices
};
/// What a model says of itself beside its elements: changed at once, without a revision.
struct change_about {
  std::optional<bool> deprecated;
  object members = {};  // of `name`, `description`, `category`, `tags`; null: not any more
};
struct remove_blueprint {};
struct read_blueprint {};
/// Lets another organisation use the published revisions, or no longer.
struct share {
  std::string with;  // an organisation, or `everybody`
  bool on = true;
};
/// Puts elements into the library, or takes away those that are null.
struct change_library {
  std::string organisation;
  object elements;
};

inline constexpr std::string_view everybody = "*";
/// Under which the library of an organisation is kept: no model can have it as its id.
inline constexpr std::string_view library_id = "$library";
constexpr std::size_t max_models = 1000, max_depth = 7, max_shares = 200,
                      max_library_elements = 5000, max_library_bytes = 4 * 1024 * 1024;

using order = std::variant<create_blueprint, save_draft, discard_draft, publish, change_about,
                           remove_blueprint, read_blueprint, share, change_library>;
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
struct about_changed {
  change_about changes;
  timestamp at;
};
struct shared {
  share what;
  timestamp at;
};
struct library_changed {
  change_library changes;
  timestamp at;
};
using event = std::variant<created, draft_saved, draft_discarded, published, removed, about_changed,
                           shared, library_changed>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string organisation, model_id;
  std::optional<value> draft;
  std::vector<revision_record> revisions;  // rising; the last one is in force
  bool deprecated = false;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;  // of the entity: the API's ETag
  value about = object{};      // what was changed since the last revision without another one
  std::string copied_from;
  std::vector<std::string> shared_with;  // in order
  value library = object{};              // elements by id; of a library alone
};
/// The document of the newest revision with what was changed since, else the draft, else null.
value published_or_draft(const state& s);
/// What work on a model begins with: its draft, else its newest revision.
value newest_document(const state& s);

struct done {};
struct blueprint_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, blueprint_snapshot>;

/// The model that a document extends.
struct parent_view {
  std::string key;                // organisation + '/' + id
  std::vector<std::string> path;  // keys from the root of its family to itself
  std::uint64_t revision = 0;     // 0: nothing is published yet
  value document = {};            // with what it inherits itself
  std::shared_ptr<const thing_model> compiled = {};
};
/// A published model that inherits from this one, directly or not.
struct descendant {
  std::string key, parent;
  std::size_t depth = 1;  // below this one
  value document;         // its newest revision's own
};

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t products = 0;                  // that use the model, or one that inherits from it
  std::size_t children = 0;                  // models whose draft or newest revision extends it
  std::size_t models = 0;                    // of the organisation
  bool may_share_with = true;                // the organisation to share with is there
  std::optional<parent_view> parent = {};    // if what the document in hand extends is there
  std::vector<descendant> descendants = {};  // parents before their children
  std::vector<std::string> users = {};       // other organisations that have those or products
  value in_force = {};                       // the document that products follow; null: none
  value library = object{};                  // of the organisation: elements by id
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
  problem what;  // where: kind and id of the element, "measurePoints/pressure"
};
/// Every difference of what devices are checked against, and of what applications count on.
std::vector<finding> compare(const thing_model& before, const thing_model& after);
/// The same of documents that compile, and differences of texts and the like as well.
std::vector<finding> compare(const value& before, const value& after);

/// What publishing the draft comes to: the revision it would make. Fails like `publish`, but
/// whatever it means for devices in use.
result<revision_record> next_revision(const state& s, const surroundings& around);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::blueprint
