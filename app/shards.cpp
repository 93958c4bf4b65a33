#include "app/shards.hpp"

#include <algorithm>
#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include <caf/all.hpp>

#include "app/data_folder.hpp"
#include "cluster/shard_host.hpp"

namespace orrery::app {
namespace {

/// Waits until a number of shards have said how their opening went.
class openings {
 public:
  explicit openings(std::size_t count) : left_{count} {}

  void note(const model::status& ok) {
    if (!ok) {
      const auto hold = std::lock_guard{mutex_};
      failed_ = ok.error();
    }
    if (left_.fetch_sub(1) == 1)
      all_.set_value();
  }
  void wait() { all_.get_future().wait(); }
  std::optional<model::failure> failed() {
    const auto hold = std::lock_guard{mutex_};
    return failed_;
  }

 private:
  std::atomic<std::size_t> left_;
  std::promise<void> all_;
  std::mutex mutex_;
  std::optional<model::failure> failed_;
};

cluster::host_parts host_of(model::shard_id shard, const config::settings& s,
                            const shards_parts& parts) {
  const auto count = parts.shards->size();
  auto made = cluster::host_parts{};
  made.shard = shard;
  made.context = parts.context;
  made.context.shard = parts.shards->at(shard);
  made.context.pass_on = [r = parts.router](actors::ask_batch batch) {
    r->route(std::move(batch));
  };
  made.options = {
      .idle_timeout = s.entities.idle_timeout,
      .checkpoint_bytes = std::max<std::size_t>(s.storage.checkpoint_bytes / count, 64 * 1024),
      .checkpoint_interval = s.storage.checkpoint_interval,
      .tick = std::chrono::seconds{1},
      .max_awake = s.entities.max_awake};
  made.session_lost = [m = parts.member, own = parts.incarnation](std::uint64_t process) {
    return m ? m->is_process_gone(process) : process != own;
  };
  made.awake = parts.awake;
  made.in_cluster = parts.member != nullptr;
  made.elsewhere = [r = parts.router](actors::ask_batch batch) { r->wait(std::move(batch)); };
  made.on_left = [m = parts.member, journal = parts.context.journal](model::shard_id left) {
    caf::anon_send(journal,
                   actors::writer_task{.run = [r = m->replicas(), left] { r->host_left(left); },
                                       .behind_entries = true});
  };
  return made;
}

}  // namespace

void open_shards(caf::actor_system& system, const config::settings& s, const shards_parts& parts,
                 node_effects& effects) {
  const auto opened = std::make_shared<openings>(parts.shards->size());
  for (const auto& [shard, status] : *parts.shards) {
    auto made = host_of(shard, s, parts);
    made.on_open = [opened](const model::status& ok) { opened->note(ok); };
    auto host = cluster::spawn_shard_host(system, std::move(made));
    parts.router->place(shard, host);
    effects.hosts.emplace(shard, std::move(host));
  }
  if (!parts.member)
    opened->wait();
  if (const auto why = opened->failed())
    give_up(*why);
}

}  // namespace orrery::app
