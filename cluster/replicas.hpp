// All shards that this node has a part in: runs the state machine of each (cluster/replica) on the
// journal writer's thread and does what it says, to the log, to other nodes and the coordinator.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/replication.hpp"
#include "cluster/replica.hpp"
#include "cluster/replica_wire.hpp"
#include "cluster/shard_copies.hpp"
#include "cluster/shard_log.hpp"

namespace orrery::cluster {

using shard_records = std::map<model::shard_id, shard_record>;

struct replicas_options {
  node_id self = 0;
  std::uint16_t shard_count = 64;  // and the catalogue
  std::size_t catalogue_factor = 3;
  std::size_t min_in_sync = 1;
  bool sync = false;  // every replica syncs its disk before it acknowledges
  bool whole = true;  // false: the machine crashed, and logs may lack their ends
  /// A change of the catalogue is answered once every node has it, or after so long.
  std::chrono::milliseconds spread_patience{5000};
  std::chrono::milliseconds silence{3000};         // of a replica that is given up then
  std::chrono::milliseconds leave_patience{3000};  // for a planned move
  std::chrono::milliseconds trim_interval{std::chrono::minutes{1}};
  std::chrono::milliseconds journal_retention{std::chrono::hours{72}};
};

/// How it reaches the rest. Every one returns at once.
struct replicas_ports {
  /// False: there is no link, or it takes no more now.
  std::function<bool(node_id, std::string)> send;
  /// Asks the coordinator; then replicas::decided or replicas::undecided is to be called.
  std::function<void(model::shard_id, const proposal&)> propose;
  std::function<std::chrono::milliseconds()> clock;         // does not go back
  std::function<std::chrono::milliseconds()> serves_until;  // by that clock
  std::function<model::timestamp()> now;
  /// Rows of committed entries have been applied.
  std::function<void(model::shard_id, const std::vector<storage::row>&)> applied;
  /// The whole state of the shard was replaced by a copy.
  std::function<void(model::shard_id)> loaded;
  /// The shard is to move: its host lets go of it, then replicas::host_left is to be called.
  std::function<void(model::shard_id)> leave;
  /// It does not move after all.
  std::function<void(model::shard_id)> stay;
};

/// For the metrics page. Any thread.
struct replicas_figures {
  std::atomic<std::uint64_t> primaries{0};
  std::atomic<std::uint64_t> in_sync{0};   // shards in whose in-sync set this node is
  std::atomic<std::uint64_t> learning{0};  // replicas here that are not in sync
  std::atomic<std::uint64_t> lacking{0};   // primaries here with too few replicas in sync
  std::atomic<std::uint64_t> elections{0}, moves{0}, given_up{0}, taken_in{0};
  std::atomic<std::uint64_t> copies_sent{0}, copies_received{0};
  std::atomic<std::uint64_t> entries_shipped{0}, bytes_shipped{0};
};

/// Everything is called on the writer's thread.
class replicas final : public actors::replication {
 public:
  replicas(std::shared_ptr<storage::entity_store> store, replicas_options options,
           replicas_ports ports, std::shared_ptr<replicas_figures> figures);
  ~replicas() override;

  /// Reads what is on the disk. Fails: as the store does.
  model::status open();

  // ---- from the cluster
  void registered(incarnation_id own, const shard_records& now);
  void lapsed();
  /// What the coordinator's records are, which nodes are registered, and which are to go.
  void records(const shard_records& now, const node_set& nodes, const node_set& leaving);
  void decided(model::shard_id shard, std::uint64_t on, const shard_record& now);
  void undecided(model::shard_id shard);
  /// Nodes that end soon: they are given nothing to lead.
  void stopping(const node_set& who) { stopping_ = who; }
  /// This node ends soon: whatever it leads goes to a replica that is in sync.
  void hand_over_all() { hands_over_all_ = true; }
  void link_up(node_id who);
  void link_down(node_id who);
  void received(node_id from, addressed message);
  /// Nothing more comes for the shard from its entities here.
  void host_left(model::shard_id shard);
  /// What time brings; to be called every 50 ms or so.
  void tick();
  /// The whole log went to the disk of a machine that has not crashed since: true once all shards
  /// have taken their part up again.
  bool all_joined() const;

  // ---- from the journal's writer
  std::optional<std::uint64_t> write(storage::frame& f) override;
  std::uint64_t end_of(model::shard_id shard) const override;
  bool may_answer() const override;
  void collect(actors::write_round& into) override;
  void written(bool ok) override;
  bool has_more() const override {
    return !dirty_.empty() || !round_.rows.empty() || round_.needed;
  }
  std::vector<actors::shard_progress> take_progress() override;
  void start_again() override;
  bool failed() const override { return failed_; }

 private:
  using milliseconds = std::chrono::milliseconds;
  struct follower_view {
    std::uint64_t matched = 0;
    milliseconds moved{};  // when that changed, or nothing was missing
    milliseconds asked{};  // when it was last sent again what it lacks
    std::size_t unacknowledged_bytes = 0;
    bool blocked = false;  // more is to be sent than it has acknowledged
    std::uint64_t told_commit = 0;
  };
  struct loading_state {
    node_id from;
    std::uint64_t copy;
    log_position at;
    std::uint64_t parts = 0;
    milliseconds heard{};
  };
  struct held {
    replica machine;
    shard_log log;
    shard_record record{};
    std::map<node_id, follower_view> followers{};
    std::vector<std::uint64_t> writes{};  // numbers that the open round writes
    bool proposing = false;
    milliseconds proposed{};
    std::uint64_t taken = 0;                 // index of the entry that was taken last
    std::vector<storage::row> taken_rows{};  // and its rows, until it is in the log
    std::uint64_t applied_written = 0;       // rows of entries up to here are in the store
    std::uint64_t told_commit = 0;
    bool ship = false;
    bool writable = true;
    bool leaving = false, left = false;
    milliseconds leave_began{}, leave_again{};
    std::optional<loading_state> loading{};
    milliseconds trimmed{};
  };

  model::result<held> make(model::shard_id shard);
  held* find(model::shard_id shard);
  void touch(model::shard_id shard) { dirty_.insert(shard); }
  void act(model::shard_id shard, held& h);
  void do_one(model::shard_id shard, held& h, action& what);
  void do_ship(model::shard_id shard, held& h, const ship& what);
  void copy_to(model::shard_id shard, held& h, node_id to);
  void look_at(model::shard_id shard, held& h, milliseconds now);
  void lead(model::shard_id shard, held& h, milliseconds now);
  void move_on(model::shard_id shard, held& h, milliseconds now);
  std::optional<node_id> successor(const held& h) const;
  void trim(model::shard_id shard, held& h, milliseconds now);
  void take_copy(model::shard_id shard, held& h, node_id from, const copy_begun& m);
  void take_copy(model::shard_id shard, held& h, node_id from, const copy_rows& m);
  void take_copy(model::shard_id shard, held& h, node_id from, const copy_ended& m);
  bool put_now(std::span<const storage::row> rows, bool sync);
  void tell(model::shard_id shard, actors::shard_progress::what happened, std::uint64_t offset = 0,
            bool acknowledged = true);
  void take_applied(model::shard_id shard, const held& h, node_id from, const applied_up_to& m);
  void count();
  void release_catalogue(bool all);
  void pass_on(const actors::shard_progress& what);

  std::shared_ptr<storage::entity_store> store_;
  replicas_options options_;
  replicas_ports ports_;
  std::shared_ptr<replicas_figures> figures_;
  shard_copies copies_;
  std::unordered_map<model::shard_id, held> shards_;
  std::set<model::shard_id> dirty_;
  actors::write_round round_;
  // What is told when the round is in the store, in order.
  struct news_item {
    actors::shard_progress what;
    std::vector<storage::row> applied{};
  };
  std::vector<news_item> later_;
  // Commits of the catalogue that are not told yet: first every node that is there applies them,
  // so that who was answered finds the change everywhere.
  struct held_commit {
    actors::shard_progress what;
    milliseconds since;
  };
  std::deque<held_commit> catalogue_commits_;
  std::map<node_id, std::uint64_t> catalogue_applied_;
  std::vector<actors::shard_progress> progress_;
  std::set<model::shard_id> served_;  // as the writer was told
  std::optional<incarnation_id> incarnation_;
  node_set nodes_, leaving_, up_, stopping_;
  bool hands_over_all_ = false;
  std::map<node_id, milliseconds> down_since_;
  bool writes_synced_ = false;  // the round under way goes to the disk itself
  bool failed_ = false;         // a write of its own failed: the store is to be opened again
};

}  // namespace orrery::cluster
