#include "actors/journal.hpp"

#include <algorithm>
#include <deque>
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

  /// Takes entries into the open group.
  void collect(entry_batch& batch) {
    for (const auto& e : batch.entries)
      group_bytes_ += cost_of(e);
    group_records_ += batch.entries.size();
    group_.push_back(std::move(batch));
  }
  bool full() const { return group_bytes_ >= parts_.options.group_max_bytes; }
  /// True once until the next commit: it is to be ordered.
  bool wants_commit() { return !std::exchange(commit_ordered_, true); }

  /// Writes the open group and answers it.
  void commit() {
    commit_ordered_ = false;
    if (parts_.replicas)
      return commit_replicated();
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
        break_off(ok);
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
    parts_.figures->broken = false;
    observe::log::warn("journal", "store_reopened", {{"shards_reloaded", lost_.size()}});
    if (parts_.replicas) {
      parts_.replicas->start_again();
      return pump();
    }
    for (const auto shard : std::exchange(lost_, {}))
      parts_.on_write_lost({shard, parts_.shards->at(shard)->generation.load()});
  }

  void note_checkpoint(const checkpoint_note& note) {
    if (parts_.replicas)
      return note_replicated(note);
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
    if (parts_.replicas)
      return;  // they know what is still needed elsewhere
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

  void break_off(const model::status& why) {
    broken_ = why;
    parts_.figures->broken = true;
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

  // ---- with replicas ----------------------------------------------------------------------------

  /// An entry that is answered once everything up to `index` is committed.
  struct waiting_entry {
    std::uint64_t index;
    std::size_t cost;
    entry what;
  };

  void commit_replicated() {
    auto group = std::exchange(group_, {});
    const auto bytes = std::exchange(group_bytes_, 0);
    group_records_ = 0;
    if (broken_) {
      each(group, [&](entry& e) { refuse(e, broken_->error()); });
      answer_all(group);
      parts_.figures->queued_bytes.fetch_sub(bytes, std::memory_order_relaxed);
      return;
    }
    if (!group.empty()) {
      refuse_lost(group);
      give_frames(group);
    }
    pump();
  }

  static void refuse(entry& e, const model::failure& why) {
    e.reply = model::failure{model::errc::unavailable, why.reason, why.detail};
    drop_effects(e);
  }

  /// Hands the records of a group to the replicas, a frame for each shard.
  void give_frames(group_of& group) {
    struct place {
      storage::frame frame;
      std::size_t tail = 0;
      std::uint64_t last = 0;
      bool refused = false;
    };
    auto places = std::unordered_map<model::shard_id, place>{};
    auto records = std::size_t{0};
    auto costs = std::vector<std::size_t>{};
    each(group, [&](entry& e) {
      costs.push_back(cost_of(e));
      if (!e.record && e.rows.empty())
        return;
      auto& p = places[e.shard];
      p.frame.shard = e.shard;
      if (e.record) {
        e.feed.offset = p.frame.records.size() + 1;  // in the frame, for now
        p.tail += e.record->events.size() + 48;
        p.frame.records.push_back(std::move(*e.record));
        e.record.reset();
        ++records;
      } else {
        e.feed.offset = std::max<std::size_t>(p.frame.records.size(), 1);
      }
      std::move(e.rows.begin(), e.rows.end(), std::back_inserter(p.frame.rows));
      e.rows.clear();
    });
    for (auto& [shard, p] : places) {
      const auto last = parts_.replicas->write(p.frame);
      p.refused = !last;
      if (last) {
        p.last = *last;
        parts_.shards->at(shard)->tail_bytes.fetch_add(p.tail, std::memory_order_relaxed);
      } else {
        const auto generation = parts_.shards->at(shard)->generation.fetch_add(1) + 1;
        parts_.on_write_lost({shard, generation});
      }
    }
    auto at = std::size_t{0};
    each(group, [&](entry& e) {
      const auto p = places.find(e.shard);
      const auto wrote = e.feed.offset != 0;
      auto index = parts_.replicas->end_of(e.shard);
      if (wrote && p != places.end()) {
        if (p->second.refused)
          refuse(e, {model::errc::unavailable, "shard_not_served",
                     "its shard is moving, or too few replicas are in sync; ask again"});
        e.feed.offset += p->second.frame.first_offset - 1;
        index = p->second.last;
      }
      waiting_[e.shard].push_back({index, costs[at++], std::move(e)});
    });
    for (const auto& [shard, entries] : waiting_)
      settle_committed(shard, true);
    if (records > 0) {
      parts_.figures->groups.fetch_add(1, std::memory_order_relaxed);
      parts_.figures->records.fetch_add(records, std::memory_order_relaxed);
    }
    group_size_ += records;
  }

  /// Writes what the replicas want written until they want nothing, and passes on what came of it.
  void pump() {
    const auto begin = std::chrono::steady_clock::now();
    do {
      auto round = write_round{};
      parts_.replicas->collect(round);
      auto ok = model::status{};
      if (round.needed && !parts_.replicas->failed())
        ok = parts_.store->put(round.rows, round.sync);
      if (parts_.replicas->failed())
        ok = model::failure{model::errc::unavailable, "storage_failed",
                            "a replica could not be written"};
      parts_.replicas->written(static_cast<bool>(ok));
      if (!ok) {
        parts_.figures->failed_groups.fetch_add(1, std::memory_order_relaxed);
        observe::log::error("journal", "write_failed", {{"detail", ok.error().detail}});
        break_off(ok);
        answer_ready();
        return repair();
      }
      for (const auto& p : parts_.replicas->take_progress())
        take(p);
    } while (parts_.replicas->has_more());
    answer_ready();
    if (const auto records = std::exchange(group_size_, 0); records > 0)
      parts_.figures->observe(
          records, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }

  void take(const shard_progress& p) {
    auto& status = *parts_.shards->at(p.shard);
    switch (p.happened) {
      case shard_progress::what::committed:
        status.committed.store(p.offset, std::memory_order_release);
        settle_committed(p.shard, p.acknowledged);
        break;
      case shard_progress::what::began: {
        status.committed.store(p.offset, std::memory_order_release);
        status.writable = true;
        positions_.erase(p.shard);
        parts_.on_role(p.shard, {shard_role::what::serves, status.generation.fetch_add(1) + 1});
        break;
      }
      case shard_progress::what::ended: {
        const auto generation = status.generation.fetch_add(1) + 1;
        for (auto& w : std::exchange(waiting_[p.shard], {})) {
          refuse(w.what, {model::errc::unavailable, "shard_moved",
                          "its shard has moved; whether it was done is not known: ask again"});
          ready_bytes_ += w.cost;
          ready_.entries.push_back(std::move(w.what));
        }
        parts_.on_role(p.shard, {shard_role::what::away, generation});
        break;
      }
      case shard_progress::what::writable:
        status.writable = true;
        break;
      case shard_progress::what::read_only:
        status.writable = false;
        break;
    }
  }

  /// Moves what is committed to what is answered.
  void settle_committed(model::shard_id shard, bool acknowledged) {
    const auto committed = parts_.shards->at(shard)->committed.load();
    auto& entries = waiting_[shard];
    while (!entries.empty() && entries.front().index <= committed) {
      auto& w = entries.front();
      if (!acknowledged)
        refuse(w.what, {model::errc::unavailable, "not_in_sync",
                        "fewer replicas than demanded have it; ask again"});
      ready_bytes_ += w.cost;
      ready_.entries.push_back(std::move(w.what));
      entries.pop_front();
    }
  }

  void answer_ready() {
    if (ready_.entries.empty())
      return;
    auto group = group_of{};
    group.push_back(std::exchange(ready_, {}));
    if (!parts_.replicas->may_answer())
      each(group, [](entry& e) {
        refuse(e, {model::errc::unavailable, "lease_lost",
                   "this node is cut off from its cluster; ask again"});
      });
    settle(group);
    parts_.figures->queued_bytes.fetch_sub(std::exchange(ready_bytes_, 0),
                                           std::memory_order_relaxed);
  }

  void note_replicated(const checkpoint_note& note) {
    auto& noted = checkpoints_[note.shard];
    if (broken_ || note.generation != parts_.shards->at(note.shard)->generation.load() ||
        note == noted)
      return;
    auto frame = storage::frame{};
    frame.shard = note.shard;
    frame.rows.push_back(storage::shard_meta_row(
        note.shard,
        {.epoch = first_epoch, .next_offset = note.offset + 1, .checkpoint_offset = note.offset}));
    if (parts_.replicas->write(frame))
      noted = note;
    pump();
  }

  std::unordered_map<model::shard_id, std::deque<waiting_entry>> waiting_;
  std::unordered_map<model::shard_id, checkpoint_note> checkpoints_;
  entry_batch ready_;
  std::size_t ready_bytes_ = 0;
  std::size_t group_size_ = 0;
  bool commit_ordered_ = false;

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
            [state, commit](const checkpoint_note& note) {
              commit();
              state->note_checkpoint(note);
            },
            [state](const trim_order& order) { state->trim(order.shard); },
            [order_commit](const writer_task& task) {
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
