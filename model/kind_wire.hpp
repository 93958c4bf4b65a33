// What a kind of entity says between nodes, as bytes: its commands and replies.
//
//   command, reply   version u8 | fields (model/encoding.hpp)
//
// A node speaks the encoding of the release before its own while a cluster is upgraded, so every
// version that is not known is refused. What replies share travels by value; a snapshot has the
// bytes that it has on disk, with a version of their own (text).
#pragma once

#include <memory>

#include "model/encoding.hpp"

namespace orrery::model {

template <class T>
concept has_snapshot_encoding = requires(const T& s) {
  encode_state(s, 0);
};

template <class T>
void write(byte_writer& out, const std::shared_ptr<const T>& x) {
  static const auto nothing = T{};
  const auto& content = x ? *x : nothing;
  if constexpr (has_snapshot_encoding<T>)
    out.text(encode_state(content, 0));
  else
    write(out, content);
}

/// Never leaves it null.
template <class T>
void read(byte_reader& in, std::shared_ptr<const T>& x) {
  auto content = std::make_shared<T>();
  if constexpr (has_snapshot_encoding<T>) {
    if (!decode_state(in.text(), *content))
      in.fail();
  } else {
    read(in, *content);
  }
  x = std::move(content);
}

template <class T>
void write_part(byte_writer& out, std::uint8_t version, const T& x) {
  out.u8(version);
  write(out, x);
}

inline failure does_not_decode(std::string_view what) {
  return {errc::corrupted, std::string{what} + " does not decode: damaged, or of a newer release"};
}

/// Fails if another version comes (or nothing at all), and the reader with it.
inline status read_version(byte_reader& in, std::uint8_t version, std::string_view what) {
  const auto came = in.u8();
  if (!in.ok())
    return does_not_decode(what);
  if (came == version)
    return {};
  in.fail();
  return failure{errc::corrupted, std::string{what} + " in encoding " + std::to_string(came) +
                                      ": this node knows " + std::to_string(version)};
}

/// Fails: `corrupted`, and the reader with it; `what` names the part.
template <class T>
status read_part(byte_reader& in, std::uint8_t version, T& x, std::string_view what) {
  if (auto known = read_version(in, version, what); !known)
    return known;
  read(in, x);
  if (!in.ok())
    return does_not_decode(what);
  return {};
}

}  // namespace orrery::model
