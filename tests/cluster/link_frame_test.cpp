#include "cluster/link_frame.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using model::errc;
using std::string_literals::operator""s;

constexpr std::size_t max = 1000;

template <class T>
std::string bytes_of(const T& what) {
  auto out = std::string{};
  encode(what, out);
  return out;
}
link_greeting hello() {
  return {.version_min = 1,
          .version_max = 2,
          .node = 3,
          .incarnation = 4,
          .expected = 5,
          .window = 6,
          .frame_max = 7,
          .name = "node-a"};
}
errc code_of(std::string_view in) {
  const auto got = decode_link_frame(in, max);
  EXPECT_FALSE(got);
  return got ? errc::internal : got.error().code;
}

TEST(LinkFrame, BytesOnTheWire) {
  EXPECT_EQ(bytes_of(hello()),
            "\0\0\0\x2c\1ORLK\0\1\0\2\0\0\0\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\5"
            "\0\0\0\6\0\0\0\7\6node-a"s);
  EXPECT_EQ(bytes_of(link_refusal{"no"}), "\0\0\0\3\2no"s);
  EXPECT_EQ(bytes_of(link_data{9, "abc"}), "\0\0\0\5\3\tabc"s);
  EXPECT_EQ(bytes_of(link_credit{0x01020304}), "\0\0\0\5\4\1\2\3\4"s);
  EXPECT_EQ(bytes_of(link_heartbeat{}), "\0\0\0\1\5"s);
}

TEST(LinkFrame, ReadsWhatItWrites) {
  const auto check = [](const auto& what) {
    const auto bytes = bytes_of(what), longer = bytes + "more";
    const auto got = decode_link_frame(longer, max);
    ASSERT_TRUE(got && *got);
    EXPECT_EQ((*got)->size, bytes.size());
    EXPECT_EQ((*got)->what, link_frame{what});
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      const auto some = decode_link_frame(std::string_view{bytes}.substr(0, cut), max);
      ASSERT_TRUE(some) << cut;
      EXPECT_FALSE(*some) << cut;
    }
  };
  check(hello());
  check(link_refusal{"why not"});
  check(link_refusal{});
  check(link_data{255, "bytes \0 and more"s});
  check(link_data{});
  check(link_credit{~std::uint32_t{0}});
  check(link_heartbeat{});
}

TEST(LinkFrame, AGreetingOfALaterVersionMaySayMore) {
  auto bytes = bytes_of(hello()) + "new";
  bytes[3] = static_cast<char>(bytes[3] + 3);
  const auto got = decode_link_frame(bytes, max);
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->what, link_frame{hello()});
  EXPECT_EQ((*got)->size, bytes.size());
}

TEST(LinkFrame, ALongNameOrReasonIsCut) {
  const auto longer = std::string(300, 'x');
  auto greeting = hello();
  greeting.name = longer;
  const auto greeted = bytes_of(greeting), refused = bytes_of(link_refusal{longer});
  EXPECT_LE(greeted.size(), link_greeting_max);
  EXPECT_EQ(std::get<link_greeting>((*decode_link_frame(greeted, max))->what).name.size(), 253u);
  EXPECT_EQ(std::get<link_refusal>((*decode_link_frame(refused, max))->what).reason.size(),
            link_refusal_max);
}

TEST(LinkFrame, ANameLongerThanAnyIsRefused) {
  auto greeting = hello();
  greeting.name = {};
  auto bytes = bytes_of(greeting);
  bytes.back() = static_cast<char>(254);
  bytes.append(254, 'x');
  bytes[2] = static_cast<char>((bytes.size() - 4) >> 8);
  bytes[3] = static_cast<char>(bytes.size() - 4);
  const auto got = decode_link_frame(bytes, max);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().detail.find("longer"), std::string::npos) << got.error().detail;
}

TEST(LinkFrame, TooMuchIsRefusedByItsHeadAlone) {
  EXPECT_EQ(code_of("\0\0\x03\xe9"s), errc::too_large);
  EXPECT_EQ(code_of("\xff\xff\xff\xff"s), errc::too_large);
  const auto most = decode_link_frame("\0\0\x03\xe8"s, max);
  ASSERT_TRUE(most);
  EXPECT_FALSE(*most);
}

TEST(LinkFrame, WhatIsMalformedIsRefused) {
  for (const auto& bytes : {
           "\0\0\0\0"s,  // no kind
           "\0\0\0\1\0"s,
           "\0\0\0\1\6"s,            // unknown
           "\0\0\0\1\3"s,            // a message without a channel
           "\0\0\0\4\4\0\0\0"s,      // half a credit
           "\0\0\0\6\4\0\0\0\1\0"s,  // more than one
           "\0\0\0\2\5\0"s,          // a heartbeat with something in it
           "\0\0\0\5\1ORLX"s,        // a greeting of somebody else,
           "\0\0\0\7\1ORLK\0\1"s,    // or the half of one
           "\0\0\0\xca\2"s + std::string(201, 'x'),
       })
    EXPECT_EQ(code_of(bytes), errc::invalid_argument) << testing::PrintToString(bytes);
  auto nameless = bytes_of(hello());
  nameless[nameless.size() - 7] = 7;  // longer than what follows
  EXPECT_EQ(code_of(nameless), errc::invalid_argument);
}

TEST(LinkFrame, MeasuresWhatIsWhole) {
  const auto a = bytes_of(link_data{1, "abc"}), b = bytes_of(link_credit{1}),
             c = bytes_of(link_data{2, ""});
  const auto all = a + b + c;
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    const auto whole = measure_link_frames(std::string_view{all}.substr(0, cut), max);
    ASSERT_TRUE(whole);
    const auto frames = cut < a.size()              ? 0u
                        : cut < a.size() + b.size() ? 1u
                        : cut < all.size()          ? 2u
                                                    : 3u;
    const std::size_t sizes[] = {0, a.size(), a.size() + b.size(), all.size()};
    const std::size_t costs[] = {0, link_cost(3), link_cost(3), link_cost(3) + link_cost(0)};
    EXPECT_EQ(whole->size, sizes[frames]) << cut;
    EXPECT_EQ(whole->cost, costs[frames]) << cut;
    EXPECT_EQ(whole->messages, frames == 3 ? 2u : frames > 0 ? 1u : 0u) << cut;
  }
  EXPECT_EQ(measure_link_frames(a + "\0\0\x03\xe9"s, max).error().code, errc::too_large);
  EXPECT_EQ(measure_link_frames(a + "\0\0\0\0"s, max).error().code, errc::invalid_argument);
}

TEST(LinkFrame, TakesWhatFitsAndIsPaid) {
  const auto a = bytes_of(link_data{1, "abc"}), b = bytes_of(link_data{1, "abcdef"});
  const auto both = a + b;
  const auto plenty = std::size_t{10'000};
  EXPECT_EQ(take_link_frames(both, plenty, plenty).size, both.size());
  EXPECT_EQ(take_link_frames(both, plenty, plenty).messages, 2u);
  EXPECT_EQ(take_link_frames(both, both.size() - 1, plenty).size, a.size());
  EXPECT_EQ(take_link_frames(both, 1, plenty).size, a.size());  // one in any case
  EXPECT_EQ(take_link_frames(both, plenty, link_cost(3) + link_cost(6) - 1).size, a.size());
  EXPECT_EQ(take_link_frames(both, plenty, link_cost(3)).cost, link_cost(3));
  EXPECT_EQ(take_link_frames(both, plenty, link_cost(3) - 1).size, 0u);
  EXPECT_EQ(take_link_frames("", plenty, plenty).size, 0u);
}

}  // namespace
}  // namespace orrery::cluster
