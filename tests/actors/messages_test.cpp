#include "actors/messages.hpp"

#include <caf/all.hpp>
#include <gtest/gtest.h>

#include "tests/support/recording.hpp"

namespace orrery::actors {
namespace {

TEST(Asker, IsNobodyByDefault) {
  EXPECT_FALSE(asker{});
  EXPECT_TRUE(asker{} == asker{});
  asker{}.settle({});  // and nobody is told
}

TEST(Asker, APortIsToldAtOnce) {
  const auto port = std::make_shared<tests::recording_port>();
  const auto who = asker{port};
  EXPECT_TRUE(who);
  auto answers = std::vector<settled>{};
  answers.push_back({7, outcome{}});
  who.settle(std::move(answers));
  EXPECT_TRUE(port->to(7));
}

TEST(Asker, TellsAPortFromALaterOneInItsPlace) {
  auto place = tests::recording_port{};
  const auto here = [&place] { return std::shared_ptr<answer_port>{&place, [](answer_port*) {}}; };
  auto first = here();
  const auto older = asker{first};
  first.reset();
  const auto second = here();
  EXPECT_FALSE(older == asker{second});
  EXPECT_TRUE(asker{second} == asker{second});
  EXPECT_TRUE(older);  // somebody asked, who is gone
  older.settle({});
  EXPECT_TRUE(place.messages.empty());
}

}  // namespace
}  // namespace orrery::actors
