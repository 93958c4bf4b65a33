// Takes fields of MQTT from the front of a packet's bytes.
#pragma once

#include <cstdint>
#include <string_view>

#include "transport/mqtt/topics.hpp"

namespace orrery::transport::mqtt {

/// Sticks at the first field that does not fit.
class reader {
 public:
  explicit reader(std::string_view in) : in_{in} {}
  std::uint8_t u8() {
    if (in_.empty()) {
      ok_ = false;
      return 0;
    }
    const auto v = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return v;
  }
  std::uint16_t u16() {
    const auto high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::uint32_t u32() {
    const auto high = static_cast<std::uint32_t>(u16());
    return high << 16 | u16();
  }
  /// A variable byte integer of at most four bytes, none of them in vain (5.0, 1.5.5).
  std::uint32_t varint() {
    auto v = std::uint32_t{0};
    for (auto shift = 0u; shift < 28; shift += 7) {
      const auto byte = u8();
      v |= static_cast<std::uint32_t>(byte & 127) << shift;
      if (byte < 128) {
        ok_ = ok_ && (byte != 0 || shift == 0);
        return v;
      }
    }
    ok_ = false;
    return 0;
  }
  std::string_view bytes() { return head(u16()); }
  std::string_view text() {
    const auto v = bytes();
    ok_ = ok_ && is_mqtt_text(v);
    return v;
  }
  std::string_view head(std::size_t size) {
    if (size > in_.size()) {
      ok_ = false;
      return {};
    }
    const auto v = in_.substr(0, size);
    in_.remove_prefix(size);
    return v;
  }
  std::string_view tail() { return head(in_.size()); }
  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace orrery::transport::mqtt
