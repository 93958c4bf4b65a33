#include "net/ticket_keys.hpp"

#include <gtest/gtest.h>

namespace orrery::net {
namespace {

using namespace std::chrono_literals;
using seconds = ticket_keys::seconds;

constexpr auto noon = seconds{ticket_keys::slot} * 60'000;

TEST(TicketKeys, AreTheSameForAllWhoHaveTheSecret) {
  const auto a = ticket_keys{"secret"}, b = ticket_keys{"secret"}, other = ticket_keys{"other"};
  const auto one = a.current(noon), two = b.current(noon + 1h);
  EXPECT_EQ(one.name, two.name);
  EXPECT_EQ(one.cipher, two.cipher);
  EXPECT_EQ(one.mac, two.mac);
  EXPECT_NE(one.cipher, one.mac);
  EXPECT_NE(one.name, other.current(noon).name);
  EXPECT_FALSE(other.find(one.name.data(), noon));
}

TEST(TicketKeys, ChangeWithTheSlot) {
  const auto keys = ticket_keys{"secret"};
  const auto last = keys.current(noon - 1s), next = keys.current(noon);
  EXPECT_NE(last.name, next.name);
  EXPECT_NE(last.cipher, next.cipher);
  EXPECT_NE(last.mac, next.mac);
}

TEST(TicketKeys, AreKnownForADayAndForClocksThatDiffer) {
  const auto keys = ticket_keys{"secret"};
  const auto made = keys.current(noon);
  const auto at = [&](seconds when) { return keys.find(made.name.data(), when); };
  ASSERT_TRUE(at(noon));
  EXPECT_TRUE(at(noon)->is_current);
  EXPECT_EQ(at(noon)->with.cipher, made.cipher);
  ASSERT_TRUE(at(noon - 1s));  // a node whose clock is behind
  EXPECT_FALSE(at(noon - 1s)->is_current);
  EXPECT_FALSE(at(noon - ticket_keys::slot - 1s));
  ASSERT_TRUE(at(noon + ticket_keys::slot));
  EXPECT_FALSE(at(noon + ticket_keys::slot)->is_current);
  EXPECT_TRUE(at(noon + ticket_keys::lifetime));
  EXPECT_FALSE(at(noon + ticket_keys::lifetime + ticket_keys::slot));
}

}  // namespace
}  // namespace orrery::net
