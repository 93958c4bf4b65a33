// The backups that a node makes: on a thread of its own, one at a time, with what is told of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "actors/cluster_desk.hpp"
#include "cluster/backups.hpp"
#include "cluster/coordinator.hpp"
#include "config/settings.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "storage/blobs.hpp"
#include "storage/entity_store.hpp"

namespace orrery::app {

/// Of the metrics page.
struct backup_figures {
  std::atomic<bool> enabled{false}, running{false};
  std::atomic<std::int64_t> last_ms{0};  // when the newest whole one began, since 1970; 0: none
  std::atomic<std::uint64_t> bytes{0};   // of it
  std::atomic<std::int64_t> took_ms{0};  // as long as it took; 0: made before the start
  std::atomic<std::uint64_t> failures{0};
};

/// Thread-safe.
class backups {
 public:
  /// `files`: whose bytes the store names.
  backups(std::shared_ptr<storage::entity_store> store, std::shared_ptr<storage::blobs> files,
          const config::settings& settings, std::function<model::timestamp()> now);
  /// stop(), if it was not called.
  ~backups();
  backups(const backups&) = delete;
  backups& operator=(const backups&) = delete;

  const std::shared_ptr<backup_figures>& figures() const { return figures_; }

  /// Of a node that is alone. Fails: `conflict` "backup_running", "backup_off";
  /// `unavailable`.
  model::result<actors::desk_backup> begin(std::string actor);
  /// Of this node: those in its folder, and what failed since the start. Newest first.
  std::vector<actors::desk_backup> all() const;

  /// Of a node of a cluster: makes its part of what the picture asks for, and leaves at `at` what
  /// came of it; tries again while the coordinator does not answer.
  void see(const cluster::cluster_view& view, cluster::node_id self, std::uint64_t process,
           const std::shared_ptr<cluster::coordinator>& at);

  /// Ends what it is at, and waits for that.
  void stop();

 private:
  using report = std::function<model::status(const cluster::backup_part&)>;
  struct job {
    actors::desk_backup what;
    report tell;
  };
  void run();
  void look_into_folder();
  cluster::backup_part make(const actors::desk_backup& what);
  void keep(const actors::desk_backup& what, const cluster::backup_part& part);
  void tell(const report& to, const cluster::backup_part& part);
  actors::desk_backup begun(std::string id, model::timestamp at, std::string by) const;

  std::shared_ptr<storage::entity_store> store_;
  std::shared_ptr<storage::blobs> files_;
  config::settings settings_;
  std::function<model::timestamp()> now_;
  std::string folder_;  // "": off
  std::shared_ptr<backup_figures> figures_ = std::make_shared<backup_figures>();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<job> next_;
  std::string last_;  // id of the newest that was taken up or found
  std::vector<actors::desk_backup> known_;
  bool looked_ = false;  // into the folder
  bool busy_ = false;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace orrery::app
