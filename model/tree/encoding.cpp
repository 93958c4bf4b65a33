#include "model/kind_encoding.hpp"
#include "model/tree/fields.hpp"

namespace orrery::model::tree {

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "tree");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "tree");
}

std::string encode_node(const node& n) {
  return write_versioned(version, n);
}

result<node> decode_node(std::string_view bytes) {
  auto n = node{};
  if (!read_versioned(version, bytes, n))
    return failure{errc::corrupted, "tree node does not decode: damaged, or of a newer version"};
  return n;
}

std::string encode_notes(const std::vector<change_note>& notes) {
  return write_versioned(version, notes);
}

result<std::vector<change_note>> decode_notes(std::string_view bytes) {
  auto notes = std::vector<change_note>{};
  if (!read_versioned(version, bytes, notes))
    return failure{errc::corrupted, "tree changes do not decode: damaged, or of a newer version"};
  return notes;
}

}  // namespace orrery::model::tree
