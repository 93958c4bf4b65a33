#include "model/bytes.hpp"

#include <algorithm>
#include <bit>

namespace orrery::model {
namespace {

constexpr int max_value_depth = 32;

enum tag : std::uint8_t { t_null, t_false, t_true, t_int, t_double, t_text, t_array, t_object };

}  // namespace

void byte_writer::u16(std::uint16_t v) {
  u8(static_cast<std::uint8_t>(v >> 8));
  u8(static_cast<std::uint8_t>(v));
}

void byte_writer::u32(std::uint32_t v) {
  u16(static_cast<std::uint16_t>(v >> 16));
  u16(static_cast<std::uint16_t>(v));
}

void byte_writer::u64(std::uint64_t v) {
  u32(static_cast<std::uint32_t>(v >> 32));
  u32(static_cast<std::uint32_t>(v));
}

void byte_writer::varint(std::uint64_t v) {
  while (v >= 0x80) {
    u8(static_cast<std::uint8_t>(v | 0x80));
    v >>= 7;
  }
  u8(static_cast<std::uint8_t>(v));
}

void byte_writer::svarint(std::int64_t v) {
  varint(static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63));
}

void byte_writer::f64(double v) {
  u64(std::bit_cast<std::uint64_t>(v));
}

void byte_writer::text(std::string_view v) {
  varint(v.size());
  raw(v);
}

void byte_writer::id(const entity_id& v) {
  u16(v.shard);
  raw({reinterpret_cast<const char*>(v.ulid.data()), v.ulid.size()});
}

void byte_writer::any(const value& v) {
  if (v.is_null()) {
    u8(t_null);
  } else if (v.is_bool()) {
    u8(v.as_bool() ? t_true : t_false);
  } else if (v.is_int()) {
    u8(t_int);
    svarint(v.as_int());
  } else if (v.is_double()) {
    u8(t_double);
    f64(v.as_double());
  } else if (v.is_string()) {
    u8(t_text);
    text(v.as_string());
  } else if (v.is_array()) {
    u8(t_array);
    varint(v.as_array().size());
    for (const auto& item : v.as_array())
      any(item);
  } else {
    u8(t_object);
    varint(v.as_object().size());
    for (const auto& [name, member] : v.as_object()) {
      text(name);
      any(member);
    }
  }
}

std::uint8_t byte_reader::u8() {
  if (in_.empty()) {
    fail();
    return 0;
  }
  const auto v = static_cast<std::uint8_t>(in_.front());
  in_.remove_prefix(1);
  return v;
}

std::uint16_t byte_reader::u16() {
  const auto high = u8(), low = u8();
  return ok_ ? static_cast<std::uint16_t>(high << 8 | low) : std::uint16_t{0};
}

std::uint32_t byte_reader::u32() {
  const auto high = u16(), low = u16();
  return ok_ ? static_cast<std::uint32_t>(high) << 16 | low : 0;
}

std::uint64_t byte_reader::u64() {
  const auto high = u32(), low = u32();
  return ok_ ? static_cast<std::uint64_t>(high) << 32 | low : 0;
}

std::uint64_t byte_reader::varint() {
  auto v = std::uint64_t{0};
  for (int shift = 0; shift < 70; shift += 7) {
    const auto byte = u8();
    if (!ok_)
      return 0;
    if (shift == 63 && byte > 1)
      break;  // more than 64 bits
    v |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return v;
  }
  fail();
  return 0;
}

std::int64_t byte_reader::svarint() {
  const auto v = varint();
  return static_cast<std::int64_t>(v >> 1 ^ (~(v & 1) + 1));
}

double byte_reader::f64() {
  return std::bit_cast<double>(u64());
}

std::string_view byte_reader::text() {
  const auto size = varint();
  return raw(size);
}

std::string_view byte_reader::raw(std::size_t size) {
  if (size > in_.size()) {
    fail();
    return {};
  }
  const auto v = in_.substr(0, size);
  in_.remove_prefix(size);
  return v;
}

entity_id byte_reader::id() {
  auto v = entity_id{.shard = u16()};
  const auto bytes = raw(v.ulid.size());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    v.ulid[i] = static_cast<std::uint8_t>(bytes[i]);
  return v;
}

std::size_t byte_reader::count() {
  const auto n = varint();
  if (n > in_.size()) {
    fail();
    return 0;
  }
  return n;
}

value byte_reader::any_at(int depth) {
  if (depth > max_value_depth) {
    fail();
    return {};
  }
  switch (u8()) {
    case t_null:
      return {};
    case t_false:
      return false;
    case t_true:
      return true;
    case t_int:
      return svarint();
    case t_double:
      return f64();
    case t_text:
      return text();
    case t_array: {
      auto items = array{};
      const auto n = count();
      items.reserve(std::min<std::size_t>(n, 64));
      for (std::size_t i = 0; i < n && ok_; ++i)
        items.push_back(any_at(depth + 1));
      return items;
    }
    case t_object: {
      auto members = object{};
      const auto n = count();
      members.reserve(std::min<std::size_t>(n, 64));
      for (std::size_t i = 0; i < n && ok_; ++i) {
        auto name = std::string{text()};
        members.emplace_back(std::move(name), any_at(depth + 1));
      }
      return members;
    }
    default:
      fail();
      return {};
  }
}

}  // namespace orrery::model
