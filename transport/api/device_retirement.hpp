// The end of a device's life: it is taken out of service, comes again, or is removed.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "model/organisation/organisation.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {

std::vector<route> device_retirement_routes();

/// Removes the device, with all that names it, and answers 204. `expected`: only at that revision.
void remove_device(const exchange_ptr& e, const found_device& d,
                   std::optional<std::uint64_t> expected);

/// True if that is the answer of a device that was removed and was in service until then: its room
/// is free now. That of one that was not had been given back before.
bool was_in_service(const actors::answer& removed);

/// What the lists of our own authorities are to have of a device that was taken out of service.
std::vector<model::organisation::list_revocation> revocations_of(
    const model::device::state& retired, const model::organisation::state& org);

}  // namespace orrery::transport::api
