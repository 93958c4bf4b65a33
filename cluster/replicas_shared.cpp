#include "cluster/replicas_shared.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "observe/log.hpp"

namespace orrery::cluster {

replicas_shared::replicas_shared(std::shared_ptr<storage::entity_store> at, replicas_options wanted,
                                 replicas_ports to, std::shared_ptr<replicas_figures> counts)
    : store{std::move(at)},
      options{wanted},
      ports{std::move(to)},
      figures{std::move(counts)},
      copies{ports.send, figures->copies_sent} {}

void replicas_shared::tell(model::shard_id shard, actors::shard_progress::what happened,
                           std::uint64_t offset, bool acknowledged) {
  news.push_back({{shard, happened, offset, acknowledged}});
}

void replicas_shared::send(node_id to, model::shard_id shard, const replica_envelope& what) const {
  (void)ports.send(to, encode_replica(shard, what));
}

bool replicas_shared::put_now(std::span<const storage::row> rows, bool sync) {
  const auto ok = store->put(rows, sync);
  if (!ok) {
    observe::log::error("cluster", "replica_not_written", {{"detail", ok.error().detail}});
    fail();  // the round will fail, and everything begins anew
  }
  return static_cast<bool>(ok);
}

bool replicas_shared::put_round_and(std::vector<storage::row> rows) {
  auto all = std::exchange(round.rows, {});
  std::ranges::move(rows, std::back_inserter(all));
  return put_now(all, true);
}

}  // namespace orrery::cluster
