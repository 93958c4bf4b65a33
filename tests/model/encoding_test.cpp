#include "model/encoding.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace orrery::model {
namespace {

/// What T reads from the bytes of `written`; nothing if it does not fit.
template <class T, class From>
std::optional<T> read_as(const From& written) {
  auto out = byte_writer{};
  write(out, written);
  auto in = byte_reader{out.bytes()};
  auto x = T{};
  read(in, x);
  return in.ok() && in.at_end() ? std::optional{x} : std::nullopt;
}

TEST(Encoding, ANumberThatDoesNotFitFails) {
  EXPECT_EQ((read_as<std::uint16_t>(std::uint64_t{65'535})), 65'535);
  EXPECT_FALSE((read_as<std::uint16_t>(std::uint64_t{65'536})));
  EXPECT_EQ((read_as<std::uint32_t>(std::uint64_t{0xffff'ffff})), 0xffff'ffffu);
  EXPECT_FALSE((read_as<std::uint32_t>(std::uint64_t{0x1'0000'0000})));
  EXPECT_EQ((read_as<int>(std::int64_t{-2'147'483'648})), -2'147'483'648);
  EXPECT_FALSE((read_as<int>(std::int64_t{-2'147'483'649})));
  EXPECT_FALSE((read_as<int>(std::int64_t{2'147'483'648})));
}

TEST(Encoding, AnEnumerationHasNoOtherNumbers) {
  EXPECT_EQ((read_as<sign_method>(std::uint8_t{2})), sign_method::md5);
  EXPECT_FALSE((read_as<sign_method>(std::uint8_t{3})));
  EXPECT_EQ((read_as<validation>(validation::off)), validation::off);
  EXPECT_FALSE((read_as<validation>(std::uint8_t{255})));
}

TEST(Encoding, AVariantHasNoOtherAlternatives) {
  using narrow = std::variant<std::string, bool>;
  using wide = std::variant<std::string, bool, double>;
  EXPECT_EQ((read_as<narrow>(wide{true})), narrow{true});
  EXPECT_FALSE((read_as<narrow>(wide{1.5})));
  EXPECT_TRUE(std::isinf(std::get<double>(*read_as<wide>(wide{INFINITY}))));
}

TEST(Encoding, StaticTextIsFoundAgain) {
  EXPECT_EQ(read_as<std::string_view>(std::string{"taken_over"}), "taken_over");
  EXPECT_EQ(read_as<std::string_view>(std::string{"of another release"}), "other");
}

}  // namespace
}  // namespace orrery::model
