#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using namespace std::chrono_literals;

/// One device that can be a sub-device, be activated, or be a gateway.
class Kin : public testing::Test {
 protected:
  Kin() {
    auto m = thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m",
      "measurePoints": [{"id": "p", "type": {"t": "double"}}]})"));
    product.exists = true;
    product.model = std::make_shared<const thing_model>(std::move(*m));
    product.secret_owner = "product-secret:pk";
    product.secret = keys.seal("of the product", product.secret_owner);
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("first", secret_owner(name));
    EXPECT_TRUE(tell(r));
  }

  result<reply> tell(order what, session_ref session = {}, std::optional<entity_id> by = {}) {
    auto d = decide(s, {std::move(what), session, "test", {}, by}, {self, now, product, keys, 3});
    happened.clear();
    set_off.clear();
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      apply(s, e);
      for (auto& x : device::effects(s, e))
        set_off.push_back(std::move(x));
      happened.push_back(e);
    }
    // What is kept of it is the same after a restart.
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return std::move(d->answer);
  }
  std::string_view reason(const result<reply>& got) {
    return got ? std::string_view{"granted"} : got.error().reason;
  }

  login_proof sign(const std::string& secret) const {
    return {"c", "1", sign_method::sha256, sign_login(name, "c", "1", sign_method::sha256, secret)};
  }
  connect login(const std::string& secret, login_secret kind = login_secret::device) {
    auto c = connect{};
    c.proof = sign(secret);
    c.secret = kind;
    c.session = {7, ++connections, 0};
    return c;
  }
  connect activation(const std::string& fresh, const std::string& secret = "of the product") {
    auto c = login(secret, login_secret::product);
    c.fresh = keys.seal(fresh, secret_owner(name));
    return c;
  }
  connect through(std::uint64_t connection, const std::string& secret = "first") {
    auto c = login(secret);
    c.session = {7, connection, 0};
    return c;
  }
  void bound() { ASSERT_TRUE(tell(bind_gateway{hub, "org", sign("first"), false})); }
  report_points a_point() {
    auto r = report_points{};
    r.samples.push_back({now, {{"p", 1.5}}});
    return r;
  }
  template <class T, class List>
  std::vector<T> of(const List& list) const {
    auto found = std::vector<T>{};
    for (const auto& x : list)
      if (const auto* wanted = std::get_if<T>(&x))
        found.push_back(*wanted);
    return found;
  }

  state s;
  entity_id self = make_entity_id(0, from_ms(1), {});
  gateway_link hub{make_entity_id(1, from_ms(2), {}), {"hubs", "hub"}};
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::uint64_t connections = 100;
  std::vector<event> happened;
  std::vector<effect> set_off;
};

// ---- activation

TEST_F(Kin, TheProductsSecretGivesNothingUnlessTheProductSaysSo) {
  EXPECT_EQ(reason(tell(activation("fresh"))), "activation_off");
  product.dynamic_activation = true;
  EXPECT_EQ(reason(tell(activation("fresh", "another"))), "sign_check_failed");
  EXPECT_EQ(reason(tell(activation("fresh", "first"))), "sign_check_failed");
  auto unprepared = activation("fresh");
  unprepared.fresh = {};
  EXPECT_FALSE(tell(unprepared));
  EXPECT_FALSE(s.connection.online);
}

TEST_F(Kin, AnActivationHandsOutASecretAndOnlyItsUseActivates) {
  product.dynamic_activation = true;
  const auto got = tell(activation("fresh"));
  ASSERT_TRUE(got);
  EXPECT_TRUE(std::get<connection_granted>(*got).activated);
  EXPECT_FALSE(s.activated_at);
  EXPECT_EQ(status_of(s), "inactive");
  EXPECT_TRUE(tell(a_point(), s.connection.session)) << "it may go on with that connection";
  ASSERT_TRUE(tell(login("fresh")));
  EXPECT_TRUE(s.activated_at);
  EXPECT_EQ(status_of(s), "online");
  EXPECT_TRUE(s.family->empty());
  EXPECT_EQ(reason(tell(activation("another"))), "activation_done");
  EXPECT_EQ(reason(tell(login("first"))), "sign_check_failed") << "the former is void";
}

TEST_F(Kin, TheFormerSecretCountsForTenMinutesOrUntilTheFreshOneIsUsed) {
  product.dynamic_activation = true;
  ASSERT_TRUE(tell(activation("fresh")));
  now += 9min;
  ASSERT_TRUE(tell(login("first"))) << "what was pushed was lost";
  EXPECT_TRUE(s.activated_at);
  EXPECT_EQ(reason(tell(login("fresh"))), "sign_check_failed");
}

TEST_F(Kin, AfterTenMinutesOnlyTheFreshSecretCounts) {
  product.dynamic_activation = true;
  ASSERT_TRUE(tell(activation("fresh")));
  now += 11min;
  EXPECT_EQ(reason(tell(login("first"))), "sign_check_failed");
  EXPECT_TRUE(tell(login("fresh")));
}

TEST_F(Kin, EachActivationMakesANewSecretAndTheLastTwoCount) {
  product.dynamic_activation = true;
  ASSERT_TRUE(tell(activation("one")));
  ASSERT_TRUE(tell(activation("two")));
  EXPECT_EQ(reason(tell(login("first"))), "sign_check_failed");
  ASSERT_TRUE(tell(activation("three")));
  EXPECT_EQ(reason(tell(login("one"))), "sign_check_failed");
  ASSERT_TRUE(tell(login("two")));
  EXPECT_EQ(reason(tell(login("three"))), "sign_check_failed");
}

TEST_F(Kin, AnActivationCanBeReopenedForATime) {
  product.dynamic_activation = true;
  ASSERT_TRUE(tell(login("first")));
  ASSERT_TRUE(tell(reopen_activation{1h}));
  now += 2h;
  EXPECT_EQ(reason(tell(activation("late"))), "activation_done");
  ASSERT_TRUE(tell(reopen_activation{1h}));
  ASSERT_TRUE(tell(activation("fresh")));
  ASSERT_TRUE(tell(login("fresh")));
  EXPECT_EQ(reason(tell(activation("again"))), "activation_done") << "closed by the login";
}

TEST_F(Kin, ANewSecretFromAPersonEndsAnActivationUnderWay) {
  product.dynamic_activation = true;
  ASSERT_TRUE(tell(activation("fresh")));
  ASSERT_TRUE(tell(reset_secret{keys.seal("reset", secret_owner(name)), {}}));
  EXPECT_EQ(reason(tell(login("fresh"))), "sign_check_failed");
  EXPECT_TRUE(tell(login("reset")));
}

// ---- a sub-device

TEST_F(Kin, BindingNeedsTheDevicesOwnSignature) {
  EXPECT_EQ(reason(tell(bind_gateway{hub, "org", sign("another"), false})), "sign_check_failed");
  auto md5 = sign("first");
  md5.method = sign_method::md5;
  EXPECT_EQ(reason(tell(bind_gateway{hub, "org", md5, false})), "sign_check_failed");
  EXPECT_EQ(reason(tell(bind_gateway{hub, "another", sign("first"), false})), "device_unknown");
  EXPECT_TRUE(s.family->empty());
  ASSERT_TRUE(tell(bind_gateway{hub, "org", sign("first"), true}));
  EXPECT_TRUE(happened.empty()) << "a dry run";
  bound();
  EXPECT_EQ(s.gateway(), hub);
  ASSERT_TRUE(tell(bind_gateway{hub, "org", sign("first"), false}));
  EXPECT_TRUE(happened.empty()) << "it is bound already";
  const auto other = gateway_link{make_entity_id(2, from_ms(3), {}), {"hubs", "other"}};
  EXPECT_EQ(reason(tell(bind_gateway{other, "org", {}, false})), "already_bound");
}

TEST_F(Kin, AGatewayIsNoSubDevice) {
  product.gateway = true;
  EXPECT_EQ(reason(tell(bind_gateway{hub, "org", {}, false})), "sub_device_is_gateway");
}

TEST_F(Kin, LoginsThroughAGatewayAreCheckedInTheOrderOfTheWire) {
  EXPECT_EQ(reason(tell(through(5), {}, hub.id)), "sub_device_unbound");
  bound();
  product.direct_access = false;
  EXPECT_EQ(reason(tell(login("first"))), "direct_login_forbidden");
  EXPECT_EQ(reason(tell(through(5, "another"), {}, hub.id)), "sign_check_failed");
  product.demands = login_demand::certificate;
  EXPECT_EQ(reason(tell(through(5), {}, hub.id)), "certificate_required");
  auto over_tls = through(5);
  over_tls.secure = true;
  EXPECT_TRUE(tell(over_tls, {}, hub.id));
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, ""}));
  EXPECT_EQ(reason(tell(through(5, "another"), {}, hub.id)), "device_disabled");
}

TEST_F(Kin, ASecondLoginByTheSameConnectionChangesNothing) {
  bound();
  ASSERT_TRUE(tell(through(5), {}, hub.id));
  EXPECT_TRUE(s.connection.online && s.connection.by_gateway);
  const auto epoch = s.connection.session.epoch;
  const auto again = tell(through(5), {}, hub.id);
  ASSERT_TRUE(again);
  EXPECT_TRUE(happened.empty());
  EXPECT_EQ(std::get<connection_granted>(*again).epoch, epoch);
  // The gateway came back with another connection before the end of this one was noted.
  ASSERT_TRUE(tell(through(6), {}, hub.id));
  EXPECT_EQ(s.connection.session.number, 6u);
  EXPECT_EQ(of<close_session>(set_off).size(), 1u);
}

TEST_F(Kin, ItsOwnSecretActivatesItOnTheConnectionThatItGotItBy) {
  product.dynamic_activation = true;
  bound();
  auto c = activation("fresh");
  c.session = {7, 5, 0};
  ASSERT_TRUE(tell(c, {}, hub.id));
  EXPECT_FALSE(s.activated_at);
  ASSERT_TRUE(tell(through(5, "fresh"), {}, hub.id));
  EXPECT_TRUE(s.activated_at);
  EXPECT_TRUE(of<close_session>(set_off).empty());
  EXPECT_TRUE(tell(a_point(), {7, 5, 1}, hub.id));
}

TEST_F(Kin, OnlyItsGatewayAndOnlyTheConnectionItCameByMaySpeakForIt) {
  bound();
  const auto by = session_ref{7, 5, 3};  // the gateway's own epoch does not count
  EXPECT_EQ(reason(tell(a_point(), by, hub.id)), "sub_device");
  ASSERT_TRUE(tell(through(5), {}, hub.id));
  EXPECT_TRUE(tell(a_point(), by, hub.id));
  EXPECT_EQ(reason(tell(a_point(), {7, 6, 3}, hub.id)), "sub_device");
  EXPECT_EQ(reason(tell(a_point(), by, self)), "sub_device");
  ASSERT_TRUE(tell(disconnect{"logout"}, s.connection.session, hub.id));
  EXPECT_EQ(reason(tell(a_point(), by, hub.id)), "sub_device");
  auto offline = a_point();
  offline.allow_offline = true;
  EXPECT_TRUE(tell(offline, by, hub.id));
  EXPECT_EQ(reason(tell(offline, by, self)), "sub_device") << "bound it must be";
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, ""}));
  EXPECT_EQ(reason(tell(offline, by, hub.id)), "sub_device");
}

TEST_F(Kin, UnbindingWhileOnlineIsRefusedOrLogsOut) {
  EXPECT_EQ(reason(tell(unbind_gateway{.gateway = hub.id})), "sub_device_unbound");
  bound();
  ASSERT_TRUE(tell(through(5), {}, hub.id));
  EXPECT_EQ(reason(tell(unbind_gateway{.gateway = hub.id})), "sub_device_online");
  ASSERT_TRUE(tell(unbind_gateway{.gateway = hub.id, .while_online = true}));
  EXPECT_FALSE(s.connection.online);
  EXPECT_EQ(*s.connection.reason, "unbound");
  EXPECT_EQ(of<close_session>(set_off).size(), 1u);
  EXPECT_TRUE(s.family->empty());
}

TEST_F(Kin, TheGatewayIsToldWhatHappensToIt) {
  bound();
  ASSERT_TRUE(tell(through(5), {}, hub.id));
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, ""}));
  auto told = of<tell_gateway>(set_off);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].gateway, hub.id);
  EXPECT_EQ(told[0].sub, name);
  EXPECT_EQ(told[0].what, device_notice::kind::disabled);
  EXPECT_TRUE(of<deliver>(set_off).empty()) << "its gateway's session is not its own";
  ASSERT_TRUE(tell(set_admin_state{admin_state::enabled, ""}));
  EXPECT_EQ(of<tell_gateway>(set_off).at(0).what, device_notice::kind::enabled);
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_EQ(of<tell_gateway>(set_off).at(0).what, device_notice::kind::deleted);
}

TEST_F(Kin, ADeviceOfItsOwnIsToldBeforeItIsClosed) {
  ASSERT_TRUE(tell(login("first")));
  ASSERT_TRUE(tell(set_admin_state{admin_state::disabled, ""}));
  ASSERT_EQ(set_off.size(), 2u);
  const auto& last = std::get<deliver>(set_off[0]);
  EXPECT_EQ(std::get<device_notice>(last.message.what).what, device_notice::kind::disabled);
  EXPECT_EQ(last.message.id.find_first_not_of("0123456789"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<close_session>(set_off[1]));
  EXPECT_TRUE(of<tell_gateway>(set_off).empty());
}

// ---- a gateway

TEST_F(Kin, AGatewaysListIsBoundedAndFollowsItsSubDevices) {
  const auto a = device_name{"pk", "a"};
  EXPECT_EQ(reason(tell(change_sub_devices{{{a, self}}})), "not_gateway");
  product.gateway = true;
  ASSERT_TRUE(tell(change_sub_devices{{{a, self}, {{"pk", "b"}, std::nullopt}}}));
  EXPECT_EQ(s.sub_devices().size(), 1u);
  ASSERT_TRUE(tell(change_sub_devices{{{a, self}}}));
  EXPECT_TRUE(happened.empty()) << "it is there already";
  auto too_many = change_sub_devices{};
  for (int i = 0; i < 10'000; ++i)
    too_many.changes[{"pk", "n" + std::to_string(i)}] = self;
  EXPECT_EQ(reason(tell(too_many)), "too_many_sub_devices");
  too_many.changes[a] = std::nullopt;
  EXPECT_TRUE(tell(too_many)) << "one goes, so they fit";
  ASSERT_TRUE(tell(change_sub_devices{{{a, self}, {{"pk", "n5"}, std::nullopt}}}));
  ASSERT_TRUE(tell(note_sub_device{a, device_notice::kind::deleted}));
  EXPECT_FALSE(s.sub_devices().contains(a));
  EXPECT_TRUE(set_off.empty()) << "it is not there to be told";
}

TEST_F(Kin, AGatewayThatIsThereIsToldUnderANumberOfItsOwn) {
  product.gateway = true;
  ASSERT_TRUE(tell(login("first")));
  const auto before = s.downlinks;
  ASSERT_TRUE(tell(note_sub_device{{"pk", "a"}, device_notice::kind::enabled}));
  const auto told = of<deliver>(set_off);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_GT(std::stoull(told[0].message.id), before);
  EXPECT_EQ(s.downlinks, std::stoull(told[0].message.id));
}

TEST_F(Kin, AGatewayThatIsDeletedReleasesItsSubDevices) {
  product.gateway = true;
  ASSERT_TRUE(tell(change_sub_devices{{{{"pk", "a"}, self}, {{"pk", "b"}, hub.id}}}));
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_EQ(of<release_sub_device>(set_off).size(), 2u);
}

TEST_F(Kin, APictureIsMergedOrReplacedAndBounded) {
  ASSERT_TRUE(tell(report_picture{{{"a", 1}, {"b", 2}}, {{"a", "b"}}, false}));
  ASSERT_TRUE(tell(report_picture{{{"b", 3}}, {}, false}));
  EXPECT_EQ(to_json(value{s.family->picture.nodes}), R"({"a":1,"b":3})");
  ASSERT_TRUE(tell(report_picture{{{"c", 4}}, {}, true}));
  EXPECT_EQ(to_json(value{s.family->picture.nodes}), R"({"c":4})");
  EXPECT_TRUE(s.family->picture.relations.empty());
  auto large = report_picture{};
  for (int i = 0; i < 2000; ++i)
    large.nodes.emplace_back("n" + std::to_string(i), 1);
  EXPECT_EQ(reason(tell(large)), "format_error");
  large.full = true;
  EXPECT_TRUE(tell(large));
}

TEST_F(Kin, WhatItTellsBesideItsModelIsKeptAsAnEvent) {
  ASSERT_TRUE(tell(login("first")));
  ASSERT_TRUE(tell(report_event{"$log", {{"content", "up"}}, {}}, s.connection.session));
  EXPECT_EQ(of<event_raised>(happened).at(0).event, "$log");
}

}  // namespace
}  // namespace orrery::model::device
