#include "model/topic_filter.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "model/topic_message.hpp"
#include "model/topic_rule.hpp"

namespace orrery::model {
namespace {

TEST(TopicFilter, CoversWhatItMatchesAltogether) {
  struct row {
    const char *wide, *filter;
    bool covers;
  };
  for (const auto& r : {row{"#", "a/b", true},
                        {"#", "#", true},
                        {"#", "$SYS/a", false},
                        {"$SYS/#", "$SYS/a", true},
                        {"a/#", "a", true},
                        {"a/#", "a/#", true},
                        {"a/#", "a/+/c", true},
                        {"a/#", "+/b", false},
                        {"a/+", "a/b", true},
                        {"a/+", "a/+", true},
                        {"a/+", "a/#", false},
                        {"a/b", "a/+", false},
                        {"a/b/#", "a/#", false},
                        {"a/+/#", "a/#", false},
                        {"+/+", "a/b/c", false},
                        {"a", "a/b", false},
                        {"a/b", "a", false}})
    EXPECT_EQ(filter_covers(r.wide, r.filter), r.covers) << r.wide << " on " << r.filter;
}

TEST(TopicFilter, CoversAgreesWithMatches) {
  auto random = std::mt19937{7};
  const auto pick = [&](std::vector<std::string> from) { return from[random() % from.size()]; };
  const auto text = [&](bool wild) {
    auto made = std::string{};
    const auto levels = random() % 4 + 1;
    for (std::size_t i = 0; i < levels; ++i) {
      if (wild && i + 1 == levels && random() % 4 == 0)
        return made + (i ? "/#" : "#");
      made += (i ? "/" : "") + (wild && random() % 4 == 0 ? "+" : pick({"a", "b", "$c", ""}));
    }
    return made.empty() ? std::string{"a"} : made;
  };
  for (auto i = 0; i < 20'000; ++i) {
    const auto wide = text(true), filter = text(true), topic = text(false);
    if (filter_covers(wide, filter) && filter_matches(filter, topic)) {
      EXPECT_TRUE(filter_matches(wide, topic)) << wide << " covers " << filter << " on " << topic;
    }
  }
}

TEST(TopicRule, PlaceholdersStandForWhoItIs) {
  const auto rules = std::vector<topic_rule>{{topic_rule::right::publish, "plant/%pk/%dk/#"},
                                             {topic_rule::right::subscribe, "news/+"},
                                             {topic_rule::right::both, "apps/%key/#"}};
  const auto device = topic_user{{"pk", "dk"}, ""};
  EXPECT_TRUE(may_publish(rules, device, "plant/pk/dk/a"));
  EXPECT_FALSE(may_publish(rules, device, "plant/pk/other/a"));
  EXPECT_FALSE(may_publish(rules, device, "news/a"));
  EXPECT_FALSE(may_publish(rules, device, "apps/%key/a"));
  EXPECT_FALSE(may_publish(rules, device, "apps//a"));
  EXPECT_TRUE(may_subscribe(rules, device, "news/a"));
  EXPECT_TRUE(may_subscribe(rules, device, "$share/g/news/+"));
  EXPECT_FALSE(may_subscribe(rules, device, "news/#"));
  EXPECT_FALSE(may_subscribe(rules, device, "#"));
  const auto app = topic_user{{}, "k1"};
  EXPECT_TRUE(may_publish(rules, app, "apps/k1/a"));
  EXPECT_FALSE(may_publish(rules, app, "plant///a"));
}

TEST(TopicRule, NoneIsForTheDeviceProtocol) {
  for (const auto* reserved :
       {"$SYS/a", "/sys/pk/dk/x", "sys/a", "/ext/session/a", "ota/x", "/ota"}) {
    EXPECT_TRUE(is_reserved_topic(reserved)) << reserved;
    EXPECT_FALSE(may_publish({{{topic_rule::right::both, "#"}}}, {}, reserved)) << reserved;
  }
  EXPECT_FALSE(is_reserved_topic("system/a"));
  const auto bad = std::vector<topic_rule>{{topic_rule::right::both, "a/#/b"},
                                           {topic_rule::right::both, "/sys/#"},
                                           {topic_rule::right::both, std::string(300, 'a')},
                                           {topic_rule::right::both, "good/+"}};
  const auto checked = check_topic_rules(bad);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().problems.size(), 3u);
  EXPECT_FALSE(check_topic_rules(std::vector<topic_rule>(40, {topic_rule::right::both, "a"})));
}

TEST(TopicMessage, IdsAreTheSameEverywhereAndInFewShards) {
  EXPECT_EQ(client_id_of("org", "a", 64), client_id_of("org", "a", 64));
  EXPECT_NE(client_id_of("org", "a", 64), client_id_of("org2", "a", 64));
  EXPECT_NE(client_id_of("org", "a", 64).ulid, topic_id_of("org", "a", 64).ulid);
  auto shards = std::vector<bool>(64);
  for (auto i = 0; i < 1'000; ++i)
    shards[client_id_of("org", std::to_string(i), 64).shard] = true;
  EXPECT_EQ(std::count(shards.begin(), shards.end(), true), 16);
}

}  // namespace
}  // namespace orrery::model
