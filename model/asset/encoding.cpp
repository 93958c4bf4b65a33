#include "model/asset/asset.hpp"
#include "model/kind_encoding.hpp"

// The order of fields is on disk.
namespace orrery::model::asset {

template <field_of<create_node> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.parent, x.name, x.device, x.order, x.depth, x.organisation, x.tags);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<renamed> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.at);
}
template <field_of<bound> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.at);
}
template <field_of<moved> X>
auto fields_of(X& x) {
  return std::tie(x.parent, x.depth, x.order, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.tree, x.parent, x.name, x.device, x.order, x.depth,
                  x.organisation, x.tags, x.created_at, x.updated_at, x.revision);
}

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "asset");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "asset");
}

}  // namespace orrery::model::asset
