#include "actors/caller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.hpp"
#include "tests/support/stage.hpp"

namespace orrery::actors {
namespace {

using model::errc;
using testing::ElementsAre;
using namespace std::chrono_literals;

/// Keeps the questions; the test answers them.
class held_router final : public ask_router {
 public:
  model::shard_id shard_of(const target& whom) const override {
    const auto* id = std::get_if<model::entity_id>(&whom);
    return id ? id->shard : 42;
  }
  void route(ask_batch batch) override { held.push_back(std::move(batch)); }
  std::vector<ask_batch> held;
};

class Caller : public testing::Test {
 protected:
  ~Caller() override {
    ask.reset();
    stage.run();
  }
  /// Asks; what comes back is kept.
  void question() {
    ask->ask(tests::device_id(3, 1), tests::order(model::device::read_device{}),
             [this](answer got) { answers.push_back(std::move(got)); });
  }
  void settle(std::size_t which, answer with) {
    const auto& one = router->held.at(which).asks.at(0);
    one.from.settle({{one.number, std::move(with)}});
    stage.run();
  }
  tests::stage stage;
  std::shared_ptr<held_router> router = std::make_shared<held_router>();
  std::unique_ptr<caller> ask = std::make_unique<caller>(stage.system(), router, 7, 2s);
  std::vector<answer> answers;
  std::vector<bool> over;
};

TEST_F(Caller, AsksTheShardAndCallsBackWithTheAnswer) {
  question();
  ASSERT_EQ(router->held.size(), 1u);
  EXPECT_EQ(router->held[0].shard, 3);
  EXPECT_NE(router->held[0].asks[0].number, 0u);
  EXPECT_TRUE(answers.empty());
  settle(0, outcome{model::device::reply{}, 5});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0]->revision, 5u);
  ask->ask(model::device_name{"pk", "dk"}, tests::order(model::device::read_device{}), [](auto) {});
  EXPECT_EQ(router->held[1].shard, 42);
}

TEST_F(Caller, TellsAnswersApart) {
  question();
  question();
  EXPECT_NE(router->held[0].asks[0].number, router->held[1].asks[0].number);
  settle(1, outcome{model::device::reply{}, 2});
  settle(0, model::failure{errc::conflict, "no"});
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]->revision, 2u);
  EXPECT_EQ(answers[1].error().code, errc::conflict);
}

TEST_F(Caller, CallsBackOnceAlsoIfItIsAnsweredTwice) {
  question();
  settle(0, outcome{});
  settle(0, outcome{});
  EXPECT_EQ(answers.size(), 1u);
  stage.pass(10s);
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(Caller, ASilentQuestionEndsInTime) {
  question();
  stage.pass(1s);
  question();
  EXPECT_TRUE(answers.empty());
  stage.pass(1500ms);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code, errc::timeout);
  settle(0, outcome{});  // too late
  EXPECT_EQ(answers.size(), 1u);
  stage.pass(1s);
  EXPECT_EQ(answers.size(), 2u);
}

TEST_F(Caller, WakesWhoWaitsForACommand) {
  const auto waiter = ask->expect_command(10s, [this](bool in_time) { over.push_back(in_time); });
  EXPECT_EQ(waiter.node_incarnation, 7u);
  EXPECT_NE(waiter.number, 0u);
  ask->command_over({6, waiter.number});  // of an earlier life of this node
  ask->command_over({7, waiter.number + 1});
  EXPECT_TRUE(over.empty());
  ask->command_over(waiter);
  EXPECT_THAT(over, ElementsAre(true));
  ask->command_over(waiter);
  stage.pass(20s);
  EXPECT_EQ(over.size(), 1u);
}

TEST_F(Caller, ACommandThatDoesNotEndIsToldAsLate) {
  const auto waiter = ask->expect_command(10s, [this](bool in_time) { over.push_back(in_time); });
  stage.pass(9s);
  EXPECT_TRUE(over.empty());
  stage.pass(2s);
  EXPECT_THAT(over, ElementsAre(false));
  ask->command_over(waiter);
  EXPECT_EQ(over.size(), 1u);
}

TEST_F(Caller, ForgetsAWaiterThatGoesAway) {
  const auto waiter = ask->expect_command(10s, [this](bool in_time) { over.push_back(in_time); });
  ask->forget({6, waiter.number});
  ask->forget(waiter);
  ask->command_over(waiter);
  stage.pass(20s);
  EXPECT_TRUE(over.empty());
}

TEST_F(Caller, ACallbackMayAskAgain) {
  ask->ask(tests::device_id(3, 1), tests::order(model::device::read_device{}),
           [this](const answer&) { question(); });
  stage.pass(3s);  // also from the callback of a time-out
  ASSERT_EQ(router->held.size(), 2u);
  settle(1, outcome{});
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(Caller, AnAnswerAfterItsEndHurtsNobody) {
  question();
  const auto one = router->held[0].asks[0];
  ask.reset();
  one.from.settle({{one.number, outcome{}}});
  stage.run();
  EXPECT_TRUE(answers.empty());
}

}  // namespace
}  // namespace orrery::actors
