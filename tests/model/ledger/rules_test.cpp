#include <random>

#include <gmock/gmock.h>

#include "model/ledger/ledger.hpp"

namespace orrery::model::ledger {
namespace {

using namespace std::chrono_literals;

class Ledger : public testing::Test {
 protected:
  result<decision> ask(order what) {
    auto d = decide(s, {std::move(what), {}, {}}, {.self = {}, .now = now});
    if (d)
      for (const auto& e : d->events)
        apply(s, e);
    return d;
  }
  result<decision> reserve_some(std::uint64_t n, std::uint64_t hard, std::uint64_t stamp = 1) {
    return ask(reserve{"org", stamp, n, hard});
  }
  /// Room for so many; 0 if it was refused.
  std::uint64_t given(std::uint64_t n, std::uint64_t hard) {
    const auto d = reserve_some(n, hard);
    if (!d)
      return 0;
    const auto* r = std::get_if<room>(&d->answer);
    EXPECT_TRUE(r);
    return r ? r->devices : 0;
  }
  void count(std::uint64_t devices, std::uint64_t stamp = 1) {
    const auto begun = ask(begin_count{"org", stamp});
    ASSERT_TRUE(begun);
    ASSERT_TRUE(ask(end_count{std::get<counting>(begun->answer).number, devices}));
  }

  state s;
  timestamp now = from_ms(1'700'000'000'000);
};

TEST_F(Ledger, IsCountedFirst) {
  EXPECT_TRUE(std::holds_alternative<count_first>(reserve_some(1, 10)->answer));
  count(7);
  EXPECT_EQ(given(1, 10), 1u);
  EXPECT_EQ(s.used, 8u);
}

TEST_F(Ledger, GivesWhatThereIsAndNoMore) {
  count(7);
  EXPECT_EQ(given(5, 10), 3u);
  const auto refused = reserve_some(1, 10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "quota_exceeded");
  EXPECT_EQ(refused.error().code, errc::too_many_requests);
  EXPECT_EQ(refused.error().detail, "the organisation may have 10 devices, and has 10");
  ASSERT_TRUE(ask(release{2, 1}));
  EXPECT_EQ(given(5, 10), 2u);
  EXPECT_EQ(given(5, 11), 1u) << "a limit that was raised";
}

TEST_F(Ledger, WithoutAHardLimitItCounts) {
  count(7);
  const auto d = ask(reserve{"org", 1, 5, {}});
  ASSERT_TRUE(d);
  EXPECT_EQ(std::get<room>(d->answer).used, 12u);
}

TEST_F(Ledger, OtherLimitsAreCountedAnew) {
  count(7, 1);
  EXPECT_TRUE(std::holds_alternative<count_first>(reserve_some(1, 10, 2)->answer));
  count(9, 2);
  EXPECT_EQ(s.used, 9u) << "what came without being asked for";
}

TEST_F(Ledger, OneCountsAtATime) {
  ASSERT_TRUE(ask(begin_count{"org", 1}));
  EXPECT_EQ(ask(begin_count{"org", 1}).error().reason, "quota_counting");
  EXPECT_EQ(reserve_some(1, 10).error().reason, "quota_counting");
  now += longest_count;
  ASSERT_TRUE(ask(begin_count{"org", 1})) << "who counted is gone";
  EXPECT_EQ(ask(end_count{1, 3}).error().reason, "state_conflict");
  EXPECT_TRUE(ask(end_count{2, 3}));
}

TEST_F(Ledger, WhatNobodyKnowsIsFoundByCounting) {
  count(0);
  EXPECT_EQ(given(10, 10), 10u);  // and the registrations failed, and nobody said so
  EXPECT_EQ(reserve_some(1, 10).error().reason, "quota_exceeded");
  now += 5min;
  EXPECT_TRUE(std::holds_alternative<count_first>(reserve_some(1, 10)->answer));
  count(4);
  EXPECT_EQ(given(10, 10), 6u);
}

TEST_F(Ledger, WhatComesWhileItIsCountedIsAddedToTheCount) {
  count(0);
  EXPECT_EQ(given(3, 100), 3u);
  now += 5min;
  const auto begun = ask(begin_count{"org", 1});
  EXPECT_EQ(given(2, 100), 2u);  // may be in the count, or not
  ASSERT_TRUE(ask(end_count{std::get<counting>(begun->answer).number, 3}));
  EXPECT_EQ(s.used, 5u);
}

TEST_F(Ledger, ADeviceThatWentBeforeACountIsNotTakenBackTwice) {
  count(5);
  const auto before = ask(reserve{"org", 1, 0, 10});
  const auto number = std::get<room>(before->answer).count;
  now += 5min;
  count(4);  // it is gone already
  ASSERT_TRUE(ask(release{1, number}));
  EXPECT_EQ(s.used, 4u);
  ASSERT_TRUE(ask(begin_count{"org", 1}));
  EXPECT_EQ(std::get<room>(ask(reserve{"org", 1, 0, 10})->answer).count, 0u);
}

TEST_F(Ledger, ACountThatFindsMoreIsBelieved) {
  count(3);
  now += 5min;
  count(8);  // however they came
  EXPECT_EQ(s.used, 8u);
  EXPECT_EQ(given(5, 10), 2u);
  now += 5min;
  count(4);
  EXPECT_EQ(s.used, 4u);
}

TEST_F(Ledger, ACountThatDoesNotWorkIsAbandoned) {
  count(3);
  const auto begun = ask(begin_count{"org", 2});
  const auto number = std::get<counting>(begun->answer).number;
  EXPECT_EQ(reserve_some(1, 10, 2).error().reason, "quota_counting");
  ASSERT_TRUE(ask(abandon_count{number - 1}));
  EXPECT_EQ(reserve_some(1, 10, 2).error().reason, "quota_counting") << "of another";
  ASSERT_TRUE(ask(abandon_count{number}));
  EXPECT_TRUE(std::holds_alternative<count_first>(reserve_some(1, 10, 2)->answer));
  EXPECT_EQ(ask(end_count{number, 3}).error().code, errc::conflict);
  EXPECT_EQ(given(1, 10), 1u) << "what was known is known";
  EXPECT_TRUE(ask(abandon_count{number})->events.empty());
}

TEST_F(Ledger, ACountThatNobodyEndsIsOver) {
  count(0);
  ASSERT_TRUE(ask(begin_count{"org", 1}));
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(given(1, 100'000), 1u);
    now += 1s;
  }
  EXPECT_LE(s.recent.size(), 62u);
  EXPECT_EQ(s.counting_stamp, 0u);
}

TEST_F(Ledger, RemembersAMinuteOfThem) {
  count(0);
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(given(1, 100'000), 1u);
    now += 50ms;
  }
  EXPECT_LE(s.recent.size(), 62u);
}

/// Registrations that take their time, succeed, fail or are lost; deletions; counts that see some
/// moment of it: there are never more devices than the limit.
TEST_F(Ledger, TheLimitIsNeverPassed) {
  auto random = std::mt19937{11};
  const auto any = [&](std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>{0, below - 1}(random);
  };
  constexpr auto hard = std::uint64_t{20};
  auto devices = std::uint64_t{0}, refused = std::uint64_t{0}, made = std::uint64_t{0};
  struct registration {
    timestamp until;
    std::uint64_t count;
  };
  auto under_way = std::vector<registration>{};  // given room, not registered yet
  auto going = std::vector<std::uint64_t>{};     // about to be deleted: the count before
  auto gone = std::vector<std::uint64_t>{};      // deleted, and the ledger does not know yet
  auto open_count = std::optional<std::uint64_t>{};
  count(0);
  for (int step = 0; step < 200'000; ++step) {
    now += milliseconds{static_cast<std::int64_t>(any(400))};
    while (!under_way.empty() && under_way.front().until < now)
      under_way.erase(under_way.begin());  // never done, and nobody said so
    switch (any(6)) {
      case 0:
      case 1:
        if (const auto d = reserve_some(1 + any(3), hard); !d)
          ++refused;
        else if (const auto* r = std::get_if<room>(&d->answer))
          for (std::uint64_t i = 0; i < r->devices; ++i)
            under_way.push_back({now + longest_registration, r->count});
        else if (const auto begun = ask(begin_count{"org", 1}))
          open_count = std::get<counting>(begun->answer).number;
        break;
      case 2:
      case 3:
        if (!under_way.empty()) {
          const auto one = under_way.front();
          under_way.erase(under_way.begin());
          if (any(3) != 0) {
            ++devices;
            ++made;
          } else if (any(2) == 0) {
            ASSERT_TRUE(ask(release{1, one.count}));  // it was surely not made
          }
        }
        break;
      case 4:
        if (devices > going.size() && any(2) == 0) {
          going.push_back(std::get<room>(ask(reserve{"org", 1, 0, hard})->answer).count);
        } else if (!going.empty() && any(2) == 0) {
          --devices;
          gone.push_back(going.back());
          going.pop_back();
        } else if (!gone.empty()) {
          if (any(4) != 0) {
            ASSERT_TRUE(ask(release{1, gone.back()}));
          }
          gone.pop_back();
        }
        break;
      default:
        if (open_count) {
          (void)ask(end_count{*open_count, devices});  // as it is now, or is no more
          open_count.reset();
        }
    }
    ASSERT_LE(devices, hard) << "step " << step;
    ASSERT_GE(s.used, devices) << "step " << step;
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(made, 1000u);
}

TEST_F(Ledger, ComesBackFromItsBytes) {
  count(3);
  EXPECT_EQ(given(2, 10), 2u);
  auto read = state{};
  const auto revision = decode_state(encode_state(s, 5), read);
  ASSERT_TRUE(revision);
  EXPECT_EQ(*revision, 5u);
  EXPECT_EQ(encode_state(read, 5), encode_state(s, 5));
  const auto events = std::vector<event>{reserved{now, 1}, released{2}, count_begun{"o", 1, 2, now},
                                         count_ended{4, now}, count_abandoned{}};
  EXPECT_EQ(encode_events(*decode_events(encode_events(events))), encode_events(events));
}

}  // namespace
}  // namespace orrery::model::ledger
