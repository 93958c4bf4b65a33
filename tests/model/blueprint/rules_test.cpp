#include <gtest/gtest.h>

#include "model/blueprint/blueprint.hpp"
#include "model/json.hpp"

namespace orrery::model::blueprint {
namespace {

const auto now = from_ms(1'700'000'000'000);

value document(const std::string& points) {
  return *parse_json(R"({"format": "tm/1", "id": "m", "name": "m", "measurePoints": [)" + points +
                     "]}");
}
const auto with_p = document(R"({"id": "p", "type": {"t": "int"}})");
const auto with_p_and_q =
    document(R"({"id": "p", "type": {"t": "int"}}, {"id": "q", "type": {"t": "int"}})");
const auto p_as_text = document(R"({"id": "p", "type": {"t": "string"}})");

result<state> tell(state s, order what, std::size_t products = 0) {
  auto d = decide(s, {std::move(what), "user:a", {}}, {entity_id{}, now, products});
  if (!d)
    return d.error();
  for (const auto& e : d->events) {
    apply(s, e);
    EXPECT_TRUE(decode_events(encode_events({e})));
  }
  return s;
}
state made(const value& v) {
  return *tell({}, create_blueprint{"org", "m", v});
}

TEST(Blueprint, APublishedRevisionNeverChanges) {
  auto s = made(with_p);
  EXPECT_TRUE(s.revisions.empty());
  s = *tell(s, publish{"first", false});
  ASSERT_EQ(s.revisions.size(), 1u);
  EXPECT_FALSE(s.draft);
  EXPECT_EQ(tell(s, publish{}).error().reason, "draft_unknown");
  s = *tell(s, save_draft{with_p_and_q});
  s = *tell(s, publish{"second", false});
  ASSERT_EQ(s.revisions.size(), 2u);
  EXPECT_EQ(s.revisions[0].document, with_p);
  EXPECT_EQ(s.revisions[1].number, 2u);
  EXPECT_EQ(s.revisions[1].actor, "user:a");
}

TEST(Blueprint, ADraftMayBeUnfinishedButNotPublished) {
  const auto s = made(*parse_json(R"({"id": "m", "measurePoints": [{"id": "p"}]})"));
  const auto published = tell(s, publish{});
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().reason, "model_invalid");
  EXPECT_FALSE(published.error().problems.empty());
  EXPECT_FALSE(tell(s, save_draft{*parse_json(R"({"id": "other"})")}));
}

TEST(Blueprint, BreakingDevicesInUseNeedsForce) {
  auto s = *tell(made(with_p), publish{});
  s = *tell(s, save_draft{p_as_text});
  EXPECT_EQ(tell(s, publish{"", false}, 1).error().reason, "breaking_change");
  EXPECT_TRUE(tell(s, publish{"", false}, 0));
  EXPECT_TRUE(tell(s, publish{"", true}, 1));
  const auto before = *thing_model::compile(with_p), after = *thing_model::compile(p_as_text),
             wider = *thing_model::compile(with_p_and_q);
  EXPECT_TRUE(compare(before, wider).empty());
  ASSERT_EQ(compare(before, after).size(), 1u);
  EXPECT_EQ(compare(before, after)[0].weight, change_class::breaking);
  EXPECT_FALSE(compare(wider, before).empty());
}

TEST(Blueprint, IsNotRemovedWhileItIsUsed) {
  EXPECT_EQ(tell(made(with_p), remove_blueprint{}, 1).error().reason, "model_in_use");
  EXPECT_FALSE(tell(made(with_p), remove_blueprint{})->exists);
}

TEST(Blueprint, StateSurvivesItsBytes) {
  const auto s = *tell(*tell(made(with_p), publish{"x", false}), save_draft{with_p_and_q});
  const auto bytes = encode_state(s, 9);
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 9), bytes);
}

}  // namespace
}  // namespace orrery::model::blueprint
