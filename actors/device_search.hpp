// Search over the devices of the shards that are here: one question, read once, put to one shard
// after the other. It reads the index that was written with the devices' records, and looks at
// every device that it gives: what it finds is what was committed. Blocking; a thread of the
// query's pool.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/query.hpp"
#include "actors/tag_counts.hpp"
#include "model/device/search.hpp"
#include "model/filter/index_value.hpp"
#include "model/filter/sorting.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// Where a device stands in a sorted list: what it has of the fields that it is sorted by, as an
/// index has it, then its id.
struct sorted_place {
  sort_values by;
  model::entity_id id;
};

/// A filter, an order and what is needed to read them.
class device_search {
 public:
  /// Fails: `invalid_argument` "bad_filter", "bad_sort", "bad_group".
  static model::result<device_search> make(const device_list_question& q);
  static model::result<device_search> make(const device_count_question& q);

  std::size_t sorted_by() const { return order_.size(); }  // fields
  /// In a sorted list `a` comes before `b`.
  bool before(const sorted_place& a, const sorted_place& b) const;

  /// Devices of one shard from an id on, in the order of ids, added to `into` until it has `limit`.
  /// Returned is the id to go on with: of the next one that is asked for, or, once as many as the
  /// budget has were looked at, of whichever comes next.
  struct budget {
    std::size_t left;
  };
  model::result<std::optional<model::entity_id>> list(model::shard_id shard,
                                                      const std::optional<model::entity_id>& from,
                                                      std::size_t limit, budget& looks,
                                                      const storage::row_reader& store,
                                                      std::vector<listed_device>& into) const;

  /// The first `limit` of some shards, which are in order, behind a place, in the order that was
  /// asked for. Fails: `too_large` "search_too_wide".
  model::result<std::vector<listed_device>> sorted(const std::vector<model::shard_id>& shards,
                                                   const std::optional<sorted_place>& after,
                                                   std::size_t limit,
                                                   const storage::row_reader& store) const;

  /// How many there are of each group, or what a field of theirs adds up to; those that have no
  /// value in a field count under null. Of `every_tag`: as
  /// tag_counts has them.
  model::status count(model::shard_id shard, const storage::row_reader& store,
                      device_counts& into) const;

 private:
  device_search() = default;
  using ids = std::vector<model::entity_id>;
  /// One way into the index: what it has to be read for, nothing: every device that is in service,
  /// or (`retired_`) every one that is not.
  using way = const model::filter::requirement*;

  struct estimated_way {
    way what;
    bool is_narrow;  // it has fewer rows than were looked at
  };
  /// The way with the fewest rows, if one of them has fewer than `most`; else any.
  estimated_way cheapest(model::shard_id shard, const storage::row_reader& store,
                         std::size_t most) const;
  way cheapest(model::shard_id shard, const storage::row_reader& store) const;
  model::result<ids> ids_of(const model::filter::requirement& r, model::shard_id shard,
                            const storage::row_reader& store) const;
  model::result<std::optional<listed_device>> look(const model::entity_id& id,
                                                   const storage::row_reader& store) const;
  using visitor = std::function<model::result<bool>(const model::entity_id& id)>;
  model::status visit(way w, model::shard_id shard, const std::optional<model::entity_id>& from,
                      const storage::row_reader& store, const visitor& each) const;
  class first_few;
  model::status first_of(way w, model::shard_id shard, const std::optional<sorted_place>& after,
                         const storage::row_reader& store, first_few& into) const;
  class index_reader;
  model::status in_index_order(const std::vector<model::shard_id>& shards,
                               const std::optional<sorted_place>& after, std::size_t limit,
                               const storage::row_reader& store,
                               std::vector<listed_device>& into) const;
  model::status without_value(model::shard_id shard, const std::optional<sorted_place>& after,
                              std::size_t limit, const storage::row_reader& store,
                              std::vector<listed_device>& into) const;
  sort_values values_of(const model::filter::record& seen) const;
  model::status count_tags(model::shard_id shard, const storage::row_reader& store,
                           device_counts& into) const;
  model::status tags_in_index(model::shard_id shard, const storage::row_reader& store,
                              tag_counts& into) const;
  model::status add_tag_of(const std::optional<model::entity_id>& id, const std::string& key,
                           const storage::row_reader& store, tag_counts& into) const;
  bool count_by_index(model::shard_id shard, const storage::row_reader& store, device_counts& into,
                      model::status& how) const;
  model::status read(const std::string& organisation, const std::string& filter);

  std::string organisation_;
  std::optional<model::filter::checked_filter> filter_;
  std::vector<model::filter::requirement> needs_;
  std::vector<model::filter::sort_key> order_;
  std::vector<model::filter::field_place> groups_;
  std::optional<model::filter::field_place> summed_;
  bool retired_ = false;    // the filter asks for status = "retired"
  bool every_tag_ = false;  // is counted, instead of groups
};

/// A place as it stands in a cursor, and back; nothing for a text that is none.
std::string write_place(const sorted_place& p);
std::optional<sorted_place> read_place(std::string_view text);

}  // namespace orrery::actors
