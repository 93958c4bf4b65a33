#include <gtest/gtest.h>

#include "model/topic/topic.hpp"
#include "model/topic/wire.hpp"

namespace orrery::model::topic {
namespace {

constexpr auto begin = timestamp{std::chrono::milliseconds{1'700'000'000'000}};

shared_message message_of(std::string payload, std::optional<std::uint32_t> expiry = {}) {
  auto m = std::make_shared<topic_message>();
  m->topic = "a/b";
  m->payload = std::move(payload);
  m->sent = begin;
  m->expiry = expiry;
  return m;
}

result<decision> ask(state& s, order what, timestamp now = begin) {
  auto d = decide(s, {std::move(what), "test", {}}, {.self = {}, .now = now});
  if (d)
    for (const auto& e : d->events) {
      apply(s, e);
      EXPECT_EQ(effects(s, e).size(), 1u);
    }
  return d;
}

std::size_t kept(state& s, timestamp now = begin) {
  const auto d = ask(s, read_retained{}, now);
  return d ? std::get<retained_messages>(d->answer).messages.size() : 99;
}

TEST(TopicRules, TheLastMessageIsKeptUntilAnEmptyOneComes) {
  auto s = state{};
  EXPECT_EQ(kept(s), 0u);
  EXPECT_TRUE(ask(s, retain{"org", message_of("1")})->events.size() == 1);
  EXPECT_TRUE(ask(s, retain{"org", message_of("2")}));
  EXPECT_EQ(s.message->payload, "2");
  EXPECT_EQ(kept(s), 1u);
  EXPECT_TRUE(ask(s, retain{"org", message_of("")}));
  EXPECT_FALSE(s.exists);
  EXPECT_EQ(s.name, "a/b");  // its row is found by it
  EXPECT_TRUE(ask(s, retain{"org", message_of("")})->events.empty());
  EXPECT_FALSE(ask(s, retain{"org", nullptr}));
}

TEST(TopicRules, AMessageExpires) {
  auto s = state{};
  EXPECT_TRUE(ask(s, retain{"org", message_of("1", 5)}));
  EXPECT_EQ(next_deadline(s), begin + std::chrono::seconds{5});
  EXPECT_TRUE(ask(s, time_passed{})->events.empty());
  const auto late = begin + std::chrono::seconds{5};
  EXPECT_EQ(kept(s, late), 0u);
  EXPECT_EQ(ask(s, time_passed{}, late)->events.size(), 1u);
  EXPECT_FALSE(next_deadline(s));
}

TEST(TopicEncoding, StateAndCommandsRoundTrip) {
  auto s = state{};
  const auto d = ask(s, retain{"org", message_of("1", 5)});
  auto back = state{};
  ASSERT_TRUE(decode_state(encode_state(s, 4), back));
  EXPECT_EQ(*back.message, *s.message);
  EXPECT_EQ(encode_state(back, 4), encode_state(s, 4));
  EXPECT_TRUE(decode_events(encode_events(d->events)));
  auto out = byte_writer{};
  write_command(out, {retain{"org", message_of("1")}, "a", {}});
  write_reply(out, retained_messages{{message_of("1")}});
  const auto bytes = out.take();
  auto in = byte_reader{bytes};
  auto c = command{};
  auto r = reply{};
  EXPECT_TRUE(read_command(in, c) && read_reply(in, r) && in.at_end());
}

}  // namespace
}  // namespace orrery::model::topic
