#include "transport/api/stream.hpp"

#include <deque>

#include "model/json.hpp"
#include "tests/transport/api/support.hpp"
#include "transport/api/auth.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// A socket whose reader and clock are turned by hand.
class fake_socket final : public web_socket {
 public:
  void start(events what) override { on = std::move(what); }
  void send(std::string text) override {
    if (closed != 0)
      return;
    if (stuck)
      waiting += text.size();
    sent.push_back(std::move(text));
  }
  std::size_t pending() const override { return waiting; }
  void close(std::uint16_t code, std::string_view) override {
    if (closed == 0)
      closed = code;
  }
  void post(std::function<void()> work) override { posted.push_back(std::move(work)); }
  void after(std::uint64_t ms, std::function<void()> work) override {
    timer_ms = ms;
    timer = std::move(work);
  }

  void run() {
    while (!posted.empty()) {
      auto work = std::move(posted.front());
      posted.pop_front();
      work();
    }
  }
  void drain() {
    stuck = false;
    waiting = 0;
    on.on_drained();
  }

  events on;
  std::vector<std::string> sent;
  std::deque<std::function<void()>> posted;
  std::function<void()> timer;
  std::uint64_t timer_ms = 0;
  std::size_t waiting = 0;
  bool stuck = false;
  std::uint16_t closed = 0;
};

class StreamSession : public api_test {
 protected:
  void open(const std::string& credential) {
    const auto header = "Bearer " + credential;
    auto who = authenticate(*parts, header, "10.0.0.1");
    ASSERT_TRUE(who);
    sockets.push_back(socket);
    serve_stream(socket, parts, {*who, header, "10.0.0.1"});
  }
  ~StreamSession() override {
    for (const auto& s : sockets) {
      if (const auto over = std::exchange(s->on, {}).on_closed)
        over();
      s->posted.clear();
      s->timer = {};
    }
    EXPECT_EQ(parts->feed->subscribers(), 0u) << "a closed socket leaves no subscription";
  }

  /// Sends a message and gives what came back, each as "op detail".
  std::vector<std::string> tell(const std::string& text) {
    socket->sent.clear();
    socket->on.on_text(text);
    return heard();
  }
  std::vector<std::string> heard() {
    socket->run();
    auto all = std::vector<std::string>{};
    for (const auto& text : std::exchange(socket->sent, {})) {
      const auto v = model::parse_json(text);
      const auto* code = v->find("code");
      const auto* items = v->find("items");
      const auto* count = v->find("count");
      all.push_back(v->find("op")->as_string() + (code ? " " + code->as_string() : "") +
                    (items ? " " + std::to_string(items->as_array().size()) : "") +
                    (count ? " " + std::to_string(count->as_int()) : ""));
      last = *v;
    }
    return all;
  }
  std::vector<std::string> subscribe(const std::string& sid, const std::string& kind,
                                     const std::string& filter = "{}") {
    return tell(R"({"op":"sub","id":1,"sid":")" + sid + R"(","kind":")" + kind + R"(","filter":)" +
                filter + "}");
  }
  /// `count` samples of one point of pk/dk, in one commit.
  void publish_points(std::size_t count, const std::string& product = "pk",
                      const std::string& point = "power") {
    const auto who = actors::device_identity{id, device::naming{{product, "dk"}, "org"}};
    auto group = std::vector<actors::published>{};
    for (std::size_t i = 0; i < count; ++i)
      group.push_back({who,
                       std::make_shared<const std::vector<device::event>>(
                           1, device::points_accepted{{{now, {{point, 1.0, -1}}}}, false, now}),
                       ++offset});
    parts->feed->publish(group);
  }

  std::shared_ptr<fake_socket> socket = std::make_shared<fake_socket>();
  std::vector<std::shared_ptr<fake_socket>> sockets;  // all that were opened
  model::entity_id id = model::make_entity_id(3, now, {});
  std::uint64_t offset = 0;
  model::value last;
};

TEST_F(StreamSession, ShowsWhatIsSubscribed) {
  open(add_key("k", {"data:read"}));
  EXPECT_THAT(subscribe("a", "points", R"({"products":["pk"],"points":["power"]})"),
              ElementsAre("ok"));
  EXPECT_EQ(last.find("sid")->as_string(), "a");
  EXPECT_EQ(last.find("id")->as_int(), 1) << "the id comes back as it was";
  publish_points(3);
  publish_points(1, "other");
  publish_points(1, "pk", "temp");
  EXPECT_THAT(heard(), ElementsAre("data 3"));
  EXPECT_EQ(last.find("pos")->as_string(), "3.3");
  EXPECT_THAT(tell(R"({"op":"unsub","id":"x","sid":"a"})"), ElementsAre("ok"));
  publish_points(1);
  EXPECT_THAT(heard(), IsEmpty());
}

TEST_F(StreamSession, AFrameHasAtMost500Items) {
  open(add_key("k", {"data:read"}));
  subscribe("a", "points");
  publish_points(1001);
  EXPECT_THAT(heard(), ElementsAre("data 500", "data 500", "data 1"));
}

TEST_F(StreamSession, SeveralSubscriptionsShareASocket) {
  open(add_key("k", {"*"}));
  for (const auto* sid : {"b", "a"})
    EXPECT_THAT(subscribe(sid, "points"), ElementsAre("ok"));
  EXPECT_THAT(subscribe("p", "presence"), ElementsAre("ok"));
  publish_points(1);
  EXPECT_THAT(heard(), ElementsAre("data 1", "data 1"));
}

TEST_F(StreamSession, ASlowReaderLosesTheOldestAndIsTold) {
  parts->settings.stream.max_pending_bytes = 1000;
  parts->feed = std::make_shared<actors::feed>(100);
  open(add_key("k", {"data:read"}));
  subscribe("a", "points");
  socket->stuck = true;
  publish_points(20);
  EXPECT_THAT(heard(), ElementsAre("data 20")) << "what the socket has taken is not taken back";
  publish_points(350);
  EXPECT_THAT(heard(), IsEmpty());
  socket->drain();
  EXPECT_THAT(heard(), ElementsAre("gap 250", "data 100"));
  publish_points(2);
  EXPECT_THAT(heard(), ElementsAre("data 2"));
}

TEST_F(StreamSession, AReaderThatTakesNothingForAMinuteIsGivenUp) {
  parts->settings.stream.max_pending_bytes = 10;
  open(add_key("k", {"data:read"}));
  subscribe("a", "points");
  socket->stuck = true;
  publish_points(2);
  heard();
  publish_points(1);
  heard();
  now += 59s;
  socket->timer();
  EXPECT_EQ(socket->closed, 0);
  now += 2s;
  socket->timer();
  EXPECT_EQ(socket->closed, 4408);
}

TEST_F(StreamSession, ARevokedKeyStopsDataAtOnce) {
  open(add_key("k", {"data:read"}));
  subscribe("a", "points");
  organisation.keys.clear();
  publish();
  publish_points(1);
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_EQ(socket->closed, 4401);
}

TEST_F(StreamSession, ALostRightStopsDataAtOnce) {
  open(add_key("k", {"data:read"}));
  subscribe("a", "points");
  organisation.keys[0].permissions = {"device:read"};
  publish();
  publish_points(1);
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_EQ(socket->closed, 4403);
}

TEST_F(StreamSession, ARoleWithAScopeHearsOfItsProductsAlone) {
  auto site = model::organisation::role{};
  site.name = "site";
  site.permissions = {"data:read"};
  site.within.products = {"pk"};
  organisation.roles = {site};
  organisation.users[0].roles = {"site"};
  publish();
  open(access_token());
  EXPECT_THAT(tell(R"({"op":"sub","id":1,"sid":"x","kind":"points","filter":{"products":["q"]}})"),
              ElementsAre("error forbidden"));
  subscribe("a", "points");
  publish_points(1, "q");
  EXPECT_THAT(heard(), IsEmpty());
  publish_points(1, "pk");
  EXPECT_THAT(heard(), ElementsAre("data 1"));
  organisation.roles[0].within.products = {"q"};
  publish();
  publish_points(1, "pk");
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_EQ(socket->closed, 4403);
}

TEST_F(StreamSession, ATokenThatEndsIsAskedForAndRenewed) {
  open(access_token(5min));
  subscribe("a", "points");
  EXPECT_EQ(socket->timer_ms, 10'000u);
  now += 4min;
  socket->timer();
  EXPECT_THAT(heard(), ElementsAre("reauth"));
  EXPECT_EQ(last.find("expires")->as_int(), model::to_ms(now + 1min));
  socket->timer();
  EXPECT_THAT(heard(), IsEmpty()) << "it is asked for once";
  EXPECT_THAT(tell(R"({"op":"auth","id":2,"token":"nonsense"})"),
              ElementsAre("error unauthenticated"));
  EXPECT_THAT(tell(R"({"op":"auth","id":3,"token":")" + access_token(5min) + "\"}"),
              ElementsAre("ok"));
  now += 2min;
  publish_points(1);
  EXPECT_THAT(heard(), ElementsAre("data 1"));
  now += 4min;
  socket->timer();
  EXPECT_EQ(socket->closed, 4401);
}

TEST_F(StreamSession, ASocketStaysInItsOrganisation) {
  open(add_key("k", {"*"}));
  organisation.id = "other";
  const auto foreign = add_key("f", {"*"});
  EXPECT_THAT(tell(R"({"op":"auth","id":1,"token":")" + foreign + "\"}"),
              ElementsAre("error forbidden"));
}

TEST_F(StreamSession, RefusesWhatItsCredentialMayNotSee) {
  open(add_key("k", {"device:read"}));
  EXPECT_THAT(subscribe("a", "points"), ElementsAre("error forbidden"));
  EXPECT_THAT(subscribe("a", "presence"), ElementsAre("ok"));
}

TEST_F(StreamSession, AnswersEveryBadRequestAndGoesOn) {
  parts->settings.stream.max_subscriptions = 2;
  open(add_key("k", {"*"}));
  EXPECT_THAT(tell(R"({"op":"jump","id":1})"), ElementsAre("error unknown_op"));
  EXPECT_THAT(tell(R"({"id":1})"), ElementsAre("error unknown_op"));
  EXPECT_THAT(tell(R"({"op":7,"id":1})"), ElementsAre("error unknown_op"));
  EXPECT_THAT(tell(R"({"op":"sub","id":[],"sid":"a","kind":"points"})"),
              ElementsAre("error validation_failed"));
  EXPECT_THAT(subscribe("a", "weather"), ElementsAre("error validation_failed"));
  EXPECT_THAT(subscribe("a", "points", R"({"pruducts":[]})"), ElementsAre("error unknown_field"));
  EXPECT_THAT(tell(R"({"op":"unsub","id":1,"sid":"a"})"), ElementsAre("error sid_unknown"));
  EXPECT_THAT(tell(R"({"op":"unsub","id":1})"), ElementsAre("error validation_failed"));
  EXPECT_THAT(subscribe("a", "points"), ElementsAre("ok"));
  EXPECT_THAT(subscribe("a", "points"), ElementsAre("error sid_in_use"));
  EXPECT_THAT(subscribe("b", "points"), ElementsAre("ok"));
  EXPECT_THAT(subscribe("c", "points"), ElementsAre("error too_many_subscriptions"));
  EXPECT_THAT(tell(R"({"op":"hello","id":1,"client":"t","colour":"red"})"),
              ElementsAre("error unknown_field"));
  EXPECT_EQ(socket->closed, 0);
}

TEST_F(StreamSession, SaysHelloAndPong) {
  open(add_key("k", {"*"}));
  EXPECT_THAT(tell(R"({"op":"hello","id":"h","client":"test","features":[]})"),
              ElementsAre("hello"));
  EXPECT_EQ(last.find("heartbeat")->as_int(), 25);
  EXPECT_EQ(last.find("limits")->find("queue")->as_int(), 10'000);
  EXPECT_THAT(tell(R"({"op":"ping","t":17})"), ElementsAre("pong"));
  EXPECT_EQ(last.find("t")->as_int(), 17);
}

TEST_F(StreamSession, ClosesOnWhatIsNoMessage) {
  for (const auto& text :
       std::vector<std::string>{"", "hello", "[]", "7", "{\"op\":", "{\"op\":\"\xff\"}",
                                "{\"a\":\"" + std::string(70'000, 'x') + "\"}",
                                std::string(20, '[') + std::string(20, ']')}) {
    socket = std::make_shared<fake_socket>();
    open(add_key("k" + std::to_string(text.size()), {"*"}));
    tell(text);
    EXPECT_EQ(socket->closed, 4400) << text.substr(0, 20);
  }
}

}  // namespace
}  // namespace orrery::transport::api
