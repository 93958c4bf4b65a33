#include <gtest/gtest.h>

#include "transport/mqtt/engine.hpp"

namespace orrery::transport::mqtt {
namespace {

constexpr auto now = model::timestamp{};

std::string bytes_of(const packet& p) {
  auto out = std::string{};
  encode(p, out);
  return out;
}

/// An engine whose client has connected.
engine connected(bool clean, std::optional<kept_session> resumed = {}) {
  auto e = engine{{}};
  auto wanted = packet{};
  auto& c = wanted.emplace<connect>();
  c.clean_session = clean;
  c.client_id = "c";
  const auto hello = bytes_of(wanted);
  auto in = std::string_view{hello};
  EXPECT_TRUE(std::holds_alternative<login_wanted>(*e.step(in, now)));
  e.grant(now, std::move(resumed));
  return e;
}

std::optional<action> tell(engine& e, const packet& p) {
  const auto bytes = bytes_of(p);
  auto in = std::string_view{bytes};
  return e.step(in, now);
}

TEST(KeptSession, ItsSubscriptionIsAcknowledgedWhenItIsSettled) {
  auto e = connected(false);
  e.out().clear();
  const auto first =
      tell(e, publish{.topic = "t", .payload = {}, .level = qos::at_least_once, .packet_id = 5});
  const auto todo = tell(e, subscribe{7, {{"a/#", qos::exactly_once}}});
  const auto& made = std::get<subscribed>(*todo);
  ASSERT_NE(made.ticket, 0u);
  EXPECT_EQ(made.changes.at("a/#"), std::uint64_t{1});
  e.settle(made.ticket);
  EXPECT_TRUE(e.out().empty());  // the PUBACK in front of it is due first
  e.settle(std::get<message>(*first).ticket);
  EXPECT_EQ(e.out(), bytes_of(puback{5}) + bytes_of(suback{7, {1}}));
}

TEST(KeptSession, AnyOtherIsAcknowledgedAtOnce) {
  auto e = connected(true);
  e.out().clear();
  const auto todo = tell(e, subscribe{7, {{"a/#", qos::at_least_once}}});
  EXPECT_EQ(std::get<subscribed>(*todo).ticket, 0u);
  EXPECT_EQ(e.out(), bytes_of(suback{7, {1}}));
}

TEST(KeptSession, GoesOnWithItsFiltersAndSaysSo) {
  auto e = connected(false, kept_session{{{"a/#", 1}}});
  EXPECT_EQ(e.out(), bytes_of(connack{true, 0}));
  EXPECT_TRUE(e.listens_to("a/b"));
  EXPECT_FALSE(e.listens_to("b"));
}

TEST(KeptSession, ARepeatedCommandHasItsOldIdentifier) {
  auto first = connected(false);
  first.out().clear();
  ASSERT_TRUE(first.send_command("t", "x", 1'700'000'000'123, false));
  auto sent = decode(first.out(), 1000);
  const auto before = std::get<publish>((*sent)->what);
  EXPECT_FALSE(before.dup);
  EXPECT_GE(before.packet_id, 32'768);

  auto second = connected(false, kept_session{});
  second.out().clear();
  ASSERT_TRUE(second.send_command("t", "x", 1'700'000'000'123, true));
  auto repeated = decode(second.out(), 1000);
  const auto after = std::get<publish>((*repeated)->what);
  EXPECT_TRUE(after.dup);
  EXPECT_EQ(after.packet_id, before.packet_id);
  const auto told = tell(second, puback{after.packet_id});
  EXPECT_EQ(std::get<delivered>(*told).command, 1'700'000'000'123u);
  EXPECT_FALSE(tell(second, puback{after.packet_id}));
}

TEST(KeptSession, RepliesAndCommandsShareNoIdentifier) {
  auto e = connected(true);
  e.out().clear();
  for (auto i = 0; i < 500; ++i) {
    ASSERT_TRUE(e.send("r", "x", qos::at_least_once));
    ASSERT_TRUE(e.send_command("c", "x", static_cast<std::uint64_t>(i) * 32'768, false));
  }
  auto seen = std::set<std::uint16_t>{};
  auto in = std::string_view{e.out()};
  while (!in.empty()) {
    const auto got = decode(in, 1000);
    ASSERT_TRUE(got && *got);
    EXPECT_TRUE(seen.insert(std::get<publish>((*got)->what).packet_id).second);
    in.remove_prefix((*got)->size);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

}  // namespace
}  // namespace orrery::transport::mqtt
