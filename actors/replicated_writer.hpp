#pragma once

#include <memory>

#include "actors/group_writer.hpp"

namespace orrery::actors {

/// Of a node in a cluster: what parts.replicas say is committed. `parts` is to outlive it.
std::unique_ptr<group_writer> make_replicated_writer(const journal_parts& parts);

}  // namespace orrery::actors
