// Organisations, products and models as every message needs them: an immutable snapshot in memory,
// replaced on change. Read by any thread; changed by the journal writer, before the answer to the
// change leaves.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "actors/messages.hpp"
#include "model/device/layers.hpp"
#include "model/organisation/device_filter.hpp"
#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

struct catalogue_product {
  model::entity_id id;
  std::shared_ptr<const model::product::state> state;
  model::device::product_view view;  // as the device rules need it, model compiled
  /// Its decoder script; null if it has none. The same object for as long as the text is the same:
  /// what was made of it may be kept by it (transport/script).
  std::shared_ptr<const std::string> script;
};
struct catalogue_blueprint {
  model::entity_id id;
  std::shared_ptr<const model::blueprint::state> state;
  /// By revision: with what each inherited when it was published.
  std::unordered_map<std::uint64_t, std::shared_ptr<const model::thing_model>> compiled;
  /// The newest revision with what its parents say now; null while nothing is published. What has
  /// come between two changes at the same moment and does not fit stays as it was published.
  std::shared_ptr<const model::thing_model> newest;
  model::value effective;  // its document
  std::string parent;      // key of the model that it extends; "": none
};
struct catalogue_organisation {
  model::entity_id id;
  std::shared_ptr<const model::organisation::state> state;
  /// As its devices need them, with what products and groups say now. Never null in a catalogue.
  std::shared_ptr<const model::device::configuration_set> configurations = {};
};

/// The product that an organisation's virtual gateway is of; there is one in every snapshot.
inline constexpr std::string_view virtual_gateway_key = "%VIRT_GATEWAY%";

/// The id of a catalogue entity, made from its name, so that a name is taken once: a product's key,
/// an organisation's id, a thing model's organisation + '/' + id.
model::entity_id catalogue_id(model::entity_kind kind, std::string_view name);

/// One state of the catalogue.
struct catalogue_snapshot {
  std::unordered_map<std::string, std::shared_ptr<const catalogue_product>>
      products;  // by product key
  std::unordered_map<std::string, std::shared_ptr<const catalogue_blueprint>>
      blueprints;  // by org + '/' + id
  std::unordered_map<std::string, std::shared_ptr<const catalogue_organisation>>
      organisations;  // by text id
  std::unordered_map<std::string, std::set<std::string>>
      children;  // keys of the published models that extend one, by its key

  const catalogue_product* product(const std::string& key) const;
  /// `reference`: an id, or organisation + '/' + id for a model of another one, shared or not.
  const catalogue_blueprint* blueprint(const std::string& organisation,
                                       const std::string& reference) const;
  /// The same if the organisation has it or it is shared with it; null else.
  std::shared_ptr<const catalogue_blueprint> visible_blueprint(const std::string& organisation,
                                                               const std::string& reference) const;
  /// The published models that inherit from one, directly or not: parents before their children.
  std::vector<model::blueprint::descendant> descendants_of(const std::string& key) const;
  /// Keys from the root of a model's family to itself. It ends where a parent is missing.
  std::vector<std::string> path_of(std::string key) const;
  /// The library of an organisation: elements by id.
  model::value library(const std::string& organisation) const;
  const catalogue_organisation* organisation(const std::string& id) const;
  /// What filters may ask for of an organisation's products.
  std::vector<model::organisation::product_facts> products_of(
      const std::string& organisation) const;
};

class catalogue {
 public:
  /// Reads the catalogue shard's state rows. Fails: `corrupted`, what the store fails with.
  [[nodiscard]] model::status load(const storage::entity_store& store);

  std::shared_ptr<const catalogue_snapshot> current() const;
  /// Rises with every change: a holder of parts of a snapshot looks whether they are the newest.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  void apply(const catalogue_change& change);
  /// What another node changed or took away: a row of the catalogue's shard. Rows that are no
  /// snapshots of entities are passed over. Fails: `corrupted`.
  [[nodiscard]] model::status apply(const storage::row& r);

 private:
  model::status apply_removal(const storage::row& r, const model::entity_id& id);
  void put(catalogue_snapshot& next, const catalogue_change& change) const;
  static void put(catalogue_snapshot& next, const model::entity_id& id,
                  const std::shared_ptr<const model::blueprint::state>& s);
  mutable std::mutex mutex_;
  std::shared_ptr<const catalogue_snapshot> current_ = std::make_shared<catalogue_snapshot>();
  std::atomic<std::uint64_t> version_{1};
};

}  // namespace orrery::actors
