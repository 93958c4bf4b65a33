#include "transport/mqtt/topics.hpp"

#include <cstdint>
#include <cstring>

namespace orrery::transport::mqtt {

namespace {

/// How many bytes from the front, in steps of eight, are ASCII and not zero.
std::size_t plain_head(std::string_view text) {
  constexpr auto ones = std::uint64_t{0x0101'0101'0101'0101}, tops = ones << 7;
  auto i = std::size_t{0};
  for (; i + 8 <= text.size(); i += 8) {
    auto eight = std::uint64_t{};
    std::memcpy(&eight, text.data() + i, 8);
    // A byte's top bit, or the borrow of a zero one: if there is no top bit, there is no other.
    if (((eight | (eight - ones)) & tops) != 0)
      break;
  }
  return i;
}

}  // namespace

bool is_mqtt_text(std::string_view text) {
  for (auto i = plain_head(text); i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      if (c == 0)
        return false;
      ++i;
      continue;
    }
    const auto length = c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : c >= 0xc2 ? 2u : 0u;
    if (length == 0 || c > 0xf4 || i + length > text.size())
      return false;
    auto point = static_cast<unsigned>(c & (0xff >> (length + 1)));
    for (auto k = 1u; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80)
        return false;
      point = point << 6 | (next & 0x3f);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff))
      return false;
    i += length;
  }
  return true;
}

}  // namespace orrery::transport::mqtt
