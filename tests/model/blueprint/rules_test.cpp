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

result<state> tell_in(state s, order what, const surroundings& around) {
  auto d = decide(s, {std::move(what), "user:a", {}}, around);
  if (!d)
    return d.error();
  for (const auto& e : d->events) {
    apply(s, e);
    EXPECT_TRUE(decode_events(encode_events({e})));
  }
  return s;
}
result<state> tell(state s, order what, std::size_t products = 0) {
  auto around = surroundings{};
  around.now = now;
  around.products = products;
  return tell_in(std::move(s), std::move(what), around);
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
  EXPECT_EQ(tell(s, publish{"", true}, 1).error().reason, "reason_required");
  const auto forced = tell(s, publish{"", true, "the sensor was replaced"}, 1);
  ASSERT_TRUE(forced);
  EXPECT_EQ(forced->revisions.back().reason, "the sensor was replaced");
  EXPECT_EQ(tell(s, publish{"", false, "why"}, 0)->revisions.back().reason, "")
      << "nothing was forced";
  const auto before = *thing_model::compile(with_p), after = *thing_model::compile(p_as_text),
             wider = *thing_model::compile(with_p_and_q);
  ASSERT_EQ(compare(before, wider).size(), 1u);
  EXPECT_EQ(compare(before, wider)[0].weight, change_class::compatible);
  ASSERT_EQ(compare(before, after).size(), 1u);
  EXPECT_EQ(compare(before, after)[0].weight, change_class::breaking);
  ASSERT_EQ(compare(wider, before).size(), 1u);
  EXPECT_EQ(compare(wider, before)[0].weight, change_class::breaking);
}

TEST(Blueprint, IsNotRemovedWhileItIsUsed) {
  EXPECT_EQ(tell(made(with_p), remove_blueprint{}, 1).error().reason, "model_in_use");
  EXPECT_FALSE(tell(made(with_p), remove_blueprint{})->exists);
}

/// A parent that is published, with the point p.
parent_view parent_of_m(const value& document = with_p) {
  auto parent = parent_view{"org/base", {"org/base"}, 4, document, {}};
  parent.compiled = std::make_shared<const thing_model>(*thing_model::compile(document));
  return parent;
}
value child(const std::string& points) {
  return *parse_json(R"({"format": "tm/1", "id": "m", "extends": "base", "measurePoints": [)" +
                     points + "]}");
}
const auto child_with_q = child(R"({"id": "q", "type": {"t": "int"}})");

TEST(Blueprint, ARevisionKeepsWhatItInherited) {
  auto around = surroundings{};
  around.parent = parent_of_m();
  auto s = *tell_in({}, create_blueprint{"org", "m", child_with_q}, around);
  s = *tell_in(s, publish{}, around);
  const auto& r = s.revisions.back();
  EXPECT_EQ(r.parent_revision, 4u);
  EXPECT_EQ(r.document, child_with_q);
  const auto whole = thing_model::compile(effective_document(r));
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->find_point("p"));
  EXPECT_TRUE(whole->find_point("q"));
}

TEST(Blueprint, AParentMustBeThereAndNoRelativeBelow) {
  const auto refused = [](const surroundings& around) {
    return tell_in({}, create_blueprint{"org", "m", child_with_q}, around).error();
  };
  auto around = surroundings{};
  EXPECT_EQ(refused(around).reason, "inheritance_parent_unknown");
  EXPECT_EQ(refused(around).problems.at(0).where, "/extends");
  around.parent = parent_of_m();
  around.parent->path = {"org/a", "org/m", "org/base"};
  EXPECT_EQ(refused(around).reason, "inheritance_cycle");
  around.parent->key = "org/m";
  EXPECT_EQ(refused(around).reason, "inheritance_cycle");
  around.parent = parent_of_m();
  around.parent->path = {"1", "2", "3", "4", "5", "6", "7"};
  EXPECT_EQ(refused(around).reason, "inheritance_depth");
  around.parent->path.pop_back();
  EXPECT_TRUE(tell_in({}, create_blueprint{"org", "m", child_with_q}, around));
  around.descendants = {{"org/below", "org/m", 1, {}}};
  EXPECT_EQ(refused(around).reason, "inheritance_depth");
  const auto number = *parse_json(R"({"id": "m", "extends": 7})");
  EXPECT_EQ(tell({}, create_blueprint{"org", "m", number}).error().reason,
            "inheritance_parent_unknown");
}

TEST(Blueprint, AParentMustBePublishedBeforeItsChildren) {
  auto around = surroundings{};
  around.parent = parent_view{"org/base", {"org/base"}, 0, {}, {}};
  const auto s = tell_in({}, create_blueprint{"org", "m", child_with_q}, around);
  ASSERT_TRUE(s) << "a draft may wait for it";
  EXPECT_EQ(tell_in(*s, publish{}, around).error().reason, "inheritance_parent_unpublished");
}

TEST(Blueprint, AParentDoesNotBreakItsDescendants) {
  auto s = *tell(made(with_p), publish{});
  s = *tell(s, save_draft{with_p_and_q});
  auto around = surroundings{};
  around.descendants = {
      {"org/child", "org/m", 1, child(R"({"id": "r", "type": {"t": "int"}})")},
      {"org/grandchild", "org/child", 2, child(R"({"id": "q", "type": {"t": "string"}})")}};
  const auto refused = tell_in(s, publish{}, around);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "descendant_conflict");
  ASSERT_FALSE(refused.error().problems.empty());
  EXPECT_EQ(refused.error().problems[0].where, "grandchild/measurePoints/0");
  EXPECT_EQ(refused.error().problems[0].code, "inheritance_retyped");
  around.descendants.pop_back();
  EXPECT_TRUE(tell_in(s, publish{}, around));
}

TEST(Blueprint, WhatItSaysOfItselfNeedsNoRevision) {
  auto s = *tell(made(with_p), publish{});
  s = *tell(s, change_about{true, {{"name", "New"}, {"tags", object{{"a", "1"}, {"b", "2"}}}}});
  EXPECT_TRUE(s.deprecated);
  EXPECT_EQ(s.revisions.size(), 1u);
  EXPECT_EQ(*published_or_draft(s).find("name"), value{"New"});
  EXPECT_EQ(*s.revisions[0].document.find("name"), value{"m"}) << "a revision never changes";
  s = *tell(s, change_about{{}, {{"name", {}}, {"tags", object{{"a", {}}}}}});
  EXPECT_FALSE(published_or_draft(s).find("name"));
  EXPECT_EQ(*published_or_draft(s).find("tags"), (value{object{{"b", "2"}}}));
  EXPECT_TRUE(s.deprecated);
  s = *tell(s, save_draft{with_p});
  s = *tell(s, change_about{{}, {{"category", "pumps"}}});
  EXPECT_EQ(*s.draft->find("category"), value{"pumps"});
  s = *tell(s, publish{});
  EXPECT_EQ(*published_or_draft(s).find("category"), value{"pumps"});
  EXPECT_EQ(tell(s, change_about{{}, {{"events", array{}}}}).error().reason, "model_invalid");
  EXPECT_EQ(tell(s, change_about{{}, {{"tags", "x"}}}).error().reason, "model_invalid");
  EXPECT_EQ(tell(s, change_about{{}, {{"name", 7}}}).error().reason, "model_invalid");
  EXPECT_EQ(tell(s, change_about{{}, {{"category", std::string(300, 'x')}}}).error().reason,
            "model_invalid");
}

TEST(Blueprint, IsSharedOncePublishedAndUntilItIsUsed) {
  auto s = made(with_p);
  EXPECT_EQ(tell(s, share{"acme"}).error().reason, "model_missing");
  s = *tell(s, publish{});
  auto around = surroundings{};
  around.may_share_with = false;
  EXPECT_EQ(tell_in(s, share{"nobody"}, around).error().reason, "organisation_unknown");
  EXPECT_EQ(tell(s, share{"org"}).error().reason, "organisation_unknown");
  s = *tell(s, share{"acme"});
  s = *tell(s, share{"acme"});
  s = *tell(s, share{std::string{everybody}});
  EXPECT_EQ(s.shared_with, (std::vector<std::string>{"*", "acme"}));
  around = {};
  around.users = {"acme", "other"};
  EXPECT_EQ(tell_in(s, share{std::string{everybody}, false}, around).error().reason,
            "model_in_use");
  EXPECT_TRUE(tell_in(s, share{"acme", false}, around)) << "it is still shared with everybody";
  around.users = {"acme"};
  s = *tell_in(s, share{std::string{everybody}, false}, around);
  EXPECT_EQ(tell_in(s, share{"acme", false}, around).error().reason, "model_in_use");
  around.users = {};
  EXPECT_TRUE(tell_in(s, share{"acme", false}, around)->shared_with.empty());
}

TEST(Blueprint, IsNotRemovedWhileOthersInheritFromIt) {
  auto around = surroundings{};
  around.children = 1;
  EXPECT_EQ(tell_in(made(with_p), remove_blueprint{}, around).error().reason, "model_in_use");
}

TEST(Blueprint, IsMadeAgainFromNothing) {
  const auto s = *tell(*tell(made(with_p), publish{}), remove_blueprint{});
  const auto again = *tell(s, create_blueprint{"org", "m", with_p});
  EXPECT_TRUE(again.revisions.empty());
}

TEST(Blueprint, AnOrganisationHasSoManyModels) {
  auto around = surroundings{};
  around.models = max_models;
  EXPECT_EQ(tell_in({}, create_blueprint{"org", "m", with_p}, around).error().reason,
            "quota_exceeded");
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
