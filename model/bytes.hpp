// The binary form of everything that is journaled or stored: a writer that appends, a reader that
// sticks at the first field that does not fit.
//
//   u8, u16, u32, u64   fixed size, big-endian
//   varint              unsigned LEB128, at most 10 bytes; svarint: zigzag of it
//   text                varint length, bytes
//   f64                 the bits of the double as u64 (NaN and infinity travel unharmed)
//   value               tag u8 (0 null, 1 false, 2 true, 3 svarint, 4 f64, 5 text, 6 array, 7
//   object)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/ids.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::model {

class byte_writer {
 public:
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(std::uint16_t v);
  void u32(std::uint32_t v);
  void u64(std::uint64_t v);
  void varint(std::uint64_t v);
  void svarint(std::int64_t v);
  void f64(double v);
  void boolean(bool v) { u8(v ? 1 : 0); }
  void text(std::string_view v);
  void raw(std::string_view v) { out_.append(v); }
  void time(timestamp t) { svarint(to_ms(t)); }
  void id(const entity_id& v);
  void any(const value& v);

  std::size_t size() const { return out_.size(); }
  const std::string& bytes() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads a view that must outlive it. After the first field that does not fit, ok() is false and
/// every read gives zero, empty or null; so a decoder checks once, at its end.
class byte_reader {
 public:
  explicit byte_reader(std::string_view in) : in_{in} {}

  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  std::uint64_t varint();
  std::int64_t svarint();
  double f64();
  bool boolean() { return u8() != 0; }
  std::string_view text();
  std::string_view raw(std::size_t size);
  timestamp time() { return from_ms(svarint()); }
  entity_id id();
  value any() { return any_at(0); }
  /// A count of elements that follow: bounded by what is left, one byte each at least, so that a
  /// damaged count cannot make anybody reserve more memory than the input is long.
  std::size_t count();

  void fail() {
    ok_ = false;
    in_ = {};
  }
  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }
  std::size_t left() const { return in_.size(); }

 private:
  value any_at(int depth);
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace orrery::model
