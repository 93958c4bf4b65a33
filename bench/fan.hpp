// orrery-load fan: publishers and subscribers of one topic, as any MQTT broker serves them.
#pragma once

namespace orrery::bench {

/// Runs it by its own arguments, the first of which is skipped; gives the exit code. Prints one
/// JSON line as the posts' load does.
int run_fan(int argc, char** argv);

}  // namespace orrery::bench
