#include "model/device/whole_update.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::Pair;

class WholeUpdate : public testing::Test {
 protected:
  WholeUpdate() {
    s.exists = true;
    s.called = cow{naming{{"p", "dk"}, "org"}};
    s.display_name = "Roof";
    s.tags = cow{std::map<std::string, std::string>{{"site", "A"}, {"line", "1"}}};
    s.attributes = {{"serial", "A7"}, {"seen", 1}, {"rated", 5}};
  }
  static thing_model model_of(const char* attributes) {
    return *thing_model::compile(*parse_json(
        std::string{R"({"format":"tm/1","id":"m","name":"m","attributes":[)"} + attributes + "]}"));
  }
  state s;
};

TEST_F(WholeUpdate, TakesAwayWhatIsNotSaid) {
  const auto model = model_of(
      R"({"id":"serial","name":"s","type":{"t":"string"}},
         {"id":"seen","name":"s","type":{"t":"int"},"access":"device"},
         {"id":"rated","name":"r","type":{"t":"int"},"default":7})");
  auto wanted = update_device{};
  wanted.tags = {{"site", "B"}};
  const auto u = whole_update(s, wanted, &model);
  ASSERT_TRUE(u);
  EXPECT_EQ(u->display_name, "dk");
  EXPECT_EQ(u->description, "");
  EXPECT_EQ(u->timezone, "");
  EXPECT_THAT(u->tags, ElementsAre(Pair("line", std::nullopt), Pair("site", "B")));
  EXPECT_EQ(to_json(value{u->attributes}), R"({"serial":null,"rated":7})")
      << "what the device writes stays, what has a value by itself gets it";
}

TEST_F(WholeUpdate, KeepsWhatIsSaid) {
  const auto model = model_of(R"({"id":"serial","name":"s","type":{"t":"string"}})");
  auto wanted = update_device{};
  wanted.display_name = "Wall";
  wanted.attributes = {{"serial", "B8"}, {"other", nullptr}};
  const auto u = whole_update(s, wanted, &model);
  ASSERT_TRUE(u);
  EXPECT_EQ(u->display_name, "Wall");
  EXPECT_EQ(to_json(value{u->attributes}), R"({"serial":"B8"})");
}

TEST_F(WholeUpdate, WithoutAModelAllAttributesGo) {
  auto wanted = update_device{};
  wanted.attributes = {{"seen", 2}};
  const auto u = whole_update(s, wanted, nullptr);
  ASSERT_TRUE(u);
  EXPECT_EQ(to_json(value{u->attributes}), R"({"seen":2,"serial":null,"rated":null})");
}

TEST_F(WholeUpdate, TellsAllThatIsRequired) {
  const auto model = model_of(
      R"({"id":"serial","name":"s","type":{"t":"string"},"required":true},
         {"id":"rated","name":"r","type":{"t":"int"},"required":true})");
  auto wanted = update_device{};
  wanted.attributes = {{"rated", nullptr}};
  const auto u = whole_update(s, wanted, &model);
  ASSERT_FALSE(u);
  EXPECT_EQ(u.error().reason, "model_validate_failed");
  EXPECT_EQ(u.error().problems.size(), 2u);
}

}  // namespace
}  // namespace orrery::model::device
