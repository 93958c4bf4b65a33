#include "actors/replicated_writer.hpp"

#include <chrono>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "observe/log.hpp"

namespace orrery::actors {
namespace {

/// An entry that is answered once everything up to `index` is committed.
struct waiting_entry {
  std::uint64_t index;
  std::size_t cost;
  entry what;
};

class replicated_writer final : public group_writer {
 public:
  explicit replicated_writer(const journal_parts& parts) : parts_{parts} {}

  model::status write(entry_group group) override {
    if (!group.empty()) {
      refuse_lost(group, *parts_.shards);
      give_frames(group);
    }
    return pump();
  }

  void turn_away(entry_group group, const model::failure& why) override {
    group.each([&](entry& e) { refuse(e, why); });
    answer_all(group);
    parts_.figures->queued_bytes.fetch_sub(group.bytes, std::memory_order_relaxed);
  }

  model::status store_reopened() override {
    observe::log::warn("journal", "store_reopened", {{"shards_reloaded", 0}});
    parts_.replicas->start_again();
    return pump();
  }

  model::status note_checkpoint(const checkpoint_note& note) override {
    auto& noted = checkpoints_[note.shard];
    if (note.generation != parts_.shards->at(note.shard)->generation.load() || note == noted)
      return {};
    auto frame = storage::frame{};
    frame.shard = note.shard;
    frame.rows.push_back(storage::shard_meta_row(
        note.shard,
        {.epoch = 1, .next_offset = note.offset + 1, .checkpoint_offset = note.offset}));
    if (parts_.replicas->write(frame))
      noted = note;
    return pump();
  }

  /// The replicas know what is still needed elsewhere, and see to it themselves.
  void trim(model::shard_id) override {}

 private:
  /// Hands the records of a group to the replicas, a frame for each shard.
  void give_frames(entry_group& group) {
    struct place {
      storage::frame frame;
      std::size_t tail = 0;
      std::uint64_t last = 0;
      bool refused = false;
    };
    auto places = std::unordered_map<model::shard_id, place>{};
    auto records = std::size_t{0};
    auto costs = std::vector<std::size_t>{};
    group.each([&](entry& e) {
      costs.push_back(cost_of(e));
      if (!e.record && e.rows.empty() && !e.feed.what)
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
    group.each([&](entry& e) {
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
      auto& waiting = waiting_[e.shard];
      waiting.push_back({index, costs[at++], std::move(e)});
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
  model::status pump() {
    const auto begin = std::chrono::steady_clock::now();
    do {
      const auto ok = write_round_of_all();
      if (!ok) {
        parts_.figures->failed_groups.fetch_add(1, std::memory_order_relaxed);
        observe::log::error("journal", "write_failed", {{"detail", ok.error().detail}});
        answer_ready();
        return ok;
      }
      for (const auto& p : parts_.replicas->take_progress())
        take(p);
    } while (parts_.replicas->has_more());
    answer_ready();
    if (const auto records = std::exchange(group_size_, 0); records > 0)
      parts_.figures->observe(
          records, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return {};
  }

  model::status write_round_of_all() {
    auto round = write_round{};
    parts_.replicas->collect(round);
    auto ok = model::status{};
    if (round.needed && !parts_.replicas->failed())
      ok = parts_.store->put(round.rows, round.sync);
    if (parts_.replicas->failed())
      ok = model::failure{model::errc::unavailable, "storage_failed",
                          "a replica could not be written"};
    parts_.replicas->written(static_cast<bool>(ok));
    return ok;
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
        parts_.on_role(p.shard, {shard_role::what::serves, status.generation.fetch_add(1) + 1});
        break;
      }
      case shard_progress::what::ended: {
        const auto generation = status.generation.fetch_add(1) + 1;
        for (auto& w : std::exchange(waiting_[p.shard], {})) {
          refuse(w.what, {model::errc::unavailable, "shard_moved",
                          "its shard has moved; whether it was done is not known: ask again"});
          to_answer(std::move(w));
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
      to_answer(std::move(w));
      entries.pop_front();
    }
  }

  void to_answer(waiting_entry w) {
    ready_bytes_ += w.cost;
    ready_.entries.push_back(std::move(w.what));
  }

  void answer_ready() {
    if (ready_.entries.empty())
      return;
    auto group = entry_group{};
    group.batches.push_back(std::exchange(ready_, {}));
    if (!parts_.replicas->may_answer())
      group.each([](entry& e) {
        refuse(e, {model::errc::unavailable, "lease_lost",
                   "this node is cut off from its cluster; ask again"});
      });
    settle(group, *parts_.effects);
    parts_.figures->queued_bytes.fetch_sub(std::exchange(ready_bytes_, 0),
                                           std::memory_order_relaxed);
  }

  const journal_parts& parts_;
  std::unordered_map<model::shard_id, std::deque<waiting_entry>> waiting_;
  std::unordered_map<model::shard_id, checkpoint_note> checkpoints_;
  entry_batch ready_;  // to be answered
  std::size_t ready_bytes_ = 0;
  std::size_t group_size_ = 0;  // records since the last pump
};

}  // namespace

std::unique_ptr<group_writer> make_replicated_writer(const journal_parts& parts) {
  return std::make_unique<replicated_writer>(parts);
}

}  // namespace orrery::actors
