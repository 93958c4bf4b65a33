#include "model/kind_encoding.hpp"
#include "model/organisation/fields.hpp"

namespace orrery::model::organisation {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t state_version = 4;
constexpr std::uint8_t state_without_configurations = 3;

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
  if (bytes.empty() || static_cast<std::uint8_t>(bytes.front()) != state_without_configurations)
    return decode_snapshot(state_version, bytes, s, "organisation");
  // Configurations are the last of it: one of before has none.
  auto none = byte_writer{};
  write(none, std::vector<configuration>{});
  auto whole = std::string{bytes} + none.take();
  whole.front() = static_cast<char>(state_version);
  return decode_snapshot(state_version, whole, s, "organisation");
}

}  // namespace orrery::model::organisation
