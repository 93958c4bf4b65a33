#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using code = command_record::state_code;

/// A device driven by its rules alone.
class Device : public testing::Test {
 protected:
  Device() {
    auto m = thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m",
      "attributes": [{"id": "zone", "type": {"t": "string"}}],
      "measurePoints": [{"id": "p", "type": {"t": "double", "max": 10}, "writable": true}, {"id": "q", "type": {"t": "int"}}],
      "services": [{"id": "go", "input": [{"id": "n", "type": {"t": "int"}}]}],
      "events": [{"id": "hot", "level": "warning"}]})"));
    product.exists = true;
    product.sign_methods = 1;
    product.model = std::make_shared<const thing_model>(std::move(*m));
  }

  result<reply> tell(order what, session_ref session = {}) {
    auto d = decide(s, {std::move(what), session, "user:a", {}}, {self, now, product, keys, 3});
    if (!d)
      return d.error();
    happened.clear();
    effects.clear();
    for (const auto& e : d->events) {
      apply(s, e);
      for (auto& x : device::effects(s, e))
        effects.push_back(std::move(x));
      happened.push_back(e);
      // What is journaled comes back as it was.
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again);
      EXPECT_EQ(encode_events(*again), bytes);
    }
    return std::move(d->answer);
  }

  void registered() {
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(name));
    ASSERT_TRUE(tell(r));
  }
  connect proof(std::uint64_t number, const std::string& secret = "secret") {
    auto c = connect{};
    c.proof = {"dk", "1", sign_method::sha256,
               sign_login(name, "dk", "1", sign_method::sha256, secret)};
    c.session = {7, number, 0};
    return c;
  }
  session_ref online(std::uint64_t number = 1) {
    const auto granted = tell(proof(number));
    EXPECT_TRUE(granted);
    return s.connection.session;
  }
  report_points points(std::string_view text) {
    auto r = report_points{};
    auto one = posted_sample{now, {}};
    const auto parsed = *parse_json(text);
    for (const auto& [id, v] : parsed.as_object())
      one.points.push_back({id, v});
    r.samples.push_back(std::move(one));
    return r;
  }
  command_record service(milliseconds ttl = milliseconds{0}) {
    auto c = command_record{};
    c.id = make_entity_id(0, now, {static_cast<std::uint8_t>(++made)});
    c.element = "go";
    c.input = {{"n", 1}};
    c.pending_ttl = ttl;
    return c;
  }
  command_record bytes() {
    auto c = service();
    c.type = command_record::form::rrpc;
    c.element.clear();
    c.input = {{"payload", "hello"}};
    c.waiter = {7, 99};
    return c;
  }
  template <class Effect>
  std::vector<Effect> of() const {
    auto found = std::vector<Effect>{};
    for (const auto& e : effects)
      if (const auto* x = std::get_if<Effect>(&e))
        found.push_back(*x);
    return found;
  }

  state s;
  entity_id self = make_entity_id(0, from_ms(1), {});
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::vector<event> happened;
  std::vector<effect> effects;
  int made = 0;
};

TEST_F(Device, TagsAreCheckedWhereverTheyComeFrom) {
  auto r = register_device{};
  r.name = name;
  r.tags = {{"a b", "1"}};
  EXPECT_EQ(tell(r).error().reason, "tag_invalid");
  registered();
  auto u = update_device{};
  u.tags = {{"ok", "1"}, {"padded", " 2"}};
  const auto refused = tell(u);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "tag_invalid");
  ASSERT_EQ(refused.error().problems.size(), 1u);
  EXPECT_EQ(refused.error().problems[0].where, "padded");
  EXPECT_EQ(tell(change_tags{{{"", "1"}}, false}).error().reason, "tag_invalid");
  EXPECT_TRUE(s.tags->empty());
}

TEST_F(Device, ADeletedOneIsNotTheNextOneOfItsKey) {
  registered();
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_EQ(tell(read_device{}).error().reason, "device_unknown");
  auto again = register_device{};
  again.name = name;
  EXPECT_EQ(tell(again).error().reason, "device_deleted");
}

TEST_F(Device, IsRegisteredOnce) {
  EXPECT_EQ(tell(read_device{}).error().code, errc::not_found);
  registered();
  EXPECT_EQ(status_of(s), "inactive");
  auto again = register_device{};
  again.name = name;
  EXPECT_EQ(tell(again).error().reason, "device_key_exists");
  auto bad = register_device{};
  s = {};
  bad.name = {"pk", "a b"};
  EXPECT_EQ(tell(bad).error().reason, "device_key_invalid");
}

TEST_F(Device, LogsInWithItsSecretAlone) {
  registered();
  EXPECT_EQ(tell(proof(1, "wrong")).error().reason, "sign_check_failed");
  EXPECT_EQ(status_of(s), "inactive");
  ASSERT_TRUE(tell(proof(1)));
  EXPECT_EQ(status_of(s), "online");
  EXPECT_TRUE(s.activated_at);
}

TEST_F(Device, AProductMayForbid) {
  registered();
  product.demands = login_demand::certificate;
  EXPECT_EQ(tell(proof(1)).error().reason, "certificate_required");
  product.demands = login_demand::secret;
  product.direct_access = false;
  EXPECT_EQ(tell(proof(1)).error().reason, "direct_login_forbidden");
  product.direct_access = true;
  product.sign_methods = 2;  // sha1 only
  EXPECT_EQ(tell(proof(1)).error().reason, "sign_method_not_allowed");
}

TEST_F(Device, AnOldSecretCountsForItsOverlap) {
  registered();
  ASSERT_TRUE(tell(reset_secret{keys.seal("second", secret_owner(name)), milliseconds{1000}}));
  EXPECT_TRUE(tell(proof(1, "second")));
  EXPECT_TRUE(tell(proof(2, "secret")));
  now += milliseconds{1001};
  EXPECT_FALSE(tell(proof(3, "secret")));
  EXPECT_TRUE(tell(proof(4, "second")));
}

TEST_F(Device, TheSameSecretAgainChangesNothing) {
  registered();
  ASSERT_TRUE(tell(reset_secret{keys.seal("second", secret_owner(name)), milliseconds{1000}}));
  ASSERT_TRUE(tell(reset_secret{keys.seal("second", secret_owner(name)), milliseconds{1000}}));
  EXPECT_TRUE(happened.empty());
  EXPECT_TRUE(tell(proof(1, "secret"))) << "what was valid beside it still is";
  EXPECT_TRUE(tell(proof(2, "second")));
}

TEST_F(Device, ANewSessionTakesOver) {
  registered();
  const auto first = online(1);
  const auto second = online(2);
  EXPECT_GT(second.epoch, first.epoch);
  const auto closed = of<close_session>();
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].session, first);
  // The old session's goodbye ends nothing, its messages are refused.
  (void)tell(disconnect{"socket"}, first);
  EXPECT_TRUE(s.connection.online);
  EXPECT_EQ(tell(points(R"({"p": 1})"), first).error().reason, "session_superseded");
  ASSERT_TRUE(tell(points(R"({"p": 1})"), second));
  ASSERT_TRUE(tell(disconnect{"client"}, second));
  EXPECT_EQ(status_of(s), "offline");
}

TEST_F(Device, AKeptSessionGoesOnWithItsSubscriptions) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
  ASSERT_TRUE(tell(change_subscriptions{{{"a/#", 1}, {"b", 0}}}, s.connection.session));
  ASSERT_TRUE(tell(change_subscriptions{{{"b", std::nullopt}}}, s.connection.session));
  ASSERT_TRUE(tell(change_subscriptions{{{"a/#", 1}}}, s.connection.session));
  EXPECT_TRUE(happened.empty());  // nothing new
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  kept.session.number = 2;
  const auto again = tell(kept);
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::get<connection_granted>(*again).resumed);
  EXPECT_EQ(std::get<connection_granted>(*again).subscriptions, (subscription_map{{"a/#", 1}}));
  online(3);  // one that keeps nothing ends what was kept
  kept.session.number = 4;
  const auto fresh = tell(kept);
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(std::get<connection_granted>(*fresh).resumed);
  EXPECT_TRUE(s.kept->filters.empty());
}

TEST_F(Device, ACleanStartDropsWhatWasKeptAndKeepsAgain) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{{"a", 1}}}, s.connection.session));
  kept.session.number = 2;
  kept.resumes = false;
  ASSERT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
  EXPECT_TRUE(s.kept->filters.empty());
  ASSERT_TRUE(tell(change_subscriptions{{{"b", 2 | 77 << 8}}}, s.connection.session));
  // One that resumes and keeps no longer: it goes on once, and then there is nothing.
  kept.session.number = 3;
  kept.resumes = true;
  kept.keeps_session = false;
  const auto last = tell(kept);
  EXPECT_TRUE(std::get<connection_granted>(*last).resumed);
  EXPECT_EQ(std::get<connection_granted>(*last).subscriptions,
            (subscription_map{{"b", 2 | 77 << 8}}));
  kept.session.number = 4;
  EXPECT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
}

TEST_F(Device, ASessionThatEndsIsKeptNoLonger) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{{"a", 1}}}, s.connection.session));
  ASSERT_TRUE(tell(change_subscriptions{{}, true}, s.connection.session));
  EXPECT_TRUE(s.kept->filters.empty());
  ASSERT_TRUE(tell(change_subscriptions{{}, true}, s.connection.session));
  EXPECT_TRUE(happened.empty());
  kept.session.number = 2;
  EXPECT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
}

TEST_F(Device, AKeptSessionEndsWhenItsTimeIsOver) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  kept.session_lasts = std::chrono::seconds{10};
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{{"a", 1}}}, s.connection.session));
  EXPECT_EQ(next_deadline(s), std::nullopt) << "it has its connection";
  now += std::chrono::minutes{1};
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  EXPECT_EQ(next_deadline(s), now + std::chrono::seconds{10});
  now += std::chrono::seconds{9};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(happened.empty());
  kept.session.number = 2;
  EXPECT_TRUE(std::get<connection_granted>(*tell(kept)).resumed) << "just in time";
  EXPECT_EQ(next_deadline(s), std::nullopt);
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  now += std::chrono::seconds{10};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_FALSE(s.keeps_session);
  EXPECT_TRUE(s.kept->empty());
  EXPECT_EQ(next_deadline(s), std::nullopt);
  kept.session.number = 3;
  EXPECT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
}

TEST_F(Device, AKeptSessionThatIsOverIsNotResumedBeforeItsReminderEither) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  kept.session_lasts = std::chrono::seconds{10};
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{{"a", 1}}}, s.connection.session));
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  now += std::chrono::seconds{10};
  kept.session.number = 2;
  EXPECT_FALSE(std::get<connection_granted>(*tell(kept)).resumed);
  EXPECT_TRUE(s.kept->filters.empty());
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_TRUE(s.keeps_session) << "the reminder was for the one before";
}

TEST_F(Device, HowLongASessionIsKeptMayChangeBeforeItsConnectionEnds) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{}, false, std::chrono::seconds{5}}, s.connection.session));
  ASSERT_TRUE(tell(change_subscriptions{{}, false, std::chrono::seconds{5}}, s.connection.session));
  EXPECT_TRUE(happened.empty());
  ASSERT_TRUE(tell(disconnect{"client"}, s.connection.session));
  EXPECT_EQ(next_deadline(s), now + std::chrono::seconds{5});
  // A login says it anew.
  kept.session.number = 2;
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(disconnect{"client"}, s.connection.session));
  EXPECT_EQ(next_deadline(s), std::nullopt) << "without end";
  // One that keeps nothing has no time either.
  kept.session = {kept.session.node_incarnation, 3, 0};
  kept.keeps_session = false;
  kept.session_lasts = std::chrono::seconds{5};
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(change_subscriptions{{}, false, std::chrono::seconds{7}}, s.connection.session));
  ASSERT_TRUE(tell(disconnect{"client"}, s.connection.session));
  EXPECT_EQ(next_deadline(s), std::nullopt);
}

TEST_F(Device, AResumedSessionGetsWhatItHasNotAcknowledged) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_TRUE(tell(kept));
  ASSERT_TRUE(tell(send_command{service(milliseconds{60'000})}));
  ASSERT_EQ(of<deliver>().size(), 1u);
  const auto first = of<deliver>().front().message;
  EXPECT_FALSE(first.repeated);
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  kept.session.number = 2;
  ASSERT_TRUE(tell(kept));
  ASSERT_EQ(of<deliver>().size(), 1u);
  EXPECT_EQ(of<deliver>().front().message.id, first.id);
  EXPECT_TRUE(of<deliver>().front().message.repeated);
  ASSERT_TRUE(tell(note_delivered{first.id}, s.connection.session));
  ASSERT_TRUE(tell(disconnect{"socket"}, s.connection.session));
  kept.session.number = 3;
  ASSERT_TRUE(tell(kept));
  EXPECT_TRUE(of<deliver>().empty());  // it has it, and still may answer
  EXPECT_TRUE(tell(complete_command{first.id, 200, {}, {}}, s.connection.session));
}

TEST_F(Device, ASessionKeepsNotMoreThanItsLimit) {
  registered();
  auto kept = proof(1);
  kept.keeps_session = kept.resumes = true;
  ASSERT_TRUE(tell(kept));
  auto many = change_subscriptions{};
  for (auto i = 0; i < 1025; ++i)
    many.changes["t/" + std::to_string(i)] = std::uint8_t{1};
  const auto refused = tell(many, s.connection.session);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "too_many_subscriptions");
}

TEST_F(Device, ALostNodeEndsItsSessions) {
  registered();
  online(1);
  ASSERT_TRUE(tell(session_lost{6}));
  EXPECT_TRUE(s.connection.online);
  ASSERT_TRUE(tell(session_lost{7}));
  EXPECT_FALSE(s.connection.online);
}

TEST_F(Device, DisabledItIsKeptOut) {
  registered();
  online(1);
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, "stolen"}));
  EXPECT_EQ(of<close_session>().size(), 1u);
  EXPECT_EQ(status_of(s), "disabled");
  EXPECT_EQ(tell(proof(2)).error().reason, "device_disabled");
  EXPECT_EQ(tell(set_admin_state{admin_state::disabled, ""}).error().reason, "state_conflict");
  ASSERT_TRUE(tell(set_admin_state{admin_state::enabled, ""}));
  EXPECT_TRUE(tell(proof(3)));
}

TEST_F(Device, KeepsTheNewestValueByDeviceTime) {
  registered();
  const auto session = online();
  ASSERT_TRUE(tell(points(R"({"p": 1, "q": 5})"), session));
  now += milliseconds{10};
  ASSERT_TRUE(tell(points(R"({"p": 2})"), session));
  now -= milliseconds{5};
  ASSERT_TRUE(tell(points(R"({"p": 3})"), session));  // older by its own time
  const auto got = tell(read_latest{});
  ASSERT_TRUE(got);
  const auto& latest = std::get<latest_points>(*got).points;
  ASSERT_EQ(latest.size(), 2u);
  EXPECT_EQ(latest[0].v.as_double(), 2.0);
  EXPECT_EQ(latest[1].v.as_int(), 5);
  EXPECT_EQ(s.telemetry.unsaved.size(), 3u);
}

TEST_F(Device, LatestValuesHaveRoomForWhatThereIsAndNoMore) {
  registered();
  const auto session = online();
  const auto& latest = s.telemetry.latest;
  ASSERT_TRUE(tell(points(R"({"q": 5})"), session));
  EXPECT_EQ(latest.capacity(), 1u);
  ASSERT_TRUE(tell(points(R"({"p": 1, "q": 6})"), session));
  EXPECT_EQ(latest.capacity(), 2u);
  EXPECT_EQ(latest.front().id.text(), "p");
  EXPECT_EQ(latest.back().v.as_int(), 6);
  EXPECT_EQ(&latest.front().id.text(), &point_name{"p"}.text());  // shared by all devices
}

TEST_F(Device, RecoveredHistoryIsNoNewestValue) {
  registered();
  const auto session = online();
  auto old = points(R"({"p": 1})");
  old.backfill = true;
  ASSERT_TRUE(tell(old, session));
  EXPECT_EQ(s.telemetry.unsaved.size(), 1u);
  const auto got = tell(read_latest{});
  for (const auto& p : std::get<latest_points>(*got).points)
    EXPECT_LE(p.time, now);
}

TEST_F(Device, StrictRefusesTheWholeMessage) {
  registered();
  const auto session = online();
  const auto refused = tell(points(R"({"p": 11, "q": 1})"), session);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problems.size(), 1u);
  EXPECT_TRUE(s.telemetry.unsaved.empty());
  auto skip = points(R"({"p": 11, "q": 1})");
  skip.skip_invalid = true;
  const auto taken = tell(skip, session);
  ASSERT_TRUE(taken);
  EXPECT_EQ(std::get<points_taken>(*taken).dropped.size(), 1u);
}

TEST_F(Device, ACommandWaitsForNobodyUnlessItMay) {
  registered();
  EXPECT_EQ(tell(send_command{service()}).error().reason, "device_inactive");
  const auto session = online();
  ASSERT_TRUE(tell(disconnect{"client"}, session));
  EXPECT_EQ(tell(send_command{service()}).error().reason, "device_offline");
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(tell(send_command{service(milliseconds{60'000})}));
  EXPECT_EQ(tell(send_command{service(milliseconds{60'000})}).error().reason, "queue_full");
  online(2);
  // One is on its way, the others wait for its end.
  EXPECT_EQ(of<deliver>().size(), 1u);
  EXPECT_EQ(s.commands->front().state, code::sent);
  EXPECT_EQ((*s.commands)[1].state, code::queued);
}

TEST_F(Device, CommandsGoOneByOneInOrder) {
  registered();
  const auto session = online();
  ASSERT_TRUE(tell(send_command{service()}));
  const auto first = of<deliver>();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].session, session);
  ASSERT_TRUE(tell(send_command{service()}));
  EXPECT_TRUE(of<deliver>().empty());
  auto answer = complete_command{first[0].message.id, 200, object{{"done", true}}, ""};
  ASSERT_TRUE(tell(answer, session));
  const auto* over = std::get_if<command_finished>(&happened.front());
  ASSERT_NE(over, nullptr);
  EXPECT_EQ(over->what.state, code::succeeded);
  EXPECT_EQ(of<deliver>().size(), 1u);
  EXPECT_EQ(tell(answer, session).error().reason, "command_unknown");
}

TEST_F(Device, ACommandEndsInTime) {
  registered();
  const auto session = online();
  auto waited = service();
  waited.waiter = {7, 99};
  ASSERT_TRUE(tell(send_command{waited}));
  const auto id = of<deliver>().at(0).message.id;
  ASSERT_TRUE(next_deadline(s));
  now += milliseconds{30'001};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_EQ(std::get<command_finished>(happened.at(0)).what.state, code::timed_out);
  ASSERT_EQ(of<settle_waiter>().size(), 1u);
  EXPECT_EQ(of<settle_waiter>()[0].waiter.number, 99u);
  // A late answer is noted and changes no state.
  ASSERT_TRUE(tell(complete_command{id, 200, 5, ""}, session));
  EXPECT_TRUE(std::holds_alternative<late_reply_noted>(happened.at(0)));
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Device, AQueuedCommandExpires) {
  registered();
  ASSERT_TRUE(tell(disconnect{"client"}, online()));
  ASSERT_TRUE(tell(send_command{service(milliseconds{1000})}));
  now += milliseconds{1001};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_EQ(std::get<command_finished>(happened.at(0)).what.state, code::expired);
  EXPECT_TRUE(s.commands->empty());
}

TEST_F(Device, WaitingCommandsCanBeCancelled) {
  registered();
  ASSERT_TRUE(tell(disconnect{"client"}, online()));
  const auto one = service(milliseconds{60'000});
  ASSERT_TRUE(tell(send_command{one}));
  ASSERT_TRUE(tell(send_command{service(milliseconds{60'000})}));
  ASSERT_TRUE(tell(cancel_commands{one.id}));
  EXPECT_EQ(s.commands->size(), 1u);
  ASSERT_TRUE(tell(cancel_commands{}));
  EXPECT_TRUE(s.commands->empty());
  EXPECT_EQ(tell(cancel_commands{one.id}).error().reason, "command_final");
}

TEST_F(Device, FreeBytesGoBesideTheQueue) {
  registered();
  const auto session = online();
  ASSERT_TRUE(tell(send_command{service()}));
  const auto in_order = of<deliver>().at(0).message.id;
  ASSERT_TRUE(tell(send_command{bytes()}));
  ASSERT_EQ(of<deliver>().size(), 1u);  // at once, though the device has a command to answer
  const auto call = of<deliver>()[0].message;
  EXPECT_EQ(std::get<rrpc_call>(call.what).payload, "hello");
  EXPECT_EQ(call.target, name);
  EXPECT_NE(call.id, in_order);
  ASSERT_TRUE(tell(send_command{service()}));
  EXPECT_TRUE(of<deliver>().empty()) << "what is in the queue waits as before";

  ASSERT_TRUE(tell(complete_command{call.id, 0, object{{"base64", "AAE="}}, ""}, session));
  EXPECT_EQ(std::get<command_finished>(happened.at(0)).what.state, code::succeeded);
  ASSERT_EQ(of<settle_waiter>().size(), 1u);
  EXPECT_TRUE(of<deliver>().empty());
  ASSERT_TRUE(tell(complete_command{in_order, 200, {}, ""}, session));
  EXPECT_EQ(of<deliver>().size(), 1u);  // the next of the queue
  EXPECT_EQ(tell(complete_command{call.id, 0, object{{"payload", ""}}, ""}, session).error().reason,
            "command_unknown");
}

TEST_F(Device, FreeBytesWaitForNobody) {
  registered();
  EXPECT_EQ(tell(send_command{bytes()}).error().reason, "device_inactive");
  auto session = online();
  auto call = bytes();
  call.pending_ttl = milliseconds{60'000};  // means nothing
  ASSERT_TRUE(tell(send_command{call}));
  ASSERT_TRUE(tell(disconnect{"client"}, session));
  const auto& over = std::get<command_finished>(happened.at(1)).what;
  EXPECT_EQ(over.state, code::failed);
  EXPECT_EQ(of<settle_waiter>().size(), 1u);
  EXPECT_TRUE(s.commands->empty());
  EXPECT_EQ(tell(send_command{call}).error().reason, "device_offline");

  // A late answer finds nothing: who asked is gone.
  session = online();
  ASSERT_TRUE(tell(send_command{bytes()}));
  const auto id = of<deliver>().at(0).message.id;
  ASSERT_TRUE(next_deadline(s));
  now += milliseconds{30'001};
  ASSERT_TRUE(tell(time_passed{}));
  EXPECT_EQ(std::get<command_finished>(happened.at(0)).what.state, code::timed_out);
  EXPECT_TRUE(s.timed_out->empty());
  EXPECT_EQ(tell(complete_command{id, 0, object{{"payload", ""}}, ""}, session).error().reason,
            "command_unknown");
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Device, FreeBytesHaveLimits) {
  registered();
  const auto session = online();
  product.model = nullptr;  // they are none of the model's business
  auto call = bytes();
  for (const auto& bad : {object{}, object{{"payload", 1}}, object{{"text", "x"}},
                          object{{"base64", "%"}}, object{{"payload", "x"}, {"base64", "AA=="}}}) {
    call.input = bad;
    EXPECT_EQ(tell(send_command{call}).error().reason, "format_error") << to_json(value{bad});
  }
  call.input = {{"payload", std::string(max_rrpc_bytes + 1, 'x')}};
  EXPECT_EQ(tell(send_command{call}).error().reason, "payload_too_large");
  for (auto n = 0; n < max_rrpc_open; ++n)
    ASSERT_TRUE(tell(send_command{bytes()})) << n;
  EXPECT_EQ(tell(send_command{bytes()}).error().reason, "queue_full");
  const auto id = s.commands->front().downlink_id;
  ASSERT_TRUE(tell(complete_command{id, 200, object{{"product", 6}}, ""}, session));
  const auto& over = std::get<command_finished>(happened.at(0)).what;
  EXPECT_EQ(over.state, code::failed) << "a service's answer is none";
  EXPECT_TRUE(tell(send_command{bytes()}));
}

TEST_F(Device, InputAndWritesAreChecked) {
  registered();
  online();
  auto bad = service();
  bad.input = {{"n", "x"}};
  EXPECT_FALSE(tell(send_command{bad}));
  bad.element = "nothing";
  EXPECT_EQ(tell(send_command{bad}).error().reason, "element_unknown");
  auto write = service();
  write.type = command_record::form::points;
  write.input = {{"q", 1}};
  EXPECT_FALSE(tell(send_command{write}));
  write.input = {{"p", 5.0}};
  EXPECT_TRUE(tell(send_command{write}));
}

TEST_F(Device, TagsAndAttributesChange) {
  registered();
  ASSERT_TRUE(tell(change_tags{{{"site", "A"}, {"row", "1"}}, false}));
  ASSERT_TRUE(tell(change_tags{{{"row", std::nullopt}}, false}));
  EXPECT_EQ(*s.tags, (std::map<std::string, std::string>{{"site", "A"}}));
  ASSERT_TRUE(tell(change_tags{{{"x", "y"}}, true}));
  EXPECT_EQ(*s.tags, (std::map<std::string, std::string>{{"x", "y"}}));
  EXPECT_FALSE(tell(change_tags{{{"bad key", "y"}}, false}));
  ASSERT_TRUE(tell(change_attributes{{{"zone", "n"}}, thing_model::side::device}));
  EXPECT_EQ(value{s.attributes}.find("zone")->as_string(), "n");
  ASSERT_TRUE(tell(change_attributes{{{"zone", nullptr}}, thing_model::side::device}));
  EXPECT_TRUE(s.attributes.empty());
  EXPECT_FALSE(tell(change_attributes{{{"nothing", 1}}, thing_model::side::device}));
}

TEST_F(Device, StateSurvivesItsBytes) {
  registered();
  const auto session = online();
  ASSERT_TRUE(tell(change_tags{{{"site", "A"}}, false}));
  ASSERT_TRUE(tell(points(R"({"p": 1, "q": 2})"), session));
  ASSERT_TRUE(tell(send_command{service()}));
  const auto bytes = encode_state(s, 42);
  auto again = state{};
  const auto revision = decode_state(bytes, again);
  ASSERT_TRUE(revision);
  EXPECT_EQ(*revision, 42u);
  EXPECT_EQ(encode_state(again, 42), bytes);
  EXPECT_EQ(again.tags, s.tags);
  EXPECT_EQ(again.commands, s.commands);
  EXPECT_EQ(again.connection, s.connection);
  const auto latest = encode_latest(s.telemetry, 43, s.last_data);
  auto telemetry_again = telemetry{};
  auto last = timestamp{};
  ASSERT_TRUE(decode_latest(latest, telemetry_again, last));
  EXPECT_EQ(telemetry_again.latest, s.telemetry.latest);
  EXPECT_EQ(last, s.last_data);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    auto cut = state{};
    EXPECT_FALSE(decode_state(std::string_view{bytes}.substr(0, n), cut)) << n;
  }
}

TEST_F(Device, NoBytesCrashTheDecoder) {
  registered();
  auto e = points_accepted{{{now, {{"p", 1.5, 2}, {"q", "text", -1}}}}, false, now};
  const auto good = encode_events(
      {e, connected{{1, 2, 3}, protocol::mqtt, "127.0.0.1", true, true, false, false, now}});
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const auto byte : {0, 1, 127, 128, 200, 255}) {
      auto bad = good;
      bad[at] = static_cast<char>(byte);
      (void)decode_events(bad);
      (void)decode_events(std::string_view{bad}.substr(0, at));
    }
}

}  // namespace
}  // namespace orrery::model::device
