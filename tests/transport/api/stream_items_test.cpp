#include "transport/api/stream_items.hpp"

#include <gmock/gmock.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using actors::feed_kind;
using testing::ElementsAre;

const auto noon = model::from_ms(1'700'000'000'000);

model::result<stream_request> read(std::string_view text) {
  const auto v = model::parse_json(text);
  EXPECT_TRUE(v) << text;
  auto f = fields{*v};
  for (const auto* common : {"op", "id"})
    f.any(common);
  return read_subscription(f, "org");
}
std::vector<std::string> findings(std::string_view text) {
  const auto r = read(text);
  auto all = std::vector<std::string>{};
  if (!r)
    for (const auto& p : r.error().problems)
      all.push_back(p.where + " " + std::string{p.code});
  return all;
}

TEST(Subscription, WantsEverythingOfItsKindWithoutAFilter) {
  const auto r = read(R"({"op":"sub","id":"1","sid":"a","kind":"points"})");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->sid, "a");
  EXPECT_EQ(r->filter.kind, feed_kind::points);
  EXPECT_EQ(r->filter.organisation, "org");
  EXPECT_TRUE(r->filter.products.empty() && r->filter.devices.empty() && r->filter.points.empty());
}

TEST(Subscription, HasAFilterByProductDeviceAndPoint) {
  const auto id = model::make_entity_id(3, noon, {});
  const auto r = read(R"({"sid":"a","kind":"points","mode":"live","from":"latest","filter":
                         {"products":["p","q"],"assets":[")" +
                      to_string(id) + R"("],"points":["power"]}})");
  ASSERT_TRUE(r);
  EXPECT_THAT(r->filter.products, ElementsAre("p", "q"));
  EXPECT_THAT(r->filter.devices, ElementsAre(id));
  EXPECT_THAT(r->filter.points, ElementsAre("power"));
}

TEST(Subscription, KnowsItsKinds) {
  const auto kinds = std::map<std::string, feed_kind>{{"points", feed_kind::points},
                                                      {"events", feed_kind::events},
                                                      {"presence", feed_kind::presence},
                                                      {"lifecycle", feed_kind::lifecycle},
                                                      {"commands", feed_kind::commands}};
  for (const auto& [name, kind] : kinds)
    EXPECT_EQ(read(R"({"sid":"a","kind":")" + name + "\"}")->filter.kind, kind);
  EXPECT_EQ(needed_for(feed_kind::points), "data:read");
  EXPECT_EQ(needed_for(feed_kind::events), "data:read");
  for (const auto kind : {feed_kind::presence, feed_kind::lifecycle, feed_kind::commands})
    EXPECT_EQ(needed_for(kind), "device:read");
}

TEST(Subscription, NamesWhatIsWrong) {
  EXPECT_THAT(findings("{}"), ElementsAre("/sid required_missing", "/kind required_missing"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"weather"})"), ElementsAre("/kind not_allowed"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":7})"), ElementsAre("/kind type_mismatch"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","mode":"durable"})"),
              ElementsAre("/mode not_allowed"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","from":"earliest"})"),
              ElementsAre("/from not_allowed"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","filter":[]})"),
              ElementsAre("/filter type_mismatch"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","filter":{"product":["p"]}})"),
              ElementsAre("/filter/product unknown_field"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","filter":{"assets":["x"],"points":[1]}})"),
              ElementsAre("/filter/points/0 type_mismatch", "/filter/assets type_mismatch"));
  EXPECT_THAT(findings(R"({"sid":"a","kind":"points","window":5})"),
              ElementsAre("/window unknown_field"));
  EXPECT_THAT(findings(R"({"sid":")" + std::string(65, 'a') + R"(","kind":"points"})"),
              ElementsAre("/sid too_long", "/sid required_missing"));
}

class Items : public testing::Test {
 protected:
  std::string show(device::event e, const std::set<std::string>& points = {}) {
    const auto item = actors::feed_item{
        .who = {id, device::naming{{"pk", "dk"}, "org"}},
        .events = std::make_shared<const std::vector<device::event>>(1, std::move(e)),
        .index = 0,
        .offset = 7};
    auto out = model::array{};
    show_item(item, points, noon, out);
    auto text = model::to_json(out);
    for (const auto& common : {R"("asset":")" + to_string(id) + R"(",)",
                               std::string{R"("pk":"pk","dk":"dk",)"}, std::string{"1700000000"}})
      for (auto at = text.find(common); at != std::string::npos; at = text.find(common))
        text.erase(at, common.size());
    return text;
  }
  model::entity_id id = model::make_entity_id(3, noon, {});
};

TEST_F(Items, OfPointsAreOneASampleAndOnlyWhatIsWanted) {
  const auto e = device::points_accepted{
      {{noon, {{"power", 4.5, -1}, {"temp", 20, 1}}}, {noon, {{"temp", 21, -1}}}}, false, noon};
  EXPECT_EQ(show(e), R"([{"t":000,"v":{"power":{"value":4.5},"temp":{"value":20,"q":1}}},)"
                     R"({"t":000,"v":{"temp":{"value":21}}}])");
  EXPECT_EQ(show(e, {"power"}), R"([{"t":000,"v":{"power":{"value":4.5}}}])");
  EXPECT_EQ(show(e, {"none"}), "[]");
}

TEST_F(Items, OfEventsCarryTheirOutput) {
  EXPECT_EQ(show(device::event_raised{"hot", 1, {{"temp", 90}}, noon, noon}),
            R"([{"t":000,"event":"hot","level":"warning","output":{"temp":90}}])");
}

TEST_F(Items, OfPresenceSayHowAndWhy) {
  EXPECT_EQ(show(device::connected{
                {}, device::protocol::mqtt, "10.0.0.1", true, true, false, false, noon}),
            R"([{"t":000,"event":"online","protocol":"mqtt"}])");
  EXPECT_EQ(show(device::disconnected{{}, "keep_alive", noon}),
            R"([{"t":000,"event":"offline","reason":"keep_alive"}])");
}

TEST_F(Items, OfTheLifeCycleHaveTheirNames) {
  const auto name = [&](device::event e) {
    const auto text = show(std::move(e));
    const auto from = text.find(R"("event":")") + 9;
    return text.substr(from, text.find('"', from) - from);
  };
  auto made = device::registered{};
  made.as.secret = model::sealed_secret{{'s', 'e', 'c', 'r', 'e', 't'}};
  EXPECT_EQ(show(made).find("secret"), std::string::npos);
  EXPECT_EQ(name(made), "created");
  EXPECT_EQ(name(device::updated{}), "updated");
  EXPECT_EQ(name(device::admin_state_set{device::admin_state::disabled, "", noon}), "disabled");
  EXPECT_EQ(name(device::admin_state_set{device::admin_state::enabled, "", noon}), "enabled");
  EXPECT_EQ(name(device::removed{}), "deleted");
  EXPECT_EQ(name(device::secret_set{}), "credentialRotated");
  EXPECT_EQ(name(device::attributes_changed{{{"a", nullptr}}, noon}), "attributesChanged");
  EXPECT_EQ(name(device::tags_changed{}), "tagsChanged");
  EXPECT_EQ(name(device::groups_changed{{"g1"}, {}}), "groupsChanged");
  EXPECT_EQ(name(device::status_overridden{}), "statusOverridden");
  EXPECT_EQ(name(device::override_ended{}), "overrideEnded");
  auto renamed = device::renamed{};
  renamed.before = {"pk", "dk"};
  renamed.at = noon;
  EXPECT_EQ(show(renamed), R"([{"t":000,"event":"moved","before":{"pk":"pk","dk":"dk"}}])");
  renamed.replaces = true;
  EXPECT_EQ(name(renamed), "replaced");
  auto went = device::emigrated{renamed, "there", "here"};
  went.what.name = {"theirs", "dk"};
  EXPECT_EQ(show(went), R"([{"t":000,"event":"organisationChanged","from":"here","to":"there",)"
                        R"("now":{"pk":"theirs","dk":"dk"}}])");
  EXPECT_EQ(show(device::twin_changed{{{"a", 1}}, 7, "user:a", noon}),
            R"([{"t":000,"event":"twinChanged","version":7,"desired":{"a":1}}])");
  EXPECT_EQ(show(device::layers_changed{
                {{"c1", 2, device::applied_layer::state_code::drifted, {}}}, {}, {}, noon}),
            R"([{"t":000,"event":"configurationsChanged","configurations":)"
            R"([{"id":"c1","version":2,"state":"drifted"}]}])");
  EXPECT_EQ(show(device::twin_reported{{{"a", 0}}, 3, 6, noon}),
            R"([{"t":000,"event":"twinReported","version":3,"reported":{"a":0}}])");
  EXPECT_EQ(show(device::twin_pushed{}), "[]");
  EXPECT_EQ(show(device::certificate_expiring{5, 30, noon, noon}),
            R"([{"t":000,"event":"certificateExpiring","sn":5,"days":30,"notAfter":000}])");
}

TEST_F(Items, OfCommandsAreTheCommand) {
  auto c = device::command_record{};
  c.id = id;
  c.element = "reboot";
  c.created_at = c.finished_at = noon;
  c.state = device::command_record::state_code::succeeded;
  for (const auto& e : std::vector<device::event>{
           device::command_queued{c}, device::command_finished{c}, device::late_reply_noted{c}})
    EXPECT_NE(show(e).find(R"("element":"reboot")"), std::string::npos);
  EXPECT_NE(show(device::command_sent{id, "17", noon}).find(R"("state":"sent")"),
            std::string::npos);
}

}  // namespace
}  // namespace orrery::transport::api
