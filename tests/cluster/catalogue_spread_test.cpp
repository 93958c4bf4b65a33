#include "cluster/catalogue_spread.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using namespace std::chrono_literals;

actors::shard_progress commit(std::uint64_t index) {
  return {model::catalogue_shard, actors::shard_progress::what::committed, index};
}

std::vector<std::uint64_t> offsets(const std::vector<actors::shard_progress>& told) {
  auto all = std::vector<std::uint64_t>{};
  for (const auto& p : told)
    all.push_back(p.offset);
  return all;
}
using list = std::vector<std::uint64_t>;

TEST(CatalogueSpread, ACommitIsToldOnceAllNodesHaveAppliedIt) {
  auto spread = catalogue_spread{5s};
  spread.hold(commit(3), 0s);
  spread.hold(commit(4), 0s);
  EXPECT_EQ(offsets(spread.take({2, 3}, 1s)), list{});
  spread.applied(2, 4);
  spread.applied(3, 3);
  EXPECT_EQ(offsets(spread.take({2, 3}, 1s)), list{3});
  spread.applied(3, 2);  // an old word that comes late
  EXPECT_EQ(offsets(spread.take({2}, 1s)), list{4});
}

TEST(CatalogueSpread, NobodyWaitsForEver) {
  auto spread = catalogue_spread{5s};
  spread.hold(commit(3), 1s);
  spread.hold(commit(4), 2s);
  EXPECT_EQ(offsets(spread.take({2}, 5999ms)), list{});
  EXPECT_EQ(offsets(spread.take({2}, 6s)), list{3});
  EXPECT_EQ(offsets(spread.take_all()), list{4});
  EXPECT_EQ(offsets(spread.take_all()), list{});
}

TEST(CatalogueSpread, AnotherEpochBeginsWithoutKnowledge) {
  auto spread = catalogue_spread{5s};
  spread.applied(2, 9);
  spread.forget();
  spread.hold(commit(3), 0s);
  EXPECT_EQ(offsets(spread.take({2}, 0s)), list{});
  EXPECT_EQ(offsets(spread.take({}, 0s)), list{3}) << "there is nobody else";
}

}  // namespace
}  // namespace orrery::cluster
