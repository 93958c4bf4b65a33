// Operations as their rows show them: lists, and the pieces of an input or a result. Of one shard,
// which has all operations of its organisations. Blocking; a thread of the query's pool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.hpp"
#include "model/operation/operation.hpp"
#include "model/result.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// Newest first.
struct operation_list_question {
  model::shard_id shard = 0;
  std::string organisation;
  std::string actor;  // who asked for them; empty: anybody
  std::optional<model::operation::work_kind> kind;
  std::optional<model::operation::state_code> phase;
  std::string cursor;
  std::uint64_t limit = 50;
};
/// The pieces of one from a number on.
struct operation_rows_question {
  model::shard_id shard = 0;
  model::entity_id operation;
  bool inputs = false;  // else of its result
  std::uint64_t from = 0;
  std::uint64_t max_bytes = 0;  // at least one piece comes if there is one
};
struct listed_operation {
  model::entity_id id;
  std::uint64_t revision = 0;
  model::operation::state what;
};
struct operation_page {
  std::vector<listed_operation> operations;
  std::vector<std::string> pieces;
  std::string next;  // cursor of a list; empty: the last page
};

/// Fails: `invalid_argument` "bad_cursor", `corrupted`, what `from` fails with.
model::result<operation_page> read_operations(const operation_list_question& q,
                                              const storage::row_reader& from);
model::result<operation_page> read_operations(const operation_rows_question& q,
                                              const storage::row_reader& from);

/// The shard of all operations of an organisation.
model::shard_id operation_shard(const std::string& organisation, std::uint16_t shard_count);

}  // namespace orrery::actors
