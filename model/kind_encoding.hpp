// The byte forms that every kind of entity has: a list of events, and a snapshot with its revision.
//
//   events   version u8 | count, then each as its place in the variant (u8) and its fields
//   state    version u8 | revision varint | fields
#pragma once

#include "model/encoding.hpp"

namespace orrery::model {

template <class Event>
std::string encode_event_list(std::uint8_t version, const std::vector<Event>& events) {
  auto out = byte_writer{};
  out.u8(version);
  write(out, events);
  return out.take();
}

/// Fails: `corrupted`; `what` names the kind.
template <class Event>
result<std::vector<Event>> decode_event_list(std::uint8_t version, std::string_view bytes,
                                             std::string_view what) {
  auto in = byte_reader{bytes};
  auto events = std::vector<Event>{};
  if (in.u8() == version)
    read(in, events);
  else
    in.fail();
  if (!in.ok() || !in.at_end())
    return failure{errc::corrupted,
                   std::string{what} + " events do not decode: damaged, or of a newer version"};
  return events;
}

template <class State>
std::string encode_snapshot(std::uint8_t version, const State& s, std::uint64_t revision) {
  auto out = byte_writer{};
  out.u8(version);
  out.varint(revision);
  write(out, s);
  return out.take();
}

/// The revision. Fails: `corrupted`; `what` names the kind.
template <class State>
result<std::uint64_t> decode_snapshot(std::uint8_t version, std::string_view bytes, State& s,
                                      std::string_view what) {
  auto in = byte_reader{bytes};
  const auto known = in.u8() == version;
  const auto revision = in.varint();
  if (known)
    read(in, s);
  if (!known || !in.ok() || !in.at_end())
    return failure{errc::corrupted,
                   std::string{what} + " snapshot does not decode: damaged, or of a newer version"};
  return revision;
}

}  // namespace orrery::model
