#include "transport/http_message.hpp"

#include <gmock/gmock.h>

namespace orrery::transport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(Target, IsSplitAndDecoded) {
  auto r = http_request{};
  ASSERT_TRUE(split_target("/api/v1/a%2Fb/c+d?x=1&y=a+b%26c&flag&=v&x=2&&z=", r));
  EXPECT_THAT(r.path, ElementsAre("api", "v1", "a/b", "c+d"));
  EXPECT_THAT(r.query, ElementsAre(Pair("x", "1"), Pair("y", "a b&c"), Pair("flag", ""),
                                   Pair("", "v"), Pair("x", "2"), Pair("z", "")));
  EXPECT_EQ(*r.parameter("x"), "1");
  EXPECT_EQ(r.parameter("w"), nullptr);
}

TEST(Target, ASlashAtTheEndCountsForNothing) {
  auto r = http_request{};
  ASSERT_TRUE(split_target("/a/b/", r));
  EXPECT_THAT(r.path, ElementsAre("a", "b"));
  r = {};
  ASSERT_TRUE(split_target("/", r));
  EXPECT_THAT(r.path, IsEmpty());
  r = {};
  ASSERT_TRUE(split_target("//a", r));
  EXPECT_THAT(r.path, ElementsAre("", "a"));
}

TEST(Target, TheAbsoluteFormIsReadToo) {
  for (const auto* target : {"http://host:80/a/b?x=1", "https://user@host/a/b?x=1"}) {
    auto r = http_request{};
    ASSERT_TRUE(split_target(target, r)) << target;
    EXPECT_THAT(r.path, ElementsAre("a", "b"));
    EXPECT_EQ(*r.parameter("x"), "1");
  }
}

TEST(Target, RefusesWhatCannotBeDecoded) {
  for (const auto* target : {"", "a/b", "*", "?x", "/a%", "/a%2", "/a%zz", "/a%00b", "/a?x=%",
                             "/a?%0g=1", "/a?x=%00", "http://host", "http://", "host:80"}) {
    auto r = http_request{};
    EXPECT_FALSE(split_target(target, r)) << target;
  }
}

TEST(HttpRequest, TheFirstHeaderOfANameCounts) {
  auto r = http_request{};
  r.headers = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
  EXPECT_EQ(r.header("a"), "1");
  EXPECT_EQ(r.header("c"), "");
}

TEST(Responder, AnswersOnceWhateverHappens) {
  auto got = std::vector<int>{};
  const auto sink = [&](http_response r) { got.push_back(r.status); };
  {
    const auto answer = responder{sink};
    const auto copy = answer;
    copy({.status = 204,
          .headers = {},
          .body = {},
          .content_type = {},
          .upgrade = {},
          .sub_protocol = {}});
    answer({.status = 500,
            .headers = {},
            .body = {},
            .content_type = {},
            .upgrade = {},
            .sub_protocol = {}});
  }
  EXPECT_THAT(got, ElementsAre(204));
  { const auto forgotten = responder{sink}; }
  EXPECT_THAT(got, ElementsAre(204, 500)) << "whoever lets go of it without an answer failed";
}

TEST(SubProtocols, AreFoundInTheirList) {
  for (const auto* list : {"mqtt", "a, mqtt", " mqtt ,b", "a,mqtt,b"})
    EXPECT_TRUE(offers(list, "mqtt")) << list;
  for (const auto* list : {"", ",", "mqttv3.1", "MQTT", "a b mqtt"})
    EXPECT_FALSE(offers(list, "mqtt")) << list;
}

}  // namespace
}  // namespace orrery::transport
