#include "transport/api/device_include.hpp"

#include <gtest/gtest.h>

namespace orrery::transport::api {
namespace {

model::entity_id node(std::uint8_t n) {
  auto id = model::entity_id{};
  id.ulid[15] = n;
  return id;
}

TEST(DeviceInclude, AScopeOfNodesShowsWhatIsBelowThem) {
  const auto above = std::vector{node(3), node(2), node(1)};  // from the parent up to the root
  EXPECT_EQ(levels_reached(node(4), above, {}), std::nullopt);
  EXPECT_EQ(levels_reached(node(4), above, {node(9)}), std::nullopt);
  EXPECT_EQ(levels_reached(node(4), above, {node(4)}), 0u) << "of what is above it nothing is told";
  EXPECT_EQ(levels_reached(node(4), above, {node(3)}), 1u);
  EXPECT_EQ(levels_reached(node(4), above, {node(1)}), 3u);
  EXPECT_EQ(levels_reached(node(4), above, {node(3), node(2), node(4)}), 2u)
      << "the highest of them counts";
  EXPECT_EQ(levels_reached(node(1), {}, {node(1)}), 0u);
}

}  // namespace
}  // namespace orrery::transport::api
