#include "transport/mqtt/signpost.hpp"

#include <gtest/gtest.h>

#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

TEST(Signpost, PointsNowhereUntilItIsTold) {
  auto post = signpost{};
  EXPECT_FALSE(post.stands());
  EXPECT_FALSE(post.next());
  post.point(redirection{});
  EXPECT_TRUE(post.stands());
  EXPECT_EQ(post.next()->to, "");
  post.point(std::nullopt);
  EXPECT_FALSE(post.stands());
  EXPECT_FALSE(post.next());
}

TEST(Signpost, SpreadsClientsOverTheOthers) {
  auto post = signpost{};
  post.point(redirection{false, {"a", "b:8883"}});
  EXPECT_EQ(post.next()->to, "a");
  EXPECT_EQ(post.next()->to, "b:8883");
  EXPECT_EQ(post.next()->to, "a");
}

TEST(Signpost, TellsWhetherToComeBack) {
  auto post = signpost{};
  post.point(redirection{false, {}});
  EXPECT_EQ(disconnect_code(post.next()->reason), 0x9c);
  post.point(redirection{true, {}});
  EXPECT_EQ(disconnect_code(post.next()->reason), 0x9d);
}

}  // namespace
}  // namespace orrery::transport::mqtt
