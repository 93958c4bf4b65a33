#include <random>

#include <gtest/gtest.h>

#include "model/client/client.hpp"
#include "model/client/wire.hpp"

namespace orrery::model::client {
namespace {

constexpr auto begin = timestamp{std::chrono::milliseconds{1'700'000'000'000}};

shared_message message_on(std::string topic, std::uint8_t level, std::string publisher = "other") {
  auto m = std::make_shared<topic_message>();
  m->topic = std::move(topic);
  m->payload = "x";
  m->level = level;
  m->sent = begin;
  m->publisher = std::move(publisher);
  return m;
}

/// A client, or a group, with its rules, and what was sent to sessions.
struct bench {
  state s;
  timestamp now = begin;
  std::uint64_t turn = 0;
  std::size_t max_queued = 10;
  std::vector<deliver> sent;
  std::vector<effect> other;
  std::vector<event> last;

  result<reply> ask(order what) {
    auto around = surroundings{.self = {3, {9}}, .now = now, .max_queued = max_queued};
    around.turn = turn;
    turn += std::holds_alternative<offer>(what) ? 1 : 0;
    auto d = decide(s, {std::move(what), "test", {}}, around);
    if (!d)
      return d.error();
    last = d->events;
    auto all = std::vector<effect>{};
    for (const auto& e : d->events) {
      apply(s, e);
      auto more = effects(s, e);
      all.insert(all.end(), more.begin(), more.end());
    }
    all.insert(all.end(), d->effects.begin(), d->effects.end());
    for (auto& e : all)
      if (auto* one = std::get_if<deliver>(&e))
        sent.push_back(*one);
      else
        other.push_back(e);
    // What is on disk is what is in memory.
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    auto events = decode_events(encode_events(d->events));
    EXPECT_TRUE(events && events->size() == d->events.size());
    return std::move(d->answer);
  }
  attach_granted attach_as(std::uint64_t session, bool resumes, std::uint32_t expiry) {
    auto got = ask(attach{"org", "me", {1, session, 0}, resumes, expiry, {}});
    return got ? std::get<attach_granted>(*got) : attach_granted{};
  }
  offered publish(const shared_message& m) {
    auto got = ask(offer{m, false});
    return got ? std::get<offered>(*got) : offered{};
  }
  void subscribe(std::string filter, std::uint64_t options) {
    EXPECT_TRUE(ask(change_filters{{{std::move(filter), options}}}));
  }
  void gone(std::uint64_t session, bool with_will = true) {
    EXPECT_TRUE(ask(detach{{1, session, 0}, with_will, {}, {}}));
  }
  std::vector<std::uint64_t> numbers() {
    auto all = std::vector<std::uint64_t>{};
    for (const auto& d : std::exchange(sent, {}))
      all.push_back(std::get<topic_delivery>(d.message.what).number);
    return all;
  }
  template <class E>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        other.begin(), other.end(), [](const effect& e) { return std::holds_alternative<E>(e); }));
  }
};

TEST(ClientRules, WhatIsNotKeptGoesStraightThrough) {
  auto b = bench{};
  EXPECT_FALSE(b.attach_as(1, false, 0).resumed);
  b.subscribe("a/+", 2);
  EXPECT_EQ(b.publish(message_on("a/b", 2)).taken, 1u);
  EXPECT_EQ(b.publish(message_on("b", 2)).taken, 0u);
  EXPECT_EQ(b.numbers(), std::vector<std::uint64_t>{0});
  EXPECT_TRUE(b.s.queue.all.empty());
  b.gone(1);
  EXPECT_FALSE(b.s.exists);
  EXPECT_EQ(b.publish(message_on("a/b", 2)).taken, 0u);
}

TEST(ClientRules, AKeptSessionGetsWhatCameMeanwhile) {
  auto b = bench{};
  b.attach_as(1, false, 60);
  b.subscribe("a", 1);
  b.gone(1);
  EXPECT_EQ(b.publish(message_on("a", 2)).taken, 1u);
  EXPECT_EQ(b.publish(message_on("a", 0)).taken, 0u);
  b.publish(message_on("a", 1));
  EXPECT_TRUE(b.sent.empty());
  const auto granted = b.attach_as(2, true, 60);
  EXPECT_TRUE(granted.resumed);
  EXPECT_EQ(granted.filters.size(), 1u);
  EXPECT_EQ(std::get<topic_delivery>(b.sent.at(0).message.what).level, 1);
  EXPECT_EQ(b.numbers(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(b.ask(settle{{1}, {}}));
  b.gone(2);
  b.attach_as(3, true, 60);
  EXPECT_EQ(b.numbers(), std::vector<std::uint64_t>{2});
  EXPECT_FALSE(b.attach_as(4, false, 60).resumed);  // begins anew
  EXPECT_TRUE(b.s.queue.all.empty());
  EXPECT_TRUE(b.s.filters.empty());
  EXPECT_EQ(b.count<close_session>(), 1u);
}

TEST(ClientRules, OfQosTwoOnlyTheReleaseIsRepeated) {
  auto b = bench{};
  b.attach_as(1, false, never);
  b.subscribe("a", 2);
  b.publish(message_on("a", 2));
  EXPECT_TRUE(b.ask(settle{{}, {1}}));
  b.gone(1);
  b.sent.clear();
  b.attach_as(2, true, never);
  ASSERT_EQ(b.sent.size(), 1u);
  EXPECT_TRUE(std::get<topic_delivery>(b.sent[0].message.what).released);
  EXPECT_TRUE(b.sent[0].message.repeated);
}

TEST(ClientRules, AFullQueueDropsTheNewest) {
  auto b = bench{};
  b.max_queued = 2;
  b.attach_as(1, false, 60);
  b.subscribe("a", 1);
  b.gone(1);
  EXPECT_EQ(b.publish(message_on("a", 1)).dropped, 0u);
  EXPECT_EQ(b.publish(message_on("a", 1)).dropped, 0u);
  EXPECT_EQ(b.publish(message_on("a", 1)).dropped, 1u);
  b.attach_as(2, true, 60);
  EXPECT_EQ(b.numbers(), (std::vector<std::uint64_t>{1, 2}));
}

TEST(ClientRules, NoLocalIsNotForItsOwn) {
  auto b = bench{};
  b.attach_as(1, false, 60);
  b.subscribe("a", 1 | 4);
  EXPECT_EQ(b.publish(message_on("a", 1, "me")).taken, 0u);
  EXPECT_EQ(b.publish(message_on("a", 1)).taken, 1u);
}

TEST(ClientRules, MessagesAndSessionsRunOut) {
  auto b = bench{};
  b.attach_as(1, false, 60);
  b.subscribe("a", 1);
  b.gone(1);
  auto m = std::make_shared<topic_message>(*message_on("a", 1));
  m->expiry = 5;
  b.publish(m);
  b.publish(message_on("a", 1));
  EXPECT_EQ(next_deadline(b.s), begin + std::chrono::seconds{60});
  b.now += std::chrono::seconds{10};
  b.attach_as(2, true, 60);
  EXPECT_EQ(b.numbers(), std::vector<std::uint64_t>{2});
  b.gone(2);
  b.now += std::chrono::seconds{60};
  EXPECT_TRUE(b.ask(time_passed{}));
  EXPECT_FALSE(b.s.exists);
  EXPECT_FALSE(next_deadline(b.s));
  const auto& listed = std::get<index_topic>(b.other.back());
  EXPECT_EQ(std::pair(listed.text, listed.present), std::pair(std::string{"a"}, false));
}

TEST(ClientRules, TheNextConnectionKnowsWhatTheOneBeforeItTook) {
  auto b = bench{};
  b.attach_as(1, false, 60);
  auto again = attach{"org", "me", {1, 2, 0}, true, 60, {}};
  again.waits = true;
  EXPECT_TRUE(std::holds_alternative<attach_later>(*b.ask(again)));
  EXPECT_EQ(std::get<close_session>(b.other.at(0)).session.number, 1u);
  EXPECT_TRUE(b.ask(detach{{1, 1, 0}, true, {}, {7}}));
  EXPECT_EQ(std::get<attach_granted>(*b.ask(again)).unreleased, std::vector<std::uint16_t>{7});
  // One that begins anew has nothing to wait for, nor has one that has waited long enough.
  again.session.number = 3;
  again.resumes = false;
  EXPECT_TRUE(std::holds_alternative<attach_granted>(*b.ask(again)));
  again = {"org", "me", {1, 4, 0}, true, 60, {}};
  EXPECT_TRUE(std::holds_alternative<attach_granted>(*b.ask(again)));
}

TEST(ClientRules, WhatIsOverIsOverBeforeAnybodyLooked) {
  auto b = bench{};
  b.attach_as(1, false, 60);
  b.subscribe("a", 1);
  b.gone(1);
  b.now += std::chrono::seconds{60};
  EXPECT_FALSE(b.attach_as(2, true, 60).resumed);
  EXPECT_TRUE(b.s.filters.empty());
  EXPECT_TRUE(b.ask(attach{"org", "me", {1, 3, 0}, true, 60, last_will{*message_on("w", 1), 30}}));
  b.gone(3);
  b.now += std::chrono::seconds{30};
  EXPECT_TRUE(b.attach_as(4, true, 60).resumed);
  EXPECT_EQ(b.count<publish_message>(), 1u);
}

TEST(ClientRules, AWillGoesWhenTheConnectionIsLost) {
  const auto with_will = [](std::uint64_t session, std::uint32_t delay) {
    auto a = attach{"org", "me", {1, session, 0}, true, 60, last_will{*message_on("w", 1), delay}};
    return a;
  };
  auto b = bench{};
  EXPECT_TRUE(b.ask(with_will(1, 0)));
  b.gone(1, false);
  EXPECT_EQ(b.count<publish_message>(), 0u);
  EXPECT_TRUE(b.ask(with_will(2, 0)));
  b.gone(2);
  EXPECT_EQ(b.count<publish_message>(), 1u);
  EXPECT_TRUE(b.ask(with_will(3, 30)));
  b.gone(3);
  EXPECT_EQ(next_deadline(b.s), b.now + std::chrono::seconds{30});
  EXPECT_TRUE(b.ask(with_will(4, 30)));  // came back in time
  EXPECT_TRUE(b.ask(session_lost{1}));
  EXPECT_EQ(b.count<publish_message>(), 1u);
  b.now += std::chrono::seconds{30};
  EXPECT_TRUE(b.ask(time_passed{}));
  EXPECT_EQ(b.count<publish_message>(), 2u);
  EXPECT_TRUE(b.s.exists);
}

TEST(ClientRules, AGroupGivesEachMessageToOne) {
  auto b = bench{};
  const auto join_as = [&](std::string who, std::uint64_t session, std::uint32_t expiry) {
    EXPECT_TRUE(b.ask(join{"org", "$share/g/a", std::move(who), {1, session, 0}, 1, expiry}));
  };
  join_as("m1", 1, 0);
  join_as("m2", 2, 0);
  for (auto i = 0; i < 4; ++i)
    EXPECT_EQ(b.publish(message_on("a", 1)).taken, 1u);
  auto to = std::map<std::uint64_t, int>{};
  for (const auto& d : b.sent)
    ++to[d.session.number];
  EXPECT_EQ(to, (std::map<std::uint64_t, int>{{1, 2}, {2, 2}}));
  b.sent.clear();
  b.gone(1);  // the other one gets what it had
  EXPECT_EQ(b.numbers().size(), 2u);
  b.gone(2);
  EXPECT_FALSE(b.s.exists);
}

TEST(ClientRules, AGroupKeepsMessagesForMembersThatAreAway) {
  auto b = bench{};
  EXPECT_TRUE(b.ask(join{"org", "$share/g/a", "m1", {1, 1, 0}, 1, 60}));
  b.gone(1);
  EXPECT_TRUE(b.s.exists);
  EXPECT_EQ(b.publish(message_on("a", 1)).taken, 1u);
  EXPECT_TRUE(b.ask(join{"org", "$share/g/a", "m2", {1, 2, 0}, 1, 0}));
  EXPECT_EQ(b.numbers(), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(b.ask(leave{"m2"}));
  EXPECT_TRUE(b.s.exists);
  b.now += std::chrono::seconds{61};
  EXPECT_TRUE(b.ask(time_passed{}));
  EXPECT_FALSE(b.s.exists);
}

TEST(ClientRules, WhatComesLateIsPassedOver) {
  auto b = bench{};
  EXPECT_FALSE(b.ask(change_filters{}));
  EXPECT_TRUE(b.ask(settle{{1}, {}}));
  EXPECT_TRUE(b.ask(time_passed{}));
  b.attach_as(1, false, 60);
  b.attach_as(2, true, 60);
  b.gone(1);  // of the connection before
  EXPECT_TRUE(b.s.members.at(0).is_here());
  b.attach_as(2, true, 60);  // the same one twice
  EXPECT_TRUE(b.last.empty());
}

/// Whatever happens in whatever order: what was taken for a kept session is in its queue until it
/// is settled, in order; and to nobody goes what nobody asked for.
TEST(ClientRules, RandomSequencesLoseNothing) {
  for (auto seed = 1u; seed <= 200; ++seed) {
    auto random = std::mt19937{seed};
    auto b = bench{};
    b.max_queued = 1'000;
    auto owed = std::vector<std::uint64_t>{};  // numbers
    auto session = std::uint64_t{1};
    b.attach_as(session, false, never);
    b.subscribe("a", 1);
    auto here = true, listens = true;
    for (auto step = 0; step < 100; ++step) {
      switch (random() % 6) {
        case 0:
          here = true;
          b.sent.clear();
          EXPECT_TRUE(b.attach_as(++session, true, never).resumed);
          EXPECT_EQ(b.numbers(), owed);
          break;
        case 1:
          b.gone(session);
          here = false;
          break;
        case 2:
          if (!owed.empty()) {
            const auto at = random() % owed.size();
            EXPECT_TRUE(b.ask(settle{{owed[at]}, {}}));
            owed.erase(owed.begin() + static_cast<std::ptrdiff_t>(at));
          }
          break;
        case 3:
          listens = random() % 4 != 0;
          EXPECT_TRUE(b.ask(
              change_filters{{{"a", listens ? std::optional<std::uint64_t>{1} : std::nullopt}}}));
          break;
        default: {
          b.sent.clear();
          const auto got = b.publish(message_on("a", 1));
          EXPECT_EQ(got.taken, listens ? 1u : 0u);
          if (listens)
            owed.push_back(b.s.last_number);
          EXPECT_EQ(b.sent.size(), listens && here ? 1u : 0u);
        }
      }
      auto kept = std::vector<std::uint64_t>{};
      for (const auto& q : b.s.queue.all)
        kept.push_back(q.number);
      ASSERT_EQ(kept, owed) << "seed " << seed << ", step " << step;
    }
  }
}

TEST(ClientWire, CommandsAndRepliesRoundTrip) {
  const auto will = last_will{*message_on("w", 1), 3};
  for (const auto& what : std::vector<order>{
           attach{"org", "me", {1, 2, 3}, true, 9, will}, join{"org", "$share/g/a", "m", {}, 7, 1},
           leave{"m"}, change_filters{{{"a", 1}, {"b", std::nullopt}}},
           offer{message_on("a", 2), true}, settle{{1, 2}, {3}}, detach{{1, 2, 3}, false, 5, {7}},
           session_lost{4}, time_passed{}, read_client{}}) {
    auto out = byte_writer{};
    write_command(out, {what, "a", 3});
    const auto bytes = out.take();
    auto in = byte_reader{bytes};
    auto back = command{};
    ASSERT_TRUE(read_command(in, back));
    auto again = byte_writer{};
    write_command(again, back);
    EXPECT_EQ(again.take(), bytes);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      auto part = byte_reader{std::string_view{bytes}.substr(0, cut)};
      auto none = command{};
      EXPECT_FALSE(read_command(part, none));
    }
  }
}

TEST(ClientEncoding, AKeptMessageRoundTrips) {
  auto q = queued{};
  q.number = 7;
  q.message = message_on("a", 2);
  q.member = "m";
  q.received = true;
  const auto bytes = encode_queued(q);
  const auto back = decode_queued(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back->message, *q.message);
  EXPECT_EQ(encode_queued(*back), bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_queued(std::string_view{bytes}.substr(0, cut)));
}

}  // namespace
}  // namespace orrery::model::client
