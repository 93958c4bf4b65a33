#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

/// Capitals from `first` to `last`, each `step` from the next; `to_small` is added to one.
struct letters {
  char32_t first, last, step;
  char32_t to_small;
};

// In order. The simple mappings of Unicode for Latin (to U+024F, and U+1E00 on), Greek, Cyrillic
// (to U+052F) and Armenian whose small letter has as many bytes in UTF-8; it never changes them.
// U+03C2 is the sigma at the end of a word.
constexpr letters capitals[] = {
    {0x41, 0x5a, 1, 32},        {0xc0, 0xd6, 1, 32},        {0xd8, 0xde, 1, 32},
    {0x100, 0x12e, 2, 1},       {0x132, 0x136, 2, 1},       {0x139, 0x147, 2, 1},
    {0x14a, 0x176, 2, 1},       {0x178, 0x178, 1, -121U},   {0x179, 0x17d, 2, 1},
    {0x181, 0x181, 1, 210},     {0x182, 0x184, 2, 1},       {0x186, 0x186, 1, 206},
    {0x187, 0x187, 1, 1},       {0x189, 0x18a, 1, 205},     {0x18b, 0x18b, 1, 1},
    {0x18e, 0x18e, 1, 79},      {0x18f, 0x18f, 1, 202},     {0x190, 0x190, 1, 203},
    {0x191, 0x191, 1, 1},       {0x193, 0x193, 1, 205},     {0x194, 0x194, 1, 207},
    {0x196, 0x196, 1, 211},     {0x197, 0x197, 1, 209},     {0x198, 0x198, 1, 1},
    {0x19c, 0x19c, 1, 211},     {0x19d, 0x19d, 1, 213},     {0x19f, 0x19f, 1, 214},
    {0x1a0, 0x1a4, 2, 1},       {0x1a6, 0x1a6, 1, 218},     {0x1a7, 0x1a7, 1, 1},
    {0x1a9, 0x1a9, 1, 218},     {0x1ac, 0x1ac, 1, 1},       {0x1ae, 0x1ae, 1, 218},
    {0x1af, 0x1af, 1, 1},       {0x1b1, 0x1b2, 1, 217},     {0x1b3, 0x1b5, 2, 1},
    {0x1b7, 0x1b7, 1, 219},     {0x1b8, 0x1b8, 1, 1},       {0x1bc, 0x1bc, 1, 1},
    {0x1c4, 0x1c4, 1, 2},       {0x1c5, 0x1c5, 1, 1},       {0x1c7, 0x1c7, 1, 2},
    {0x1c8, 0x1c8, 1, 1},       {0x1ca, 0x1ca, 1, 2},       {0x1cb, 0x1db, 2, 1},
    {0x1de, 0x1ee, 2, 1},       {0x1f1, 0x1f1, 1, 2},       {0x1f2, 0x1f4, 2, 1},
    {0x1f6, 0x1f6, 1, -97U},    {0x1f7, 0x1f7, 1, -56U},    {0x1f8, 0x21e, 2, 1},
    {0x220, 0x220, 1, -130U},   {0x222, 0x232, 2, 1},       {0x23b, 0x23b, 1, 1},
    {0x23d, 0x23d, 1, -163U},   {0x241, 0x241, 1, 1},       {0x243, 0x243, 1, -195U},
    {0x244, 0x244, 1, 69},      {0x245, 0x245, 1, 71},      {0x246, 0x24e, 2, 1},
    {0x370, 0x372, 2, 1},       {0x376, 0x376, 1, 1},       {0x37f, 0x37f, 1, 116},
    {0x386, 0x386, 1, 38},      {0x388, 0x38a, 1, 37},      {0x38c, 0x38c, 1, 64},
    {0x38e, 0x38f, 1, 63},      {0x391, 0x3a1, 1, 32},      {0x3a3, 0x3ab, 1, 32},
    {0x3c2, 0x3c2, 1, 1},       {0x3cf, 0x3cf, 1, 8},       {0x3d8, 0x3e0, 2, 1},
    {0x3f4, 0x3f4, 1, -60U},    {0x3f7, 0x3f7, 1, 1},       {0x3f9, 0x3f9, 1, -7U},
    {0x3fa, 0x3fa, 1, 1},       {0x3fd, 0x3ff, 1, -130U},   {0x400, 0x40f, 1, 80},
    {0x410, 0x42f, 1, 32},      {0x460, 0x480, 2, 1},       {0x48a, 0x4be, 2, 1},
    {0x4c0, 0x4c0, 1, 15},      {0x4c1, 0x4cd, 2, 1},       {0x4d0, 0x52e, 2, 1},
    {0x531, 0x556, 1, 48},      {0x1e00, 0x1e94, 2, 1},     {0x1ea0, 0x1efe, 2, 1},
    {0x1f08, 0x1f0f, 1, -8U},   {0x1f18, 0x1f1d, 1, -8U},   {0x1f28, 0x1f2f, 1, -8U},
    {0x1f38, 0x1f3f, 1, -8U},   {0x1f48, 0x1f4d, 1, -8U},   {0x1f59, 0x1f5f, 2, -8U},
    {0x1f68, 0x1f6f, 1, -8U},   {0x1f88, 0x1f8f, 1, -8U},   {0x1f98, 0x1f9f, 1, -8U},
    {0x1fa8, 0x1faf, 1, -8U},   {0x1fb8, 0x1fb9, 1, -8U},   {0x1fba, 0x1fbb, 1, -74U},
    {0x1fbc, 0x1fbc, 1, -9U},   {0x1fc8, 0x1fcb, 1, -86U},  {0x1fcc, 0x1fcc, 1, -9U},
    {0x1fd8, 0x1fd9, 1, -8U},   {0x1fda, 0x1fdb, 1, -100U}, {0x1fe8, 0x1fe9, 1, -8U},
    {0x1fea, 0x1feb, 1, -112U}, {0x1fec, 0x1fec, 1, -7U},   {0x1ff8, 0x1ff9, 1, -128U},
    {0x1ffa, 0x1ffb, 1, -126U}, {0x1ffc, 0x1ffc, 1, -9U},   {0xff21, 0xff3a, 1, 32},
};

char32_t small(char32_t c) {
  if (c < 0x80)
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  for (const auto& range : capitals)
    if (c <= range.last)
      return c >= range.first && (c - range.first) % range.step == 0 ? c + range.to_small : c;
  return c;
}

/// The character at `at` and how many bytes it has; 0 bytes if none begins there.
struct decoded {
  char32_t character = 0;
  std::size_t bytes = 0;
};

decoded decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(at);
  if (first < 0x80)
    return {first, 1};
  const auto bytes = first >= 0xf0 ? 4U : first >= 0xe0 ? 3U : 2U;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < bytes)
    return {};
  auto c = char32_t{first} & (0x7fU >> bytes);
  for (std::size_t i = at + 1; i < at + bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80)
      return {};
    c = c << 6 | (byte(i) & 0x3fU);
  }
  const auto least = bytes == 2 ? 0x80U : bytes == 3 ? 0x800U : 0x10000U;
  return c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? decoded{} : decoded{c, bytes};
}

void encode(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80)
    return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

constexpr char32_t no_character = 0xdc00;  // plus the byte

}  // namespace

char32_t next_folded(std::string_view text, std::size_t& at) {
  const auto [character, bytes] = decode(text, at);
  if (bytes == 0)
    return no_character + static_cast<unsigned char>(text[at++]);
  at += bytes;
  return small(character);
}

std::string folded(std::string_view text) {
  auto out = std::string{};
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto c = next_folded(text, at);
    if (c >= no_character && c < no_character + 0x100)
      out += text[at - 1];
    else
      encode(c, out);
  }
  return out;
}

std::strong_ordering order_of_texts(std::string_view a, std::string_view b) {
  auto in_a = std::size_t{0}, in_b = std::size_t{0};
  while (in_a < a.size() && in_b < b.size())
    if (const auto by = next_folded(a, in_a) <=> next_folded(b, in_b); by != 0)
      return by;
  if (in_a < a.size() || in_b < b.size())
    return in_a < a.size() ? std::strong_ordering::greater : std::strong_ordering::less;
  return a <=> b;
}

}  // namespace orrery::model::filter
