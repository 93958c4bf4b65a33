// What a node's metrics page reads from its parts when it is asked for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "actors/configuration_sweeper.hpp"
#include "actors/feed.hpp"
#include "actors/journal.hpp"
#include "actors/operation_runner.hpp"
#include "actors/session.hpp"
#include "app/backups.hpp"
#include "cluster/member.hpp"
#include "observe/metrics.hpp"
#include "storage/entity_store.hpp"

namespace orrery::app {

struct gauge_parts {
  std::shared_ptr<storage::entity_store> store;
  std::shared_ptr<actors::journal_figures> figures;
  std::shared_ptr<actors::shard_table> shards;
  std::shared_ptr<std::atomic<std::int64_t>> awake;
  std::shared_ptr<actors::session_table> sessions;
  std::shared_ptr<actors::feed> feed;
  std::shared_ptr<backup_figures> backups;
};

/// Of any node.
void add_gauges(observe::metrics& m, const gauge_parts& parts);
/// Has the writer count what a commit takes. Before the writer begins.
void observe_commits(observe::metrics& m, actors::journal_figures& figures);
/// What is worked on here.
/// What a node brings up to date with configurations of fleets.
void observe_configurations(observe::metrics& m, std::shared_ptr<actors::sweeper_figures> figures);
void observe_operations(observe::metrics& m, std::shared_ptr<actors::runner_figures> figures);
/// Of one of a cluster with so many shards; `at` lives longer than anybody reads the page.
void add_cluster_gauges(observe::metrics& m, const cluster::member& at, std::size_t shards);

}  // namespace orrery::app
