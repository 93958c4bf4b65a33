// What the parts of the API about asset trees share: names in paths and bodies, what is on nodes,
// nodes as JSON.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/tree_scope.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/fields.hpp"

namespace orrery::transport::api {

using asset_map = std::map<model::entity_id, actors::asset_facts>;

/// Where the organisation's trees are.
model::shard_id tree_shard(const exchange& e);
/// The tree of the route's path; one that cannot be there has a shard of its own.
std::optional<model::entity_id> tree_of(const exchange& e);
/// The node of the route's path.
std::optional<model::tree::node_ref> node_of(const exchange& e);
/// A node id, or "asset:" and an assetId; nothing for any other text.
std::optional<model::tree::node_ref> read_ref(const exchange& e, std::string_view text);
model::failure unknown_tree();
model::failure unknown_node();
/// The member of that name as a node; a finding if it is none.
std::optional<model::tree::node_ref> ref_field(const exchange& e, fields& f, std::string_view name);
/// The member `after`: a node, or "first".
model::tree::position position_field(const exchange& e, fields& f);

actors::any_command tree_order(const exchange& e, model::tree::order what,
                               std::optional<std::uint64_t> expected = {});
actors::any_command asset_order(const exchange& e, model::asset::order what,
                                std::optional<std::uint64_t> expected = {});
template <class Reply>
const Reply* tree_reply(const actors::outcome& done) {
  const auto* any = std::get_if<model::tree::reply>(&done.answer);
  return any ? std::get_if<Reply>(any) : nullptr;
}
/// What a node was refused for, as a failure.
model::failure failure_of(const model::tree::refusal& why);

/// Reads pages of trees; a failure is the answer to the request.
void read_trees(const exchange_ptr& e, actors::tree_question what,
                std::function<void(actors::tree_page)> then);
/// What is there of those assets; a failure is the answer to the request.
void read_assets(const exchange_ptr& e, const std::vector<model::entity_id>& ids,
                 std::function<void(asset_map)> then);
/// The same for what is on those nodes. Who holds a device that is gone is told so.
void read_assets(const exchange_ptr& e, const std::vector<actors::listed_node>& nodes,
                 std::function<void(asset_map)> then);
/// Takes assets that are gone off all trees, then calls back. What fails is found by those who read
/// the nodes later.
void release_assets(const exchange_ptr& e, std::vector<model::entity_id> ids,
                    std::function<void()> then);
/// The same of the trees of another organisation, that they were in.
void release_assets(const exchange_ptr& e, const std::string& organisation,
                    std::vector<model::entity_id> ids, std::function<void()> then);

model::value show_asset(const exchange& e, const actors::asset_facts& f);
model::value show_tree(const exchange& e, const model::entity_id& id, const model::tree::state& s);
model::value show_node(const exchange& e, const actors::listed_node& n, const asset_map& assets);
/// Where an asset is: its node and the path to it, of which the last `levels` nodes are shown.
model::value show_place(const exchange& e, const actors::listed_node& n, std::size_t levels,
                        const asset_map& assets);
/// How a node is called: its label, or its asset's name.
std::string name_of(const model::tree::node& n, const asset_map& assets);

/// An asset that somebody names, or wants made.
struct wanted_asset {
  std::optional<model::entity_id> id;
  std::optional<model::device_name> name;
  std::optional<model::asset::create_asset> fresh;

  std::optional<model::entity_id> found;
  bool device = false, made = false;
  std::optional<model::failure> why;  // it is not there, or cannot be made
};
/// The members assetId, or productKey and deviceKey, or `asset` (a new logical one).
wanted_asset asset_fields(const exchange& e, fields& f, const std::string& where);
/// The fields of a new logical asset.
model::asset::create_asset read_new_asset(const exchange& e, fields& f);
/// Finds or makes all of them: by id, else by name, else a new one. `then` runs once all are found
/// or have their `why`.
void find_assets(const exchange_ptr& e, std::shared_ptr<std::vector<wanted_asset>> all,
                 std::function<void()> then);
/// Takes away again what was made, then calls back.
void drop_made(const exchange_ptr& e, const std::vector<wanted_asset>& all,
               const std::function<void()>& then);

}  // namespace orrery::transport::api
