// One shard that this node has a part in: runs its state machine (cluster/replica) and does what it
// says, to the log, to other nodes and the coordinator.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/copy_intake.hpp"
#include "cluster/primary_duties.hpp"
#include "cluster/replica.hpp"
#include "cluster/replica_wire.hpp"
#include "cluster/replicas_shared.hpp"
#include "cluster/shard_log.hpp"

namespace orrery::cluster {

/// What this node is to a shard: 0 or 1 each.
struct shard_part {
  std::uint64_t unjoined = 0;  // it has not taken its part up
  std::uint64_t primary = 0, in_sync = 0, learning = 0;
  std::uint64_t lacking = 0;  // primary, with too few replicas in sync
};

/// Everything is called on the writer's thread. What calls bring about is done by `act`, which is
/// to follow before the next write.
class held_shard {
 public:
  /// Reads what is on the disk. `with` is to outlive it. Fails: as the store does.
  static model::result<held_shard> open(replicas_shared& with, model::shard_id shard);

  // ---- from the coordinator
  /// This node holds the registration with.incarnation; `now` was read after that.
  void registered(const shard_record& now);
  void lapsed();
  /// False: it is not news.
  bool record_read(const shard_record& now);
  /// The outcome of a proposal made on version `on`. False: it is nothing to this registration.
  bool decided(std::uint64_t on, const shard_record& now);
  void undecided() { proposing_ = false; }  // the next look asks again

  // ---- from other nodes and the host
  void link_up(node_id who);
  void received(node_id from, replica_envelope what);
  /// Nothing more comes from the shard's entities here. False: nobody asked for it.
  bool host_left();
  /// What time brings.
  void look_at(std::chrono::milliseconds now);
  /// Something is going on or missing here: it is to be looked at in every tick.
  bool is_under_way() const;
  shard_part part() const;

  // ---- from the writer
  /// As replication::write.
  std::optional<std::uint64_t> write(storage::frame& f);
  /// Does all that the state machine says.
  void act();
  /// The same before a write: a move goes on, and it is told whether writes are taken.
  void act_for_round();
  /// The round is in the store, with `synced` on the disk itself. False: it had nothing of this.
  bool written(bool synced);
  /// All rows made so far are in the store.
  void note_written() { log_.note_written(); }
  /// So are the rows that entries up to `index` left.
  void note_applied(std::uint64_t index) { applied_ = std::max(applied_, index); }

  const shard_record& record() const { return record_; }
  bool has_joined() const { return machine_.has_joined(); }
  bool is_primary() const { return machine_.is_primary(); }
  bool is_serving() const { return machine_.is_serving(); }
  std::uint64_t epoch() const { return machine_.epoch(); }
  /// The end of the log.
  std::uint64_t last() const { return machine_.log().last().index; }

 private:
  using milliseconds = std::chrono::milliseconds;

  held_shard(replicas_shared& with, model::shard_id shard, shard_log log, replica::kept kept);
  primary_view view() const;
  bool may_propose(milliseconds now) const;
  void lead(milliseconds now);
  void move_on(milliseconds now);
  void trim(milliseconds now);
  void offer(milliseconds now);
  bool learns_later() const;
  void note_catalogue(std::uint64_t epoch, std::uint64_t commit);

  void take(send_to& what);
  void take(const ship& what);
  void take(const send_checkpoint& what);
  void take(write_log& what);
  void take(const discard& what);
  void take(const mark_led& what);
  void take(const commit_up_to& what);
  void take(const propose& what);
  void take(const begin_serving& what);
  void take(const end_serving& what);

  replicas_shared* with_;
  model::shard_id shard_;
  replica machine_;
  shard_log log_;
  copy_intake intake_;
  shard_record record_;
  follower_views followers_;
  std::vector<std::uint64_t> writes_;     // numbers that the open round writes
  std::uint64_t taken_ = 0;               // index of the entry that was taken last
  std::vector<storage::row> taken_rows_;  // and its rows, until it is in the log
  std::uint64_t applied_;                 // rows of entries up to here are in the store
  std::uint64_t told_commit_ = 0;
  bool ship_ = false;
  bool writable_ = true;
  bool proposing_ = false;
  milliseconds proposed_{};
  bool leaving_ = false, left_ = false;
  milliseconds leave_began_{}, leave_again_{};
  milliseconds trimmed_{};
  std::optional<milliseconds> stuck_since_, offered_;
};

}  // namespace orrery::cluster
