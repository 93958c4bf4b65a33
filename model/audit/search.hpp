// What records of an audit log are searched by. Pure; any thread.
#pragma once

#include "model/filter/schema.hpp"
#include "model/value.hpp"

namespace orrery::model::audit {

/// number, time, actor, application, address, requestId, action, permission, method, resource (kind
/// and id with a colon between), kind, id, device, result, status, reason, count.
const filter::schema& search_fields();

/// True if the filter accepts the record: `text` read as JSON.
bool accepts(const filter::checked_filter& wanted, const value& record);

}  // namespace orrery::model::audit
