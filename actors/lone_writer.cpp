#include "actors/lone_writer.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "observe/log.hpp"

namespace orrery::actors {
namespace {

constexpr std::uint64_t first_epoch = 1;

/// What the writer knows of a shard beside the shared figures.
struct shard_position {
  std::uint64_t next_offset = 1;
  std::uint64_t checkpoint = 0;
  std::uint64_t epoch = first_epoch;
  bool known = false;
};

class lone_writer final : public group_writer {
 public:
  explicit lone_writer(const journal_parts& parts) : parts_{parts} {}

  model::status write(entry_group group) override {
    if (group.empty())
      return {};
    frames_used_ = 0;
    refuse_lost(group, *parts_.shards);
    const auto ok = put(group);
    if (ok) {
      settle(group, *parts_.effects);
    } else {
      observe::log::error("journal", "write_failed",
                          {{"detail", ok.error().detail}, {"records", group.records}});
      lose(group, ok.error());
    }
    parts_.figures->queued_bytes.fetch_sub(group.bytes, std::memory_order_relaxed);
    return ok;
  }

  void turn_away(entry_group group, const model::failure& why) override {
    if (group.empty())
      return;
    frames_used_ = 0;
    refuse_lost(group, *parts_.shards);
    lose(group, why);
    parts_.figures->queued_bytes.fetch_sub(group.bytes, std::memory_order_relaxed);
  }

  model::status store_reopened() override {
    positions_.clear();
    observe::log::warn("journal", "store_reopened", {{"shards_reloaded", lost_.size()}});
    for (const auto shard : std::exchange(lost_, {}))
      parts_.on_write_lost({shard, parts_.shards->at(shard)->generation.load()});
    return {};
  }

  model::status note_checkpoint(const checkpoint_note& note) override {
    auto* position = position_of(note.shard);
    const auto& status = parts_.shards->at(note.shard);
    if (!position || note.generation != status->generation.load() ||
        note.offset <= position->checkpoint)
      return {};
    const auto ok = parts_.store->put_meta(note.shard, {.epoch = position->epoch,
                                                        .next_offset = position->next_offset,
                                                        .checkpoint_offset = note.offset});
    if (ok)
      position->checkpoint = note.offset;  // only now may the journal be trimmed up to it
    else
      observe::log::warn("journal", "checkpoint_not_noted",
                         {{"shard", note.shard}, {"detail", ok.error().detail}});
    return {};
  }

  void trim(model::shard_id shard) override {
    const auto* position = position_of(shard);
    if (!position)
      return;
    const auto ok = parts_.store->trim_journal(shard, position->checkpoint,
                                               parts_.options.now() - parts_.options.retention);
    if (!ok)
      observe::log::warn("journal", "trim_failed",
                         {{"shard", shard}, {"detail", ok.error().detail}});
  }

 private:
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

  model::status put(entry_group& group) {
    auto& used = frames_used_;
    auto records = std::size_t{0};
    frame_of_.clear();
    auto unreadable = false;
    group.each([&](entry& e) {
      if (!e.record && e.rows.empty() && !e.feed.what)
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

  /// Nothing of the group is known to be kept. Shards whose entities are ahead of the journal by it
  /// begin a new generation: what they decide until they are loaded again is refused.
  void lose(entry_group& group, const model::failure& why) {
    parts_.figures->failed_groups.fetch_add(1, std::memory_order_relaxed);
    auto ahead = std::set<model::shard_id>{};
    for (const auto& frame : std::span{frames_}.first(frames_used_))  // a write took them
      ahead.insert(frame.shard);
    group.each([&](entry& e) {
      if (e.record || !e.rows.empty())
        ahead.insert(e.shard);
      refuse(e, why);
    });
    for (const auto shard : ahead)
      parts_.shards->at(shard)->generation.fetch_add(1);
    lost_.merge(ahead);
    answer_all(group);
  }

  const journal_parts& parts_;
  std::set<model::shard_id> lost_;  // to be loaded again once the store takes something
  std::unordered_map<model::shard_id, shard_position> positions_;
  std::size_t frames_used_ = 0;         // of the group being written
  std::vector<storage::frame> frames_;  // reused: its strings and vectors keep their memory
  std::unordered_map<model::shard_id, std::size_t> frame_of_;
};

}  // namespace

std::unique_ptr<group_writer> make_lone_writer(const journal_parts& parts) {
  return std::make_unique<lone_writer>(parts);
}

}  // namespace orrery::actors
