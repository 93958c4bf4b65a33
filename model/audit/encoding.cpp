#include "model/audit/fields.hpp"
#include "model/kind_encoding.hpp"

namespace orrery::model::audit {

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "audit log");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "audit log");
}

std::string encode_record(const record& r) {
  return write_versioned(version, r);
}

result<record> decode_record(std::string_view bytes) {
  auto r = record{};
  if (!read_versioned(version, bytes, r))
    return failure{errc::corrupted, "audit record does not decode: damaged, or of a newer version"};
  return r;
}

}  // namespace orrery::model::audit
