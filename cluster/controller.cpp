#include "cluster/controller.hpp"

#include <utility>

#include "cluster/membership.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {

namespace log = observe::log;

controller::controller(std::shared_ptr<coordinator> at, std::shared_ptr<directory> from,
                       std::string cluster, node_id self, std::function<lease_id()> lease,
                       placement_options options, clock now)
    : at_{std::move(at)},
      from_{std::move(from)},
      cluster_{std::move(cluster)},
      keys_{cluster_},
      self_{self},
      lease_{std::move(lease)},
      options_{options},
      now_{std::move(now)} {}

void controller::turn() {
  const auto view = from_->current();
  if (view->revision == 0)
    return;
  // Also where it does not lead: whoever is the next one should know who was here.
  seen_.take(*view, now_());
  // Records that are made anew name nodes that may lack what was acknowledged.
  const auto gone = !view->about;
  if (gone_.exchange(gone) != gone && gone)
    log::error("cluster.controller", "cluster_gone",
               {{"detail",
                 "the coordinator was emptied: bring back what it held and start the "
                 "nodes again"}});
  if (gone)
    return;
  const auto leads = view->controller == self_;
  if (leads_.exchange(leads) != leads)
    log::info("cluster.controller", leads ? "leads" : "leads_no_more", {{"node", self_}});
  if (!leads) {
    moving_ = stuck_ = 0;
    if (!view->controller)
      take_role();
    return;
  }
  const auto p = plan(*view, options_, seen_.missing(), now_());
  moving_ = p.moving;
  if (stuck_.exchange(p.stuck.size()) < p.stuck.size())
    log::error("cluster.controller", "shards_stuck",
               {{"shards", p.stuck.size()},
                {"first", p.stuck.front()},
                {"detail", "no node that has all of them is there: bring one back"}});
  carry_out(*view, p);
}

void controller::take_role() {
  const auto lease = lease_();
  if (lease == 0 || from_->current()->malformed.contains(keys_.controller()))
    return;
  const auto nobody = condition{keys_.controller(), 0};
  const auto me = change{keys_.controller(), encode_number(self_), lease};
  // Won or lost or not known: the directory tells.
  if (const auto done = at_->swap({&nobody, 1}, {&me, 1}); !done)
    log::debug("cluster.controller", "not_taken", {{"detail", done.error().detail}});
}

void controller::carry_out(const cluster_view& view, const placement_plan& p) {
  auto changed = std::size_t{0};
  for (const auto& c : p.changes) {
    if (view.malformed.contains(keys_.shard(c.shard)))
      continue;
    auto what = proposal{.wanted = c.wanted, .registered = {}, .gone = {}};
    if (c.wanted.version == 0 && c.wanted.primary)  // nobody else will have it
      what.registered.emplace_back(*c.wanted.primary, view.nodes.at(*c.wanted.primary).incarnation);
    const auto done = swap_record(*at_, cluster_, c.shard, what);
    if (!done) {
      log::warn("cluster.controller", "not_placed",
                {{"shard", c.shard}, {"detail", done.error().detail}});
      break;  // the next turn begins anew
    }
    changed += done->done ? 1 : 0;
    if (done->now.version != 0)
      from_->note(c.shard, done->now);
  }
  changes_ += changed;
  if (changed > 0)
    log::info("cluster.controller", "placed", {{"shards", changed}, {"moving", p.moving}});
}

controller_figures controller::figures() const {
  return {leads_, moving_, stuck_, changes_};
}

running_controller::running_controller(std::shared_ptr<controller> by,
                                       std::chrono::milliseconds interval)
    : by_{std::move(by)}, thread_{[this, interval] {
        auto hold = std::unique_lock{mutex_};
        while (!over_) {
          due_ = false;
          hold.unlock();
          by_->turn();
          hold.lock();
          wake_.wait_for(hold, interval, [this] { return due_ || over_; });
        }
      }} {}

running_controller::~running_controller() {
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void running_controller::wake() {
  {
    const auto hold = std::lock_guard{mutex_};
    due_ = true;
  }
  wake_.notify_all();
}

}  // namespace orrery::cluster
