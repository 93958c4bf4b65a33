#include "cluster/registration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/embedded_coordinator.hpp"
#include "tests/support/far_coordinator.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

class Registration : public testing::Test {
 protected:
  Registration() {
    auto made = make_embedded_coordinator(store, [this] { return now; });
    EXPECT_TRUE(made);
    real = std::move(*made);
    at = std::make_shared<tests::far_coordinator>(real);
    mine = make("me");
  }
  std::unique_ptr<registrar> make(const std::string& value) {
    return std::make_unique<registrar>(
        at, "/node/1", value, registration_options{},
        registration_events{[this, value](incarnation_id i) {
                              told.push_back(value + " registered");
                              incarnations.push_back(i);
                            },
                            [this, value] { told.push_back(value + " lapsed"); },
                            [this, value] { told.push_back(value + " replaced"); }},
        [this] { return now; });
  }
  std::string there() {
    const auto all = real->list("/node/1");
    return all && !all->items.empty() ? all->items[0].value : "";
  }

  milliseconds now{10'000};
  std::shared_ptr<tests::memory_store> store = std::make_shared<tests::memory_store>();
  std::shared_ptr<coordinator> real;
  std::shared_ptr<tests::far_coordinator> at;
  std::vector<std::string> told;
  std::vector<incarnation_id> incarnations;
  std::unique_ptr<registrar> mine;
};

TEST_F(Registration, RegistersAndStaysSo) {
  EXPECT_EQ(mine->serves_until(), milliseconds{0});
  EXPECT_EQ(mine->turn(), milliseconds{1000});
  EXPECT_EQ(there(), "me");
  EXPECT_EQ(incarnations.at(0), real->list("/node/1")->items.at(0).revision);
  EXPECT_EQ(mine->serves_until(), milliseconds{12'000});
  for (auto i = 0; i < 10; ++i) {
    now += milliseconds{1000};
    EXPECT_EQ(mine->turn(), milliseconds{1000});
  }
  EXPECT_EQ(there(), "me");
  EXPECT_EQ(mine->serves_until(), milliseconds{22'000});
  EXPECT_THAT(told, ElementsAre("me registered"));
}

TEST_F(Registration, CountsFromWhenItSentTheRenewal) {
  mine->turn();
  now += milliseconds{1000};
  at->answers_lost = true;  // it may have been renewed, but who knows
  mine->turn();
  EXPECT_EQ(mine->serves_until(), milliseconds{12'000});
  at->answers_lost = false;
  now += milliseconds{200};
  mine->turn();
  EXPECT_EQ(mine->serves_until(), milliseconds{13'200});
  EXPECT_THAT(told, ElementsAre("me registered"));
}

TEST_F(Registration, CutOffItStopsServingBeforeOthersMayTakeOver) {
  mine->turn();
  at->cut = true;
  now += milliseconds{1900};
  mine->turn();
  EXPECT_LT(now, mine->serves_until());
  now += milliseconds{200};
  mine->turn();
  EXPECT_GT(now, mine->serves_until());
  EXPECT_EQ(there(), "me");  // and nobody may yet
  EXPECT_THAT(told, ElementsAre("me registered"));
  now += milliseconds{900};
  EXPECT_EQ(mine->turn(), milliseconds{200});
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed"));
  EXPECT_EQ(there(), "");
  at->cut = false;
  mine->turn();
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed", "me registered"));
  EXPECT_GT(incarnations[1], incarnations[0]);
}

TEST_F(Registration, ALapsedLeaseIsNotRevived) {
  mine->turn();
  now += milliseconds{3500};  // it was stopped for a while
  EXPECT_EQ(mine->turn(), milliseconds{0});
  EXPECT_EQ(mine->serves_until(), milliseconds{0});
  mine->turn();
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed", "me registered"));
  EXPECT_NE(incarnations[0], incarnations[1]);
}

TEST_F(Registration, ComesWhenTheCoordinatorDoes) {
  at->cut = true;
  for (auto i = 0; i < 5; ++i)
    EXPECT_EQ(mine->turn(), milliseconds{200});
  EXPECT_THAT(told, IsEmpty());
  at->cut = false;
  mine->turn();
  EXPECT_THAT(told, ElementsAre("me registered"));
}

TEST_F(Registration, AnUnknownOutcomeLeavesNoKeyThatNobodyRenews) {
  at->answers_lost = true;
  mine->turn();
  EXPECT_THAT(told, IsEmpty());
  now += milliseconds{3000};
  EXPECT_EQ(there(), "");
}

TEST_F(Registration, AfterARestartTheNewOneCounts) {
  mine->turn();
  mine.reset();  // killed: its lease lives on
  mine = make("next life");
  mine->turn();
  EXPECT_EQ(there(), "next life");
  now += milliseconds{2000};
  mine->turn();
  now += milliseconds{1500};  // the old lease's end takes nothing away
  EXPECT_EQ(there(), "next life");
  mine->turn();
  EXPECT_THAT(told, ElementsAre("me registered", "next life registered"));
}

TEST_F(Registration, TwoProcessesOfOneNameDoNotFight) {
  mine->turn();
  auto other = make("other");
  other->turn();
  for (auto i = 0; i < 5; ++i) {
    now += milliseconds{1000};
    mine->turn();
    other->turn();
  }
  EXPECT_EQ(there(), "other");
  EXPECT_THAT(told, ElementsAre("me registered", "other registered", "me lapsed", "me replaced"));
}

TEST_F(Registration, AKeyThatWasTakenAwayComesBackAnew) {
  mine->turn();
  const auto gone = change{"/node/1", std::nullopt, 0};
  ASSERT_TRUE(real->swap({}, {&gone, 1}));
  now += milliseconds{1000};
  EXPECT_EQ(mine->turn(), milliseconds{0});
  mine->turn();
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed", "me registered"));
  EXPECT_EQ(there(), "me");
}

TEST_F(Registration, EndedItIsGoneAtOnce) {
  mine->turn();
  mine->end();
  EXPECT_EQ(there(), "");
  EXPECT_EQ(mine->serves_until(), milliseconds{0});
  mine->end();
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed"));
}

TEST_F(Registration, TakesItsTurnsByItself) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  {
    const auto running = registration{std::move(mine)};
    while (there() != "me")
      ASSERT_LT(std::chrono::steady_clock::now(), until);
  }
  EXPECT_EQ(there(), "");
  EXPECT_THAT(told, ElementsAre("me registered", "me lapsed"));
}

}  // namespace
}  // namespace orrery::cluster
