#include "model/kind_encoding.hpp"
#include "model/organisation/fields.hpp"

namespace orrery::model::organisation {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t state_version = 4;  // 3: without providers and configurations

/// A state of version 3, which is still read.
result<std::uint64_t> decode_version_3(std::string_view bytes, state& s) {
  auto in = byte_reader{bytes};
  in.u8();
  const auto revision = in.varint();
  std::apply([&](auto&... field) { (read(in, field), ...); }, fields_of_version_3(s));
  if (!in.ok() || !in.at_end())
    return failure{errc::corrupted, "organisation snapshot does not decode: damaged"};
  return revision;
}

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "organisation");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  if (s.providers.empty() && s.identities.empty() && s.configurations.empty()) {
    auto out = byte_writer{};
    out.u8(3);
    out.varint(revision);
    std::apply([&](const auto&... field) { (write(out, field), ...); }, fields_of_version_3(s));
    return out.take();
  }
  return encode_snapshot(state_version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  if (bytes.starts_with('\3'))
    return decode_version_3(bytes, s);
  return decode_snapshot(state_version, bytes, s, "organisation");
}

}  // namespace orrery::model::organisation
