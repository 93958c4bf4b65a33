#include "cluster/in_sync.hpp"

#include <algorithm>

namespace orrery::cluster {

bool is_to_be_in_sync(model::shard_id shard, const shard_record& record,
                      std::size_t catalogue_factor, const node_set& leaving, node_id who) {
  const auto is_wanted = [&](node_id n) {
    return record.replicas.contains(n) && !leaving.contains(n);
  };
  const auto count = [&](const node_set& of) {
    return static_cast<std::size_t>(std::count_if(of.begin(), of.end(), is_wanted));
  };
  const auto wanted = count(record.replicas);
  const auto limit = shard == model::catalogue_shard ? catalogue_factor : wanted;
  const auto good = count(record.in_sync);
  if (record.in_sync.contains(who))
    return is_wanted(who) || good < std::min(limit, wanted);
  return is_wanted(who) && good < limit;
}

}  // namespace orrery::cluster
