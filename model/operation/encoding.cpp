#include "model/kind_encoding.hpp"
#include "model/operation/fields.hpp"

namespace orrery::model::operation {

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "operation");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "operation");
}

}  // namespace orrery::model::operation
