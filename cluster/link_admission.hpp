// Whether a greeting makes a link: decided from plain values.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/link_frame.hpp"
#include "cluster/node_link.hpp"
#include "model/result.hpp"

namespace orrery::cluster {

/// What this node says of itself to that life of another.
link_greeting greeting_of(const link_options& mine, std::uint64_t expected);

/// Gives the version to speak with who has greeted. `known`: its node as the directory has it, null
/// if it has none; `proved`: its certificate shows the name that the directory has; `dialed`: by
/// this side. Fails: `forbidden`, with words for the operators of both sides.
model::result<std::uint16_t> admit(const link_options& mine, const link_greeting& other,
                                   const link_peer* known, bool proved, bool dialed);

}  // namespace orrery::cluster
