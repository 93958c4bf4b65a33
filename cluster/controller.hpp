// Who decides placement: one node of the cluster at a time. It only proposes, by compare-and-swap
// on the version of what it has seen, so two that both believe to be it do no harm.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/coordinator.hpp"
#include "cluster/directory.hpp"
#include "cluster/placement.hpp"

namespace orrery::cluster {

struct controller_figures {
  bool leads = false;
  std::size_t moving = 0, stuck = 0;  // shards, as of the last plan; 0 where it does not lead
  std::uint64_t changes = 0;          // records that it has changed
};

/// The turns of it, one after the other, on whoever's thread.
class controller {
 public:
  using clock = std::function<std::chrono::milliseconds()>;  // does not go back

  /// `lease`: of the node's registration (registrar::lease), under which it takes the role, so the
  /// role goes with the registration and needs no renewals of its own.
  controller(std::shared_ptr<coordinator> at, std::shared_ptr<directory> from, std::string cluster,
             node_id self, std::function<lease_id()> lease, placement_options options, clock now);

  /// Takes the role if nobody has it, and if it is this node's makes the records what they are to
  /// be. May block as long as the coordinator does.
  void turn();

  /// Any thread.
  controller_figures figures() const;

 private:
  void take_role();
  void carry_out(const cluster_view& view, const placement_plan& p);

  std::shared_ptr<coordinator> at_;
  std::shared_ptr<directory> from_;
  std::string cluster_;
  cluster_keys keys_;
  node_id self_;
  std::function<lease_id()> lease_;
  placement_options options_;
  clock now_;
  attendance seen_;
  std::atomic<bool> leads_{false}, gone_{false};
  std::atomic<std::size_t> moving_{0}, stuck_{0};
  std::atomic<std::uint64_t> changes_{0};
};

/// Takes the turns of a controller on a thread of its own until it goes: every `interval` and when
/// it is woken.
class running_controller {
 public:
  explicit running_controller(std::shared_ptr<controller> by,
                              std::chrono::milliseconds interval = std::chrono::seconds{1});
  ~running_controller();
  running_controller(const running_controller&) = delete;
  running_controller& operator=(const running_controller&) = delete;

  /// The view has changed. Any thread, also the directory's.
  void wake();

 private:
  std::shared_ptr<controller> by_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool due_ = false, over_ = false;
  std::thread thread_;
};

}  // namespace orrery::cluster
