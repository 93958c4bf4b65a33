// What the entity actor needs to know of each kind beside its rules: what surrounds a decision, and
// which rows an event leaves behind.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/catalogue.hpp"
#include "actors/messages.hpp"
#include "model/credentials.hpp"
#include "model/device/search.hpp"
#include "model/tree/nodes.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// What a kind's surroundings are made from.
struct decision_inputs {
  model::entity_id self;
  model::timestamp now;
  const catalogue& known;
  const model::keyring& keys;
  const storage::entity_store& store;
  std::size_t max_queued_commands;
  std::size_t max_login_failures;
  std::size_t max_queued_messages;
  std::uint16_t shard_count;
  model::milliseconds audit_retention;
  std::uint64_t audit_max_bytes;
};

namespace device = model::device;
namespace product = model::product;
namespace blueprint = model::blueprint;
namespace organisation = model::organisation;
namespace asset = model::asset;
namespace client = model::client;
namespace topic = model::topic;
namespace tree = model::tree;
namespace audit = model::audit;
namespace ledger = model::ledger;
namespace operation = model::operation;

/// The product of one device, looked up again only when the catalogue has changed.
class product_cache {
 public:
  const device::product_view& of(const std::string& product_key, const catalogue& known);
  /// Of the catalogue that was looked at last; null if it does not know the organisation.
  const device::configuration_set* configurations(const std::string& organisation) const;
  /// The device is of another product now.
  void forget() { held_ = nullptr; }

 private:
  std::uint64_t version_ = 0;
  std::shared_ptr<const catalogue_snapshot> held_;
  const device::product_view* view_ = nullptr;
};

/// Rows that the events of one record leave in `state`, `index` and `series`, written with it.
/// `before`: the deadline that the index shows so far.
using rows = std::vector<storage::row>;

struct device_kind {
  using state = device::state;
  using command = device::command;
  using event = device::event;
  using reply = device::reply;
  static constexpr auto kind = model::entity_kind::device;
  static constexpr bool in_catalogue = false;
  product_cache products;

  model::result<device::decision> decide(const state& s, const command& c,
                                         const decision_inputs& in);
  /// Those were decided and are on their way.
  void note(const std::vector<event>& events, std::uint64_t revision);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct product_kind {
  using state = product::state;
  using command = product::command;
  using event = product::event;
  using reply = product::reply;
  static constexpr auto kind = model::entity_kind::product;
  static constexpr bool in_catalogue = true;

  model::result<product::decision> decide(const state& s, const command& c,
                                          const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct blueprint_kind {
  using state = blueprint::state;
  using command = blueprint::command;
  using event = blueprint::event;
  using reply = blueprint::reply;
  static constexpr auto kind = model::entity_kind::blueprint;
  static constexpr bool in_catalogue = true;

  model::result<blueprint::decision> decide(const state& s, const command& c,
                                            const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct organisation_kind {
  using state = organisation::state;
  using command = organisation::command;
  using event = organisation::event;
  using reply = organisation::reply;
  static constexpr auto kind = model::entity_kind::organisation;
  static constexpr bool in_catalogue = true;

  model::result<organisation::decision> decide(const state& s, const command& c,
                                               const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct asset_kind {
  using state = asset::state;
  using command = asset::command;
  using event = asset::event;
  using reply = asset::reply;
  static constexpr auto kind = model::entity_kind::asset;
  static constexpr bool in_catalogue = false;

  model::result<asset::decision> decide(const state& s, const command& c,
                                        const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct client_kind {
  using state = client::state;
  using command = client::command;
  using event = client::event;
  using reply = client::reply;
  static constexpr auto kind = model::entity_kind::client;
  static constexpr bool in_catalogue = false;
  std::uint64_t turn = 0;

  model::result<client::decision> decide(const state& s, const command& c,
                                         const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct topic_kind {
  using state = topic::state;
  using command = topic::command;
  using event = topic::event;
  using reply = topic::reply;
  static constexpr auto kind = model::entity_kind::topic;
  static constexpr bool in_catalogue = false;

  model::result<topic::decision> decide(const state& s, const command& c,
                                        const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

/// The index that has what devices are searched by, of one field ("tags.site").
std::string search_index(std::string_view field);
/// The value that it has of an organisation's device. Of the field "" every device has the value
/// "".
std::string search_value(std::string_view organisation, std::string_view value);
/// What the index must be told after a change: `before` and `after` are search_terms.
rows search_rows(const model::entity_id& id, std::string_view organisation,
                 const std::vector<device::search_term>& before,
                 const std::vector<device::search_term>& after);
/// What surrounds a decision of a thing model, as the catalogue shows it: its family, its users,
/// the library of its organisation.
blueprint::surroundings surroundings_of(const blueprint::state& s, const blueprint::order& what,
                                        const model::entity_id& self, model::timestamp now,
                                        const catalogue_snapshot& known);
/// A tree keeps no nodes but those that it has changed and that may not be in the rows yet.
struct tree_kind {
  using state = tree::state;
  using command = tree::command;
  using event = tree::event;
  using reply = tree::reply;
  static constexpr auto kind = model::entity_kind::tree;
  static constexpr bool in_catalogue = false;
  tree::node_changes unwritten;

  model::result<tree::decision> decide(const state& s, const command& c, const decision_inputs& in);
  /// Those were decided and are on their way.
  void note(const std::vector<event>& events, std::uint64_t revision);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct operation_kind {
  using state = operation::state;
  using command = operation::command;
  using event = operation::event;
  using reply = operation::reply;
  static constexpr auto kind = model::entity_kind::operation;
  static constexpr bool in_catalogue = false;

  model::result<operation::decision> decide(const state& s, const command& c,
                                            const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

/// Its records are rows.
struct audit_kind {
  using state = audit::state;
  using command = audit::command;
  using event = audit::event;
  using reply = audit::reply;
  static constexpr auto kind = model::entity_kind::audit_log;
  static constexpr bool in_catalogue = false;
  std::deque<std::string> requests;  // of the newest appends, some of which may not be in rows yet

  model::result<audit::decision> decide(const state& s, const command& c,
                                        const decision_inputs& in);
  /// Those were decided and are on their way. What was decided and then refused was never there.
  void note(const std::vector<event>& events, std::uint64_t revision);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

struct ledger_kind {
  using state = ledger::state;
  using command = ledger::command;
  using event = ledger::event;
  using reply = ledger::reply;
  static constexpr auto kind = model::entity_kind::device_ledger;
  static constexpr bool in_catalogue = false;

  model::result<ledger::decision> decide(const state& s, const command& c,
                                         const decision_inputs& in);
  static rows rows_of(const model::entity_id& id, const state& s, const std::vector<event>& events,
                      std::uint64_t revision, std::optional<model::timestamp> deadline_before);
};

/// So many changes of a tree can be read back.
inline constexpr std::uint64_t kept_tree_changes = 2'000;

/// Values of the index of topics: "filter" (organisation, 0x1f, filter -> client or group) and
/// "retained" (organisation, 0x1f, topic -> its entity).
std::string topic_value(std::string_view organisation, std::string_view text);

/// True if the rows of the entity may lack what the record says, so that it must be woken to replay
/// it: telemetry, and what does not decode. All else is in rows that were written with its record.
bool must_replay(const storage::record& r);

}  // namespace orrery::actors
