// Groups of a device, the status that it is shown with, the end of its session by somebody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;
using shown_as = status_override::status_code;

class Standing : public testing::Test {
 protected:
  Standing() {
    product.exists = true;
    product.model = std::make_shared<const thing_model>(
        *thing_model::compile(*parse_json(R"({"format": "tm/1", "id": "m", "name": "m"})")));
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(name));
    EXPECT_EQ(tell(r), "");
  }

  std::string_view tell(order what, std::string actor = "user:a") {
    happened = effects_seen = 0;
    closed.clear();
    auto d = decide(s, {std::move(what), {}, std::move(actor), {}}, {self, now, product, keys, 3});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
      for (const auto& x : device::effects(s, e))
        if (const auto* end = std::get_if<close_session>(&x))
          closed.emplace_back(end->reason);
      ++happened;
    }
    auto kept = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
    EXPECT_EQ(kept.groups(), s.groups());
    EXPECT_EQ(kept.shown(), s.shown());
    return "";
  }
  void log_in() {
    auto c = connect{};
    c.proof = {"dk", "1", sign_method::sha256,
               sign_login(name, "dk", "1", sign_method::sha256, "secret")};
    c.session = {7, 1, 0};
    EXPECT_EQ(tell(c), "");
  }
  void log_out() {
    auto d = decide(s, {disconnect{"client"}, s.connection.session, {}, {}},
                    {self, now, product, keys, 3});
    ASSERT_TRUE(d);
    for (const auto& e : d->events)
      apply(s, e);
  }

  device_name name{"pk", "dk"};
  entity_id self = make_entity_id(1, from_ms(1), {1});
  timestamp now = from_ms(1'700'000'000'000);
  keyring keys{keyring::key_bytes{9}};
  product_view product;
  state s;
  int happened = 0, effects_seen = 0;
  std::vector<std::string> closed;
};

TEST_F(Standing, IsInGroups) {
  EXPECT_EQ(tell(change_groups{{"g2", "g1", "g2"}, {}}), "");
  EXPECT_THAT(s.groups(), ElementsAre("g1", "g2"));
  EXPECT_EQ(tell(change_groups{{"g1"}, {"g7"}}), "");
  EXPECT_EQ(happened, 0) << "as it was";
  EXPECT_EQ(tell(change_groups{{"g3"}, {"g1", "g3"}}), "");
  EXPECT_THAT(s.groups(), ElementsAre("g2"));
  EXPECT_EQ(tell(change_groups{{"a b"}, {}}), "group_invalid");
  auto many = change_groups{};
  for (std::size_t i = 0; i < max_groups; ++i)
    many.add.push_back("m" + std::to_string(i));
  EXPECT_EQ(tell(many), "group_limit");
  many.remove = {"g2"};
  EXPECT_EQ(tell(many), "");
  EXPECT_EQ(s.groups().size(), max_groups);
  EXPECT_EQ(tell(remove_device{}), "");
  EXPECT_THAT(s.groups(), IsEmpty());
}

TEST_F(Standing, IsKicked) {
  EXPECT_EQ(tell(kick_device{}), "not_connected");
  log_in();
  EXPECT_EQ(tell(kick_device{}), "");
  EXPECT_FALSE(s.connection.online);
  EXPECT_EQ(*s.connection.reason, "kicked");
  EXPECT_THAT(closed, ElementsAre("kicked"));
  log_in();
  EXPECT_EQ(status_of(s), "online") << "it may come back at once";
}

TEST_F(Standing, IsShownWithAStatusForATime) {
  EXPECT_EQ(status_of(s), "inactive");
  EXPECT_EQ(tell(end_override{}), "override_unknown");
  for (const auto until : {now, now - 1s, now + longest_override + 1s})
    EXPECT_EQ(tell(override_status{shown_as::online, until}), "override_invalid");
  EXPECT_EQ(tell(override_status{shown_as::online, now + 1h}, "user:b"), "");
  EXPECT_EQ(status_of(s), "online");
  EXPECT_EQ(s.shown().by, "user:b");
  EXPECT_FALSE(s.connection.online);
  EXPECT_EQ(next_deadline(s), now + 1h);
  EXPECT_EQ(tell(set_admin_state{admin_state::disabled, ""}), "");
  EXPECT_EQ(status_of(s), "disabled") << "that is told whatever else is";
  EXPECT_EQ(tell(set_admin_state{admin_state::enabled, ""}), "");
  EXPECT_EQ(tell(override_status{shown_as::offline, now + 2h}), "");
  EXPECT_EQ(status_of(s), "offline");
  EXPECT_EQ(tell(end_override{}), "");
  EXPECT_EQ(status_of(s), "inactive");
  EXPECT_FALSE(next_deadline(s));
}

TEST_F(Standing, IsShownAsItIsAfterThatTime) {
  EXPECT_EQ(tell(override_status{shown_as::online, now + 1h}), "");
  now += 59min;
  EXPECT_EQ(tell(time_passed{}), "");
  EXPECT_EQ(status_of(s), "online");
  now += 1min;
  EXPECT_EQ(tell(time_passed{}), "");
  EXPECT_EQ(happened, 1);
  EXPECT_EQ(status_of(s), "inactive");
}

TEST_F(Standing, IsShownAsItIsOnceItComesOrGoes) {
  EXPECT_EQ(tell(override_status{shown_as::offline, now + 1h}), "");
  log_in();
  EXPECT_EQ(status_of(s), "online");
  EXPECT_EQ(tell(override_status{shown_as::inactive, now + 1h}), "");
  EXPECT_EQ(status_of(s), "inactive");
  log_out();
  EXPECT_EQ(status_of(s), "offline");
  EXPECT_TRUE(s.shown().empty());
}

}  // namespace
}  // namespace orrery::model::device
