#include "cluster/log_outline.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

/// Entries end at 2, 4, 5 (epoch 1), 8 (epoch 3), 9, 12 (epoch 4).
log_outline some() {
  auto log = log_outline{};
  for (const auto at : {log_position{1, 2}, {1, 4}, {1, 5}, {3, 8}, {4, 9}, {4, 12}})
    log.append(at);
  return log;
}

TEST(LogOutline, IsEmptyAtFirst) {
  const auto log = log_outline{};
  EXPECT_EQ(log.last(), (log_position{0, 0}));
  EXPECT_EQ(log.epoch_at(0), 0u);
  EXPECT_EQ(log.epoch_at(1), 0u);
}

TEST(LogOutline, KnowsWhichEpochWroteWhat) {
  const auto log = some();
  EXPECT_EQ(log.last(), (log_position{4, 12}));
  EXPECT_EQ(log.epoch_at(2), 1u);
  EXPECT_EQ(log.epoch_at(5), 1u);
  EXPECT_EQ(log.epoch_at(8), 3u);
  EXPECT_EQ(log.epoch_at(9), 4u);
  EXPECT_EQ(log.epoch_at(12), 4u);
  EXPECT_EQ(log.epoch_at(13), 0u);
  EXPECT_EQ(log.before_stretch_of(12), 8u);
  EXPECT_EQ(log.before_stretch_of(8), 5u);
  EXPECT_EQ(log.before_stretch_of(4), 0u);
}

TEST(LogOutline, IsCutAtItsEnd) {
  auto log = some();
  log.cut(20);
  EXPECT_EQ(log.last(), (log_position{4, 12}));
  log.cut(9);
  EXPECT_EQ(log.last(), (log_position{4, 9}));
  log.cut(5);
  EXPECT_EQ(log.last(), (log_position{1, 5}));
  log.append({5, 6});
  EXPECT_EQ(log.epoch_at(6), 5u);
  log.cut(0);
  EXPECT_EQ(log.last(), (log_position{0, 0}));
}

TEST(LogOutline, IsTrimmedAtItsBeginning) {
  auto log = some();
  log.trim(4);
  EXPECT_EQ(log.begin(), (log_position{1, 4}));
  EXPECT_EQ(log.epoch_at(2), 0u);
  EXPECT_EQ(log.epoch_at(4), 1u);
  EXPECT_EQ(log.epoch_at(5), 1u);
  log.trim(8);
  EXPECT_EQ(log.begin(), (log_position{3, 8}));
  EXPECT_EQ(log.epoch_at(9), 4u);
  EXPECT_EQ(log.before_stretch_of(9), 8u);
  log.trim(3);  // gone already
  EXPECT_EQ(log.begin(), (log_position{3, 8}));
  log.cut(8);
  EXPECT_EQ(log.last(), (log_position{3, 8}));
  log.append({6, 10});
  EXPECT_EQ(log.epoch_at(10), 6u);
}

TEST(LogOutline, MayBeTrimmedToItsEnd) {
  auto log = some();
  log.trim(12);
  EXPECT_EQ(log.begin(), log.last());
  EXPECT_EQ(log.epoch_at(12), 4u);
  log.append({4, 13});
  EXPECT_EQ(log.epoch_at(13), 4u);
}

}  // namespace
}  // namespace orrery::cluster
