#include "transport/api/exchange.hpp"

#include "model/json.hpp"
#include "tests/transport/api/support.hpp"

namespace orrery::transport::api {
namespace {

using testing::Contains;
using testing::Not;
using testing::Pair;

class Exchange : public api_test {
 protected:
  exchange_ptr make(http_request r) {
    auto e = std::make_shared<exchange>(
        parts, std::make_shared<const http_request>(std::move(r)),
        responder{[this](http_response got) { answer = std::move(got); }}, "r1");
    e->who.organisation = "org";
    return e;
  }
  exchange_ptr get(const std::string& target, std::string header = {}, std::string value = {}) {
    auto r = http_request{};
    r.method = "GET";
    r.target = target;
    EXPECT_TRUE(split_target(target, r));
    if (!header.empty())
      r.headers.emplace_back(std::move(header), std::move(value));
    return make(std::move(r));
  }
  exchange_ptr post(std::string body, std::string header = {}, std::string value = {}) {
    auto r = http_request{};
    r.method = "POST";
    r.body = std::move(body);
    if (!header.empty())
      r.headers.emplace_back(std::move(header), std::move(value));
    return make(std::move(r));
  }
  http_response answer;
};

template <class T>
std::string refusal(const model::result<T>& r) {
  return r ? "" : std::string{r.error().reason};
}

TEST_F(Exchange, ReadsItsBody) {
  EXPECT_TRUE(post("")->body()->is_object()) << "no body is an empty object";
  EXPECT_EQ(post(R"({"a":1})")->body()->find("a")->as_int(), 1);
  EXPECT_TRUE(post("{}", "content-type", "application/merge-patch+json")->body());
  EXPECT_TRUE(post("{}", "content-encoding", "identity")->body());
  EXPECT_EQ(refusal(post("{}", "content-type", "text/plain")->body()), "unsupported_media_type");
  EXPECT_EQ(refusal(post("{}", "content-encoding", "gzip")->body()), "unsupported_media_type");
  for (const auto* text : {"{", "{}{}", "nul", "{\"a\":NaN}", "{\"a\":\"\xff\"}", "{'a':1}"})
    EXPECT_EQ(refusal(post(text)->body()), "malformed") << text;
  EXPECT_EQ(refusal(post(std::string(40, '[') + std::string(40, ']'))->body()), "too_large");
}

TEST_F(Exchange, ReadsALimit) {
  EXPECT_EQ(*get("/x")->limit(50, 500), 50u);
  EXPECT_EQ(*get("/x?limit=500")->limit(50, 500), 500u);
  for (const auto* text : {"0", "501", "-1", "ten", "", "1.5", "99999999999999999999", "1 "})
    EXPECT_EQ(refusal(get(std::string{"/x?limit="} + text)->limit(50, 500)), "malformed") << text;
}

TEST_F(Exchange, ReadsATime) {
  EXPECT_EQ(*get("/x")->time("from", now), now);
  EXPECT_EQ(*get("/x?from=1700000000000")->time("from", {}), now);
  EXPECT_EQ(*get("/x?from=2023-11-14T22:13:20Z")->time("from", {}), now);
  EXPECT_EQ(*get("/x?from=2023-11-14T23:13:20%2B01:00")->time("from", {}), now);
  EXPECT_EQ(refusal(get("/x?from=yesterday")->time("from", {})), "malformed");
  EXPECT_EQ(refusal(get("/x?from=")->time("from", {})), "malformed");
}

TEST_F(Exchange, IfMatchIsOneStrongTag) {
  const auto with = [&](const char* value, bool required = false) {
    return get("/x", "if-match", value)->if_match(required);
  };
  EXPECT_EQ(**with("\"7\""), 7u);
  EXPECT_FALSE(*with("*", true));
  EXPECT_FALSE(*get("/x")->if_match());
  EXPECT_EQ(refusal(get("/x")->if_match(true)), "etag_required");
  for (const auto* other : {"\"abc\"", "W/\"7\"", "\"\"", "\"7x\"", "\"-7\""})
    EXPECT_EQ(refusal(with(other)), "etag_mismatch") << other;
  for (const auto* wrong : {"7", "\"7", "7\"", "\"7\", \"8\"", "W/7", "\""})
    EXPECT_EQ(refusal(with(wrong)), "malformed") << wrong;
}

TEST_F(Exchange, IfNoneMatchNamesWhatTheCallerHas) {
  EXPECT_TRUE(exchange::names_etag("\"7\"", "\"7\""));
  EXPECT_TRUE(exchange::names_etag("\"6\", \"7\"", "\"7\""));
  EXPECT_TRUE(exchange::names_etag("\"6\",W/\"7\"", "\"7\""));
  EXPECT_TRUE(exchange::names_etag("*", "\"7\""));
  EXPECT_FALSE(exchange::names_etag("\"8\"", "\"7\""));
  EXPECT_FALSE(exchange::names_etag("7", "\"7\""));
  EXPECT_FALSE(exchange::names_etag("", "\"7\""));
}

TEST_F(Exchange, AKnownTagIsAnsweredWithoutABody) {
  get("/x", "if-none-match", "\"7\"")->reply(200, model::object{}, {{"ETag", "\"7\""}});
  EXPECT_EQ(answer.status, 304);
  EXPECT_TRUE(answer.body.empty() && answer.content_type.empty());
  EXPECT_THAT(answer.headers, Contains(Pair("ETag", "\"7\"")));
  get("/x", "if-none-match", "\"6\"")->reply(200, model::object{}, {{"ETag", "\"7\""}});
  EXPECT_EQ(answer.status, 200);
}

TEST_F(Exchange, AThingWithoutARevisionHasATagOfItsContent) {
  const auto tag = [&](int n) {
    get("/x")->reply_one(model::object{{"n", n}});
    for (const auto& [name, v] : answer.headers)
      if (name == "ETag")
        return v;
    return std::string{};
  };
  EXPECT_EQ(tag(1), tag(1));
  EXPECT_NE(tag(1), tag(2));
  EXPECT_EQ(tag(1).front(), '"');
  get("/x", "if-none-match", tag(1))->reply_one(model::object{{"n", 1}});
  EXPECT_EQ(answer.status, 304);
}

TEST_F(Exchange, APageLeadsToTheNextOfTheSameQuestion) {
  get("/orgs/-/devices?status=online&limit=2")->reply_page({1, 2}, "place");
  const auto cursor = model::parse_json(answer.body)->find("nextCursor")->as_string();
  EXPECT_EQ(*get("/orgs/-/devices?limit=5&cursor=" + cursor + "&status=online")->cursor(), "place");
  EXPECT_EQ(refusal(get("/orgs/-/devices?status=offline&cursor=" + cursor)->cursor()),
            "bad_cursor");
  EXPECT_EQ(refusal(get("/orgs/-/devices?cursor=" + cursor)->cursor()), "bad_cursor");
  EXPECT_EQ(refusal(get("/orgs/-/products?status=online&cursor=" + cursor)->cursor()),
            "bad_cursor");
  const auto other = get("/orgs/-/devices?status=online&cursor=" + cursor);
  other->who.organisation = "another";
  EXPECT_EQ(refusal(other->cursor()), "bad_cursor");
  EXPECT_EQ(*get("/orgs/-/devices?cursor=")->cursor(), "");
  get("/orgs/-/devices")->reply_page({}, "");
  EXPECT_EQ(answer.body, R"({"items":[]})");
}

TEST_F(Exchange, EveryAnswerNamesItsRequest) {
  get("/x")->reply_empty(204);
  EXPECT_THAT(answer.headers, Contains(Pair("X-Request-Id", "r1")));
  get("/x?secret=1")->fail({model::errc::not_found, "not_found", "why"});
  EXPECT_EQ(model::parse_json(answer.body)->find("instance")->as_string(), "/x");
}

TEST_F(Exchange, TimesAreShownAsAsked) {
  EXPECT_EQ(get("/x")->show(now).as_string(), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(get("/x?timeFormat=rfc3339")->show(now).as_string(), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(get("/x?timeFormat=ms")->show(now).as_int(), 1'700'000'000'000);
}

}  // namespace
}  // namespace orrery::transport::api
