#include "transport/api/device_include.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "transport/api/ota.hpp"
#include "transport/api/show.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

/// Without their comma; what is shown anyway is asked for in vain, and harmless.
model::result<std::set<std::string, std::less<>>> read_include(const exchange& e) {
  static const auto words = std::set<std::string_view>{"twin",    "tree", "firmware",  "groups",
                                                       "gateway", "tags", "attributes"};
  auto parts = std::set<std::string, std::less<>>{};
  const auto text = e.query("include");
  auto wrong = std::vector<model::problem>{};
  for (auto at = std::size_t{0}; at < text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    auto word = text.substr(at, end - at);
    at = end + 1;
    if (!words.contains(word))
      wrong.push_back({"include", "not_allowed",
                       "\"" + word.substr(0, 64) +
                           "\": there are twin, tree, firmware, groups, gateway, tags and "
                           "attributes"});
    parts.insert(std::move(word));
  }
  if (!wrong.empty()) {
    auto detail = "include: " + wrong.front().detail;
    return failure{errc::invalid_argument, "validation_failed", std::move(detail),
                   std::move(wrong)};
  }
  return parts;
}

/// The nodes that the caller reads trees by; nothing: all of them.
std::optional<std::set<model::entity_id>> reached_nodes(const exchange& e) {
  constexpr auto right = std::string_view{"tree:read"};
  if (e.who.may(right))
    return std::nullopt;
  const auto nodes = reach_of(e.who.rights, right, {}, {}).nodes;
  return std::set<model::entity_id>{nodes.begin(), nodes.end()};
}

void with_places(const exchange_ptr& e, const model::entity_id& id,
                 std::function<void(model::array)> then) {
  auto reached = reached_nodes(*e);
  read_trees(
      e, {tree_shard(*e), e->who.organisation, actors::find_assets{{id}}},
      [e, reached = std::move(reached), then = std::move(then)](const actors::tree_page& page) {
        auto seen = std::vector<actors::listed_node>{};
        auto levels = std::vector<std::size_t>{};
        for (const auto& n : page.nodes) {
          auto above = std::vector<model::entity_id>{};
          for (const auto& up : n.above)
            above.push_back(up.id);
          const auto shown =
              reached ? levels_reached(n.what.id, above, *reached) : std::optional{above.size()};
          if (!shown)
            continue;
          seen.push_back(n);
          levels.push_back(*shown);
        }
        read_assets(e, seen, [e, seen, levels, then](const asset_map& assets) {
          auto items = model::array{};
          for (std::size_t i = 0; i < seen.size(); ++i)
            items.push_back(show_place(*e, seen[i], levels[i], assets));
          then(std::move(items));
        });
      });
}

/// Tells whether the caller has that right for the device.
void with_right(const exchange_ptr& e, const found_device& d, std::string_view right,
                std::function<void(model::result<bool>)> then) {
  if (!e->who.may_for_some(right))
    return then(false);
  set_reach(*e, right);
  if (e->reach.nodes.empty() || e->reach.has(d.id, *d.state))
    return then(e->reach.has(d.id, *d.state));
  e->with_devices({d.id}, [then = std::move(then)](const exchange::found_devices& found) {
    const auto& one = found.front();
    if (!one && one.error().code != errc::not_found)
      return then(one.error());
    then(one.has_value());
  });
}

void add_firmware(const exchange_ptr& e, const found_device& d, bool is_wanted, model::object shown,
                  std::function<void(model::object)> then) {
  if (!is_wanted)
    return then(std::move(shown));
  with_right(e, d, "ota:read",
             [e, d, shown = std::move(shown),
              then = std::move(then)](const model::result<bool>& is_allowed) {
               if (!is_allowed)
                 return e->fail(is_allowed.error());
               auto o = shown;
               if (*is_allowed)
                 o.emplace_back("firmware", show_firmware(*e, *d.state));
               then(std::move(o));
             });
}

/// Trees change without the device: where they are shown its ETag does not say that nothing is new.
void reply_with_places(const exchange_ptr& e, const found_device& d, bool are_wanted,
                       model::object shown) {
  if (!are_wanted || !e->who.may_for_some("tree:read"))
    return e->reply(200, std::move(shown), {{"ETag", exchange::etag(d.revision)}});
  with_places(e, d.id, [e, shown = std::move(shown)](model::array places) {
    auto o = shown;
    o.emplace_back("tree", std::move(places));
    e->reply(200, std::move(o));
  });
}

}  // namespace

std::optional<std::size_t> levels_reached(const model::entity_id& node,
                                          const std::vector<model::entity_id>& above,
                                          const std::set<model::entity_id>& reached) {
  // The highest one that is reached: all that is below it is seen.
  for (auto i = above.size(); i > 0; --i)
    if (reached.contains(above[i - 1]))
      return i;
  return reached.contains(node) ? std::optional{std::size_t{0}} : std::nullopt;
}

void reply_device(const exchange_ptr& e, const found_device& d) {
  auto parts = read_include(*e);
  if (!parts)
    return e->fail(parts.error());
  auto shown = show_device(*e, d.id, *d.state).as_object();
  if (parts->contains("twin"))
    shown.emplace_back("twin", show_twin(*e, d.state->twin(), d.state->layers()));
  add_firmware(e, d, parts->contains("firmware"), std::move(shown),
               [e, d, wants_places = parts->contains("tree")](model::object o) {
                 reply_with_places(e, d, wants_places, std::move(o));
               });
}

}  // namespace orrery::transport::api
