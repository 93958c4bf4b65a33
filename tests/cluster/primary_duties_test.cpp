#include "cluster/primary_duties.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// Node 1 leads; 2 and 3 are there, and level.
class PrimaryDuties : public testing::Test {
 protected:
  PrimaryDuties() {
    nodes.registered = nodes.linked = {1, 2, 3};
    for (const auto who : {2u, 3u})
      followers[who] = {.matched = 20, .moved = now, .asked = now};
  }
  primary_view view() const {
    return {.shard = 0,
            .self = 1,
            .record = record,
            .followers = followers,
            .nodes = nodes,
            .last = 20};
  }
  std::vector<in_sync_change> changes() const { return in_sync_changes(view(), 3, 3s, now); }

  std::chrono::milliseconds now{100s};
  shard_record record{.version = 5,
                      .epoch = 2,
                      .primary = 1,
                      .in_sync = {1, 2, 3},
                      .replicas = {1, 2, 3},
                      .preferred = 1};
  follower_views followers;
  peers nodes;
};

TEST_F(PrimaryDuties, NothingWhereAllIsWell) {
  EXPECT_THAT(changes(), IsEmpty());
  EXPECT_EQ(reminder_for(view(), 2, now), reminder::none);
  EXPECT_EQ(successor(view(), false), std::nullopt);
}

TEST_F(PrimaryDuties, WhoIsSilentIsGivenUp) {
  followers[2].moved = now - 3001ms;
  EXPECT_THAT(changes(), ElementsAre(in_sync_change{2, false}));
}

TEST_F(PrimaryDuties, WhoHasNoLinkForLongIsGivenUp) {
  nodes.linked.erase(3);
  nodes.unlinked_since[3] = now - 3000ms;
  EXPECT_THAT(changes(), IsEmpty());
  nodes.unlinked_since[3] = now - 3001ms;
  EXPECT_THAT(changes(), ElementsAre(in_sync_change{3, false}));
}

TEST_F(PrimaryDuties, WhoIsNotEvenRegisteredIsGivenUpAtOnce) {
  nodes.linked.erase(3);
  EXPECT_THAT(changes(), IsEmpty());
  nodes.registered.erase(3);
  EXPECT_THAT(changes(), ElementsAre(in_sync_change{3, false}));
  nodes.linked.insert(3);  // it answers: the news of its registration may be old
  EXPECT_THAT(changes(), IsEmpty());
}

TEST_F(PrimaryDuties, ALearnerIsTakenInIfItIsThere) {
  record.in_sync = {1, 2};
  EXPECT_THAT(changes(), ElementsAre(in_sync_change{3, true}));
  nodes.linked.erase(3);
  EXPECT_THAT(changes(), IsEmpty());
}

TEST_F(PrimaryDuties, WhoIsNotWantedGoesLast) {
  record.replicas = {1, 2, 4};
  record.in_sync = {1, 2, 3, 4};
  followers[4] = {.matched = 20, .moved = now - 4s, .asked = now};
  EXPECT_THAT(changes(), ElementsAre(in_sync_change{4, false}, in_sync_change{3, false}));
}

TEST_F(PrimaryDuties, WhoLearnsOrStandsStillIsSentAllAgain) {
  now += 1001ms;
  EXPECT_EQ(reminder_for(view(), 2, now), reminder::news);
  followers[2].matched = 19;
  EXPECT_EQ(reminder_for(view(), 2, now), reminder::everything);
  record.in_sync = {1, 2};
  EXPECT_EQ(reminder_for(view(), 3, now), reminder::everything);
  nodes.linked.erase(3);
  EXPECT_EQ(reminder_for(view(), 3, now), reminder::none);
}

TEST_F(PrimaryDuties, TheShardGoesToThePreferredOneIfItCanLead) {
  record.preferred = 3;
  EXPECT_EQ(successor(view(), false), 3u);
  nodes.stopping = {3};
  EXPECT_EQ(successor(view(), false), std::nullopt);
  EXPECT_EQ(successor(view(), true), 2u) << "this node ends: whoever can will do";
  record.in_sync = {1, 3};
  EXPECT_EQ(successor(view(), true), std::nullopt);
}

TEST_F(PrimaryDuties, AFollowerMovesWhenItGetsFurtherOrLacksNothing) {
  auto f = follower_view{.matched = 5, .moved = 1s, .unacknowledged_bytes = 7};
  note_matched(f, 5, 20, 2s);
  EXPECT_EQ(f.moved, 1s);
  note_matched(f, 6, 20, 3s);
  EXPECT_EQ(f.moved, 3s);
  EXPECT_EQ(f.unacknowledged_bytes, 7u);
  note_matched(f, 20, 20, 4s);
  note_matched(f, 20, 20, 5s);
  EXPECT_EQ(f.moved, 5s);
  EXPECT_EQ(f.unacknowledged_bytes, 0u);
}

}  // namespace
}  // namespace orrery::cluster
