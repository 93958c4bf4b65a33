#include "model/blueprint/blueprint.hpp"
#include "model/kind_encoding.hpp"

// The order of fields is on disk.
namespace orrery::model::blueprint {

template <field_of<revision_record> X>
auto fields_of(X& x) {
  return std::tie(x.number, x.document, x.note, x.published_at, x.actor);
}
template <field_of<create_blueprint> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.model_id, x.document);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<draft_saved> X>
auto fields_of(X& x) {
  return std::tie(x.document, x.at);
}
template <field_of<draft_discarded> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<published> X>
auto fields_of(X& x) {
  return std::tie(x.revision);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<deprecated_set> X>
auto fields_of(X& x) {
  return std::tie(x.deprecated, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.organisation, x.model_id, x.draft, x.revisions,
                  x.deprecated, x.created_at, x.updated_at, x.revision);
}

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "blueprint");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "blueprint");
}

}  // namespace orrery::model::blueprint
