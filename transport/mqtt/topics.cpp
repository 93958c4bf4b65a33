#include "transport/mqtt/topics.hpp"

namespace orrery::transport::mqtt {

bool is_mqtt_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
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
