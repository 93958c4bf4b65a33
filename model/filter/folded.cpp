#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

/// Capitals from `first` to `last`, each `step` from the next; `to_small` is added to one.
struct letters {
  char32_t first, last, step;
  char32_t to_small;
};

// In order. The simple mappings of Unicode for these scripts, which it never changes.
constexpr letters capitals[] = {
    {0x41, 0x5a, 1, 32},    {0xc0, 0xd6, 1, 32},      {0xd8, 0xde, 1, 32},
    {0x100, 0x12e, 2, 1},   {0x132, 0x136, 2, 1},     {0x139, 0x147, 2, 1},
    {0x14a, 0x176, 2, 1},   {0x178, 0x178, 1, -121U}, {0x179, 0x17d, 2, 1},
    {0x386, 0x386, 1, 38},  {0x388, 0x38a, 1, 37},    {0x38c, 0x38c, 1, 64},
    {0x38e, 0x38f, 1, 63},  {0x391, 0x3a1, 1, 32},    {0x3a3, 0x3ab, 1, 32},
    {0x3c2, 0x3c2, 1, 1},  // the sigma at the end of a word
    {0x400, 0x40f, 1, 80},  {0x410, 0x42f, 1, 32},    {0x460, 0x480, 2, 1},
    {0x48a, 0x4be, 2, 1},   {0x4c0, 0x4c0, 1, 15},    {0x4c1, 0x4cd, 2, 1},
    {0x4d0, 0x52e, 2, 1},   {0x531, 0x556, 1, 48},    {0x1e00, 0x1e94, 2, 1},
    {0x1ea0, 0x1efe, 2, 1}, {0xff21, 0xff3a, 1, 32},
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
