#include "actors/tree_scope.hpp"

#include <algorithm>

namespace orrery::actors {

namespace tree = model::tree;

model::shard_id tree_shard(const std::string& organisation, std::uint16_t shard_count) {
  return model::topic_id_of(organisation, "trees", shard_count).shard;
}

void is_below(query& reads, const tree_place& place, const model::entity_id& asset,
              query::then<bool> done) {
  auto q = tree_question{place.tree.shard, place.organisation,
                         find_nodes{place.tree, {tree::by_asset{asset}}, true}};
  reads.trees(std::move(q), [node = place.node,
                             done = std::move(done)](const model::result<tree_page>& got) {
    if (!got && got.error().code == model::errc::not_found)
      return done(false);
    if (!got)
      return done(got.error());
    const auto leads_there = [&](const listed_node& n) {
      return n.what.id == node || std::any_of(n.above.begin(), n.above.end(),
                                              [&](const auto& up) { return up.id == node; });
    };
    done(std::any_of(got->nodes.begin(), got->nodes.end(), leads_there));
  });
}

void devices_below(query& reads, const tree_place& place, std::string cursor, std::size_t limit,
                   query::then<device_ids> done) {
  auto walk = walk_nodes{};
  walk.tree = place.tree;
  walk.from = tree::by_node{place.node};
  walk.levels = 0;
  walk.with_first = walk.devices_only = true;
  walk.cursor = std::move(cursor);
  walk.limit = limit;
  reads.trees({place.tree.shard, place.organisation, std::move(walk)},
              [done = std::move(done)](const model::result<tree_page>& got) {
                if (!got && got.error().code == model::errc::not_found)
                  return done(device_ids{});
                if (!got)
                  return done(got.error());
                auto page = device_ids{{}, got->next};
                for (const auto& n : got->nodes)
                  if (n.what.asset)
                    page.devices.push_back(*n.what.asset);
                done(std::move(page));
              });
}

}  // namespace orrery::actors
