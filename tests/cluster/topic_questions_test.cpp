#include "cluster/topic_questions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/keys.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/recording.hpp"

namespace orrery::cluster {
namespace {

namespace client = model::client;
namespace topic = model::topic;
using model::index_topic;

constexpr auto shard = model::shard_id{3};

model::entity_id id_of(std::uint8_t number) {
  auto id = model::entity_id{.shard = shard, .ulid = {}};
  id.ulid[15] = number;
  return id;
}

model::shared_message message(std::string text) {
  auto m = std::make_shared<model::topic_message>();
  m->topic = std::move(text);
  m->payload = "x";
  return m;
}

struct TopicQuestions : testing::Test {
  std::shared_ptr<tests::recording_port> asker = std::make_shared<tests::recording_port>();
  std::shared_ptr<tests::recording_port> host = std::make_shared<tests::recording_port>();
  topic_questions all{shard, 2};

  actors::asker of(const std::shared_ptr<tests::recording_port>& port) {
    return std::shared_ptr<actors::answer_port>{port};
  }
  actors::ask offer(std::string text, std::uint64_t number) {
    auto one = actors::ask{};
    one.from = of(asker);
    one.number = number;
    one.whom = actors::topic_listeners{shard, "org", text};
    one.what = client::command{client::offer{message(std::move(text)), false}, "a", {}};
    return one;
  }
  actors::ask retain(std::string text) {
    auto one = actors::ask{};
    one.whom = id_of(9);
    one.what = topic::command{topic::retain{"org", message(std::move(text))}, "a", {}};
    return one;
  }
  void listens(std::uint8_t who, std::string filter, bool present = true) {
    all.note(id_of(who), {"org", std::move(filter), index_topic::entry::filter, present});
  }
  void answer(std::uint64_t number, model::result<actors::outcome> what) {
    auto one = actors::settled{number, std::move(what)};
    all.take(one);
  }
  static actors::outcome taken(std::uint64_t count, std::uint64_t dropped) {
    auto o = actors::outcome{};
    o.answer = client::reply{client::offered{count, dropped}};
    return o;
  }
  client::offered sum(std::uint64_t number) {
    const auto* got = asker->to(number);
    return got && *got ? std::get<client::offered>(std::get<client::reply>((*got)->answer))
                       : client::offered{99, 99};
  }
};

TEST_F(TopicQuestions, EachListenerIsAskedAndTheSumIsTheAnswer) {
  listens(1, "a/+");
  listens(2, "#");
  listens(3, "b");
  auto one = offer("a/b", 7);
  const auto asked = all.spread(one, of(host));
  ASSERT_TRUE(asked);
  ASSERT_EQ(asked->asks.size(), 2u);
  const auto number = asked->asks[0].number;
  EXPECT_EQ(asked->asks[1].number, number);
  EXPECT_GE(number, topic_questions::first_number);
  EXPECT_TRUE(asked->asks[0].from == of(host));
  answer(number, taken(1, 0));
  EXPECT_TRUE(asker->numbers().empty()) << "one is missing";
  answer(number, taken(0, 1));
  EXPECT_EQ(sum(7).taken, 1u);
  EXPECT_EQ(sum(7).dropped, 1u);
  answer(number, taken(5, 5));  // nobody waits for more
  EXPECT_EQ(asker->numbers().size(), 1u);
}

TEST_F(TopicQuestions, OneFailureIsTheAnswerWhenAllAreThere) {
  listens(1, "a");
  listens(2, "a");
  auto one = offer("a", 7);
  const auto number = all.spread(one, of(host))->asks[0].number;
  answer(number, model::failure{model::errc::unavailable, "write_lost", "x"});
  EXPECT_TRUE(asker->numbers().empty());
  answer(number, taken(1, 0));
  ASSERT_TRUE(asker->to(7));
  EXPECT_FALSE(*asker->to(7));
}

TEST_F(TopicQuestions, WithNobodyToAskTheAnswerIsThereAtOnce) {
  listens(1, "a");
  listens(1, "a", false);
  auto one = offer("a", 7);
  const auto asked = all.spread(one, of(host));
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->asks.empty());
  EXPECT_EQ(sum(7).taken, 0u);
}

TEST_F(TopicQuestions, NobodyIsToldWhenNobodyWaits) {
  listens(1, "a");
  auto one = offer("a", 0);
  const auto asked = all.spread(one, of(host));
  ASSERT_EQ(asked->asks.size(), 1u);
  EXPECT_FALSE(asked->asks[0].from);
}

TEST_F(TopicQuestions, AFilterCountsForWhatIsAskedBehindIt) {
  const auto to_client = [&](client::order what) {
    auto one = actors::ask{};
    one.whom = id_of(1);
    one.what = client::command{std::move(what), "a", {}};
    all.see(id_of(1), one);
  };
  const auto asked = [&] {
    auto one = offer("a", 7);
    return all.spread(one, of(host))->asks.size();
  };
  to_client(client::change_filters{{{"a", 1}}});
  EXPECT_EQ(asked(), 0u) << "nobody knows whose it is";
  to_client(client::attach{"org", "me", {1, 5, 0}, false, 0, {}, false});
  to_client(client::detach{{1, 4, 0}, true, {}, {}});  // of the connection before
  to_client(client::change_filters{{{"a", 1}, {"$share/g/b", 1}}});
  EXPECT_EQ(asked(), 1u);
  to_client(client::detach{{1, 5, 0}, true, {}, {}});
  to_client(client::change_filters{{{"c", 1}}});
  auto one = offer("c", 8);
  EXPECT_TRUE(all.spread(one, of(host))->asks.empty());
}

TEST_F(TopicQuestions, AQuestionToOneIsNotForThem) {
  auto one = retain("a");
  EXPECT_FALSE(all.spread(one, of(host)));
}

TEST_F(TopicQuestions, RetainedMessagesAreCountedBeforeTheyAreTaken) {
  const auto keeps = [&](std::uint8_t id, std::string text) {
    all.note(id_of(id), {"org", std::move(text), index_topic::entry::retained, true});
  };
  keeps(1, "a");
  EXPECT_TRUE(all.admit(retain("b")));
  keeps(2, "b");
  EXPECT_TRUE(all.admit(retain("b"))) << "it takes the place of the one that is there";
  ASSERT_FALSE(all.admit(retain("c")));
  EXPECT_EQ(all.admit(retain("c")).error().reason, "too_many_retained");
}

TEST_F(TopicQuestions, TheIndexComesFromTheStore) {
  auto store = tests::memory_store{};
  const auto plant = [&](std::string_view index, std::string_view value, std::uint8_t id) {
    store.plant(storage::family::index, storage::keys::index(shard, index, value, id_of(id)), {});
  };
  plant("filter",
        "org\x1f"
        "a/#",
        1);
  plant("filter", "no organisation", 2);
  plant("retained",
        "org\x1f"
        "a",
        3);
  listens(4, "a/b");  // of before
  ASSERT_TRUE(all.load(store));
  auto one = offer("a/b", 7);
  const auto asked = all.spread(one, of(host));
  ASSERT_EQ(asked->asks.size(), 1u);
  EXPECT_TRUE(std::get<model::entity_id>(asked->asks[0].whom) == id_of(1));
  store.faults.rows = true;
  EXPECT_FALSE(all.load(store));
}

}  // namespace
}  // namespace orrery::cluster
