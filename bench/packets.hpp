// What the loads of MQTT share: packets of 3.1.1 as bytes, a clock and a histogram of latencies.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::bench {

inline std::uint64_t now_us() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

/// Microseconds, one bucket each up to 1 s.
class histogram {
 public:
  void add(std::uint64_t us) { ++counts_[std::min<std::uint64_t>(us, counts_.size() - 1)]; }
  std::uint64_t quantile(double q) const {
    auto total = std::uint64_t{0};
    for (const auto c : counts_)
      total += c;
    auto rest = static_cast<std::uint64_t>(q * static_cast<double>(total));
    for (std::size_t us = 0; us < counts_.size(); ++us) {
      if (counts_[us] > rest)
        return us;
      rest -= counts_[us];
    }
    return 0;
  }

 private:
  std::vector<std::uint32_t> counts_ = std::vector<std::uint32_t>(1'000'000);
};

inline void put_u16(std::string& out, std::size_t number) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number);
}
inline std::uint16_t u16_at(std::string_view in, std::size_t from) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(in[from]) << 8 |
                                    static_cast<unsigned char>(in[from + 1]));
}
inline void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out += text;
}
inline void put_head(std::string& out, unsigned char head, std::size_t size) {
  out += static_cast<char>(head);
  do {
    out += static_cast<char>(size % 128 | (size >= 128 ? 128 : 0));
    size /= 128;
  } while (size > 0);
}
inline void put_packet(std::string& out, unsigned char head, std::string_view body) {
  put_head(out, head, body.size());
  out += body;
}

struct packet {
  unsigned char head = 0;
  std::string_view body;
  unsigned type() const { return head >> 4; }
};

/// Takes one packet off the front of `in`; nothing: none is whole.
inline std::optional<packet> take_packet(std::string_view& in) {
  if (in.size() < 2)
    return {};
  auto size = std::size_t{0}, at = std::size_t{1};
  for (auto shift = 0u;; shift += 7) {
    if (at >= in.size())
      return {};
    const auto byte = static_cast<unsigned char>(in[at++]);
    size |= static_cast<std::size_t>(byte & 127) << shift;
    if (byte < 128)
      break;
  }
  if (in.size() < at + size)
    return {};
  const auto whole = packet{static_cast<unsigned char>(in[0]), in.substr(at, size)};
  in.remove_prefix(at + size);
  return whole;
}

}  // namespace orrery::bench
