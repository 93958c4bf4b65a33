#include "model/base64.hpp"

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

TEST(Base64, WritesAndReadsTheVectorsOfTheStandard) {  // RFC 4648, 10
  for (const auto& [bytes, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, CarriesAnyBytes) {
  auto all = std::string{};
  for (auto c = 0; c < 256; ++c)
    all += static_cast<char>(c);
  EXPECT_EQ(from_base64(to_base64(all)), all);
  EXPECT_EQ(to_base64("\xfb\xff"), "+/8=");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const auto* text :
       {"Zg", "Zg=", "Z===", "====", "=", "Zg==Zg==", " Zg==", "Zm9\n", "Zm-_", "Zm9v!", "Z=9v"})
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
}

}  // namespace
}  // namespace orrery::model
