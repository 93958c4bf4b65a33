#include "transport/payload_codec.hpp"

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "model/credentials.hpp"
#include "transport/lzo.hpp"

namespace orrery::transport {
namespace {

using model::errc;

constexpr std::size_t cap = 600 * 1024;
constexpr compression packing[] = {compression::gzip, compression::lz4, compression::lzo};

struct golden {
  std::string form, name, digest, packed;
  std::size_t size = 0;
  compression how = compression::none;
};

std::string from_hex(const std::string& hex) {
  auto out = std::string{};
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

/// What other programs have packed.
std::vector<golden> goldens() {
  auto file = std::ifstream{"tests/data/payload-codec-1.txt"};
  auto all = std::vector<golden>{};
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#')
      continue;
    auto words = std::istringstream{line};
    auto g = golden{};
    words >> g.form >> g.name >> g.size >> g.digest >> g.packed;
    g.packed = from_hex(g.packed);
    g.how = g.form.starts_with("lzo") ? compression::lzo
            : g.form == "lz4"         ? compression::lz4
                                      : compression::gzip;
    all.push_back(std::move(g));
  }
  return all;
}

/// Bytes of which some repeat, near and far.
std::string mixed(std::mt19937& random, std::size_t size) {
  auto out = std::string{};
  while (out.size() < size)
    if (out.empty() || random() % 3 == 0)
      out.push_back(static_cast<char>(random()));
    else
      out += out.substr(random() % out.size(), random() % 50);
  out.resize(size);
  return out;
}

TEST(PayloadCodec, ReadsWhatOtherProgramsPack) {
  const auto all = goldens();
  ASSERT_EQ(all.size(), 41u);
  for (const auto& g : all) {
    SCOPED_TRACE(g.form + " " + g.name);
    const auto got = decompress(g.how, g.packed, cap);
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->size(), g.size);
    EXPECT_EQ(model::sha256_hex(*got), g.digest);
  }
}

TEST(PayloadCodec, PacksAsTheClientReads) {
  const auto a = std::string{"a"};
  // The end block; a stored block and the end block; one block of literals.
  const auto end = std::string{"LZ4Block\x16\0\0\0\0\0\0\0\0\0\0\0\0", 21};
  EXPECT_EQ(compress(compression::lz4, ""), end);
  const auto stored = compress(compression::lz4, a);
  EXPECT_EQ(stored.substr(0, 17), (std::string{"LZ4Block\x16\1\0\0\0\1\0\0\0", 17}));
  EXPECT_EQ(stored.substr(21), a + end);
  EXPECT_EQ(static_cast<unsigned char>(compress(compression::lz4, std::string(99, 'a'))[8]), 0x26);
  EXPECT_EQ(compress(compression::lzo, ""), "");
  EXPECT_EQ(compress(compression::lzo, a), (std::string{"\0\0\0\1\0\0\0\5\x12"
                                                        "a\x11\0\0",
                                                        13}));
  EXPECT_EQ(compress(compression::gzip, a).substr(0, 3), "\x1f\x8b\x08");
  EXPECT_EQ(compress(compression::none, a), a);
}

TEST(PayloadCodec, GivesBackWhatItPacked) {
  auto random = std::mt19937{1};
  auto sizes = std::vector<std::size_t>{0,      1,      2,      3,       4,       17,     18,  237,
                                        238,    239,    240,    272,     273,     274,    528, 529,
                                        65'535, 65'536, 65'537, 131'072, 200'000, 524'288};
  for (auto i = 0; i < 100; ++i)
    sizes.push_back(random() % 3000);
  for (const auto size : sizes) {
    const auto plain = mixed(random, size);
    for (const auto form :
         {compression::none, compression::gzip, compression::lz4, compression::lzo}) {
      const auto back = decompress(form, compress(form, plain), size);
      ASSERT_TRUE(back) << size << ": " << back.error().detail;
      ASSERT_EQ(*back, plain);
      if (size > 0) {
        const auto small = decompress(form, compress(form, plain), size - 1);
        ASSERT_FALSE(small);
        EXPECT_EQ(small.error().code, errc::too_large);
      }
    }
  }
}

TEST(PayloadCodec, RefusesWhatIsCutShort) {
  for (const auto& g : goldens())
    for (std::size_t n = 1; n < g.packed.size(); ++n) {
      const auto got = decompress(g.how, std::string_view{g.packed}.substr(0, n), cap);
      // Where a block of LZO ends, the whole may end.
      if (got && g.how == compression::lzo && got->size() == 65'536)
        continue;
      ASSERT_FALSE(got) << g.form << ' ' << g.name << ' ' << n;
      EXPECT_EQ(got.error().code, errc::invalid_argument);
      EXPECT_EQ(got.error().reason, "payload_invalid");
    }
}

TEST(PayloadCodec, RefusesWhatFollows) {
  for (const auto& g : goldens())
    EXPECT_FALSE(decompress(g.how, g.packed + "x", cap)) << g.form << ' ' << g.name;
}

TEST(PayloadCodec, SeesEveryDamagedByteThatAChecksumHolds) {
  for (const auto& g : goldens()) {
    if (g.size > 1000)
      continue;
    for (std::size_t i = 0; i < g.packed.size(); ++i)
      for (const auto flip : {1, 0x80}) {
        auto damaged = g.packed;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        const auto got = decompress(g.how, damaged, cap);
        if (!got) {
          EXPECT_TRUE(got.error().code == errc::invalid_argument ||
                      got.error().code == errc::too_large);
          continue;
        }
        // A name, a time or flags of gzip say nothing of the payload; the size class of lz4 is a
        // bound. LZO has no checksum: what comes has at least the size that is announced.
        if (g.how == compression::lzo)
          EXPECT_EQ(got->size(), g.size);
        else
          EXPECT_EQ(model::sha256_hex(*got), g.digest) << g.form << ' ' << g.name << ' ' << i;
      }
  }
}

TEST(PayloadCodec, StopsAtTheCap) {
  const auto bomb = std::string(40'000'000, '\0');
  for (const auto form : {compression::gzip, compression::lz4}) {
    const auto packed = compress(form, bomb);
    EXPECT_LT(packed.size(), 400'000u);
    const auto got = decompress(form, packed, cap);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::too_large);
    EXPECT_NE(got.error().detail.find("614400"), std::string::npos);
  }
  // A block of LZO that repeats one literal 65,536 times, many times over.
  auto block = std::string{"\x12\0\x20", 3};
  auto more = std::size_t{65'535 - 33};
  for (; more > 255; more -= 255)
    block.push_back('\0');
  block.push_back(static_cast<char>(more));
  block += std::string{"\0\0\x11\0\0", 5};
  auto one = std::string{"\0\1\0\0\0\0\1", 7};
  one.push_back(static_cast<char>(block.size() - 256));
  one += block;
  const auto single = decompress(compression::lzo, one, cap);
  ASSERT_TRUE(single);
  EXPECT_EQ(*single, std::string(65'536, '\0'));
  auto lzo = std::string{};
  for (auto i = 0; i < 50; ++i)
    lzo += one;
  const auto got = decompress(compression::lzo, lzo, cap);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, errc::too_large);
}

TEST(PayloadCodec, RefusesHeadersThatLie) {
  const auto good = compress(compression::lz4, "abc");
  const auto with = [](std::string bytes, std::size_t at, char b) {
    bytes[at] = b;
    return bytes;
  };
  EXPECT_TRUE(decompress(compression::lz4, good, cap));
  for (const auto& bad :
       {with(good, 8, 0x36), with(good, 9, 2), with(good, 13, 2), with(good, 12, 1),
        with(good, 17, 1), with(good, 24, 'x'), with(good, good.size() - 1, 1)}) {
    const auto got = decompress(compression::lz4, bad, cap);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, errc::invalid_argument);
  }
  // More than the size class allows.
  auto wide = compress(compression::lz4, std::string(2000, 'a'));
  wide[8] = 0x20;
  EXPECT_FALSE(decompress(compression::lz4, wide, cap));
  // A block of LZO that is empty, or longer than a block may be.
  EXPECT_FALSE(decompress(compression::lzo, std::string_view{"\0\0\0\0\0\0\0\3\x11\0\0", 11}, cap));
  auto long_block = std::string{"\0\1\0\1\0\1\0\0", 8} + std::string(65'536, 'x');
  EXPECT_FALSE(decompress(compression::lzo, long_block, cap));
}

TEST(Lzo, ReadsEveryInstruction) {
  struct row {
    std::string_view packed;
    std::string plain;
  };
  const row rows[] = {
      {{"\x14"
        "abc\x11\0\0",
        7},
       "abc"},
      // A run of literals as an instruction: 3 + 1.
      {{"\1abcd\x11\0\0", 8}, "abcd"},
      // Two literals, then 2 bytes from 2 back, then one literal.
      {{"\x13"
        "ab\5\0c\x11\0\0",
        9},
       "ababc"},
      // 01LDDDSS: 4 bytes from 1 back; 1LLDDDSS: 8 bytes from 2 back.
      {{"\x12"
        "a\x60\0\x11\0\0",
        7},
       "aaaaa"},
      {{"\x13"
        "ab\xe4\0\x11\0\0",
        8},
       "ababababab"},
      // 001LLLLL: 2 + 1 bytes from 1 back; 33 + 2 bytes.
      {{"\x12"
        "a\x21\0\0\x11\0\0",
        8},
       "aaaa"},
      {{"\x12"
        "a\x20\2\0\0\x11\0\0",
        9},
       std::string(36, 'a')},
  };
  for (const auto& r : rows) {
    auto got = std::string{};
    EXPECT_TRUE(unpack_lzo1x(r.packed, r.plain.size(), got)) << r.plain;
    EXPECT_EQ(got, r.plain);
    auto less = std::string{}, more = std::string{};
    EXPECT_FALSE(unpack_lzo1x(r.packed, r.plain.size() - 1, less));
    EXPECT_FALSE(unpack_lzo1x(r.packed, r.plain.size() + 1, more));
  }
  auto out = std::string{};
  // Further back than there is; an end mark of another length; nothing.
  EXPECT_FALSE(unpack_lzo1x({"\x12"
                             "a\x64\0\x11\0\0",
                             7},
                            5, out));
  EXPECT_FALSE(unpack_lzo1x({"\x12"
                             "a\x12\0\0",
                             5},
                            1, out));
  EXPECT_FALSE(unpack_lzo1x("", 0, out));
}

}  // namespace
}  // namespace orrery::transport
