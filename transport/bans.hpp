// The bans of all organisations as the login guard wants them.
#pragma once

#include <string_view>
#include <vector>

#include "actors/catalogue.hpp"
#include "transport/login_guard.hpp"

namespace orrery::transport {

/// The organisation whose installation it is. Addresses that it bans are nobody's; those that
/// another one bans may not log in there.
inline constexpr std::string_view owner_organisation = "default";

/// Those that hold at `now`; one of an organisation alone for each that is suspended. Devices and
/// products of other organisations than the one that bans them are left out.
std::vector<login_ban> bans_of(const actors::catalogue_snapshot& all, model::timestamp now);

}  // namespace orrery::transport
