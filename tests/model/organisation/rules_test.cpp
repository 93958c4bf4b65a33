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
  static constexpr auto day = std::chrono::hours{24};
};

TEST_F(Organisation, BadPasswordsLockForATimeThatDoubles) {
  EXPECT_TRUE(tell(note_bad_login{"eve"}));
  EXPECT_TRUE(tell(note_bad_login{"eve"}));
  EXPECT_EQ(s.find_user("eve")->locked_until, timestamp{});
  EXPECT_TRUE(tell(note_bad_login{"eve"}));
  EXPECT_EQ(s.find_user("eve")->locked_until - now, std::chrono::minutes{15});
  EXPECT_TRUE(tell(note_bad_login{"eve"}));  // it was under way when the lock came
  EXPECT_EQ(s.find_user("eve")->locked_until - now, std::chrono::minutes{15});
  now += std::chrono::minutes{16};
  EXPECT_TRUE(tell(note_bad_login{"eve"}));
  EXPECT_EQ(s.find_user("eve")->locked_until - now, std::chrono::minutes{30});
  EXPECT_EQ(tell(open_session{{"eve", "s1", now + day}}).error().reason, "locked");
  now += std::chrono::minutes{31};
  EXPECT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  EXPECT_EQ(s.find_user("eve")->failures, 0u);
  EXPECT_EQ(tell(note_bad_login{"bob"}).error().reason, "user_unknown");
}

TEST_F(Organisation, SessionsLastUntilTheyEnd) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(open_session{{"eve", "s2", now + day}}));
  EXPECT_EQ(tell(open_session{{"bob", "s3", now + day}}).error().reason, "user_unknown");
  EXPECT_EQ(s.find_session("bob", "s1"), nullptr);
  ASSERT_TRUE(tell(keep_session{{"eve", "s1", now + 2 * day}}));
  EXPECT_EQ(s.find_session("eve", "s1")->until, now + 2 * day);
  EXPECT_EQ(tell(keep_session{{"eve", "s9", now + day}}).error().reason, "session_unknown");
  ASSERT_TRUE(tell(end_session{"eve", "s1"}));
  EXPECT_EQ(s.find_session("eve", "s1"), nullptr);
  EXPECT_TRUE(tell(end_session{"eve", "s1"})) << "to end it twice is no fault";
  now += 2 * day;
  EXPECT_EQ(tell(keep_session{{"eve", "s2", now + day}}).error().reason, "session_unknown");
  ASSERT_TRUE(tell(open_session{{"eve", "s4", now + day}}));
  EXPECT_EQ(s.sessions.size(), 1u) << "the next one sweeps what is over";
}

TEST_F(Organisation, OfTooManySessionsTheOldestEnds) {
  for (int i = 0; i <= 100; ++i)
    ASSERT_TRUE(tell(open_session{{"eve", std::to_string(i), now + day}}));
  EXPECT_EQ(s.sessions.size(), 100u);
  EXPECT_EQ(s.find_session("eve", "0"), nullptr);
  EXPECT_NE(s.find_session("eve", "1"), nullptr);
}

TEST_F(Organisation, ANewPasswordAndARemovalEndAllSessions) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
  ASSERT_TRUE(tell(open_session{{"eve", "s2", now + day}}));
  ASSERT_TRUE(tell(set_password{"eve", "hash"}));
  EXPECT_TRUE(s.sessions.empty());
  ASSERT_TRUE(tell(open_session{{"eve", "s3", now + day}}));
  ASSERT_TRUE(tell(remove_user{"eve"}));
  EXPECT_TRUE(s.sessions.empty());
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
  k.name = "billing";
  EXPECT_EQ(tell(create_key{k}).error().reason, "permissions_missing");
  k.permissions = {"data:read"};
  ASSERT_TRUE(tell(create_key{k}));
  EXPECT_EQ(s.find_key("k1")->actor, "user:a");
  EXPECT_TRUE(tell(revoke_key{"k1"}));
  EXPECT_EQ(s.find_key("k1"), nullptr);
}

TEST_F(Organisation, StateSurvivesItsBytes) {
  ASSERT_TRUE(tell(open_session{{"eve", "s1", now + day}}));
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
  EXPECT_TRUE(permits(permissions_of("operator"), "ota:write"));
  EXPECT_TRUE(permits(permissions_of("viewer"), "ota:read"));
  EXPECT_TRUE(permits(permissions_of("viewer"), "file:read"));
  EXPECT_FALSE(permits(permissions_of("viewer"), "file:write"));
  EXPECT_TRUE(permits(permissions_of("operator"), "file:write"));
  EXPECT_FALSE(permits(permissions_of("viewer"), "ota:write"));
  EXPECT_TRUE(permissions_of("king").empty());
}

}  // namespace
}  // namespace orrery::model::organisation
