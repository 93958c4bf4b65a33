// What the calls about logical assets and those about files of them share.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transport/api/exchange.hpp"
#include "transport/api/tree_view.hpp"

namespace orrery::transport::api {

model::failure unknown_asset();
model::failure is_device(const actors::asset_facts& f);
model::entity_id fresh_asset_id(const exchange& e);
const model::asset::asset_snapshot& asset_snapshot_in(const actors::outcome& done);
model::value show_logical(const exchange& e, const model::entity_id& id,
                          const model::asset::state& s);

/// A list over all shards, one after the other, until a page is full; a failure is the answer.
struct asset_listing : std::enable_shared_from_this<asset_listing> {
  exchange_ptr e;
  actors::asset_list_question q;
  std::size_t limit = 50;
  std::vector<std::string> models;
  std::string text;  // folded
  model::tag_map tags;
  /// Gets what is found, as lists show it, and where to go on; "": that was all.
  std::function<void(model::array, std::string)> done;
  model::array items{};

  void next();
  /// False: `from` is no place that `done` was given.
  bool go_on(const std::string& from);

 private:
  bool is_wanted(const actors::asset_facts& f, const model::value& shown) const;
};
/// `kind`: "device", "logical"; any other: both.
std::shared_ptr<asset_listing> begin_asset_list(const exchange_ptr& e, std::string_view kind);

}  // namespace orrery::transport::api
