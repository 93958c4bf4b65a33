#include <gtest/gtest.h>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {
namespace {

class Organisation : public testing::Test {
 protected:
  Organisation() {
    EXPECT_TRUE(tell(create_organisation{"org", "Org"}));
    auto u = user{};
    u.login = "eve";
    u.roles = {"viewer"};
    EXPECT_TRUE(tell(create_user{u}));
  }
  status tell(order what) {
    auto d = decide(s, {std::move(what), "user:a", {}}, {entity_id{}, now, 3});
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      EXPECT_TRUE(decode_events(encode_events({e})));
      apply(s, e);
    }
    return {};
  }
  state s;
  timestamp now = from_ms(1'700'000'000'000);
};

TEST_F(Organisation, BadPasswordsLockForATimeThatDoubles) {
  EXPECT_TRUE(tell(note_login{"eve", false}));
  EXPECT_TRUE(tell(note_login{"eve", false}));
  EXPECT_EQ(s.find_user("eve")->locked_until, timestamp{});
  EXPECT_TRUE(tell(note_login{"eve", false}));
  EXPECT_EQ(s.find_user("eve")->locked_until - now, std::chrono::minutes{15});
  EXPECT_TRUE(tell(note_login{"eve", false}));
  EXPECT_EQ(s.find_user("eve")->locked_until - now, std::chrono::minutes{30});
  EXPECT_TRUE(tell(note_login{"eve", true}));
  EXPECT_EQ(s.find_user("eve")->failures, 0u);
}

TEST_F(Organisation, NamesAreTakenOnce) {
  auto u = user{};
  u.login = "eve";
  EXPECT_EQ(tell(create_user{u}).error().reason, "login_exists");
  EXPECT_EQ(tell(create_organisation{"org", ""}).error().reason, "org_exists");
  EXPECT_TRUE(tell(remove_user{"eve"}));
  EXPECT_EQ(tell(remove_user{"eve"}).error().reason, "user_unknown");
}

TEST_F(Organisation, KeysComeAndGo) {
  auto k = api_key{};
  k.id = "k1";
  EXPECT_EQ(tell(create_key{k}).error().reason, "permissions_missing");
  k.permissions = {"data:read"};
  ASSERT_TRUE(tell(create_key{k}));
  EXPECT_EQ(s.find_key("k1")->actor, "user:a");
  EXPECT_TRUE(tell(revoke_key{"k1"}));
  EXPECT_EQ(s.find_key("k1"), nullptr);
}

TEST_F(Organisation, StateSurvivesItsBytes) {
  const auto bytes = encode_state(s, 5);
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 5), bytes);
}

TEST(Permissions, CoverWhatTheyName) {
  EXPECT_TRUE(permits({"*"}, "device:write"));
  EXPECT_TRUE(permits({"device:*"}, "device:write"));
  EXPECT_TRUE(permits({"device:write"}, "device:write"));
  EXPECT_FALSE(permits({"device:read"}, "device:write"));
  EXPECT_FALSE(permits({"dev:*"}, "device:write"));
  EXPECT_FALSE(permits({}, "device:write"));
  EXPECT_TRUE(permits(permissions_of("admin"), "iam:user"));
  EXPECT_FALSE(permits(permissions_of("operator"), "iam:user"));
  EXPECT_FALSE(permits(permissions_of("viewer"), "device:write"));
  EXPECT_TRUE(permissions_of("king").empty());
}

}  // namespace
}  // namespace orrery::model::organisation
