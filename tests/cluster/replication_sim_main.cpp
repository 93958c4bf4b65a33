// replication_sim: runs many schedules of the replication protocol and prints what they did. Exits
// with 1 at a broken promise, which it prints with the seed that repeats it.
//
//   --runs N  --steps N  --seed N (the first)  --min N (in sync)  --sync  --crashes none|one|any
//   --observer  one node more, that only follows  --recoveries  disks come back from a backup, and
//   an
//               operator gives shards that nobody has all of to a copy
//   --first   end at the first broken promise
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "tests/support/replication_sim.hpp"

int main(int argc, char** argv) {
  using orrery::tests::replication_sim;
  auto runs = std::uint64_t{1000};
  auto first_only = false;
  auto o = replication_sim::options{};
  for (auto i = 1; i < argc; ++i) {
    const auto is = [&](const char* name) { return std::strcmp(argv[i], name) == 0; };
    const auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (is("--runs")) {
      runs = number();
    } else if (is("--steps")) {
      o.steps = static_cast<int>(number());
    } else if (is("--seed")) {
      o.seed = number();
    } else if (is("--min")) {
      o.min_in_sync = number();
    } else if (is("--sync")) {
      o.sync = true;
    } else if (is("--observer")) {
      o.observer = true;
    } else if (is("--recoveries")) {
      o.recoveries = true;
    } else if (is("--first")) {
      first_only = true;
    } else if (is("--crashes") && i + 1 < argc) {
      ++i;
      o.crashes = is("none")  ? replication_sim::machine_crashes::none
                  : is("any") ? replication_sim::machine_crashes::any
                              : replication_sim::machine_crashes::one_at_a_time;
    } else {
      std::cerr << "replication_sim: unknown argument " << argv[i] << "\n";
      return 2;
    }
  }
  auto all = replication_sim::counts{};
  auto broken = std::uint64_t{0};
  for (auto run = std::uint64_t{0}; run < runs; ++run, ++o.seed)
    try {
      all += replication_sim{o}.run();
    } catch (const orrery::tests::broken_promise& why) {
      if (++broken == 1)
        std::cout << why.what() << "\n";
      if (first_only)
        return 1;
    }
  std::cout << "schedules " << runs << ", broken " << broken << ": acknowledged "
            << all.acknowledged << ", activations " << all.activations << ", reads " << all.reads
            << ", crashes " << all.crashes << " (of machines " << all.machine_crashes
            << "), lapses " << all.lapses << ", hand-overs " << all.hand_overs
            << ", records changed " << all.proposals << ", checkpoints " << all.checkpoints
            << ", entries cut " << all.truncations << ", restores " << all.restores
            << ", recoveries " << all.recoveries << " (lost " << all.lost << ", copies discarded "
            << all.discards << ")\n";
  return broken == 0 ? 0 : 1;
}
