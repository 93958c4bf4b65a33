// An operator's word on shards that nobody serves, given to the coordinator itself: the API may
// have nobody then who could tell who asks.
#pragma once

#include <iosfwd>
#include <string>

#include "config/settings.hpp"

namespace orrery::app {

/// `what`: "list" prints what there is; "all" gives each such shard to the best copy that is
/// offered; "<shard>=<node>" gives one to a copy of choice. `absent_are_lost`: "all" counts on no
/// node any more that is not there. True: it is done. Throws cluster_failed (the coordinator does
/// not answer, or the settings are of a node that is alone), config::bad_settings (of `what`).
bool recover(const config::settings& s, const std::string& what, bool absent_are_lost,
             std::ostream& out);

}  // namespace orrery::app
