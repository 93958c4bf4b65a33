#include <gtest/gtest.h>

#include "model/organisation/organisation.hpp"
#include "model/static_text.hpp"

namespace orrery::model::organisation {
namespace {

using namespace std::chrono_literals;
using kind = ban::kind;

class Bans : public testing::Test {
 protected:
  Bans() { EXPECT_EQ(tell(create_organisation{"org", "Org"}), ""); }

  /// The reason of a refusal; "" if it was done.
  std::string_view tell(order what) {
    auto d = decide(s, {std::move(what), "user:a", {}}, {entity_id{}, now, 3});
    if (!d) {
      EXPECT_EQ(static_text(d.error().reason), d.error().reason) << "other nodes know it";
      return d.error().reason;
    }
    EXPECT_TRUE(decode_events(encode_events(d->events)));
    for (const auto& e : d->events)
      apply(s, e);
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(encode_state(again, 1), encode_state(s, 1));
    return {};
  }
  static ban of(kind what, std::string subject, std::optional<timestamp> until = {}) {
    auto b = ban{};
    b.what = what;
    b.subject = std::move(subject);
    b.until = until;
    return b;
  }

  state s;
  timestamp now = from_ms(1'700'000'000'000);
};

TEST_F(Bans, AreOfOneSubjectEach) {
  auto first = of(kind::device, "pk/dk");
  first.reason = "noisy";
  EXPECT_EQ(tell(set_ban{first}), "");
  ASSERT_EQ(s.bans.size(), 1u);
  EXPECT_EQ(s.bans[0].actor, "user:a");
  EXPECT_EQ(s.bans[0].created_at, now);
  EXPECT_EQ(s.bans[0].reason, "noisy");
  EXPECT_EQ(tell(set_ban{of(kind::device, "pk/dk", now + 1h)}), "");
  ASSERT_EQ(s.bans.size(), 1u) << "in place of the other";
  EXPECT_EQ(s.bans[0].until, now + 1h);
  EXPECT_EQ(tell(set_ban{of(kind::product, "pk")}), "");
  EXPECT_EQ(tell(set_ban{of(kind::address, "pk")}), "") << "another sort, another subject";
  EXPECT_EQ(s.bans.size(), 3u);
  EXPECT_NE(ban_id(s.bans[1]), ban_id(s.bans[2]));
  EXPECT_EQ(s.find_ban(ban_id(s.bans[1]))->subject, "pk");
  EXPECT_EQ(tell(remove_ban{ban_id(first)}), "");
  EXPECT_EQ(tell(remove_ban{ban_id(first)}), "ban_unknown");
  EXPECT_EQ(s.bans.size(), 2u);
}

TEST_F(Bans, EndAndAreSwept) {
  const auto hour = of(kind::device, "pk/a", now + 1h);
  ASSERT_EQ(tell(set_ban{hour}), "");
  EXPECT_TRUE(s.bans[0].holds(now + 1h - 1ms));
  now += 1h;
  EXPECT_FALSE(s.bans[0].holds(now));
  EXPECT_EQ(tell(remove_ban{ban_id(hour)}), "ban_unknown");
  EXPECT_EQ(tell(set_ban{of(kind::device, "pk/b")}), "");
  ASSERT_EQ(s.bans.size(), 1u);
  EXPECT_EQ(s.bans[0].subject, "pk/b");
  EXPECT_TRUE(s.bans[0].holds(now + 24h * 10'000));
}

TEST_F(Bans, ThereIsAnEndOfThem) {
  for (std::size_t i = 0; i < max_bans; ++i)
    ASSERT_EQ(tell(set_ban{of(kind::product, std::to_string(i), now + 1h)}), "");
  EXPECT_EQ(tell(set_ban{of(kind::product, "more")}), "quota_exceeded");
  EXPECT_EQ(tell(set_ban{of(kind::product, "7")}), "") << "it has a place";
  now += 1h;
  EXPECT_EQ(tell(set_ban{of(kind::product, "more")}), "");
  EXPECT_EQ(s.bans.size(), 2u);
}

TEST_F(Bans, WhatIsNone) {
  const auto print = std::string(64, 'a');
  for (const auto& bad :
       {of(kind::device, ""), of(kind::device, "pk"), of(kind::device, "pk/"),
        of(kind::device, "/dk"), of(kind::device, "pk/d k"), of(kind::device, "a/b/c"),
        of(kind::product, ""), of(kind::product, "p/k"), of(kind::address, ""),
        of(kind::address, std::string(65, '1')), of(kind::certificate, ""),
        of(kind::certificate, print.substr(1)), of(kind::certificate, print.substr(1) + 'A'),
        of(kind::certificate, print + 'a'), of(kind::product, "pk", now)})
    EXPECT_EQ(tell(set_ban{bad}), "ban_invalid") << bad.subject;
  auto wordy = of(kind::certificate, print);
  EXPECT_EQ(tell(set_ban{wordy}), "");
  wordy.reason = std::string(257, 'x');
  EXPECT_EQ(tell(set_ban{wordy}), "ban_invalid");
}

}  // namespace
}  // namespace orrery::model::organisation
