#include "cluster/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.hpp"
#include "tests/support/stage.hpp"

namespace orrery::cluster {
namespace {

using actors::ask_batch;
using model::errc;
using testing::ElementsAre;

class Router : public testing::Test {
 protected:
  ask_batch batch(model::shard_id shard, std::vector<std::uint64_t> numbers) {
    auto b = ask_batch{.shard = shard, .asks = {}};
    for (const auto n : numbers)
      b.asks.push_back({asker.handle(), n, tests::device_id(shard, 1),
                        tests::order(model::device::read_device{})});
    return b;
  }
  tests::stage stage;
  tests::recorder asker{stage};
  router routes{8};
};

TEST_F(Router, KnowsTheShardOfAnIdAndOfAName) {
  EXPECT_EQ(routes.shard_of(tests::device_id(5, 1)), 5);
  EXPECT_EQ(routes.shard_of(actors::catalogue_id(model::entity_kind::product, "pk")),
            model::catalogue_shard);
  const auto name = model::device_name{"pk", "dk"};
  EXPECT_EQ(routes.shard_of(name), shard_of(name, 8));
}

TEST_F(Router, PassesQuestionsToTheHostOfTheirShard) {
  auto seen = std::vector<std::uint64_t>{};
  auto host = stage.system().spawn(
      [](actors::host_actor::pointer,
         std::vector<std::uint64_t>* into) -> actors::host_actor::behavior_type {
        return {[](const actors::settled_batch&) {},
                [into](const ask_batch& b) {
                  for (const auto& one : b.asks)
                    into->push_back(one.number);
                },
                [](const actors::rest_answer&) {},
                [](const actors::reminder&) {},
                [](const actors::topic_note&) {},
                [](const actors::write_lost&) {},
                [](actors::host_tick) {},
                [](const actors::shard_role&) {},
                [](actors::look_for_lost_sessions) {}};
      },
      &seen);
  routes.place(3, host);
  routes.route(batch(3, {1, 2}));
  stage.run();
  EXPECT_THAT(seen, ElementsAre(1, 2));
  EXPECT_TRUE(asker.told().empty());
  routes.clear();
  routes.route(batch(3, {3}));
  stage.run();
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_THAT(asker.numbers(), ElementsAre(3));
  stage.kill(host);
  stage.run();
}

TEST_F(Router, AnswersForAShardThatNoNodeHas) {
  routes.route(batch(7, {1, 2}));
  stage.run();
  EXPECT_THAT(asker.numbers(), ElementsAre(1, 2));
  EXPECT_EQ(asker.to(1)->error().code, errc::not_found);
  EXPECT_NE(asker.to(1)->error().detail.find('7'), std::string::npos);
}

TEST_F(Router, AnswersForAShardWhoseHostHasEnded) {
  routes.place(3, {});
  routes.route(batch(3, {1}));
  stage.run();
  EXPECT_EQ(asker.to(1)->error().code, errc::unavailable);
}

TEST_F(Router, TellsNobodyWhereNobodyWaits) {
  auto b = batch(7, {0});
  auto nobody = batch(7, {1});
  nobody.asks[0].from = {};
  routes.route(std::move(b));
  routes.route(std::move(nobody));
  stage.run();
  EXPECT_TRUE(asker.told().empty());
}

}  // namespace
}  // namespace orrery::cluster
