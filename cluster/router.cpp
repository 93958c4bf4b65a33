#include "cluster/router.hpp"

#include <caf/all.hpp>

namespace orrery::cluster {

model::shard_id router::shard_of(const actors::target& whom) const {
  if (const auto* id = std::get_if<model::entity_id>(&whom))
    return id->shard;
  return cluster::shard_of(std::get<model::device_name>(whom), shard_count_);
}

void router::route(actors::ask_batch batch) {
  const auto place = places_.find(batch.shard);
  if (place != places_.end() && place->second.host) {
    caf::anon_send(place->second.host, std::move(batch));
    return;
  }
  const auto why =
      place == places_.end()
          ? model::failure{model::errc::not_found, "no shard " + std::to_string(batch.shard)}
          : model::failure{model::errc::wrong_node, "its shard is on " + place->second.node};
  for (auto& one : batch.asks)
    if (one.from && one.number != 0)
      one.from.settle({{one.number, why}});
}

}  // namespace orrery::cluster
