#include "model/kind_encoding.hpp"
#include "model/product/product.hpp"

// The order of fields is on disk.
namespace orrery::model::product {

template <field_of<create_product> X>
auto fields_of(X& x) {
  return std::tie(x.product_key, x.organisation, x.name, x.description, x.model, x.pinned_revision,
                  x.node, x.access, x.format, x.auth, x.dynamic_activation, x.sign_methods, x.mode,
                  x.tags, x.secret);
}
template <field_of<update_product> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.pinned_revision, x.access, x.auth, x.dynamic_activation,
                  x.sign_methods, x.mode, x.tags);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<updated> X>
auto fields_of(X& x) {
  return std::tie(x.changes, x.at);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<secret_set> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.at);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tie(x.exists, x.deleted, x.product_key, x.organisation, x.name, x.description,
                  x.model, x.pinned_revision, x.node, x.access, x.format, x.auth,
                  x.dynamic_activation, x.sign_methods, x.mode, x.tags, x.secret, x.created_at,
                  x.updated_at, x.revision);
}

namespace {

constexpr std::uint8_t version = 1;

}  // namespace

std::string encode_events(const std::vector<event>& events) {
  return encode_event_list(version, events);
}

result<std::vector<event>> decode_events(std::string_view bytes) {
  return decode_event_list<event>(version, bytes, "product");
}

std::string encode_state(const state& s, std::uint64_t revision) {
  return encode_snapshot(version, s, revision);
}

result<std::uint64_t> decode_state(std::string_view bytes, state& s) {
  return decode_snapshot(version, bytes, s, "product");
}

}  // namespace orrery::model::product
