#include "cluster/link_admission.hpp"

#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using testing::HasSubstr;

/// Node 5 is greeted by node 3, which has dialed it and is welcome, but for one thing.
class LinkAdmission : public testing::Test {
 protected:
  LinkAdmission() {
    mine.self = 5;
    mine.name = "node-e";
    mine.incarnation = 55;
    mine.version_min = 2;
    mine.version_max = 4;
  }
  std::string refusal() {
    const auto got = admit(mine, other, known ? &*known : nullptr, proved, dialed);
    return got ? "" : got.error().detail;
  }
  link_options mine;
  link_greeting other{.version_min = 1,
                      .version_max = 3,
                      .node = 3,
                      .incarnation = 33,
                      .expected = 55,
                      .window = 0,
                      .frame_max = 0,
                      .name = "node-c"};
  std::optional<link_peer> known = link_peer{3, "node-c", "h", 1, 33};
  bool proved = true;
  bool dialed = false;
};

TEST_F(LinkAdmission, GivesTheNewestVersionInCommon) {
  EXPECT_EQ(*admit(mine, other, &*known, true, false), 3u);
  other.version_max = 9;
  EXPECT_EQ(*admit(mine, other, &*known, true, false), 4u);
  other.version_min = other.version_max = 2;
  EXPECT_EQ(*admit(mine, other, &*known, true, false), 2u);
}

TEST_F(LinkAdmission, VersionsApartAreRefused) {
  other.version_max = 1;
  EXPECT_THAT(refusal(), HasSubstr("node 3 (node-c) speaks versions 1 to 1, this one 2 to 4"));
  other.version_min = 5, other.version_max = 6;
  EXPECT_THAT(refusal(), HasSubstr("versions"));
  other.version_min = 4, other.version_max = 3;
  EXPECT_THAT(refusal(), HasSubstr("versions"));
}

TEST_F(LinkAdmission, TheDirectoryMustKnowIt) {
  known.reset();
  EXPECT_THAT(refusal(), HasSubstr("node 3 is not known"));
}

TEST_F(LinkAdmission, TheNameMustBeProvedAndTheSame) {
  proved = false;
  EXPECT_THAT(refusal(), HasSubstr("not proved"));
  proved = true;
  other.name = "node-d";
  EXPECT_THAT(refusal(), HasSubstr("not proved"));
}

TEST_F(LinkAdmission, TheSmallerNumberDials) {
  dialed = true;
  EXPECT_THAT(refusal(), HasSubstr("not to answer"));
  mine.self = 2;
  EXPECT_EQ(refusal(), "");
  dialed = false;
  EXPECT_THAT(refusal(), HasSubstr("not to dial"));
}

TEST_F(LinkAdmission, BothLivesMustBeTheRightOnes) {
  other.incarnation = 34;
  EXPECT_THAT(refusal(), HasSubstr("another life of node 3"));
  other.incarnation = 33;
  other.expected = 54;
  EXPECT_THAT(refusal(), HasSubstr("another life of node 5"));
}

TEST_F(LinkAdmission, AGreetingSaysWhoAndToWhom) {
  const auto g = greeting_of(mine, 33);
  EXPECT_EQ(g.node, 5u);
  EXPECT_EQ(g.name, "node-e");
  EXPECT_EQ(g.incarnation, 55u);
  EXPECT_EQ(g.expected, 33u);
  EXPECT_EQ(g.version_min, 2u);
  EXPECT_EQ(g.version_max, 4u);
  EXPECT_EQ(g.window, mine.window_bytes);
  EXPECT_EQ(g.frame_max, mine.frame_max_bytes);
}

}  // namespace
}  // namespace orrery::cluster
