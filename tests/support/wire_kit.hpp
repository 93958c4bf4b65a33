// What holds for whatever goes between nodes as bytes.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "model/bytes.hpp"
#include "model/result.hpp"
#include "tests/support/filled.hpp"

namespace orrery::tests {

/// No beginning of it decodes, all versions but its own are refused by number, and whatever byte is
/// damaged, it decodes to something that is encoded as itself, or fails.
/// `again`: decodes, and encodes what came; a failure if it did not.
template <class Again>
void expect_firm(const std::string& bytes, Again again) {
  const auto whole = again(std::string_view{bytes});
  ASSERT_TRUE(whole) << whole.error().detail;
  EXPECT_EQ(*whole, bytes);
  EXPECT_FALSE(again(bytes + '\0')) << "with more behind it";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A buffer of just that size: reading past its end is found.
    const auto part = std::vector<char>(bytes.begin(), bytes.begin() + static_cast<int>(size));
    const auto got = again(std::string_view{part.data(), part.size()});
    ASSERT_FALSE(got) << "cut to " << size;
    EXPECT_EQ(got.error().code, model::errc::corrupted);
  }
  for (const auto version : {0, 2, 255}) {
    auto other = bytes;
    other[0] = static_cast<char>(version);
    const auto got = again(std::string_view{other});
    ASSERT_FALSE(got) << "version " << version;
    EXPECT_EQ(got.error().code, model::errc::corrupted);
    EXPECT_NE(got.error().detail.find("encoding " + std::to_string(version)), std::string::npos)
        << got.error().detail;
  }
  for (std::size_t place = 0; place < bytes.size(); ++place)
    for (const auto flip : {1, 2, 0x80, 0xff}) {
      auto damaged = bytes;
      damaged[place] = static_cast<char>(damaged[place] ^ flip);
      if (const auto got = again(std::string_view{damaged})) {
        const auto twice = again(std::string_view{*got});
        ASSERT_TRUE(twice) << "byte " << place << " ^ " << flip;
        EXPECT_EQ(*twice, *got) << "byte " << place << " ^ " << flip;
      }
    }
  for (std::size_t place = 1; place < bytes.size(); ++place) {
    // Where a count or a length may stand: the largest there is.
    const auto huge =
        bytes.substr(0, place) + std::string(9, '\xff') + '\x01' + bytes.substr(place);
    (void)again(std::string_view{huge});
  }
}

/// A command or reply of a kind: `part` gives the variant in it.
template <class T, class Part>
void expect_each_comes_back(Part part, void (*write)(model::byte_writer&, const T&),
                            model::status (*read)(model::byte_reader&, T&)) {
  const auto again = [&](std::string_view bytes) -> model::result<std::string> {
    auto in = model::byte_reader{bytes};
    auto x = T{};
    if (auto good = read(in, x); !good) {
      EXPECT_FALSE(in.ok());
      return good.error();
    }
    if (!in.at_end())
      return model::failure{model::errc::corrupted, "more behind it"};
    auto out = model::byte_writer{};
    write(out, x);
    return out.take();
  };
  using variant = std::remove_cvref_t<decltype(part(std::declval<T&>()))>;
  each_alternative<variant>([&](std::size_t place) {
    for (const auto begin : {0, 1, 2, 3, 4, 5, 6, -1}) {
      SCOPED_TRACE("filled from " + std::to_string(begin));
      auto x = T{};
      model::emplace_alternative(part(x), place);
      if (begin >= 0)
        filler{static_cast<std::uint64_t>(begin)}(x);
      auto out = model::byte_writer{};
      write(out, x);
      auto in = model::byte_reader{out.bytes()};
      auto y = T{};
      const auto good = read(in, y);
      ASSERT_TRUE(good) << good.error().detail;
      EXPECT_TRUE(in.at_end());
      if (begin >= 0) {
        EXPECT_EQ(shown{x}, shown{y});
      }
      if (begin <= 0)
        expect_firm(out.bytes(), again);
    }
  });
  auto out = model::byte_writer{};
  write(out, T{});
  auto unknown = out.take();
  unknown[1] = static_cast<char>(std::variant_size_v<variant>);
  EXPECT_FALSE(again(unknown)) << "an alternative that is not known";
}

}  // namespace orrery::tests
