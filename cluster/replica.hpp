// One node's part in one shard: the replication protocol as a state machine, without network, disk
// or clock. Events go in, actions come out, in the order in which they are to be done.
// docs/cluster.md has the protocol and why it is safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/log_outline.hpp"
#include "cluster/shard_record.hpp"

namespace orrery::cluster {

/// One frame of the journal on its way to the logs.
struct log_entry {
  log_position at;
  std::shared_ptr<const std::string> bytes;  // null: only says that an epoch began
};

// ---- messages between the replicas of a shard ---------------------------------------------------

/// From the primary: what stands behind `before`, and what is committed.
struct append_entries {
  std::uint64_t epoch;
  log_position before;
  std::vector<log_entry> entries;
  std::uint64_t commit;
  std::uint64_t recovered = 0;  // shard_record's
};
/// The log of the sender equals the primary's up to `index`, and is kept as the shard demands.
struct append_done {
  std::uint64_t epoch;
  std::uint64_t index;
  incarnation_id incarnation;
};
/// Go on behind `index`, or, if the epoch is newer than the primary's, no more.
struct append_refused {
  std::uint64_t epoch;
  std::uint64_t index;
};
using replica_message = std::variant<append_entries, append_done, append_refused>;

// ---- actions ------------------------------------------------------------------------------------

struct send_to {
  node_id to;
  replica_message what;
};
/// Send `to` what stands behind `after`: replica::shipment makes the message of it.
struct ship {
  node_id to;
  std::uint64_t after;
};
/// The log of `to` ends before this one begins: it needs the state as of a committed entry.
struct send_checkpoint {
  node_id to;
};
/// Into the log, behind `after`: what stands there goes. `written(number)` when it is done.
struct write_log {
  std::uint64_t number;
  std::uint64_t after;
  std::vector<log_entry> entries;
  bool sync;  // to the disk itself
};
/// Log and state here count for nothing: they go before anything that follows.
struct discard {};
/// To be on the disk before anything that follows: a crash must not let this epoch go on.
struct mark_led {
  std::uint64_t epoch;
};
/// Apply what is committed to the state and answer for it. `acknowledge` false: fewer replicas than
/// demanded have it, so its fate is not promised.
struct commit_up_to {
  std::uint64_t index;
  bool acknowledge;
};
/// Ask the coordinator. Until its outcome is known the same may be proposed again.
struct propose {
  proposal what;
};
struct begin_serving {
  std::uint64_t epoch;
};
/// Answer nobody any more; what waits for its commit has no known outcome.
struct end_serving {};

using action = std::variant<send_to, ship, send_checkpoint, write_log, discard, mark_led,
                            commit_up_to, propose, begin_serving, end_serving>;

// ---- the state machine --------------------------------------------------------------------------

class replica {
 public:
  struct options {
    std::size_t min_in_sync = 1;   // fewer: nothing is written
    bool sync = false;             // every replica syncs before it says that it has something
    std::uint64_t behind_max = 1;  // entries a learner may lack when it is taken in
  };
  /// What a node has of the shard on its disk itself (opening the store has brought it there).
  struct kept {
    log_outline log{};
    std::uint64_t commit = 0;  // known to be committed
    std::uint64_t led = 0;     // newest epoch it has led
    bool whole = true;         // false: the machine crashed and the log's end may be missing
    bool restored = false;     // from a backup: much of it may be missing
  };

  replica(node_id self, options wanted, kept found);

  // ---- from the coordinator
  /// The node holds a (new) registration; `now` was read after that. To be told again until
  /// has_joined(): a node that lost the end of its log first leaves the in-sync set. One that was
  /// restored does so even if nobody is left in it then.
  void registered(incarnation_id own, const shard_record& now);
  /// The registration is gone, or may be: every role ends until there is another one.
  void lapsed();
  void record_read(const shard_record& now);
  /// The outcome of a proposal that was made on version `on`; `now` as it is after it.
  void proposal_decided(std::uint64_t on, const shard_record& now);
  /// No answer came: the same again, if it is still open.
  void propose_again();
  /// The primary of that record (or nobody) has no registration.
  void primary_gone(const shard_record& now);

  // ---- from other replicas and from the disk
  void received(node_id from, const replica_message& what);
  /// All writes up to that number are in the log, with `synced` on the disk itself.
  void written(std::uint64_t number, bool synced);
  /// True: the state as of `at`, offered by `from`, the primary of `epoch`, is to be installed in
  /// place of what is here. False: it is not wanted; if it is here already, that is acknowledged.
  /// What is committed is the same everywhere, so it may take any time.
  bool wants_checkpoint(node_id from, std::uint64_t epoch, log_position at,
                        std::uint64_t recovered = 0);
  /// A checkpoint was installed in place of log and state: it holds everything up to `at`.
  void checkpoint_installed(log_position at);
  /// It did not come to its end: there is neither log nor state here now.
  void checkpoint_failed();

  // ---- at the primary
  /// Takes an entry of `records` records; its position, or nothing where writes are refused.
  std::optional<log_position> write(std::uint64_t records,
                                    std::shared_ptr<const std::string> bytes);
  /// Sends each follower what it may lack, and what is committed.
  void ship_all();
  /// `to` may have lost what was sent: from what it has acknowledged on.
  void ship_again(node_id to);
  /// `who` has been silent for too long: it leaves the in-sync set.
  void give_up(node_id who);
  /// Takes a learner in that has caught up.
  void take_in(node_id who);
  /// Gives the shard to an in-sync replica. False: not now.
  bool hand_over(node_id to);
  /// Makes the message for a `ship`: entries that follow `before`, which is at or before `after`.
  append_entries shipment(node_id to, log_position before, std::vector<log_entry> entries);
  /// Forgets what is before `index`, which is committed.
  void trim(std::uint64_t index);

  /// What is to be done since the last call.
  std::vector<action> take_actions();

  bool has_joined() const { return joined_; }
  bool is_primary() const { return leads_; }
  bool is_serving() const { return serving_; }
  /// Serves, and enough replicas are in sync.
  bool takes_writes() const { return serving_ && is_enough(); }
  std::uint64_t epoch() const { return epoch_; }
  std::uint64_t commit() const { return commit_; }
  /// The coordinator was asked for something, and its outcome is not known.
  bool has_proposed() const { return open_.has_value(); }
  /// Of the record by which it leads.
  std::uint64_t recovered() const { return record_.recovered; }
  const log_outline& log() const { return log_; }
  /// What `who` is known to have, as the primary sees it.
  std::uint64_t matched(node_id who) const;

 private:
  struct pending_write {
    std::uint64_t number, index;
  };
  struct open_proposal {
    proposal what;
    bool hands_over = false;
    std::uint64_t sync_first = 0;  // proposed once this is on the disk
  };
  struct follower {
    std::uint64_t matched = 0;
    incarnation_id incarnation = 0;
    std::uint64_t next = 0;  // shipped up to here
  };

  void consider(const shard_record& now);
  void learn_recovered(std::uint64_t epoch, bool is_ours);
  void lead(const shard_record& now);
  void follow_replicas();
  void step_down(std::uint64_t newest);
  void advance();
  void take(node_id from, const append_entries& m);
  void take(node_id from, const append_done& m);
  void take(node_id from, const append_refused& m);
  void append(std::uint64_t after, std::vector<log_entry> entries, bool sync = false);
  void acknowledge();
  void forget_log(log_position up_to);
  void open(proposal what, bool hands_over);
  void propose_now();
  bool syncs() const;
  bool is_enough() const;
  node_set in_force() const;
  std::uint64_t own_position() const;

  node_id self_;
  options options_;
  bool joined_ = false;
  bool whole_;
  bool restored_;
  bool loading_ = false;
  std::uint64_t recovered_ = 0;  // newest that was looked at
  incarnation_id incarnation_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t epoch_;
  std::uint64_t led_;

  log_outline log_;
  std::uint64_t written_, synced_;
  std::uint64_t commit_;
  std::uint64_t writes_ = 0;
  std::deque<pending_write> pending_;

  // As a follower: whose log this one equals, and how far.
  std::optional<node_id> leader_;
  std::uint64_t leader_epoch_ = 0;
  std::uint64_t equal_ = 0;

  // As the primary.
  bool leads_ = false;
  bool serving_ = false;
  shard_record record_;
  std::vector<node_set> configs_;  // in-sync sets that may be in force
  std::map<node_id, follower> followers_;
  std::optional<open_proposal> open_;

  std::vector<action> actions_;
};

}  // namespace orrery::cluster
