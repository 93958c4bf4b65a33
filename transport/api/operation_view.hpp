// What the calls that begin an operation share, and how one is shown.
#pragma once

#include "actors/operation_reads.hpp"
#include "model/operation/operation.hpp"
#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// The operation in an answer; null if there is none.
const model::operation::operation_snapshot* operation_in(const actors::outcome& done);

actors::any_command operation_order(const identity& who, model::operation::order what);

/// A fresh id in the shard of the organisation's operations.
model::entity_id fresh_operation(const service_parts& parts, const std::string& organisation);

/// An order for one, with its limits, its seed and the products that are reached for `permission`.
model::operation::create_operation new_operation(const service_parts& parts, const identity& who,
                                                 const model::entity_id& id,
                                                 model::operation::work_kind kind,
                                                 model::value request, std::string_view permission);

model::object show_operation(const exchange& e, const model::entity_id& id,
                             const model::operation::state& s);

/// Removes the oldest of those that are over, beyond so many and so much of what they have left;
/// `then` runs in any case. Before one more is begun.
inline constexpr std::size_t max_kept = 200;
inline constexpr std::uint64_t max_kept_bytes = std::uint64_t{1} << 30;
void make_room(const service_parts& parts, const std::string& organisation,
               std::function<void()> then);

/// Begins it: 202 with its place, or the failure.
void begin_operation(const exchange_ptr& e, const model::entity_id& id,
                     model::operation::create_operation what);
/// The answer to whoever has begun it.
void reply_begun(const exchange_ptr& e, const actors::outcome& done);

}  // namespace orrery::transport::api
