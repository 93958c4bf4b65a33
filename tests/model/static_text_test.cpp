#include "model/static_text.hpp"

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(StaticText, IsFoundAgain) {
  const auto* const one = [] {
    const auto came = std::string{"taken_over"};
    return static_text(came).data();
  }();
  EXPECT_EQ(static_text("taken_over").data(), one);
  for (const auto* text : {"above_max", "client", "socket", "write_lost"})
    EXPECT_EQ(static_text(text), text);
}

TEST(StaticText, AnyOtherTextIsOther) {
  EXPECT_EQ(static_text("from the future"), "other");
  EXPECT_EQ(static_text("zzz"), "other");
  EXPECT_EQ(static_text("clien"), "other");
  EXPECT_EQ(static_text("clients"), "other");
  EXPECT_EQ(static_text("other"), "other");
  EXPECT_EQ(static_text(""), "");
}

}  // namespace
}  // namespace orrery::model
