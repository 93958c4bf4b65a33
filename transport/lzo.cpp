// A stream is a row of instructions. Each copies a match (`length` bytes from `distance` back) or
// a run of literals; a match is followed by 0 to 3 literals, whose count is in its last two bits.
//
//   first byte 18..21     1..4 literals; fewer than 4 count as those behind a match
//              22..255    5..238 literals
//   0000LLLL              where no literal came before: a run of 3 + L literals; L = 0: 18 + more
//   0000DDSS H            behind 1..3 literals: match of 2 bytes, distance 1 + H*4 + D
//                         behind a run of literals: match of 3 bytes, distance 2049 + H*4 + D
//   0001HLLL D:16         match of 2 + L bytes, L = 0: 9 + more; distance 16384 + H*16384 + D/4;
//                         with distance 16384 the end mark, which is 11 00 00
//   001LLLLL D:16         match of 2 + L bytes, L = 0: 33 + more; distance 1 + D/4
//   01LDDDSS H            match of 3 + L bytes, distance 1 + H*8 + D
//   1LLDDDSS H            match of 5 + L bytes, distance 1 + H*8 + D
//
// "more": bytes of zero count 255 each, the first other byte itself. D:16 is little-endian.
#include "transport/lzo.hpp"

#include <cstring>

namespace orrery::transport {
namespace {

constexpr auto end_mark = std::string_view{"\x11\0\0", 3};
constexpr std::size_t longest_short_run = 238;

class decoder {
 public:
  decoder(std::string_view in, char* out, std::size_t room)
      : in_{in}, begin_{out}, out_{out}, end_{out + room} {}

  /// Whether the whole input was a stream that fills the room.
  bool run() {
    first();
    while (ok_ && !ended_)
      step();
    return ok_ && in_.empty() && out_ == end_;
  }

 private:
  enum class before { match, few_literals, run_of_literals };

  unsigned byte() {
    if (in_.empty()) {
      ok_ = false;
      return 0;
    }
    const auto b = static_cast<unsigned char>(in_.front());
    in_.remove_prefix(1);
    return b;
  }

  unsigned little_16() {
    const auto low = byte();
    return low | byte() << 8;
  }

  std::size_t more() {
    auto sum = std::size_t{0};
    while (ok_ && !in_.empty() && in_.front() == '\0') {
      in_.remove_prefix(1);
      sum += 255;
    }
    return sum + byte();
  }

  void literals(std::size_t count) {
    if (count > in_.size() || count > static_cast<std::size_t>(end_ - out_)) {
      ok_ = false;
      return;
    }
    std::memcpy(out_, in_.data(), count);
    in_.remove_prefix(count);
    out_ += count;
  }

  void match(std::size_t length, std::size_t distance, unsigned followed_by) {
    if (!ok_ || distance > static_cast<std::size_t>(out_ - begin_) ||
        length > static_cast<std::size_t>(end_ - out_)) {
      ok_ = false;
      return;
    }
    // Byte by byte: a match may reach into what it writes.
    for (const char* from = out_ - distance; length > 0; --length)
      *out_++ = *from++;
    literals(followed_by);
    before_ = followed_by == 0 ? before::match : before::few_literals;
  }

  void run_of_literals(std::size_t count) {
    literals(count);
    before_ = before::run_of_literals;
  }

  void first() {
    if (in_.empty() || static_cast<unsigned char>(in_.front()) <= 17)
      return;  // an instruction like any other
    const auto count = byte() - 17;
    if (count >= 4)
      return run_of_literals(count);
    literals(count);
    before_ = before::few_literals;
  }

  void step() {
    const auto b = byte();
    if (b >= 64) {
      const auto length = b >= 128 ? 5 + (b >> 5 & 3) : 3 + (b >> 5 & 1);
      match(length, 1 + (std::size_t{byte()} << 3) + (b >> 2 & 7), b & 3);
    } else if (b >= 32) {
      const auto length = 2 + ((b & 31) != 0 ? b & 31 : 31 + more());
      const auto d = little_16();
      match(length, 1 + (d >> 2), d & 3);
    } else if (b >= 16) {
      const auto length = 2 + ((b & 7) != 0 ? b & 7 : 7 + more());
      const auto d = little_16();
      const auto distance = 16384 + (std::size_t{b & 8} << 11) + (d >> 2);
      if (distance == 16384) {
        ok_ = ok_ && length == 3;
        ended_ = true;
      } else {
        match(length, distance, d & 3);
      }
    } else if (before_ == before::match) {
      run_of_literals(b != 0 ? 3 + b : 18 + more());
    } else if (before_ == before::few_literals) {
      match(2, 1 + (std::size_t{byte()} << 2) + (b >> 2), b & 3);
    } else {
      match(3, 2049 + (std::size_t{byte()} << 2) + (b >> 2), b & 3);
    }
  }

  std::string_view in_;
  char* const begin_;
  char* out_;
  char* const end_;
  before before_ = before::match;
  bool ok_ = true;
  bool ended_ = false;
};

}  // namespace

bool unpack_lzo1x(std::string_view packed, std::size_t plain_bytes, std::string& plain) {
  const auto start = plain.size();
  plain.resize(start + plain_bytes);
  return decoder{packed, plain.data() + start, plain_bytes}.run();
}

void store_lzo1x(std::string_view plain, std::string& packed) {
  if (plain.size() <= longest_short_run) {
    packed.push_back(static_cast<char>(17 + plain.size()));
  } else {
    auto left = plain.size() - 18;
    packed.push_back('\0');
    for (; left > 255; left -= 255)
      packed.push_back('\0');
    packed.push_back(static_cast<char>(left));
  }
  packed.append(plain);
  packed.append(end_mark);
}

}  // namespace orrery::transport
