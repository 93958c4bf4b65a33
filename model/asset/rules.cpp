#include "model/asset/asset.hpp"

namespace orrery::model::asset {
namespace {

result<decision> refused(errc code, std::string_view reason, std::string detail) {
  return failure{code, reason, std::move(detail)};
}

decision then(const state& s, event e, const surroundings& around) {
  auto after = std::make_shared<state>(s);
  asset::apply(*after, e);
  auto d = decision{{}, node_snapshot{around.self, std::move(after)}};
  d.events.push_back(std::move(e));
  return d;
}

status check_name(const std::string& name) {
  if (name.empty() || name.size() > 256)
    return failure{errc::invalid_argument, "name_invalid", "a node's name is 1 to 64 characters"};
  return {};
}

result<decision> decide_on(const state& s, const create_node& c, const surroundings& around) {
  if (s.exists)
    return refused(errc::already_exists, "node_exists", "the node exists");
  if (auto ok = check_name(c.name); !ok)
    return ok.error();
  if (c.depth < 1 || c.depth > max_depth)
    return refused(errc::invalid_argument, "depth_exceeded", "a tree has at most 7 levels");
  if (c.parent ? c.depth == 1 : c.depth != 1 || c.tree != around.self)
    return refused(errc::invalid_argument, "root_invalid",
                   "a root is level 1 and names its own tree");
  return then(s, created{c, around.now}, around);
}

result<decision> decide_on(const state& s, const rename_node& r, const surroundings& around) {
  if (auto ok = check_name(r.name); !ok)
    return ok.error();
  return then(s, renamed{r.name, around.now}, around);
}

result<decision> decide_on(const state& s, const bind_device& b, const surroundings& around) {
  if (b.device && s.device && *b.device != *s.device)
    return refused(errc::conflict, "already_bound", "another device is bound to the node");
  return then(s, bound{b.device, around.now}, around);
}

result<decision> decide_on(const state& s, const move_node& m, const surroundings& around) {
  if (!s.parent)
    return refused(errc::conflict, "root_fixed", "the root of a tree does not move");
  if (m.parent == around.self)
    return refused(errc::conflict, "cycle", "a node cannot stand under itself");
  if (m.depth < 2 || m.depth > max_depth)
    return refused(errc::invalid_argument, "depth_exceeded", "a tree has at most 7 levels");
  return then(s, moved{m.parent, m.depth, m.order, around.now}, around);
}

result<decision> decide_on(const state& s, const remove_node&, const surroundings& around) {
  if (around.children > 0)
    return refused(errc::conflict, "has_children", "the node has children");
  return then(s, removed{around.now}, around);
}

result<decision> decide_on(const state& s, const read_node&, const surroundings& around) {
  return decision{{}, node_snapshot{around.self, std::make_shared<const state>(s)}};
}

void apply_on(state& s, const created& e) {
  s.exists = true;
  s.tree = e.as.tree;
  s.parent = e.as.parent;
  s.name = e.as.name;
  s.device = e.as.device;
  s.order = e.as.order;
  s.depth = e.as.depth;
  s.organisation = e.as.organisation;
  s.tags = e.as.tags;
  s.created_at = s.updated_at = e.at;
}
void apply_on(state& s, const renamed& e) {
  s.name = e.name;
  s.updated_at = e.at;
}
void apply_on(state& s, const bound& e) {
  s.device = e.device;
  s.updated_at = e.at;
}
void apply_on(state& s, const moved& e) {
  s.parent = e.parent;
  s.depth = e.depth;
  s.order = e.order;
  s.updated_at = e.at;
}
void apply_on(state& s, const removed&) {
  s.exists = false;
  s.deleted = true;
}

}  // namespace

result<decision> decide(const state& s, const command& c, const surroundings& around) {
  if (!s.exists && !std::holds_alternative<create_node>(c.what))
    return refused(errc::not_found, "node_unknown", "no such node");
  return std::visit([&](const auto& what) { return decide_on(s, what, around); }, c.what);
}

void apply(state& s, const event& e) {
  std::visit([&](const auto& what) { apply_on(s, what); }, e);
  ++s.revision;
}

std::vector<effect> effects(const state&, const event&) {
  return {};
}

std::optional<timestamp> next_deadline(const state&) {
  return std::nullopt;
}

}  // namespace orrery::model::asset
