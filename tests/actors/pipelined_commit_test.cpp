// No entity waits for the disk: what one device has in flight is decided at once and committed
// together.
#include <gmock/gmock.h>

#include "tests/support/entity_bench.hpp"
#include "tests/support/small_node.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
constexpr std::uint64_t in_flight = 50;

class PipelinedEntity : public tests::entity_bench {};

TEST_F(PipelinedEntity, FiftyMessagesOfOneDeviceAreOneCommit) {
  wake();
  add_device();
  const auto groups = figures->groups.load();
  const auto first = numbers + 1;
  for (std::uint64_t i = 0; i < in_flight; ++i)
    send(tests::order(
        tests::points(stage.clock.now() + model::milliseconds{i}, {{"q", static_cast<int>(i)}})));
  stage.run_only(entity);  // the writer has not run yet
  EXPECT_EQ(figures->groups, groups);
  EXPECT_GE(figures->queued_bytes, in_flight * sizeof(entry));  // all fifty are decided

  stage.run();
  EXPECT_EQ(figures->groups, groups + 1);
  EXPECT_EQ(store->appends.size(), groups + 1);
  ASSERT_EQ(store->appends.back().frames.size(), 1u);
  EXPECT_EQ(store->appends.back().frames[0].records.size(), in_flight);
  // One wake-up of the asker, its answers in the order of its questions.
  ASSERT_EQ(asker.told().back().size(), in_flight);
  for (std::uint64_t i = 0; i < in_flight; ++i) {
    const auto& one = asker.told().back()[i];
    EXPECT_EQ(one.number, first + i);
    ASSERT_TRUE(one.what);
    EXPECT_EQ(one.what->revision, 2 + i);
    EXPECT_EQ(one.what->offset, 2 + i);
  }
  EXPECT_EQ(latest("q"), "49");
  EXPECT_EQ(figures->queued_bytes, 0u);
}

TEST(PipelinedNode, FiftyMessagesOfOneSessionAreOneCommit) {
  auto node = tests::small_node{};
  const auto id = node.add_device("dk");
  const auto c = node.login("dk");
  const auto groups = node.figures->groups.load();
  const auto wakes = c.port->messages.size();
  for (std::uint64_t i = 0; i < in_flight; ++i) {
    auto asks = session_asks{};
    asks.items.push_back({100 + i, tests::points(node.now(), {{"q", static_cast<int>(i)}})});
    caf::anon_send(c.session, std::move(asks));  // as if each came with a read of its own
  }
  node.run();
  EXPECT_EQ(node.figures->groups, groups + 1);
  ASSERT_EQ(c.port->messages.size(), wakes + 1);
  ASSERT_EQ(c.port->messages.back().size(), in_flight);
  for (std::uint64_t i = 0; i < in_flight; ++i) {
    EXPECT_EQ(c.port->messages.back()[i].number, 100 + i);
    EXPECT_TRUE(c.port->messages.back()[i].what);
  }
  EXPECT_EQ(node.latest(id, "q"), model::value{49});
}

TEST(PipelinedNode, ManyDevicesShareOneCommit) {
  auto node = tests::small_node{};
  auto ids = std::vector<model::entity_id>{};
  for (int i = 0; i < 20; ++i)
    ids.push_back(node.add_device("d" + std::to_string(i)));
  const auto groups = node.figures->groups.load();
  auto numbers = std::vector<std::uint64_t>{};
  for (const auto& id : ids)
    for (int i = 0; i < 5; ++i)
      numbers.push_back(node.send(id, tests::order(tests::points(node.now(), {{"q", i}}))));
  node.run();
  EXPECT_EQ(node.figures->groups, groups + 1);
  EXPECT_EQ(node.store->appends.back().frames.size(), 2u);  // one for each shard
  for (const auto number : numbers) {
    ASSERT_TRUE(node.asker().to(number));
    EXPECT_TRUE(*node.asker().to(number));
  }
}

}  // namespace
}  // namespace orrery::actors
