#include "actors/feed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace orrery::actors {
namespace {

namespace device = model::device;
using testing::ElementsAre;

const auto noon = model::from_ms(1'700'000'000'000);

device::event accepted(std::vector<std::string> ids, bool backfill = false) {
  auto e = device::points_accepted{{}, backfill, noon};
  auto& sample = e.samples.emplace_back();
  sample.time = noon;
  for (auto& id : ids)
    sample.points.push_back({std::move(id), 1});
  return e;
}

device::event gone(std::string reason) {
  return device::disconnected{{}, std::move(reason), noon};
}

class Feed : public testing::Test {
 protected:
  Feed() { filter.organisation = tests::organisation; }
  std::uint64_t subscribe() {
    return live.subscribe(filter, [this] { ++woken; });
  }
  void publish(std::vector<device::event> events, std::uint64_t offset = 1) {
    live.publish(
        {{who, std::make_shared<const std::vector<device::event>>(std::move(events)), offset}});
  }
  std::size_t waiting(std::uint64_t id) { return live.take(id, 1000).items.size(); }
  /// True if a subscriber with the filter as it is gets the event.
  bool gets(const device::event& e) { return wants(filter, who, e); }

  device_identity who{tests::device_id(1, 1),
                      device::naming{{tests::product_key, "dk"}, tests::organisation}};
  feed live{3};
  feed_filter filter;
  int woken = 0;
};

TEST_F(Feed, IsWantedOnlyWhileSomebodyListens) {
  const auto wanted = live.wanted();
  EXPECT_FALSE(*wanted);
  const auto a = subscribe(), b = subscribe();
  EXPECT_TRUE(*wanted);
  EXPECT_EQ(live.subscribers(), 2u);
  live.unsubscribe(a);
  EXPECT_TRUE(*wanted);
  live.unsubscribe(b);
  EXPECT_FALSE(*wanted);
  EXPECT_EQ(live.subscribers(), 0u);
}

TEST_F(Feed, GivesWhatWasCommittedInOrder) {
  const auto id = subscribe();
  publish({accepted({"p"})}, 7);
  publish({gone("client"), accepted({"q"})}, 8);
  const auto got = live.take(id, 1000);
  ASSERT_EQ(got.items.size(), 2u);
  EXPECT_EQ(got.lost, 0u);
  EXPECT_EQ(got.items[0].offset, 7u);
  EXPECT_EQ(got.items[0].who.id, who.id);
  EXPECT_EQ(got.items[1].offset, 8u);
  EXPECT_EQ(got.items[1].index, 1u);  // the second event of its record
  EXPECT_TRUE(live.take(id, 1000).items.empty());
}

TEST_F(Feed, GivesNoMoreThanItIsAskedFor) {
  const auto id = subscribe();
  publish({accepted({"p"}), accepted({"p"}), accepted({"p"})});
  EXPECT_EQ(live.take(id, 2).items.size(), 2u);
  EXPECT_EQ(live.take(id, 2).items.size(), 1u);
}

TEST_F(Feed, WakesASubscriberOnceForWhatWaits) {
  const auto id = subscribe();
  publish({accepted({"p"})});
  publish({accepted({"p"})});
  EXPECT_EQ(woken, 1);
  live.take(id, 1000);
  publish({accepted({"p"})});
  EXPECT_EQ(woken, 2);
  live.unsubscribe(id);
  publish({accepted({"p"})});
  EXPECT_EQ(woken, 2);
  EXPECT_TRUE(live.take(id, 1000).items.empty());
}

TEST_F(Feed, ASubscriberMayTakeWhileItIsWoken) {
  auto got = std::size_t{0};
  auto id = std::uint64_t{0};
  id = live.subscribe(filter, [&] { got += live.take(id, 1000).items.size(); });
  publish({accepted({"p"})});
  publish({accepted({"p"})});
  EXPECT_EQ(got, 2u);
}

TEST_F(Feed, ASlowSubscriberLosesTheOldestAndIsTold) {
  const auto slow = subscribe(), quick = subscribe();
  for (std::uint64_t offset = 1; offset <= 5; ++offset) {
    publish({accepted({"p"})}, offset);
    EXPECT_EQ(waiting(quick), 1u);
  }
  auto got = live.take(slow, 1000);
  EXPECT_EQ(got.lost, 2u);
  ASSERT_EQ(got.items.size(), 3u);
  EXPECT_EQ(got.items[0].offset, 3u);
  EXPECT_EQ(got.items[2].offset, 5u);
  EXPECT_EQ(live.dropped(), 2u);
  publish({accepted({"p"})}, 6);
  got = live.take(slow, 1000);
  EXPECT_EQ(got.lost, 0u);  // told once
  EXPECT_EQ(got.items.size(), 1u);
}

TEST_F(Feed, ShowsNobodyWhatIsNotHisOrganisations) {
  EXPECT_TRUE(gets(accepted({"p"})));
  filter.organisation = "other";
  EXPECT_FALSE(gets(accepted({"p"})));
  const auto id = subscribe();
  publish({accepted({"p"})});
  EXPECT_EQ(waiting(id), 0u);
  EXPECT_EQ(woken, 0);
}

TEST_F(Feed, FiltersByProductAndDevice) {
  filter.products = {"another"};
  EXPECT_FALSE(gets(accepted({"p"})));
  filter.products.insert(tests::product_key);
  EXPECT_TRUE(gets(accepted({"p"})));
  filter.devices = {tests::device_id(1, 2)};
  EXPECT_FALSE(gets(accepted({"p"})));
  filter.devices.insert(who.id);
  EXPECT_TRUE(gets(accepted({"p"})));
  filter.products = {"another"};  // both must fit
  EXPECT_FALSE(gets(accepted({"p"})));
}

TEST_F(Feed, TellsBothOrganisationsOfWhoWentFromOneToTheOther) {
  auto went = device::emigrated{};
  went.what.name = {"theirs", "dk"};
  went.organisation = "other";
  went.before = who.called->organisation;
  filter.kind = feed_kind::lifecycle;
  EXPECT_TRUE(gets(went));
  filter.organisation = "other";
  EXPECT_TRUE(gets(went));
  EXPECT_FALSE(gets(device::groups_changed{})) << "of the same moment, and no matter of theirs";
  filter.products = {"another"};
  EXPECT_FALSE(gets(went));
  filter.products = {"theirs"};
  EXPECT_TRUE(gets(went));
  filter.organisation = "third";
  EXPECT_FALSE(gets(went));
}

TEST_F(Feed, FiltersPointsByName) {
  filter.points = {"p"};
  EXPECT_TRUE(gets(accepted({"q", "p"})));
  EXPECT_FALSE(gets(accepted({"q"})));
  filter.kind = feed_kind::presence;  // points are no filter for other kinds
  EXPECT_TRUE(gets(gone("client")));
}

TEST_F(Feed, TellsTheKindsApart) {
  const auto session = model::session_ref{1, 1, 1};
  const auto command = device::command_record{};
  const auto events = std::vector<std::pair<device::event, std::optional<feed_kind>>>{
      {accepted({"p"}), feed_kind::points},
      {accepted({"p"}, true), std::nullopt},  // recovered history is not live
      {device::event_raised{"hot", 1, {}, noon, noon}, feed_kind::events},
      {device::connected{session, device::protocol::mqtt, "", false, true, false, false, noon},
       feed_kind::presence},
      {gone("client"), feed_kind::presence},
      {device::subscriptions_changed{}, std::nullopt},  // matters of the transport
      {device::command_delivered{}, std::nullopt},
      {gone("taken_over"), std::nullopt},  // it is still there
      {device::registered{{}, noon}, feed_kind::lifecycle},
      {device::updated{{}, noon}, feed_kind::lifecycle},
      {device::admin_state_set{device::admin_state::disabled, "", noon}, feed_kind::lifecycle},
      {device::removed{noon}, feed_kind::lifecycle},
      {device::secret_set{{}, noon}, feed_kind::lifecycle},
      {device::attributes_changed{{}, noon}, feed_kind::lifecycle},
      {device::tags_changed{{}, false, noon}, feed_kind::lifecycle},
      {device::gateway_bound{{}, noon}, feed_kind::lifecycle},
      {device::gateway_unbound{{}, noon}, feed_kind::lifecycle},
      {device::activation_reopened{noon, noon}, feed_kind::lifecycle},
      {device::sub_devices_changed{}, std::nullopt},
      {device::sub_device_noted{}, std::nullopt},
      {device::activation_granted{}, std::nullopt},
      {device::activation_settled{}, std::nullopt},
      {device::picture_reported{}, std::nullopt},
      {device::certificate_added{}, std::nullopt},
      {device::certificate_revoked{}, std::nullopt},
      {device::certificate_expiring{}, feed_kind::lifecycle},
      {device::file_added{}, std::nullopt},
      {device::file_stored{}, std::nullopt},
      {device::file_removed{}, std::nullopt},
      {device::version_reported{"2", "1", noon}, feed_kind::lifecycle},
      {device::version_reported{"2", "2", noon}, std::nullopt},  // said again
      {device::upgrade_offered{}, std::nullopt},
      {device::upgrade_published{}, std::nullopt},
      {device::upgrade_progressed{}, std::nullopt},
      {device::upgrade_ended{}, std::nullopt},
      {device::upgrade_retried{}, std::nullopt},
      {device::twin_changed{}, feed_kind::lifecycle},
      {device::twin_reported{}, feed_kind::lifecycle},
      {device::twin_pushed{}, std::nullopt},
      {device::groups_changed{}, feed_kind::lifecycle},
      {device::layers_changed{}, feed_kind::lifecycle},
      {device::layers_changed{{}, {}, model::object{}, noon}, std::nullopt},
      {device::status_overridden{}, feed_kind::lifecycle},
      {device::override_ended{}, feed_kind::lifecycle},
      {device::renamed{}, feed_kind::lifecycle},
      {device::emigrated{}, feed_kind::lifecycle},
      {device::retired{}, feed_kind::lifecycle},
      {device::restored{}, feed_kind::lifecycle},
      {device::mirror_set{}, feed_kind::lifecycle},
      {device::mirror_ended{}, feed_kind::lifecycle},
      {device::mirrors_changed{}, std::nullopt},
      {device::rename_prevented{}, std::nullopt},
      {device::former_name_forgotten{}, std::nullopt},
      {device::name_reserved{}, std::nullopt},
      {device::name_doubted{}, std::nullopt},
      {device::name_settled{}, std::nullopt},
      {device::command_queued{command}, feed_kind::commands},
      {device::command_sent{{}, "1", noon}, feed_kind::commands},
      {device::command_finished{command}, feed_kind::commands},
      {device::late_reply_noted{command}, feed_kind::commands}};
  EXPECT_EQ(events.size(), std::variant_size_v<device::event> + 4);
  for (const auto& [e, expected] : events)
    for (const auto kind : {feed_kind::points, feed_kind::events, feed_kind::presence,
                            feed_kind::lifecycle, feed_kind::commands})
      EXPECT_EQ(belongs_to(e, kind), expected == kind)
          << "event " << e.index() << ", kind " << static_cast<int>(kind);
}

}  // namespace
}  // namespace orrery::actors
