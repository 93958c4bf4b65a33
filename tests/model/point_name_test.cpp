#include "model/point_name.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(PointName, EqualNamesShareTheirMemory) {
  const auto a = point_name{"temperature of the outer wall"}, b = point_name{a.text()};
  EXPECT_EQ(&a.text(), &b.text());
  EXPECT_EQ(a, b);
  EXPECT_NE(a, point_name{"another"});
  EXPECT_EQ(point_name{}.text(), "");
  EXPECT_EQ(point_name{""}, point_name{});
}

TEST(PointName, ThePoolForgetsWhatNobodyHolds) {
  const auto kept = point_name{"kept"};
  for (int i = 0; i < 100'000; ++i)
    point_name{"passing " + std::to_string(i)};
  EXPECT_LE(point_name::pooled(), 4096u);
  EXPECT_EQ(&point_name{"kept"}.text(), &kept.text());
}

TEST(PointName, IsMadeByManyThreadsAtOnce) {
  auto threads = std::vector<std::jthread>{};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 5000; ++i) {
        const auto text = "name " + std::to_string(i % 3000);
        EXPECT_EQ(point_name{text}.text(), text);
      }
    });
}

}  // namespace
}  // namespace orrery::model
