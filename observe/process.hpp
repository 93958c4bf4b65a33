// What this process takes from its machine, under the names that Prometheus's own clients use, and
// what its allocator holds.
#pragma once

#include "observe/metrics.hpp"

namespace orrery::observe {

/// Adds them: process_* from /proc, and orrery_memory_* if the program runs with jemalloc. A figure
/// that cannot be read shows as NaN.
void add_process_metrics(metrics& to);

}  // namespace orrery::observe
