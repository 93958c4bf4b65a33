#include "model/organisation/configurations.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model::organisation {
namespace {

class Configurations : public testing::Test {
 protected:
  Configurations() {
    EXPECT_EQ(tell(create_organisation{"org", "Org"}), "");
    auto g = put_group{{}, true};
    g.what.id = g.what.name = "g1";
    EXPECT_EQ(tell(g), "");
  }
  std::string_view tell(order what, std::optional<std::uint64_t> expected = {}) {
    auto d = decide(s, {std::move(what), "user:a", expected}, {entity_id{}, now, 3});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
    }
    auto kept = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
    EXPECT_EQ(encode_state(kept, 1), encode_state(s, 1));
    return "";
  }
  static put_configuration made(std::string id, std::string target = "tags.a = 'b'",
                                std::string_view desired = R"({"rate": 1})") {
    auto p = put_configuration{{}, true};
    p.what.id = id;
    p.what.name = std::move(id);
    p.what.target = std::move(target);
    p.what.desired = parse_json(desired)->as_object();
    return p;
  }
  put_configuration change(const std::string& id) { return {*s.find_configuration(id), false}; }
  state s;
  timestamp now = from_ms(1'700'000'000'000);
};

TEST_F(Configurations, ComeChangeAndGo) {
  EXPECT_EQ(tell(made("c1")), "");
  const auto* c = s.find_configuration("c1");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->version, 1u);
  EXPECT_EQ(c->actor, "user:a");
  EXPECT_EQ(tell(made("c1")), "configuration_exists");
  auto other = made("c2");
  other.what.name = "c1";
  EXPECT_EQ(tell(other), "configuration_exists") << "names are told apart";
  auto named = change("c1");
  named.what.name = "North";
  named.what.labels = {{"team", "a"}};
  EXPECT_EQ(tell(named, c->revision + 1), "etag_mismatch");
  EXPECT_EQ(tell(named, c->revision), "");
  EXPECT_EQ(s.find_configuration("c1")->version, 1u) << "devices have nothing new of it";
  for (int i = 0; i < 4; ++i) {
    auto p = change("c1");
    if (i == 0)
      p.what.priority = 3;
    if (i == 1)
      p.what.enabled = false;
    if (i == 2)
      p.what.target = "tags.a = 'c'";
    if (i == 3)
      p.what.desired = {{"rate", 2}};
    EXPECT_EQ(tell(p), "");
    EXPECT_EQ(s.find_configuration("c1")->version, 2u + static_cast<unsigned>(i));
  }
  EXPECT_EQ(tell(remove_configuration{"c9"}), "configuration_unknown");
  EXPECT_EQ(tell(remove_configuration{"c1"}, 1), "etag_mismatch");
  EXPECT_EQ(tell(remove_configuration{"c1"}), "");
  EXPECT_FALSE(s.find_configuration("c1"));
  EXPECT_EQ(tell({put_configuration{made("c1").what, false}}), "configuration_unknown");
}

TEST_F(Configurations, AreChecked) {
  for (const auto* target :
       {"", "tags.a =", "points.p > 1", "lastDataAt > 1", "configuration = 'c1'", "updatedAt > 1",
        "tags.a = 'b' or not (updatedAt > 1)", "group = 'g9'"})
    EXPECT_EQ(tell(made("c", target)), "configuration_invalid") << target;
  EXPECT_EQ(
      tell(made("c", "tags.a = 'b'", R"({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}})")),
      "configuration_invalid");
  EXPECT_EQ(tell(made("c", "tags.a = 'b'", "{\"a\": \"" + std::string(8'192, 'x') + "\"}")),
            "configuration_invalid");
  auto p = made("c");
  p.what.priority = 1'001;
  EXPECT_EQ(tell(p), "configuration_invalid");
  p = made("a b");
  EXPECT_EQ(tell(p), "configuration_invalid");
  p = made("c");
  p.what.name.clear();
  EXPECT_EQ(tell(p), "configuration_invalid");
  p = made("c");
  for (int i = 0; i < 17; ++i)
    p.what.labels["l" + std::to_string(i)] = "x";
  EXPECT_EQ(tell(p), "configuration_invalid");
  p.what.labels = {{"a b", "x"}};
  EXPECT_EQ(tell(p), "configuration_invalid");
}

TEST_F(Configurations, AreBounded) {
  for (std::size_t i = 0; i < max_configurations; ++i)
    ASSERT_EQ(tell(made("c" + std::to_string(i))), "");
  EXPECT_EQ(tell(made("more")), "quota_exceeded");
  EXPECT_EQ(used_of(s, "configurations"), max_configurations);
  const auto big = "{\"a\": \"" + std::string(8'000, 'x') + "\"}";
  auto grown = 0;
  for (std::size_t i = 0; i < max_configurations; ++i) {
    auto p = change("c" + std::to_string(i));
    p.what.desired = parse_json(big)->as_object();
    grown += tell(p).empty() ? 1 : 0;
  }
  EXPECT_EQ(grown, 32) << "together they have at most 256 KiB";
}

TEST_F(Configurations, KeepTheGroupsThatTheyName) {
  EXPECT_EQ(tell(made("c1", "group = 'g1'")), "");
  EXPECT_EQ(tell(remove_group{"g1"}), "group_in_use");
  EXPECT_EQ(tell(remove_configuration{"c1"}), "");
  EXPECT_EQ(tell(remove_group{"g1"}), "");
}

TEST_F(Configurations, DecideAboutNoGroup) {
  auto g = put_group{{}, true};
  g.what.id = g.what.name = "g2";
  g.what.what = device_group::kind::by_rule;
  g.what.rule = "configuration = 'c1'";
  EXPECT_EQ(tell(g), "group_rule_invalid");
}

TEST_F(Configurations, AreLaidByPriorityAndThenByAge) {
  for (const auto& [id, priority] :
       {std::pair{"a", 5}, std::pair{"b", 1}, std::pair{"c", 5}, std::pair{"d", 9}}) {
    auto p = made(id);
    p.what.priority = static_cast<std::uint16_t>(priority);
    p.what.enabled = std::string_view{id} != "d";
    ASSERT_EQ(tell(p), "");
  }
  auto ids = std::string{};
  for (const auto* c : in_order(s.configurations))
    ids += c->id;
  EXPECT_EQ(ids, "bac");
}

TEST_F(Configurations, TellWhereTheyDisagree) {
  const auto read = [](std::string_view text) { return parse_json(text)->as_object(); };
  EXPECT_EQ(conflicts(read(R"({"a": 1, "b": {"x": 1, "y/z": null}, "c": {}, "d": 5})"),
                      read(R"({"a": 1.0, "b": {"x": 2, "y/z": 3}, "c": 1, "e": 5})"), 10),
            (std::vector<std::string>{"/b/x", "/b/y~1z", "/c"}));
  EXPECT_EQ(conflicts(read(R"({"a": 1, "b": 1})"), read(R"({"a": 2, "b": 2})"), 1).size(), 1u);
}

TEST_F(Configurations, ChangeNothingOfWhatIsWrittenWithoutThem) {
  const auto bytes = encode_state(s, 7);
  EXPECT_EQ(bytes.front(), 3) << "as it was before there were any";
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 7), bytes);
  ASSERT_EQ(tell(made("c1")), "");
  EXPECT_EQ(encode_state(s, 7).front(), 4);
}

}  // namespace
}  // namespace orrery::model::organisation
