#include "app/gauges.hpp"

#include <algorithm>

#include "cluster/controller.hpp"
#include "observe/log.hpp"
#include "observe/process.hpp"

namespace orrery::app {
namespace {

using observe::labels;
using number = std::atomic<std::uint64_t>;

double of(const number& n) {
  return static_cast<double>(n.load(std::memory_order_relaxed));
}

void add_membership(observe::metrics& m, const cluster::member& at, std::size_t shards) {
  m.gauge("orrery_cluster_registered", "1: this node is registered at the coordinator",
          [&at] { return at.is_registered() ? 1.0 : 0.0; });
  m.gauge("orrery_cluster_nodes", "Nodes that are registered, as this one sees it",
          [&at] { return static_cast<double>(at.view()->nodes.size()); });
  m.gauge("orrery_cluster_shards_without_primary",
          "Shards that nobody serves, as this node sees it", [&at, shards] {
            const auto view = at.view();
            const auto led =
                std::count_if(view->shards.begin(), view->shards.end(), [&](const auto& s) {
                  return s.second.primary && view->nodes.contains(*s.second.primary);
                });
            return static_cast<double>(static_cast<std::ptrdiff_t>(shards) - led);
          });
  m.gauge("orrery_cluster_controller", "1: this node decides placement",
          [&at] { return at.controls().leads ? 1.0 : 0.0; });
  m.gauge("orrery_cluster_controller_moving", "Shards being copied, on the controller",
          [&at] { return static_cast<double>(at.controls().moving); });
  m.gauge("orrery_cluster_controller_stuck",
          "Shards whose nodes are all missing, on the controller",
          [&at] { return static_cast<double>(at.controls().stuck); });
  m.count("orrery_cluster_controller_changes_total", "Records that the controller has changed",
          [&at] { return static_cast<double>(at.controls().changes); });
}

void add_links(observe::metrics& m, const cluster::member& at) {
  const auto figure = [&at](auto member) {
    return [&at, member] { return static_cast<double>(at.links().*member); };
  };
  using cluster::link_figures;
  m.gauge("orrery_cluster_links_up", "Links to other nodes", figure(&link_figures::links_up));
  m.gauge("orrery_cluster_link_queued_bytes", "Waiting to be sent to other nodes",
          figure(&link_figures::queued_bytes));
  const auto both = [&](const char* name, const char* help, auto sent, auto received) {
    m.count(name, help, figure(sent), labels{{"direction", "sent"}});
    m.count(name, help, figure(received), labels{{"direction", "received"}});
  };
  both("orrery_cluster_link_messages_total", "Messages over links", &link_figures::messages_sent,
       &link_figures::messages_received);
  both("orrery_cluster_link_bytes_total", "Bytes of messages over links", &link_figures::bytes_sent,
       &link_figures::bytes_received);
  m.count("orrery_cluster_link_dials_total", "Connections begun to other nodes",
          figure(&link_figures::dials));
  m.count("orrery_cluster_link_refused_total", "Connections of others that became no link",
          figure(&link_figures::refused));
}

void add_replicas(observe::metrics& m, const cluster::member& at) {
  const auto& r = at.replica_figures();
  const auto gauge = [&](const char* name, const char* help, const number& n) {
    m.gauge(name, help, [&n] { return of(n); });
  };
  const auto count = [&](const char* name, const char* help, const number& n,
                         const labels& with = {}) {
    m.count(
        name, help, [&n] { return of(n); }, with);
  };
  gauge("orrery_cluster_primaries", "Shards that this node serves", r.primaries);
  gauge("orrery_cluster_in_sync", "Shards that this node has all of", r.in_sync);
  gauge("orrery_cluster_learning", "Shards that are being brought up to date here", r.learning);
  gauge("orrery_cluster_lacking", "Shards served here with a replica not in sync", r.lacking);
  count("orrery_cluster_elections_total", "Shards taken over here", r.elections);
  count("orrery_cluster_moves_total", "Shards given to another primary", r.moves);
  count("orrery_cluster_given_up_total", "Replicas put out of sync by their primary here",
        r.given_up);
  count("orrery_cluster_taken_in_total", "Replicas taken in sync by their primary here",
        r.taken_in);
  count("orrery_cluster_copies_total", "Whole shards copied", r.copies_sent,
        {{"direction", "sent"}});
  count("orrery_cluster_copies_total", "Whole shards copied", r.copies_received,
        {{"direction", "received"}});
  count("orrery_cluster_entries_shipped_total", "Journal entries sent to replicas",
        r.entries_shipped);
  count("orrery_cluster_shipped_bytes_total", "Bytes of them", r.bytes_shipped);
}

void add_questions(observe::metrics& m, const std::shared_ptr<cluster::router>& router) {
  const auto count = [&](const char* outcome, const number cluster::router_figures::*of_it) {
    m.count("orrery_cluster_questions_total", "Questions between nodes",
            [router, of_it] { return of(router->figures().*of_it); }, {{"outcome", outcome}});
  };
  count("sent", &cluster::router_figures::sent);
  count("served", &cluster::router_figures::served);
  count("again", &cluster::router_figures::again);
  count("expired", &cluster::router_figures::expired);
  m.gauge("orrery_cluster_questions_waiting", "Questions whose shard nobody serves",
          [router] { return of(router->figures().waiting); });
  m.gauge("orrery_cluster_questions_open", "Questions that another node has not answered yet",
          [router] { return of(router->figures().open); });
}

void add_backups(observe::metrics& m, const std::shared_ptr<backup_figures>& f) {
  constexpr auto ms = 0.001;
  m.gauge("orrery_backup_enabled", "1: backup.directory is set",
          [f] { return f->enabled ? 1.0 : 0.0; });
  m.gauge("orrery_backup_running", "1: a backup is being made",
          [f] { return f->running ? 1.0 : 0.0; });
  m.gauge("orrery_backup_last_success_time_seconds",
          "When the newest whole backup began, seconds since 1970; 0: there is none",
          [f] { return static_cast<double>(f->last_ms) * ms; });
  m.gauge("orrery_backup_last_bytes", "Bytes of it", [f] { return of(f->bytes); });
  m.gauge("orrery_backup_last_duration_seconds",
          "As long as it took; 0: it was made before the start",
          [f] { return static_cast<double>(f->took_ms) * ms; });
  m.count("orrery_backup_failures_total", "Backups that failed", [f] { return of(f->failures); });
}

}  // namespace

void add_gauges(observe::metrics& m, const gauge_parts& parts) {
  m.gauge("orrery_build_info", "Version of the program", [] { return 1.0; },
          {{"version", ORRERY_VERSION}});
  m.gauge("orrery_journal_queued_bytes", "Waiting for the journal",
          [f = parts.figures] { return static_cast<double>(f->queued_bytes.load()); });
  m.count("orrery_journal_failed_groups_total", "Commits that failed",
          [f = parts.figures] { return static_cast<double>(f->failed_groups.load()); });
  m.gauge("orrery_journal_tail_bytes", "Records behind the checkpoint", [all = parts.shards] {
    auto bytes = std::uint64_t{0};
    for (const auto& [shard, status] : *all)
      bytes += status->tail_bytes.load(std::memory_order_relaxed);
    return static_cast<double>(bytes);
  });
  m.gauge("orrery_entities_awake", "Entities in memory",
          [a = parts.awake] { return static_cast<double>(a->load()); });
  m.gauge("orrery_sessions", "Sessions",
          [s = parts.sessions] { return static_cast<double>(s->size()); });
  m.gauge("orrery_feed_subscribers", "Live subscriptions",
          [f = parts.feed] { return static_cast<double>(f->subscribers()); });
  m.count("orrery_feed_dropped_total", "Items dropped for slow subscribers",
          [f = parts.feed] { return static_cast<double>(f->dropped()); });
  m.count("orrery_log_dropped_total", "Log entries dropped",
          [] { return static_cast<double>(observe::log::dropped()); });
  add_backups(m, parts.backups);
  observe::add_process_metrics(m);
  m.gauges("orrery_rocksdb_", [s = parts.store] { return s->figures(); });
}

void add_cluster_gauges(observe::metrics& m, const cluster::member& at, std::size_t shards) {
  add_membership(m, at, shards);
  add_links(m, at);
  add_replicas(m, at);
  add_questions(m, at.router());
}

void observe_commits(observe::metrics& m, actors::journal_figures& figures) {
  auto& sizes = m.distribution("orrery_journal_group_records", "Records of one commit",
                               {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000});
  auto& times =
      m.distribution("orrery_journal_commit_seconds", "Time of one commit",
                     {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1});
  figures.observe = [&sizes, &times](std::size_t records, double seconds) {
    sizes.observe(static_cast<double>(records));
    times.observe(seconds);
  };
}

void observe_operations(observe::metrics& m, std::shared_ptr<actors::runner_figures> figures) {
  const auto f = std::move(figures);
  m.gauge("orrery_operations_running", "Operations that are worked on here",
          [f] { return of(f->running); });
  m.gauge("orrery_operations_waiting", "Operations that wait for a worker of this node",
          [f] { return of(f->waiting); });
  const auto rows = [&](const char* outcome, const number actors::runner_figures::*n) {
    m.count("orrery_operations_rows_total", "Rows of operations that were done here",
            [f, n] { return of((*f).*n); }, {{"outcome", outcome}});
  };
  rows("ok", &actors::runner_figures::ok);
  rows("failed", &actors::runner_figures::failed);
  rows("skipped", &actors::runner_figures::skipped);
  m.count("orrery_operations_steps_again_total",
          "Steps that could not be done and were tried again", [f] { return of(f->steps_again); });
}

void observe_configurations(observe::metrics& m, std::shared_ptr<actors::sweeper_figures> figures) {
  const auto f = std::move(figures);
  m.gauge("orrery_configurations_shards_waiting",
          "Shards of organisations that are to be compared with their configurations here",
          [f] { return of(f->waiting); });
  m.count("orrery_configurations_sweeps_total", "Shards that were compared here",
          [f] { return of(f->sweeps); });
  const auto devices = [&](const char* outcome, const number actors::sweeper_figures::*n) {
    m.count("orrery_configurations_devices_total", "Devices that were looked at for it",
            [f, n] { return of((*f).*n); }, {{"outcome", outcome}});
  };
  devices("looked_at", &actors::sweeper_figures::looked_at);
  devices("changed", &actors::sweeper_figures::changed);
  devices("failed", &actors::sweeper_figures::failed);
}

}  // namespace orrery::app
