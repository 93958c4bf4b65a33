#include "actors/journal.hpp"

#include <optional>
#include <utility>

#include <caf/all.hpp>

#include "actors/journal_group.hpp"
#include "actors/lone_writer.hpp"
#include "actors/replicated_writer.hpp"
#include "observe/log.hpp"

namespace orrery::actors {
namespace {

constexpr auto repair_interval = std::chrono::seconds{1};
using repair_atom = caf::atom_constant<caf::atom("repair")>;
using writer_actor = journal_actor::extend<caf::reacts_to<repair_atom>>;

/// The writer's own state: the group that is open, and whether the store takes anything.
class writer {
 public:
  explicit writer(journal_parts parts)
      : parts_{std::move(parts)},
        by_{parts_.replicas ? make_replicated_writer(parts_) : make_lone_writer(parts_)} {}

  /// Takes entries into the open group.
  void collect(entry_batch& batch) { group_.add(std::move(batch)); }
  bool full() const { return group_.bytes >= parts_.options.group_max_bytes; }
  /// True once until the next commit: it is to be ordered.
  bool wants_commit() { return !std::exchange(commit_ordered_, true); }
  bool broken() const { return broken_.has_value(); }

  /// Writes the open group and answers it.
  void commit() {
    commit_ordered_ = false;
    if (broken_)
      by_->turn_away(group_.take(), broken_->error());
    else
      look_at(by_->write(group_.take()));
  }

  /// After a failed write the database is opened again, and then all that was decided on top of
  /// the lost records is loaded anew. Until that works nothing is taken.
  void repair() {
    if (!broken_)
      return;
    if (const auto ok = parts_.store->reopen(); !ok) {
      if (ok.error().detail != broken_->error().detail)
        observe::log::error("journal", "store_not_reopened", {{"detail", ok.error().detail}});
      broken_ = ok;
      return;
    }
    broken_.reset();
    parts_.figures->broken = false;
    break_off_unless(by_->store_reopened());
  }

  void note_checkpoint(const checkpoint_note& note) {
    if (!broken_)
      look_at(by_->note_checkpoint(note));
  }
  void trim(model::shard_id shard) {
    if (!broken_)
      by_->trim(shard);
  }

 private:
  void look_at(const model::status& ok) {
    break_off_unless(ok);
    repair();
  }
  void break_off_unless(const model::status& ok) {
    if (ok)
      return;
    broken_ = ok;
    parts_.figures->broken = true;
  }

  const journal_parts parts_;
  std::unique_ptr<group_writer> by_;
  bool commit_ordered_ = false;
  entry_group group_;
  std::optional<model::status> broken_;  // why the store takes nothing
};

}  // namespace

std::size_t cost_of(const entry& e) {
  auto bytes = sizeof(entry) + (e.record ? e.record->events.size() : 0);
  for (const auto& r : e.rows)
    bytes += r.key.size() + r.value.size();
  return bytes;
}

void send_entries(const journal_actor& writer, journal_figures& figures, entry_batch batch) {
  auto bytes = std::size_t{0};
  for (const auto& e : batch.entries)
    bytes += cost_of(e);
  figures.queued_bytes.fetch_add(bytes, std::memory_order_relaxed);
  caf::anon_send(writer, std::move(batch));
}

journal_actor spawn_journal(caf::actor_system& system, journal_parts parts, bool detached) {
  const auto behavior = [](writer_actor::pointer self,
                           journal_parts given) -> writer_actor::behavior_type {
    auto state = std::make_shared<writer>(std::move(given));
    // Where a step finds that the store takes nothing, and it cannot be mended at once, it is tried
    // again after a while.
    const auto guarded = [self, state](auto step) {
      const auto was_broken = state->broken();
      step(*state);
      if (state->broken() && !was_broken)
        self->delayed_send(self, repair_interval, repair_atom::value);
    };
    const auto commit = [guarded] { guarded([](writer& w) { w.commit(); }); };
    // The flush note waits behind all that is in the mailbox by now: the group grows with the load
    // and nobody waits for a timer.
    const auto order_commit = [self, state] {
      if (state->wants_commit())
        self->send(self, flush_atom::value);
    };
    return {[state, commit, order_commit](entry_batch& batch) {
              state->collect(batch);
              order_commit();
              if (state->full())
                commit();
            },
            [commit](flush_atom) { commit(); },
            [guarded](const checkpoint_note& note) {
              guarded([&](writer& w) {
                w.commit();
                w.note_checkpoint(note);
              });
            },
            [state](const trim_order& order) { state->trim(order.shard); },
            [commit, order_commit](const writer_task& task) {
              if (task.behind_entries)
                commit();
              task.run();
              order_commit();
            },
            [self, state](repair_atom) {
              state->repair();
              if (state->broken())
                self->delayed_send(self, repair_interval, repair_atom::value);
            }};
  };
  return detached ? caf::actor_cast<journal_actor>(
                        system.spawn<caf::detached>(behavior, std::move(parts)))
                  : caf::actor_cast<journal_actor>(system.spawn(behavior, std::move(parts)));
}

}  // namespace orrery::actors
