#include "model/filter/folded.hpp"

#include <clocale>
#include <cwctype>
#include <vector>

#include <gtest/gtest.h>

namespace orrery::model::filter {
namespace {

TEST(Folded, KnowsTheLettersOfItsScripts) {
  EXPECT_EQ(folded("PV Inverter 2A"), "pv inverter 2a");
  EXPECT_EQ(folded("ÄÖÜ ß É Ÿ Ž"), "äöü ß é ÿ ž");
  EXPECT_EQ(folded("Ș Ț Ơ Ư Ə"), "ș ț ơ ư ə");
  EXPECT_EQ(folded("ΑΒΓ Άς Ωσ"), "αβγ άσ ωσ");
  EXPECT_EQ(folded("НАСОС Ё Ґ"), "насос ё ґ");
  EXPECT_EQ(folded("ＡＢ 备"), "ａｂ 备");
  EXPECT_EQ(folded("×÷@[`{"), "×÷@[`{");
  EXPECT_EQ(folded(""), "");
}

TEST(Folded, AgreesWithTheSystemWhereItKnowsALetter) {
  const auto* locale = std::setlocale(LC_CTYPE, "C.UTF-8");
  ASSERT_TRUE(locale) << "glibc has C.UTF-8 built in";
  const auto utf8 = [](char32_t c) {
    auto out = std::string{};
    if (c < 0x80)
      return std::string(1, static_cast<char>(c));
    if (c < 0x800)
      out += static_cast<char>(0xc0 | c >> 6);
    else
      (out += static_cast<char>(0xe0 | c >> 12)) += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    return out + static_cast<char>(0x80 | (c & 0x3f));
  };
  for (char32_t c = 1; c < 0x10000; ++c) {
    if (c >= 0xd800 && c <= 0xdfff)
      continue;
    const auto text = utf8(c);
    auto at = std::size_t{0};
    const auto small = next_folded(text, at);
    EXPECT_EQ(at, text.size());
    // Complete where it promises to be; U+0130 is a letter with two smaller forms.
    const auto promised =
        (c < 0x180 && c != 0x130) || (c >= 0x391 && c <= 0x3ab) || (c >= 0x400 && c <= 0x52f);
    if (promised || (small != c && c != 0x3c2)) {
      EXPECT_EQ(small, static_cast<char32_t>(std::towlower(static_cast<std::wint_t>(c))))
          << std::hex << static_cast<unsigned>(c);
    }
    EXPECT_EQ(folded(text), utf8(small));
    EXPECT_EQ(folded(folded(text)), folded(text));
  }
  std::setlocale(LC_CTYPE, "C");
}

TEST(Folded, LeavesBytesThatAreNoText) {
  for (const auto* bytes :
       {"\xff", "\xc3", "a\x80", "\xed\xa0\x80", "\xf0\x9f\x98", "\xc0\x80", "\xf5\x80\x80\x80"})
    EXPECT_EQ(folded(bytes), bytes);
  auto at = std::size_t{0};
  EXPECT_EQ(next_folded("\xff", at), 0xdcffU);
}

TEST(Folded, OrdersTextsByTheirLettersFirst) {
  const auto in_order =
      std::vector<std::string>{"", "A", "a", "A b", "ab", "B", "b", "Ä", "ä", "备"};
  for (std::size_t i = 0; i < in_order.size(); ++i)
    for (std::size_t k = 0; k < in_order.size(); ++k)
      EXPECT_EQ(order_of_texts(in_order[i], in_order[k]), i <=> k)
          << in_order[i] << " and " << in_order[k];
}

}  // namespace
}  // namespace orrery::model::filter
