#include "tests/support/entity_bench.hpp"

#include "model/json.hpp"

namespace orrery::tests {

std::string entity_bench::latest(const std::string& point) {
  const auto got = ask(model::device::read_latest{{point}});
  const auto* found = reply_of<model::device::latest_points>(got);
  EXPECT_TRUE(found) << (got ? "" : got.error().detail);
  return found && !found->points.empty() ? model::to_json(found->points.front().v) : "";
}

std::size_t entity_bench::unsaved() {
  const auto got =
      ask(model::device::read_samples{model::timestamp::min(), model::timestamp::max()});
  const auto* found = reply_of<model::device::unsaved_samples>(got);
  EXPECT_TRUE(found) << (got ? "" : got.error().detail);
  auto count = std::size_t{0};
  if (found)
    for (const auto& batch : found->batches)
      count += batch->samples.size();
  return count;
}

actors::tail entity_bench::tail_from(std::uint64_t offset) const {
  auto all = actors::tail{};
  for (const auto& [at, r] : store->journal(id.shard))
    if (at >= offset && r.entity == id)
      all.push_back({r.revision, r.events});
  return all;
}

}  // namespace orrery::tests
