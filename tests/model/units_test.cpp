#include "model/units.hpp"

#include <set>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(Units, StandOnceByCodeAndBySymbol) {
  auto codes = std::set<std::string_view>{}, symbols = std::set<std::string_view>{};
  for (const auto& u : units()) {
    EXPECT_TRUE(codes.insert(u.code).second) << u.code;
    EXPECT_TRUE(symbols.insert(u.symbol).second) << u.symbol;
    EXPECT_FALSE(u.quantity.empty()) << u.code;
    EXPECT_EQ(find_unit(u.code), &u);
  }
  EXPECT_GE(units().size(), 200u);
}

TEST(Units, ASymbolIsNoOtherUnitsCode) {
  for (const auto& u : units())
    EXPECT_EQ(find_unit(u.symbol), &u) << u.symbol;
}

TEST(Units, AreFoundByWhatPeopleWrite) {
  EXPECT_EQ(find_unit("°C")->code, "Cel");
  EXPECT_EQ(find_unit("kWh")->code, "kW.h");
  EXPECT_EQ(find_unit("kW.h")->quantity, "energy");
  EXPECT_FALSE(find_unit("parsnip"));
  EXPECT_FALSE(find_unit(""));
}

TEST(Units, OfEnosHaveAMultiplier) {
  EXPECT_EQ(ucum_of("W", "KILO"), "kW");
  EXPECT_EQ(ucum_of("Wh", "MEGA"), "MW.h");
  EXPECT_EQ(ucum_of("°C", "ONE"), "Cel");
  EXPECT_EQ(ucum_of("°C", ""), "Cel");
  EXPECT_EQ(ucum_of("parsnip", "ONE"), "parsnip");
  EXPECT_EQ(ucum_of("", "KILO"), "");
}

}  // namespace
}  // namespace orrery::model
