#include "actors/journal.hpp"

#include <algorithm>
#include <set>

#include <caf/all.hpp>

#include "observe/log.hpp"

namespace orrery::actors {
namespace {

constexpr std::uint64_t first_epoch = 1;
constexpr auto repair_interval = std::chrono::seconds{1};
using repair_atom = caf::atom_constant<caf::atom("repair")>;
using writer_actor = journal_actor::extend<caf::reacts_to<repair_atom>>;

/// What the writer knows of a shard beside the shared figures.
struct shard_position {
  std::uint64_t next_offset = 1;
  std::uint64_t checkpoint = 0;
  std::uint64_t epoch = first_epoch;
  bool known = false;
};

/// The writer's own state. A struct of plain steps: collect, write, settle.
class writer {
 public:
  explicit writer(journal_parts parts) : parts_{std::move(parts)} {}

  /// Takes entries into the open group. True if the group was empty before.
  bool collect(entry_batch& batch) {
    const auto was_empty = group_.empty();
    for (const auto& e : batch.entries)
      group_bytes_ += cost_of(e);
    group_records_ += batch.entries.size();
    group_.push_back(std::move(batch));
    return was_empty;
  }
  bool full() const { return group_bytes_ >= parts_.options.group_max_bytes; }
  bool empty() const { return group_.empty(); }

  /// Writes the open group and answers it.
  void commit() {
    if (group_.empty())
      return;
    auto group = std::exchange(group_, {});
    const auto bytes = std::exchange(group_bytes_, 0);
    const auto entries = std::exchange(group_records_, 0);
    group_.reserve(group.size());
    frames_used_ = 0;
    refuse_lost(group);
    const auto ok = broken_ ? *broken_ : write(group);
    if (ok) {
      settle(group);
    } else {
      parts_.figures->failed_groups.fetch_add(1, std::memory_order_relaxed);
      lose(group, ok.error());
      if (!broken_) {
        observe::log::error("journal", "write_failed",
                            {{"detail", ok.error().detail}, {"records", entries}});
        broken_ = ok;
        repair();
      }
    }
    parts_.figures->queued_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  }
  bool broken() const { return broken_.has_value(); }

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
    positions_.clear();
    broken_.reset();
    observe::log::warn("journal", "store_reopened", {{"shards_reloaded", lost_.size()}});
    for (const auto shard : std::exchange(lost_, {}))
      parts_.on_write_lost({shard, parts_.shards->at(shard)->generation.load()});
  }

  void note_checkpoint(const checkpoint_note& note) {
    auto* position = position_of(note.shard);
    const auto& status = parts_.shards->at(note.shard);
    if (!position || broken_ || note.generation != status->generation.load() ||
        note.offset <= position->checkpoint)
      return;
    const auto ok = parts_.store->put_meta(note.shard, {.epoch = position->epoch,
                                                        .next_offset = position->next_offset,
                                                        .checkpoint_offset = note.offset});
    if (ok)
      position->checkpoint = note.offset;  // only now may the journal be trimmed up to it
    else
      observe::log::warn("journal", "checkpoint_not_noted",
                         {{"shard", note.shard}, {"detail", ok.error().detail}});
  }

  void trim(model::shard_id shard) {
    const auto* position = position_of(shard);
    if (!position || broken_)
      return;
    const auto ok = parts_.store->trim_journal(shard, position->checkpoint,
                                               parts_.options.now() - parts_.options.retention);
    if (!ok)
      observe::log::warn("journal", "trim_failed",
                         {{"shard", shard}, {"detail", ok.error().detail}});
  }

 private:
  using group_of = std::vector<entry_batch>;  // as they came: entries are large, and stay in place
  template <class Visit>
  static void each(group_of& group, Visit visit) {
    for (auto& batch : group)
      for (auto& e : batch.entries)
        visit(e);
  }

  shard_position* position_of(model::shard_id shard) {
    auto& position = positions_[shard];
    if (!position.known) {
      const auto meta = parts_.store->meta(shard);
      if (!meta)
        return nullptr;
      position = {.next_offset = meta->next_offset,
                  .checkpoint = meta->checkpoint_offset,
                  .epoch = std::max(meta->epoch, first_epoch),
                  .known = true};
    }
    return &position;
  }

  /// Entries decided on top of a write whose fate is unknown are answered `unavailable`.
  void refuse_lost(group_of& group) {
    each(group, [&](entry& e) {
      const auto status = parts_.shards->find(e.shard);
      if (status == parts_.shards->end() || e.generation != status->second->generation.load()) {
        e.reply = model::failure{model::errc::unavailable, "write_lost",
                                 "an earlier write failed; ask again"};
        drop_effects(e);
      }
    });
  }

  static void drop_effects(entry& e) {
    e.record.reset();
    e.rows.clear();
    e.effects.clear();
    e.feed.what.reset();
    e.catalogue.reset();
  }

  model::status write(group_of& group) {
    auto& used = frames_used_;
    auto records = std::size_t{0};
    frame_of_.clear();
    auto unreadable = false;
    each(group, [&](entry& e) {
      if (!e.record && e.rows.empty())
        return;
      auto* position = position_of(e.shard);
      if (!position) {
        unreadable = true;
        return;
      }
      const auto [place, is_new] = frame_of_.try_emplace(e.shard, used);
      if (is_new) {
        if (frames_.size() == used)
          frames_.emplace_back();
        auto& fresh = frames_[used++];
        fresh.shard = e.shard;
        fresh.epoch = position->epoch;
        fresh.first_offset = position->next_offset;
        fresh.records.clear();
        fresh.rows.clear();
      }
      auto& frame = frames_[place->second];
      if (e.record) {
        e.feed.offset = frame.first_offset + frame.records.size();
        frame.records.push_back(std::move(*e.record));
        e.record.reset();
        ++records;
      } else {
        e.feed.offset = frame.first_offset + frame.records.size() - 1;
      }
      std::move(e.rows.begin(), e.rows.end(), std::back_inserter(frame.rows));
      e.rows.clear();
    });
    if (unreadable)
      return model::failure{model::errc::unavailable, "storage_failed",
                            "the position of a shard cannot be read"};
    if (used == 0)
      return {};
    const auto begin = std::chrono::steady_clock::now();
    if (auto ok = parts_.store->append(std::span{frames_}.first(used), parts_.options.sync); !ok)
      return ok;
    const auto took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (const auto& frame : std::span{frames_}.first(used)) {
      auto& position = positions_[frame.shard];
      position.next_offset += frame.records.size();
      auto& status = *parts_.shards->at(frame.shard);
      status.committed.store(position.next_offset - 1, std::memory_order_release);
      auto tail = std::uint64_t{0};
      for (const auto& r : frame.records)
        tail += r.events.size() + 48;
      status.tail_bytes.fetch_add(tail, std::memory_order_relaxed);
    }
    parts_.figures->groups.fetch_add(1, std::memory_order_relaxed);
    parts_.figures->records.fetch_add(records, std::memory_order_relaxed);
    parts_.figures->observe(records, took);
    return {};
  }

  void settle(group_of& group) {
    auto feed = std::vector<published>{};
    each(group, [&](entry& e) {
      if (e.catalogue)
        parts_.effects->change_catalogue(*e.catalogue);
      for (const auto& effect : e.effects)
        parts_.effects->run(effect, e.entity);
      if (e.feed.what)
        feed.push_back(std::move(e.feed));
      if (e.reply) {
        e.reply->shard = e.shard;
        e.reply->offset = e.feed.offset;
      }
    });
    if (!feed.empty())
      parts_.effects->publish(std::move(feed));
    answer_all(group);
  }

  /// Nothing of the group is known to be kept. Shards whose entities are ahead of the journal by it
  /// begin a new generation: what they decide until they are loaded again is refused.
  void lose(group_of& group, const model::failure& why) {
    auto ahead = std::set<model::shard_id>{};
    for (const auto& frame : std::span{frames_}.first(frames_used_))  // a write took them
      ahead.insert(frame.shard);
    each(group, [&](entry& e) {
      if (e.record || !e.rows.empty())
        ahead.insert(e.shard);
      e.reply = model::failure{model::errc::unavailable, why.reason, why.detail};
      drop_effects(e);
    });
    for (const auto shard : ahead)
      parts_.shards->at(shard)->generation.fetch_add(1);
    lost_.merge(ahead);
    answer_all(group);
  }

  /// One message for the answers that stand together and are for the same asker.
  static void answer_all(group_of& group) {
    auto to = asker{};
    auto answers = std::vector<settled>{};
    each(group, [&](entry& e) {
      if (e.to && e.number != 0) {
        if (!(e.to == to)) {
          if (!answers.empty())
            to.settle(std::exchange(answers, {}));
          to = std::move(e.to);
        }
        answers.push_back({e.number, std::move(e.reply)});
      }
      if (e.in_flight)
        e.in_flight->fetch_sub(1, std::memory_order_release);
    });
    if (!answers.empty())
      to.settle(std::move(answers));
  }

  journal_parts parts_;
  group_of group_;
  std::size_t group_bytes_ = 0, group_records_ = 0;
  std::optional<model::status> broken_;  // why the store takes nothing
  std::set<model::shard_id> lost_;       // to be loaded again once it does
  std::unordered_map<model::shard_id, shard_position> positions_;
  std::size_t frames_used_ = 0;         // of the group being written
  std::vector<storage::frame> frames_;  // reused: its strings and vectors keep their memory
  std::unordered_map<model::shard_id, std::size_t> frame_of_;
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
    const auto commit = [self, state] {
      const auto was_broken = state->broken();
      state->commit();
      if (state->broken() && !was_broken)
        self->delayed_send(self, repair_interval, repair_atom::value);
    };
    return {[self, state, commit](entry_batch& batch) {
              // The flush note waits behind all that is in the mailbox by now: the group grows with
              // the load and nobody waits for a timer.
              if (state->collect(batch))
                self->send(self, flush_atom::value);
              if (state->full())
                commit();
            },
            [commit](flush_atom) { commit(); },
            [state, commit](const checkpoint_note& note) {
              commit();
              state->note_checkpoint(note);
            },
            [state](const trim_order& order) { state->trim(order.shard); },
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
