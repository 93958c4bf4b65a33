#include "model/kind_encoding.hpp"
#include "model/organisation/fields.hpp"

namespace orrery::model::organisation {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t state_version = 2;  // 1: without sessions

/// A snapshot of version 1: nobody is logged in.
bool read_first_version(std::string_view bytes, state& s, std::uint64_t& revision) {
  auto in = byte_reader{bytes};
  if (in.u8() != 1)
    return false;
  revision = in.varint();
  auto fields =
      std::tie(s.exists, s.deleted, s.id, s.name, s.users, s.keys, s.created_at, s.revision);
  std::apply([&](auto&... field) { (read(in, field), ...); }, fields);
  return in.ok() && in.at_end();
}

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "organisation");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(state_version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  if (auto revision = std::uint64_t{0}; read_first_version(bytes, s, revision))
    return revision;
  s = {};
  return decode_snapshot(state_version, bytes, s, "organisation");
}

}  // namespace orrery::model::organisation
