// History of one device: what the store has of its samples and what only the awake entity has yet,
// as one page, each point and time once.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/device/device.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// One value of one point.
struct history_row {
  model::timestamp time;
  model::point_value point;
};
struct history_page {
  std::vector<history_row> rows;
  std::optional<model::timestamp> next;  // where the next page begins; nothing: this was the last
};
struct history_question {
  model::entity_id device;
  std::vector<std::string> points;  // empty: all
  model::timestamp from, to;        // both inclusive
  std::size_t limit = 1000;         // rows; a page never splits a time
  bool newest_first = false;
};

/// Samples in order of acceptance that no checkpoint has stored.
using unsaved_batches = std::vector<std::shared_ptr<const model::device::points_accepted>>;

/// `unsaved` was read before the store is: what went to the store in between comes twice and counts
/// once. Reads no more of the store than the page needs. Fails: `corrupted`, `unavailable`.
model::result<history_page> merge_history(const history_question& q,
                                          const storage::entity_store& store,
                                          const unsaved_batches& unsaved);

}  // namespace orrery::actors
