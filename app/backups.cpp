#include "app/backups.hpp"

#include <algorithm>
#include <utility>

#include "observe/log.hpp"
#include "storage/backup.hpp"

namespace orrery::app {
namespace {

namespace log = observe::log;
using actors::desk_backup;
using actors::desk_backup_part_state;
using model::errc;
using model::failure;

constexpr auto report_pause = std::chrono::seconds{1};

std::string folder_of(const config::settings& s) {
  return s.backup.directory.empty() ? std::string{} : s.backup.directory + "/" + s.node.name;
}

/// Reasons that the store's failures may have none of.
std::string reason_of(const failure& why) {
  return std::string{why.reason.empty() ? model::name_of(why.code) : why.reason};
}

void settle(actors::desk_backup_part& shown, const cluster::backup_part& part) {
  shown.finished = part.at;
  shown.took = part.took;
  shown.reason = part.reason;
  shown.detail = part.detail;
  shown.state =
      part.reason.empty() ? desk_backup_part_state::complete : desk_backup_part_state::failed;
  if (part.reason.empty())
    shown.bytes = part.bytes;
}

}  // namespace

backups::backups(std::shared_ptr<storage::entity_store> store,
                 std::shared_ptr<storage::blobs> files, const config::settings& settings,
                 std::function<model::timestamp()> now)
    : store_{std::move(store)},
      files_{std::move(files)},
      settings_{settings},
      now_{std::move(now)},
      folder_{folder_of(settings)} {
  figures_->enabled = !folder_.empty();
  thread_ = std::thread{[this] { run(); }};
}

backups::~backups() {
  stop();
}

void backups::stop() {
  {
    const auto hold = std::lock_guard{mutex_};
    over_ = true;
    next_.reset();
  }
  wake_.notify_all();
  if (!thread_.joinable())
    return;
  store_->stop_backup();
  thread_.join();
}

desk_backup backups::begun(std::string id, model::timestamp at, std::string by) const {
  auto part = actors::desk_backup_part{};
  part.node = settings_.node.name;
  return {std::move(id), at, std::move(by), {std::move(part)}};
}

model::result<desk_backup> backups::begin(std::string actor) {
  if (folder_.empty())
    return failure{errc::conflict, "backup_off",
                   "no backups are made: backup.directory is not set"};
  const auto hold = std::lock_guard{mutex_};
  if (over_)
    return failure{errc::unavailable, "the node stops"};
  if (!looked_)
    return failure{errc::unavailable, "the folder of backups is still being read: try again"};
  if (busy_ || next_)
    return failure{errc::conflict, "backup_running", "a backup is under way: wait for its end"};
  const auto at = now_();
  auto what = begun(cluster::backup_id(at, last_), at, std::move(actor));
  last_ = what.id;
  known_.insert(known_.begin(), what);
  next_ = job{what, [](const auto&) { return model::status{}; }};
  log::info("backup", "ordered", {{"id", what.id}, {"actor", what.by}});
  wake_.notify_all();
  return what;
}

std::vector<desk_backup> backups::all() const {
  const auto hold = std::lock_guard{mutex_};
  return known_;
}

void backups::see(const cluster::cluster_view& view, cluster::node_id self, std::uint64_t process,
                  const std::shared_ptr<cluster::coordinator>& at) {
  auto wanted = cluster::backup_to_make(view, self, process);
  if (!wanted)
    return;
  const auto hold = std::lock_guard{mutex_};
  if (over_ || wanted->id <= last_)
    return;
  last_ = wanted->id;
  next_ = job{begun(wanted->id, wanted->order.at, wanted->order.by),
              [at, self, id = wanted->id, cluster = settings_.cluster.name](const auto& part) {
                return cluster::report_backup(*at, cluster, id, self, part);
              }};
  wake_.notify_all();
}

void backups::run() {
  look_into_folder();
  auto hold = std::unique_lock{mutex_};
  looked_ = true;
  for (;;) {
    busy_ = false;
    wake_.wait(hold, [this] { return over_ || next_; });
    if (over_)
      return;
    const auto now = std::move(*next_);
    next_.reset();
    busy_ = true;
    hold.unlock();
    const auto part = make(now.what);
    keep(now.what, part);
    tell(now.tell, part);
    hold.lock();
  }
}

void backups::look_into_folder() {
  if (folder_.empty())
    return;
  const auto found = storage::list_backups(folder_);
  if (!found) {
    if (found.error().reason != "backup_unknown")
      log::warn("backup", "not_listed", {{"detail", found.error().detail}});
    return;
  }
  for (const auto number : found->damaged)
    log::warn("backup", "damaged", {{"folder", folder_}, {"number", number}});
  if (found->whole.empty())
    return;
  const auto& newest = found->whole.back();
  figures_->last_ms = model::to_ms(newest.note.at);
  figures_->bytes = newest.bytes;
  const auto hold = std::lock_guard{mutex_};
  for (const auto& one : found->whole) {
    auto b = begun(one.note.id, one.note.at, one.note.by);
    b.nodes[0].state = desk_backup_part_state::complete;
    b.nodes[0].bytes = one.bytes;
    known_.insert(known_.begin(), std::move(b));
    // In a cluster the coordinator knows what was taken up already.
    if (settings_.cluster.coordinator != "etcd")
      last_ = std::max(last_, one.note.id);
  }
}

cluster::backup_part backups::make(const desk_backup& what) {
  const auto began = std::chrono::steady_clock::now();
  figures_->running = true;
  auto made = folder_.empty()
                  ? failure{errc::conflict, "backup_off",
                            "backup.directory is not set on " + settings_.node.name}
                  : store_->back_up({.folder = folder_,
                                     .bytes_per_second = settings_.backup.bytes_per_second,
                                     .note = {.id = what.id,
                                              .at = what.at,
                                              .by = what.by,
                                              .node = settings_.node.name,
                                              .cluster = settings_.cluster.name,
                                              .release = ORRERY_VERSION},
                                     .files = files_});
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  figures_->running = false;
  auto part = cluster::backup_part{now_(), took, 0, {}, {}};
  if (!made) {
    ++figures_->failures;
    part.reason = reason_of(made.error());
    part.detail = made.error().detail;
    log::error("backup", "failed",
               {{"id", what.id}, {"reason", part.reason}, {"detail", part.detail}});
    return part;
  }
  part.bytes = made->bytes;
  figures_->last_ms = model::to_ms(what.at);
  figures_->bytes = made->bytes;
  figures_->took_ms = took.count();
  log::info("backup", "made",
            {{"id", what.id},
             {"folder", folder_},
             {"bytes", made->bytes},
             {"files", made->files},
             {"ms", took.count()}});
  if (const auto ok =
          storage::keep_backups(folder_, static_cast<std::uint32_t>(settings_.backup.keep));
      !ok)
    log::warn("backup", "old_ones_not_dropped", {{"detail", ok.error().detail}});
  return part;
}

void backups::keep(const desk_backup& what, const cluster::backup_part& part) {
  const auto hold = std::lock_guard{mutex_};
  for (auto& one : known_)
    if (one.id == what.id)
      settle(one.nodes[0], part);
  if (known_.size() > settings_.backup.keep)
    known_.resize(settings_.backup.keep);
}

void backups::tell(const report& to, const cluster::backup_part& part) {
  for (;;) {
    const auto ok = to(part);
    if (ok)
      return;
    log::warn("backup", "not_reported", {{"detail", ok.error().detail}});
    auto hold = std::unique_lock{mutex_};
    if (wake_.wait_for(hold, report_pause, [this] { return over_; }))
      return;
  }
}

}  // namespace orrery::app
