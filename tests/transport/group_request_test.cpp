#include "transport/group_request.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport {
namespace {

namespace device = model::device;
using actors::answer;
using model::errc;
using model::failure;

answer good(device::reply what = device::done{}) {
  return actors::outcome{.answer = std::move(what)};
}
answer bad(errc code, std::string_view reason) {
  return failure{code, reason, "detail"};
}

/// Drives one request by hand.
class GroupRequest : public testing::Test {
 protected:
  GroupRequest() {
    self.link = {{1, {}}, {"hubs", "hub"}};
    self.organisation = "org";
    self.gateway = true;
    auto known = std::make_shared<actors::catalogue_snapshot>();
    auto state = model::product::state{};
    state.exists = true;
    state.product_key = "pk";
    state.organisation = "org";
    auto entry = std::make_shared<actors::catalogue_product>();
    entry->state = std::make_shared<const model::product::state>(state);
    auto compiled = model::thing_model::compile(*model::parse_json(
        R"({"format": "tm/1", "id": "m", "name": "m", "measurePoints": [{"id": "p", "type": {"t": "int"}}]})"));
    entry->view.model = std::make_shared<const model::thing_model>(std::move(*compiled));
    known->products["pk"] = entry;
    state.organisation = "another";
    auto foreign = std::make_shared<actors::catalogue_product>(*entry);
    foreign->state = std::make_shared<const model::product::state>(state);
    known->products["theirs"] = foreign;
    world.known = known;
    world.keys = &keys;
    world.shard_of = [](const model::device_name&) { return model::shard_id{3}; };
  }

  sub_device_login sub(const std::string& key) { return {{"pk", key}, {}, {}}; }
  group_post post(const std::string& key, model::value v, const std::string& product = "pk") {
    auto out = group_post{};
    if (!key.empty())
      out.who = model::device_name{product, key};
    out.sample.points.push_back({"p", std::move(v)});
    return out;
  }
  std::string text(const group_outcome& over) { return model::to_json(over.data); }
  std::string_view why(const group_outcome& over) {
    return over.why ? over.why->reason : std::string_view{"done"};
  }

  group_self self;
  group_world world;
  model::keyring keys{model::keyring::key_bytes{5}};
  model::entity_id a{3, {1}}, b{3, {2}};
};

TEST_F(GroupRequest, WhoIsNoGatewayAsksNothing) {
  self.gateway = false;
  for (const auto& request :
       {bind_sub_devices(self, {sub("a")}), unbind_sub_devices(self, world, {{"pk", "a"}}),
        list_sub_devices(self), log_in_sub_device(self, world, sub("a")),
        log_in_sub_devices(self, world, {sub("a")}),
        register_devices(self, world, {{{"pk", "a"}, "", "", "", {}}})}) {
    EXPECT_TRUE(request->next({}).empty());
    EXPECT_EQ(why(request->outcome()), "not_gateway");
  }
}

TEST_F(GroupRequest, SubDevicesAreBoundOnceAllOfThemCanBe) {
  const auto request = bind_sub_devices(self, {sub("a"), sub("b")});
  auto asked = request->next({});
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_TRUE(std::get<device::bind_gateway>(asked[0].what).dry_run);
  asked = request->next({good(device::device_bound{a}), good(device::device_bound{b})});
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_FALSE(std::get<device::bind_gateway>(asked[1].what).dry_run);
  asked = request->next({good(device::device_bound{a}), good(device::device_bound{b})});
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_FALSE(asked[0].whom) << "its own list";
  EXPECT_EQ(std::get<device::change_sub_devices>(asked[0].what).changes.size(), 2u);
  EXPECT_TRUE(request->next({good()}).empty());
  EXPECT_EQ(why(request->outcome()), "done");
}

TEST_F(GroupRequest, OneThatCannotBeBoundKeepsAllFromIt) {
  const auto request = bind_sub_devices(self, {sub("a"), sub("b")});
  request->next({});
  EXPECT_TRUE(
      request->next({good(device::device_bound{a}), bad(errc::conflict, "already_bound")}).empty());
  EXPECT_EQ(why(request->outcome()), "already_bound");
}

TEST_F(GroupRequest, WhatARaceHasBoundIsInTheListAllTheSame) {
  const auto request = bind_sub_devices(self, {sub("a"), sub("b")});
  request->next({});
  request->next({good(device::device_bound{a}), good(device::device_bound{b})});
  const auto asked =
      request->next({good(device::device_bound{a}), bad(errc::conflict, "already_bound")});
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(std::get<device::change_sub_devices>(asked[0].what).changes.size(), 1u);
  EXPECT_TRUE(request->next({good()}).empty());
  EXPECT_EQ(why(request->outcome()), "already_bound");
}

TEST_F(GroupRequest, ABatchOfLoginsTellsOfEach) {
  const auto request = log_in_sub_devices(self, world, {sub("a"), sub("b")});
  ASSERT_EQ(request->next({}).size(), 2u);
  request->next({good(device::connection_granted{.id = a, .epoch = 1, .organisation = "org"}),
                 bad(errc::forbidden, "device_disabled")});
  const auto over = request->outcome();
  EXPECT_EQ(why(over), "device_disabled");
  EXPECT_EQ(over.why->detail, "pk&b has error: detail;");
  EXPECT_EQ(
      text(over),
      R"({"loginedSubDevices":[{"assetId":")" + to_string(a) +
          R"(","productKey":"pk","deviceKey":"a"}],"failedSubDevices":[{"productKey":"pk","deviceKey":"b"}]})");
}

TEST_F(GroupRequest, ASecretIsShownOnlyIfItIsTheDevicesNow) {
  for (const auto activated : {true, false}) {
    auto wanted = sub("a");
    wanted.secret = device::login_secret::either;
    const auto request = log_in_sub_device(self, world, wanted);
    const auto asked = request->next({});
    const auto& fresh = std::get<device::connect>(asked.at(0).what).fresh;
    const auto secret = keys.open(fresh, device::secret_owner({"pk", "a"}));
    ASSERT_TRUE(secret);
    auto granted = device::connection_granted{.id = a, .epoch = 1, .organisation = "org"};
    granted.activated = activated;
    request->next({good(granted)});
    EXPECT_EQ(text(request->outcome()).find(*secret) != std::string::npos, activated);
  }
}

TEST_F(GroupRequest, LogoutNeverFailsUnlessItCannotBeWritten) {
  for (const auto& got :
       {good(), bad(errc::not_found, "device_unknown"), bad(errc::forbidden, "sub_device")}) {
    const auto request = log_out_sub_device({"pk", "a"});
    ASSERT_EQ(request->next({}).size(), 1u);
    request->next({got});
    EXPECT_EQ(why(request->outcome()), "done");
  }
  const auto request = log_out_sub_device({"pk", "a"});
  request->next({});
  request->next({bad(errc::unavailable, "")});
  EXPECT_TRUE(request->outcome().why);
}

TEST_F(GroupRequest, DevicesAreRegisteredAllOrNone) {
  const auto request = register_devices(
      self, world, {{{"pk", "a"}, "A", "", "", {}}, {{"pk", ""}, "B", "", "", {}}});
  auto asked = request->next({});
  ASSERT_EQ(asked.size(), 1u) << "the key that was chosen must be free";
  asked = request->next({bad(errc::not_found, "device_unknown")});
  ASSERT_EQ(asked.size(), 2u);
  for (const auto& q : asked)
    EXPECT_EQ(q.as, actors::session_ask::right::service);
  asked = request->next({good(), bad(errc::invalid_argument, "model_validate_failed")});
  ASSERT_EQ(asked.size(), 1u) << "what was made is taken back";
  EXPECT_TRUE(std::holds_alternative<device::remove_device>(asked[0].what));
  EXPECT_TRUE(request->next({good()}).empty());
  const auto over = request->outcome();
  EXPECT_EQ(why(over), "model_validate_failed");
  EXPECT_EQ(text(over), "[]");
}

TEST_F(GroupRequest, OnlyWhatIsKnownOfAllIsSure) {
  using answers = std::vector<answer>;
  const auto is_sure = [&](const answers& made, const answers& taken_back) {
    const auto request = register_devices(
        self, world, {{{"pk", ""}, "A", "", "", {}}, {{"pk", ""}, "B", "", "", {}}});
    EXPECT_EQ(request->next({}).size(), 2u);
    EXPECT_EQ(request->next(made).size(), taken_back.size());
    EXPECT_TRUE(request->next(taken_back).empty());
    EXPECT_TRUE(request->outcome().why);
    return request->has_surely_none();
  };
  const auto refused = bad(errc::invalid_argument, "model_validate_failed"),
             late = bad(errc::timeout, ""), gone = bad(errc::not_found, "device_unknown");
  EXPECT_TRUE(is_sure({refused, refused}, {}));
  EXPECT_FALSE(is_sure({refused, late}, {})) << "the first failure does not tell of the others";
  EXPECT_FALSE(is_sure({late, refused}, {}));
  EXPECT_TRUE(is_sure({good(), refused}, {good()}));
  EXPECT_TRUE(is_sure({good(), refused}, {gone}));
  EXPECT_FALSE(is_sure({good(), refused}, {late})) << "it may be there still";
  EXPECT_FALSE(is_sure({good(), late}, {good()}));
}

TEST_F(GroupRequest, OnlyProductsOfTheOrganisationAreRegisteredIn) {
  for (const auto* product : {"theirs", "nothing"}) {
    const auto request = register_devices(self, world, {{{product, "a"}, "", "", "", {}}});
    EXPECT_TRUE(request->next({}).empty());
    EXPECT_EQ(why(request->outcome()), "product_unknown");
  }
}

TEST_F(GroupRequest, PostsAreOneOrderForEachDeviceInTheirOrder) {
  const auto request =
      post_for_devices(self, world, {post("a", 1), post("b", 2), post("a", 3)}, false, true, true);
  const auto asked = request->next({});
  ASSERT_EQ(asked.size(), 2u);
  const auto& first = std::get<device::report_points>(asked[0].what);
  ASSERT_EQ(first.samples.size(), 2u);
  EXPECT_EQ(first.samples[1].points[0].posted, model::value{3});
  EXPECT_TRUE(first.skip_invalid && first.allow_offline && !first.backfill);
  EXPECT_TRUE(request->next({good(), bad(errc::forbidden, "sub_device")}).empty());
  EXPECT_EQ(why(request->outcome()), "sub_device");
}

TEST_F(GroupRequest, WhatTheModelRefusesIsKnownBeforeAnybodyIsAsked) {
  const auto request =
      post_for_devices(self, world, {post("a", 1), post("b", "warm")}, false, false, true);
  EXPECT_TRUE(request->next({}).empty());
  EXPECT_EQ(why(request->outcome()), "model_validate_failed");
  for (const auto* product : {"theirs", "nothing"}) {
    const auto foreign = post_for_devices(self, world, {post("a", 1, product)}, false, false, true);
    EXPECT_TRUE(foreign->next({}).empty()) << product;
    EXPECT_EQ(why(foreign->outcome()), "sub_device");
  }
}

}  // namespace
}  // namespace orrery::transport
