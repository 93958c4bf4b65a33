#include "model/tree/nodes.hpp"

#include <algorithm>
#include <iterator>

namespace orrery::model::tree {

std::uint64_t count_below(const node& n) {
  auto all = std::uint64_t{0};
  for (const auto level : n.below)
    all += level;
  return all;
}

std::uint64_t children_of(const node& n) {
  return n.below.empty() ? 0 : n.below.front();
}

std::string place_of(std::string_view order, const entity_id& id) {
  auto place = std::string{order};
  place += '\0';
  place.append(reinterpret_cast<const char*>(id.ulid.data()), id.ulid.size());
  return place;
}

std::string place_of(const node& n) {
  return place_of(n.order, n.id);
}

std::optional<entity_id> node_of(std::string_view place, shard_id shard) {
  auto id = entity_id{.shard = shard};
  if (place.size() < id.ulid.size() + 1)
    return std::nullopt;
  const auto ulid = place.substr(place.size() - id.ulid.size());
  std::transform(ulid.begin(), ulid.end(), id.ulid.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return id;
}

result<std::vector<node>> above(const node_source& nodes, const node& n) {
  auto all = std::vector<node>{};
  for (auto parent = n.parent; parent;) {
    auto found = nodes.find(*parent);
    if (!found)
      return found.error();
    if (!*found || all.size() == max_depth)
      return failure{errc::corrupted, "node " + to_string(n.id) + " does not lead to its root"};
    parent = (*found)->parent;
    all.push_back(std::move(**found));
  }
  return all;
}

result<std::optional<node>> resolve(const node_source& nodes, const node_ref& which) {
  if (const auto* by = std::get_if<by_node>(&which))
    return nodes.find(by->id);
  const auto id = nodes.holder(std::get<by_asset>(which).id);
  if (!id)
    return id.error();
  if (!*id)
    return std::optional<node>{};
  return nodes.find(**id);
}

void node_changes::leave(const entity_id& id, const std::optional<former>& before,
                         std::uint64_t revision) {
  newest_ = revision;
  if (!before)
    return;
  if (before->parent)
    places_.insert_or_assign({*before->parent, place_of(before->order, id)},
                             entry<bool>{false, revision});
  if (before->asset)
    holders_.insert_or_assign(*before->asset, entry<std::optional<entity_id>>{{}, revision});
}

void node_changes::put(const node& now, const std::optional<former>& before,
                       std::uint64_t revision) {
  leave(now.id, before, revision);
  if (now.parent)
    places_.insert_or_assign({*now.parent, place_of(now)}, entry<bool>{true, revision});
  if (now.asset)
    holders_.insert_or_assign(*now.asset, entry<std::optional<entity_id>>{now.id, revision});
  nodes_.insert_or_assign(now.id, entry<std::optional<node>>{now, revision});
}

void node_changes::erase(const entity_id& id, const std::optional<former>& before,
                         std::uint64_t revision) {
  leave(id, before, revision);
  nodes_.insert_or_assign(id, entry<std::optional<node>>{{}, revision});
}

void node_changes::add(const std::vector<node_change>& all, std::uint64_t revision) {
  // What was freed first, so that what takes its place stays.
  for (const auto& c : all)
    leave(c.id, c.before, revision);
  for (const auto& c : all)
    if (c.now)
      put(*c.now, {}, revision);
    else
      erase(c.id, {}, revision);
}

void node_changes::forget(std::uint64_t revision) {
  const auto old = [&](const auto& one) { return one.second.revision <= revision; };
  if (newest_ <= revision) {
    nodes_.clear();
    places_.clear();
    holders_.clear();
  } else {
    std::erase_if(nodes_, old);
    std::erase_if(places_, old);
    std::erase_if(holders_, old);
  }
}

result<std::optional<node>> changed_nodes::find(const entity_id& id) const {
  const auto found = changes_.nodes_.find(id);
  if (found != changes_.nodes_.end())
    return found->second.what;
  return under_.find(id);
}

result<std::optional<entity_id>> changed_nodes::holder(const entity_id& asset) const {
  const auto found = changes_.holders_.find(asset);
  if (found != changes_.holders_.end())
    return found->second.what;
  return under_.holder(asset);
}

status changed_nodes::children(const entity_id& parent, std::string_view from, bool backwards,
                               const visitor& visit) const {
  const auto& places = changes_.places_;
  const auto first = places.lower_bound({parent, {}});
  const auto last = places.lower_bound({parent, "\xff"});  // no order begins so
  auto goes_on = true;
  const auto merge = [&](auto next, auto end) -> status {
    const auto give_own = [&] {
      const auto& place = next->first.second;
      if (const auto id = node_of(place, parent.shard); id && next->second.what)
        goes_on = visit(place, *id);
      ++next;
    };
    auto ok = under_.children(parent, from, backwards, [&](std::string_view place, const auto& id) {
      // By `compare`: clang 14 finds no order between a string and a view in a template.
      const auto is_ahead = [&] {
        const auto by = std::string_view{next->first.second}.compare(place);
        return backwards ? by > 0 : by < 0;
      };
      while (goes_on && next != end && is_ahead())
        give_own();
      if (goes_on && next != end && std::string_view{next->first.second}.compare(place) == 0)
        give_own();  // as it is by the changes: there, or gone
      else if (goes_on)
        goes_on = visit(place, id);
      return goes_on;
    });
    while (ok && goes_on && next != end)
      give_own();
    return ok;
  };
  if (backwards)
    return merge(std::make_reverse_iterator(
                     from.empty() ? last : places.lower_bound({parent, std::string{from}})),
                 std::make_reverse_iterator(first));
  return merge(from.empty() ? first : places.upper_bound({parent, std::string{from}}), last);
}

}  // namespace orrery::model::tree
