#include "cluster/shard_deadlines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/keys.hpp"
#include "tests/support/memory_store.hpp"

namespace orrery::cluster {
namespace {

using namespace std::chrono_literals;
using model::entity_kind;
using testing::ElementsAre;
using testing::IsEmpty;
using due = shard_deadlines::due;

constexpr auto shard = model::shard_id{3};
const auto noon = model::from_ms(1'700'000'000'000);

model::entity_id id_of(std::uint8_t number) {
  auto id = model::entity_id{.shard = shard, .ulid = {}};
  id.ulid[15] = number;
  return id;
}

struct ShardDeadlines : testing::Test {
  tests::memory_store store;
  shard_deadlines all{shard};
  std::vector<due> take(model::timestamp now) {
    auto out = std::vector<due>{};
    for (const auto& one : all.take(now))
      out.emplace_back(one.id, one.kind);
    return out;
  }
  void plant(std::string_view index, model::timestamp at, std::uint8_t number) {
    store.plant(storage::family::index,
                storage::keys::index(shard, index, storage::keys::ordered(at), id_of(number)), {});
  }
};

TEST_F(ShardDeadlines, ThoseOfTheIndexComeInTimeWhateverTheirKind) {
  plant("due", noon - 1h, 1);
  plant("client-due", noon + 1min, 2);
  plant("topic-due", noon + 1h, 3);
  plant("operation-due", noon + 2min, 4);
  ASSERT_TRUE(all.load(store, noon));
  EXPECT_THAT(take(noon), ElementsAre(due{id_of(1), entity_kind::device}));
  EXPECT_THAT(take(noon + 1min), ElementsAre(due{id_of(2), entity_kind::client}));
  EXPECT_THAT(take(noon + 2min), ElementsAre(due{id_of(4), entity_kind::operation}));
  EXPECT_THAT(take(noon + 2h), IsEmpty()) << "it is far away, and was not looked for";
  ASSERT_TRUE(all.load(store, noon + 55min));
  EXPECT_THAT(take(noon + 59min), IsEmpty());
  EXPECT_THAT(take(noon + 1h), ElementsAre(due{id_of(3), entity_kind::topic}));
}

TEST_F(ShardDeadlines, EachIsToldOnceAndTheEarliestFirst) {
  ASSERT_TRUE(all.load(store, noon));
  all.add(noon + 2min, id_of(2), entity_kind::device);
  all.add(noon + 1min, id_of(1), entity_kind::device);
  all.add(noon + 1min, id_of(1), entity_kind::device);
  EXPECT_THAT(take(noon + 5min),
              ElementsAre(due{id_of(1), entity_kind::device}, due{id_of(2), entity_kind::device}));
  EXPECT_THAT(take(noon + 5min), IsEmpty());
}

TEST_F(ShardDeadlines, OneFarAwayHasNoPlaceHere) {
  ASSERT_TRUE(all.load(store, noon));
  all.add(noon + 1h, id_of(1), entity_kind::device);  // its row is in the index, or on its way
  EXPECT_THAT(take(noon + 2h), IsEmpty());
  plant("due", noon + 1h, 1);
  ASSERT_TRUE(all.load(store, noon + 58min));
  EXPECT_EQ(take(noon + 1h).size(), 1u);
}

TEST_F(ShardDeadlines, AfterAFailedLookTheNextOneFindsThem) {
  plant("due", noon + 1min, 1);
  store.faults.rows = true;
  EXPECT_FALSE(all.load(store, noon));
  store.faults.rows = false;
  ASSERT_TRUE(all.load(store, noon));
  EXPECT_EQ(take(noon + 1min).size(), 1u);
}

TEST_F(ShardDeadlines, WhoRefusesForNowIsToldAgainASecondLater) {
  ASSERT_TRUE(all.load(store, noon));
  for (std::uint8_t i = 1; i <= 3; ++i)
    all.add(noon, id_of(i), entity_kind::device);
  const auto told = all.take(noon);
  ASSERT_EQ(told.size(), 3u);
  EXPECT_LT(shard_deadlines::first_number, told[0].number);
  const auto settle = [&](std::size_t i, actors::answer what) {
    all.settle({told[i].number, std::move(what)}, noon + 5s);
  };
  settle(0, model::failure{model::errc::unavailable, "not_in_sync", "ask again"});
  settle(1, actors::outcome{});
  settle(2, model::failure{model::errc::not_found, "device_unknown", "it is gone"});
  EXPECT_THAT(take(noon + 5s), IsEmpty());
  EXPECT_THAT(take(noon + 6s), ElementsAre(due{id_of(1), entity_kind::device}));
  settle(0, model::failure{model::errc::unavailable, "not_in_sync", "an answer counts once"});
  EXPECT_THAT(take(noon + 1h), IsEmpty());
}

TEST_F(ShardDeadlines, AnAnswerFromBeforeItWasClearedIsPassedOver) {
  ASSERT_TRUE(all.load(store, noon));
  all.add(noon, id_of(1), entity_kind::device);
  const auto told = all.take(noon);
  all.clear();
  ASSERT_TRUE(all.load(store, noon));
  all.settle({told.at(0).number, model::failure{model::errc::unavailable, "gone"}}, noon);
  EXPECT_THAT(take(noon + 1h), IsEmpty());
}

TEST_F(ShardDeadlines, ClearedItKnowsNone) {
  plant("due", noon, 1);
  ASSERT_TRUE(all.load(store, noon));
  all.clear();
  EXPECT_THAT(take(noon + 1h), IsEmpty());
  ASSERT_TRUE(all.load(store, noon));
  EXPECT_EQ(take(noon).size(), 1u);
}

}  // namespace
}  // namespace orrery::cluster
