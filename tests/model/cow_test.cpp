#include "model/cow.hpp"

#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

using text = cow<std::string>;

TEST(Cow, IsEmptyAtFirst) {
  EXPECT_TRUE(text {} -> empty());
  EXPECT_FALSE(text{}.is_sole_owner());
  EXPECT_FALSE(text{std::string{}}.is_sole_owner());  // what is empty takes no memory
  EXPECT_EQ(text{}, text{std::string{}});
}

TEST(Cow, SharesUntilOneChanges) {
  auto a = text{"a value"};
  EXPECT_TRUE(a.is_sole_owner());
  auto b = a;
  EXPECT_EQ(&*a, &*b);
  EXPECT_FALSE(a.is_sole_owner());
  b.edit() += " of its own";
  EXPECT_EQ(*a, "a value");
  EXPECT_EQ(*b, "a value of its own");
  EXPECT_TRUE(a.is_sole_owner());
  const auto* before = &*b;
  b.edit() += "!";
  EXPECT_EQ(&*b, before);  // nobody to be spared
}

TEST(Cow, ComparesByValue) {
  EXPECT_EQ(text{"x"}, text{"x"});
  EXPECT_NE(text{"x"}, text{"y"});
  EXPECT_NE(text{"x"}, text{});
}

TEST(Cow, MovesAndAssigns) {
  auto a = text{"x"};
  auto b = std::move(a);
  EXPECT_EQ(*b, "x");
  auto& same = b;
  b = same;
  EXPECT_EQ(*b, "x");
  b = text{};
  EXPECT_TRUE(b->empty());
}

TEST(Cow, WhatAChangeLeavesEmptyIsGiven) {
  auto list = cow<std::vector<int>>{{1, 2}};
  const auto copy = list;
  list.change([](auto& v) { v.pop_back(); });
  EXPECT_EQ(*list, std::vector{1});
  EXPECT_EQ(copy->size(), 2u);
  list.change([](auto& v) { v.clear(); });
  EXPECT_FALSE(list.is_sole_owner());  // no memory left that it could own
  list.change([](auto& v) { v.push_back(3); });
  EXPECT_EQ(*list, std::vector{3});
}

TEST(Cow, CopiesMayGoToOtherThreads) {
  const auto first = text{"shared by many"};
  auto threads = std::vector<std::jthread>{};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([copy = first] {
      for (int n = 0; n < 1000; ++n) {
        auto mine = copy;
        mine.edit() += "!";
        EXPECT_EQ(*mine, "shared by many!");
      }
    });
  threads.clear();
  EXPECT_TRUE(first.is_sole_owner());
}

}  // namespace
}  // namespace orrery::model
