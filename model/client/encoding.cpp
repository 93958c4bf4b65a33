#include "model/client/fields.hpp"
#include "model/kind_encoding.hpp"

namespace orrery::model::client {

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "client");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "client");
}

std::string encode_queued(const queued& q) {
  return write_versioned(version, q);
}

result<queued> decode_queued(std::string_view bytes) {
  auto q = queued{};
  if (!read_versioned(version, bytes, q) || !q.message)
    return failure{errc::corrupted,
                   "a client's kept message does not decode: damaged, or of a newer version"};
  return q;
}

}  // namespace orrery::model::client
