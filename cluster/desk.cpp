#include "cluster/desk.hpp"

#include <algorithm>
#include <utility>

#include "cluster/backups.hpp"
#include "cluster/orders.hpp"
#include "cluster/overview.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t most_jobs = 64;  // waiting; the coordinator is slow then, or gone

failure backups_are_off() {
  return {errc::conflict, "backup_off",
          "no backups are made: backup.directory is not set on this node"};
}

const char* word_of(actors::desk_order::kind what) {
  switch (what) {
    case actors::desk_order::kind::drain:
      return "drain";
    case actors::desk_order::kind::undrain:
      return "undrain";
    case actors::desk_order::kind::remove:
      return "remove";
    case actors::desk_order::kind::replace:
      return "replace";
  }
  return "";
}

}  // namespace

desk::desk(desk_parts parts) : parts_{std::move(parts)}, thread_{[this] { run(); }} {}

desk::~desk() {
  stop();
}

void desk::stop() {
  auto left = std::deque<job>{};
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
    left.swap(jobs_);
  }
  wake_.notify_all();
  for (const auto& one : left)
    one.refuse({errc::unavailable, "the node stops"});
  if (thread_.joinable())
    thread_.join();
}

void desk::run() {
  auto hold = std::unique_lock{mutex_};
  for (;;) {
    wake_.wait(hold, [this] { return over_ || !jobs_.empty(); });
    if (over_)
      return;
    {
      const auto next = std::move(jobs_.front());
      jobs_.pop_front();
      hold.unlock();
      next.run();
    }
    hold.lock();
  }
}

template <class T>
void desk::take(std::function<model::result<T>()> work, then<T> done) {
  auto why = std::optional<failure>{};
  {
    const auto hold = std::lock_guard{mutex_};
    if (over_)
      why = failure{errc::unavailable, "the node stops"};
    else if (jobs_.size() >= most_jobs)
      why = failure{errc::too_many_requests, "rate_limited",
                    "too many questions about the cluster wait for its coordinator"};
    else
      jobs_.push_back({[work = std::move(work), done] { done(work()); },
                       [done](failure f) { done(std::move(f)); }});
  }
  if (why)
    return done(std::move(*why));
  wake_.notify_all();
}

model::result<cluster_view> desk::ask() const {
  const auto keys = cluster_keys{parts_.cluster};
  const auto all = parts_.at->list(keys.root());
  if (!all)
    return all.error();
  return view_of(keys, *all, {});
}

std::shared_ptr<const cluster_view> desk::look(std::optional<std::string>& trouble) const {
  auto now = ask();
  if (now)
    return std::make_shared<const cluster_view>(std::move(*now));
  trouble = now.error().detail;
  return parts_.seen();
}

void desk::status(then<actors::desk_status> done) {
  take<actors::desk_status>(
      [this]() -> model::result<actors::desk_status> {
        auto s = actors::desk_status{};
        const auto view = look(s.trouble);
        s.name = parts_.cluster;
        s.coordinator = "etcd";
        s.node = parts_.node;
        if (view->controller)
          s.controller = name_of(*view, *view->controller);
        s.copies = parts_.placement.replication_factor;
        s.nodes = nodes_of(*view);
        s.shards = count(shards_of(*view, parts_.placement));
        return s;
      },
      std::move(done));
}

void desk::shards(then<std::vector<actors::desk_shard>> done) {
  take<std::vector<actors::desk_shard>>(
      [this]() -> model::result<std::vector<actors::desk_shard>> {
        auto trouble = std::optional<std::string>{};
        return shards_of(*look(trouble), parts_.placement);
      },
      std::move(done));
}

void desk::moves(then<std::vector<actors::desk_move>> done) {
  take<std::vector<actors::desk_move>>(
      [this]() -> model::result<std::vector<actors::desk_move>> {
        const auto view = ask();
        if (!view)
          return view.error();
        return moves_of(*view, parts_.placement);
      },
      std::move(done));
}

void desk::give(actors::desk_order order, then<actors::desk_node> done) {
  take<actors::desk_node>(
      [this, order = std::move(order)]() -> model::result<actors::desk_node> {
        const auto view = give_order(*parts_.at, parts_.cluster, order, parts_.min_in_sync);
        if (!view)
          return view.error();
        observe::log::info("cluster", "ordered",
                           {{"order", word_of(order.what)},
                            {"node", order.node},
                            {"by", order.by},
                            {"actor", order.actor}});
        for (auto& node : nodes_of(*view))
          if (node.name == order.node)
            return std::move(node);
        return failure{errc::internal, order.node + " is not among the nodes"};
      },
      std::move(done));
}

void desk::back_up(std::string actor, then<actors::desk_backup> done) {
  take<actors::desk_backup>(
      [this, actor = std::move(actor)]() -> model::result<actors::desk_backup> {
        if (!parts_.makes_backups)
          return backups_are_off();
        auto begun =
            order_backup(*parts_.at, parts_.cluster, actor, parts_.now(), parts_.keep_backups);
        if (begun)
          observe::log::info("backup", "ordered", {{"id", begun->id}, {"actor", actor}});
        return begun;
      },
      std::move(done));
}

void desk::backups(then<std::vector<actors::desk_backup>> done) {
  take<std::vector<actors::desk_backup>>(
      [this]() -> model::result<std::vector<actors::desk_backup>> {
        auto trouble = std::optional<std::string>{};
        return backups_of(*look(trouble));
      },
      std::move(done));
}

// ---- alone --------------------------------------------------------------------------------------

void lone_desk::listens(std::map<std::string, std::string> addresses) {
  const auto hold = std::lock_guard{mutex_};
  addresses_ = std::move(addresses);
}

void lone_desk::status(then<actors::desk_status> done) {
  auto me = actors::desk_node{};
  me.name = what_.name;
  me.state = actors::desk_node_state::up;
  me.present = true;
  me.version = ORRERY_VERSION;
  me.zone = what_.zone;
  me.weight = what_.weight;
  me.started = what_.started;
  me.primaries = me.in_sync = what_.shard_count + 1u;
  {
    const auto hold = std::lock_guard{mutex_};
    me.addresses = addresses_;
  }
  auto s = actors::desk_status{};
  s.name = what_.cluster;
  s.coordinator = "embedded";
  s.node = what_.name;
  s.controller = what_.name;
  s.shards = count({});
  s.shards[actors::desk_shard_state::whole] = me.primaries;
  s.nodes = {std::move(me)};
  done(std::move(s));
}

void lone_desk::shards(then<std::vector<actors::desk_shard>> done) {
  auto all = std::vector<actors::desk_shard>(what_.shard_count + 1u);
  for (auto& one : all) {
    one.number = static_cast<model::shard_id>(&one - all.data());
    one.state = actors::desk_shard_state::whole;
    one.epoch = 1;
    one.primary = one.preferred = what_.name;
    one.in_sync = one.replicas = {what_.name};
  }
  all.back().number = model::catalogue_shard;
  done(std::move(all));
}

void lone_desk::moves(then<std::vector<actors::desk_move>> done) {
  done(std::vector<actors::desk_move>{});
}

void lone_desk::give(actors::desk_order order, then<actors::desk_node> done) {
  if (order.node != what_.name)
    return done(failure{errc::not_found, "node_unknown",
                        "the only node is " + what_.name + ", and it is alone"});
  done(failure{errc::conflict, "not_clustered",
               what_.name + " is alone: no other node could take its shards. A cluster needs "
                            "cluster.coordinator: etcd"});
}

void lone_desk::back_up(std::string actor, then<actors::desk_backup> done) {
  done(backups_.begin ? backups_.begin(std::move(actor)) : backups_are_off());
}

void lone_desk::backups(then<std::vector<actors::desk_backup>> done) {
  done(backups_.all ? backups_.all() : std::vector<actors::desk_backup>{});
}

}  // namespace orrery::cluster
