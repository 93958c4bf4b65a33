#pragma once

#include <memory>

#include "actors/group_writer.hpp"

namespace orrery::actors {

/// Of a node that is alone: what its store has is committed. `parts` is to outlive it.
std::unique_ptr<group_writer> make_lone_writer(const journal_parts& parts);

}  // namespace orrery::actors
